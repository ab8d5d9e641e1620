"""
The Debian package, in clean Debian 12 roots with the distribution's broker. As root: chroot, name spaces, debootstrap.
GUARD_BUILD: the build folder that is packed (default build/release).
"""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("GUARD_BUILD") or TOP / "build" / "release").resolve()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mosquitto-guard" / "roots" / "bookworm-package"


def run(*command, **more):
    told = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **more)
    assert told.returncode == 0, f"{' '.join(map(str, command))}: {told.returncode}\n{told.stdout}"
    return told.stdout


def pack(folder, version):
    """A package of the build folder with that version."""
    run("cpack", "-G", "DEB", "-B", folder, "-D", f"CPACK_PACKAGE_VERSION={version}", cwd=BUILD)
    [package] = folder.glob("*.deb")
    return package


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    assert (BUILD / "mosquitto_guard.so").is_file(), f"build it first: cmake --preset release ({BUILD})"
    return pack(tmp_path_factory.mktemp("new"), "0.2.0")


@pytest.fixture(scope="session")
def old_package(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("old"), "0.1.0")


class Root:
    """
    A copy of a Debian root that runs in name spaces of its own: mounts, network (only lo), processes. All of it ends with
    close(). folder is where its files are seen from outside.
    """

    def __init__(self, template, place):
        (place / "root").mkdir()
        (place / "upper").mkdir()
        (place / "work").mkdir()
        inner = ("mount --make-rprivate / && cd $1 && { mount -t overlay overlay -o lowerdir=$2,upperdir=upper,workdir=work $0 "
                 "2>/dev/null || cp -a $2/. $0; } && mount --rbind /dev $0/dev && mount -t tmpfs -o mode=1777 tmp $0/tmp && "
                 "mount -t proc proc $0/proc && ip link set lo up && echo up && "
                 "while sleep 0.1; do :; done")  # the first process of a name space buries the others: a shell does
        self.process = subprocess.Popen(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", inner,
                                         str(place / "root"), str(place), str(template)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "up\n"
        self.inside = run("pgrep", "-P", self.process.pid).strip()
        self.folder = Path(f"/proc/{self.inside}/root{place}/root")
        self.chroot = place / "root"

    def try_(self, script):
        """Exit code and output of a shell script inside."""
        told = subprocess.run(["nsenter", "-t", self.inside, "-m", "-n", "-p", "chroot", self.chroot, "/usr/bin/env", "-i",
                               "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
                               "timeout", "60", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return told.returncode, told.stdout

    def do(self, script):
        code, output = self.try_(script)
        assert code == 0, f"{script}: {code}\n{output}"
        return output

    def install(self, package):
        shutil.copy(package, self.folder / "var/tmp")
        # confdef: what dpkg does with a changed file of configuration when somebody just presses return
        return self.do(f"apt-get install -y -o Dpkg::Options::=--force-confdef --no-install-recommends /var/tmp/{package.name}")

    def start_broker(self):
        """As Debian's unit does it; the broker's process id. It must be up, or this fails with its log."""
        self.do("mkdir -p -m 740 /var/log/mosquitto /run/mosquitto && chown mosquitto /var/log/mosquitto /run/mosquitto")
        code, output = self.try_("""mosquitto -d -c /etc/mosquitto/mosquitto.conf || exit 1
            for _ in $(seq 100); do [ -s /run/mosquitto/mosquitto.pid ] && grep -q ' running$' /var/log/mosquitto/mosquitto.log &&
              exit 0; sleep 0.05; done; exit 1""")
        assert code == 0, output + self.log()
        return self.do("cat /run/mosquitto/mosquitto.pid").strip()

    def stop_broker(self):
        self.do("""pid=$(cat /run/mosquitto/mosquitto.pid) && kill "$pid" && : >/var/log/mosquitto/mosquitto.log
            for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.05; done; exit 1""")

    def log(self):
        path = self.folder / "var/log/mosquitto/mosquitto.log"
        return path.read_text() if path.exists() else "(no log)"

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def template(package):
    """A root with the broker, kept from run to run, and with what the package needs downloaded."""
    if os.geteuid() != 0:
        pytest.skip("needs root: debootstrap, chroot, name spaces")
    if not (CACHE / ".complete").exists():
        shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        run(TOP / "tests/brokers/root.sh", "bookworm", CACHE, "run")
        shutil.copy(package, CACHE / "var/tmp/it.deb")
        run("chroot", CACHE, "apt-get", "install", "-y", "--no-install-recommends", "--download-only", "/var/tmp/it.deb")
        (CACHE / ".complete").touch()
    return CACHE


@pytest.fixture
def root(template, tmp_path):
    inside = Root(template, tmp_path)
    yield inside
    inside.close()
    for folder in ("root", "upper", "work"):
        shutil.rmtree(tmp_path / folder)
