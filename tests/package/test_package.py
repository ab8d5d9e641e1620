"""The Debian package, installed, used, upgraded, removed and purged beside Debian 12's own broker."""
import re
import shutil
import stat
import subprocess

import pytest

from conftest import TOP, run

ENABLE = "cp /usr/share/mosquitto-guard/guard.conf /etc/mosquitto/conf.d/"
PLUGIN = "/usr/lib/x86_64-linux-gnu/mosquitto-guard/mosquitto_guard.so"
STATE, POLICY = "/var/lib/mosquitto-guard", "/etc/mosquitto-guard/policy.conf"
CLIENT = "mosquitto_pub -h 127.0.0.1 -t devices/sensor-7/data -m 1 -i sensor-7 -u sensor-7"


def owner_and_mode(root, path):
    return root.do(f"stat -c '%U:%G %a' {path}").strip()


def set_up_a_device(root):
    """A policy with one client, whose password is open-sesame."""
    root.do(f"""printf '[role device]\\ndata = allow publish devices/${{username}}/data\\n[default]\\nroles = device\\n' >>{POLICY}
        echo open-sesame | guardctl passwd sensor-7 - >>{POLICY} && guardctl check {POLICY}""")


def test_what_is_in_it(package, tmp_path):
    listed = run("dpkg-deb", "-c", package)
    for name in ("/usr/bin/guardctl", PLUGIN, "/usr/share/man/man1/guardctl.1.gz", "/usr/share/man/man5/mosquitto_guard.5.gz",
                 "/usr/share/bash-completion/completions/guardctl", "/usr/share/doc/mosquitto-guard/copyright",
                 "/usr/share/doc/mosquitto-guard/changelog.gz", "/usr/share/mosquitto-guard/guard.conf"):
        assert f" .{name}\n" in listed, listed
    for line in listed.splitlines():
        assert " root/root " in line and not re.match(r".......(.w|..t)", line[1:]) and line[5] != "w" and line[8] != "w", line
    run("dpkg-deb", "-e", package, tmp_path / "control")
    assert {p.name for p in (tmp_path / "control").iterdir()} == {"control", "conffiles", "md5sums", "postinst", "prerm", "postrm"}
    control = (tmp_path / "control/control").read_text()
    depends = re.search(r"^Depends: (.*)$", control, re.M).group(1)
    for name in ("mosquitto (>= 2.0.11)", "libc6", "libssl3", "libjwt0", "libhiredis0.14", "libargon2-1"):
        assert name in depends
    run("dpkg-deb", "-x", package, tmp_path / "data")
    doc = tmp_path / "data/usr/share/doc/mosquitto-guard"
    run("gunzip", *doc.glob("*.gz"))
    assert run("dpkg-parsechangelog", "-l", doc / "changelog", "-S", "Version").strip() == "0.2.0"
    assert (doc / "CHANGELOG.md").read_text() == (TOP / "CHANGELOG.md").read_text()
    for file in ("usr/bin/guardctl", PLUGIN[1:]):
        assert ".debug_info" not in run("readelf", "-SW", tmp_path / "data" / file), f"{file} is not stripped"


def test_installing_leaves_the_broker_alone(root, package):
    pid = root.start_broker()
    before = root.do("find /etc/mosquitto -type f | sort | xargs md5sum")
    told = root.install(package)
    assert ENABLE in told and "systemctl restart mosquitto" in told
    assert root.do("find /etc/mosquitto -type f | sort | xargs md5sum") == before
    root.do(f"kill -0 {pid} && mosquitto_pub -h 127.0.0.1 -t a -m b && ! grep -q mosquitto_guard /proc/{pid}/maps")
    assert owner_and_mode(root, STATE) == owner_and_mode(root, f"{STATE}/audit") == "mosquitto:mosquitto 750"
    assert owner_and_mode(root, POLICY) == "root:mosquitto 640"
    assert owner_and_mode(root, "/etc/mosquitto-guard/options.conf") == "root:mosquitto 644"
    assert "not found" not in root.do(f"ldd {PLUGIN} /usr/bin/guardctl")
    assert root.do("guardctl version").startswith("guardctl ")
    assert root.do("dpkg -V mosquitto-guard") == ""


def test_enabled_by_the_line_it_prints(root, package):
    root.install(package)
    root.do(ENABLE)
    set_up_a_device(root)
    told = root.do("guardctl doctor")  # no error, no warning, with what Debian and this package install
    assert "Mosquitto 2.0.11-1.2+deb12u" in told and "user mosquitto" in told
    pid = root.start_broker()
    root.do(f"grep -q mosquitto_guard.so /proc/{pid}/maps")
    root.do(f"{CLIENT} -P open-sesame -q 1")
    assert root.try_(f"{CLIENT} -P wrong -q 1")[0] != 0
    assert root.try_("mosquitto_pub -h 127.0.0.1 -t a -m b -q 1")[0] != 0
    # what reload takes over, with the options file as it was installed
    root.do(f"echo '[client sensor-7]' >>{POLICY}")
    root.do(f"kill -HUP {pid}; for _ in $(seq 100); do grep -q {POLICY} /var/log/mosquitto/mosquitto.log && exit 0; sleep 0.05; done; exit 1")
    root.do(f"{CLIENT} -P open-sesame -q 1")
    root.stop_broker()
    trail = root.do(f"guardctl audit tail -n 100 {STATE}/audit")
    assert "sensor-7" in trail and "bad_credentials" in trail and "anonymous_denied" in trail
    root.do(f"guardctl audit verify {STATE}/audit")
    assert owner_and_mode(root, f"{STATE}/audit/*.ndjson").split()[0].startswith("mosquitto:")


def with_another_policy(package, folder):
    """The same package, but with a policy file that the distributor has changed."""
    run("dpkg-deb", "-R", package, folder)
    policy = folder / POLICY[1:]
    policy.write_text(policy.read_text() + "; a new hint\n")
    new = package.with_name("mosquitto-guard_0.3.0_amd64.deb")
    control = folder / "DEBIAN/control"
    control.write_text(control.read_text().replace("Version: 0.2.0", "Version: 0.3.0"))
    run("dpkg-deb", "--root-owner-group", "-b", folder, new)
    return new


def test_upgrades_keep_what_was_changed(root, old_package, package, tmp_path):
    root.install(old_package)
    root.do(ENABLE)
    set_up_a_device(root)
    root.do(f"chmod 0700 {STATE}")  # an administrator's wish
    pid, mine = root.start_broker(), root.do(f"cat {POLICY}")
    told = root.install(package)
    assert "systemctl restart mosquitto" in told and "not enabled" not in told
    root.do(f"kill -0 {pid}")
    root.do(f"{CLIENT} -P open-sesame -q 1")  # by the version that is loaded
    assert root.do(f"cat {POLICY}") == mine
    assert owner_and_mode(root, POLICY) == "root:mosquitto 640" and owner_and_mode(root, STATE).endswith(" 700")
    root.stop_broker()
    root.start_broker()
    root.do(f"{CLIENT} -P open-sesame -q 1")
    root.install(with_another_policy(package, tmp_path / "changed"))
    assert root.do(f"cat {POLICY}") == mine
    assert "a new hint" in root.do(f"cat {POLICY}.dpkg-dist")
    assert "Version: 0.3.0" in root.do("dpkg -s mosquitto-guard")


def test_removed_and_purged(root, package):
    root.install(package)
    root.do(ENABLE)
    set_up_a_device(root)
    pid = root.start_broker()
    root.do(f"touch {STATE}/policy.snapshot")
    told = root.do("apt-get remove -y mosquitto-guard")
    assert "WARNING" in told and "/etc/mosquitto/conf.d/guard.conf" in told
    root.do(f"test ! -e {PLUGIN} && test -e {POLICY} && test -e {STATE}/policy.snapshot")
    root.do(f"kill -0 {pid}")
    root.do(f"{CLIENT} -P open-sesame -q 1")  # the running broker is still guarded
    root.stop_broker()
    assert root.try_("mosquitto -c /etc/mosquitto/mosquitto.conf")[0] != 0, "without the plugin it must not start"
    told = root.do("apt-get purge -y mosquitto-guard")
    assert f"{STATE}/audit was not removed" in told
    root.do(f"test ! -e /etc/mosquitto-guard && test ! -e {STATE}/policy.snapshot && ls {STATE}/audit/*.ndjson")
    root.do("rm /etc/mosquitto/conf.d/guard.conf")
    root.start_broker()
    root.do("mosquitto_pub -h 127.0.0.1 -t a -m b -q 1")


def test_purged_without_a_trail(root, package):
    root.install(package)
    assert "WARNING" not in root.do("apt-get purge -y mosquitto-guard")
    root.do(f"test ! -e {STATE} && test ! -e /etc/mosquitto-guard && test ! -e /usr/share/mosquitto-guard")


@pytest.mark.skipif(not shutil.which("man"), reason="man-db is not installed")
@pytest.mark.parametrize("page", ["guardctl.1", "mosquitto_guard.5"])
def test_manual_pages_have_no_fault(page, package, tmp_path):
    run("dpkg-deb", "-x", package, tmp_path)
    path = tmp_path / "usr/share/man" / f"man{page[-1]}" / f"{page}.gz"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    told = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(path)], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "120"}, check=True)
    assert told.stderr == "" and len(told.stdout.splitlines()) > 100
