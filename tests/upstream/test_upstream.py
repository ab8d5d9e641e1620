"""
Mosquitto's own tests of its broker, run against the broker with Mosquitto Guard in it (guarded_broker.py says how): what the
broker did before, it does still. A test that fails is run without the plugin, too; if it fails there as well, it says nothing.
GUARD_UPSTREAM: the version (system, 2.0.21, 2.1.2).
"""
import ast
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "integration")]
from ports import free_ports  # noqa: E402
from support import passwords  # noqa: E402

VERSION = os.environ.get("GUARD_UPSTREAM", "system")
PLUGIN = Path(os.environ.get("GUARD_BUILD") or HERE.parents[1] / "build/release").resolve() / "mosquitto_guard.so"
# what is meant to differ: by any plugin that defers, by this one (docs/migration.md, docs/configuration.md), and by how it is added
NAMES = "a name without a password_file is refused where a plugin is, whichever"
OUR_NAMES = "a name needs a password, a token or a certificate that is known"
GUESTS = "a policy's assignments say who may come without credentials"
ANONYMOUS = "who comes without a name is $anonymous, in the log and in what is persisted, too"
DATES = "a certificate that has ended is refused, whatever disable_client_cert_date_checks says"
ADDING = "it looks at the configuration itself, or is in more of a hurry than the script that adds to it"
CHANGED = {
    "deferring": {
        "01-connect-uname-or-anon": NAMES, "04-retain-check-source-persist": NAMES, "04-retain-check-source-persist-diff-port": NAMES,
        "09-acl-access-variants": NAMES, "09-acl-change": NAMES, "09-plugin-acl-access-variants": NAMES, "09-plugin-evt-reload": NAMES,
        "09-plugin-evt-tick": NAMES, "09-plugin-tick": NAMES, "21-proxy-v2-ssl-cipher": NAMES, "21-proxy-v2-ssl-common-name-success": NAMES,
        "msg_sequence_test": NAMES,
        "09-plugin-load-acl": "where the only plugin defers, and there is no acl_file, the broker refuses"},
    "deciding": {
        "01-connect-allow-anonymous": GUESTS, "01-connect-listener-allow-anonymous": GUESTS,
        "01-connect-uname-or-anon": OUR_NAMES, "msg_sequence_test": OUR_NAMES, "16-config-huge": OUR_NAMES,
        "09-plugin-evt-reload": OUR_NAMES, "09-plugin-evt-tick": OUR_NAMES,
        "15-persist-bridge-queue": ANONYMOUS, "15-persist-client-msg-out-dup-v3-1-1": ANONYMOUS, "15-persist-client-msg-out-v3-1-1-db": ANONYMOUS,
        **{f"21-proxy-{of}": ANONYMOUS for of in ("v1-success", "v2-ipv4", "v2-ipv6", "v2-unix")},
        **{f"21-proxy-v2-ssl-{of}": OUR_NAMES for of in ("cipher", "require-tls-success", "require-cert-success", "common-name-success")},
        **{f"22-http-api-{of}": "the HTTP API, too, is for users with a password" for of in ("api", "file", "tls")},
        "23-security-acl-file-reload": "2.1 ends at a bad acl_file, here the old state stays"},
}
for each in CHANGED.values():
    each["08-ssl-connect-cert-auth-expired-allowed"] = DATES
    each.update(dict.fromkeys(("01-connect-unix-socket", "06-bridge-config-reload", "16-cmd-args", "17-control-list-plugins",
                               "21-proxy-v1-bad"), ADDING))
if VERSION == "2.1.2":
    CHANGED["deciding"]["09-pwfile-parse-invalid"] = "2.1 and the plugin refuse it, each in its own words"


# A broker that root starts becomes another user, who may not write where these tests want files of it. So root is called otherwise.
AS_USER = ["unshare", "--map-user=1000", "--map-group=1000", "--"] if os.geteuid() == 0 else []


def provide():
    if AS_USER and subprocess.run([*AS_USER, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("root would need a user namespace for these tests", allow_module_level=True)
    done = subprocess.run([HERE / "provide.sh", VERSION], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("the sources of the broker cannot be had", allow_module_level=True)
    assert done.returncode == 0
    return Path(done.stdout.strip())


SOURCE = provide()


def listed():
    """(ports, [test, argument…]) of the list in test.py."""
    tree = ast.parse((SOURCE / "test/broker/test.py").read_text())
    lists = [node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)]
    for entry in lists[0].elts:
        ports, what, *rest = ast.literal_eval(entry)
        what = ([what] if isinstance(what, str) else list(what)) + [a for r in rest for a in (r if isinstance(r, list) else [r])]
        yield pytest.param(ports, what, id="-".join(w.removeprefix("./").removesuffix(".py") for w in what))


def run(ports, what, environment, runner=()):
    """Its exit code and what it said. It and all that it started are gone afterwards."""
    command = [*AS_USER, sys.executable, *runner, *what, *map(str, free_ports(ports))]
    folder = SOURCE / "test/broker"
    with open(folder / (Path(what[0]).stem + ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its files have its name, and it runs in two ways
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            said = process.communicate(timeout=100)[0]
        except subprocess.TimeoutExpired:
            said = "it did not end"
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return process.wait(), said


def failure_of(*of):
    """None, or what it said when it failed three times: they are not kind to a slow machine, with the plugin or without."""
    for _ in range(3):
        code, said = run(*of)
        if code == 0:
            return None
    return said or "it said nothing"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("add", ["deferring", "deciding"])
@pytest.mark.parametrize("ports,what", listed())
def test_still(ports, what, add, tmp_path):
    if reason := CHANGED[add].get(Path(what[0]).stem):
        pytest.skip(reason)
    folder = tmp_path / "broker"
    folder.mkdir()
    known = folder / "passwords"
    known.write_text("".join(f"{name}:{passwords.mosquitto_7('of-' + name, 1)}\n" for name in ("username", "test", "user")), encoding="utf-8")
    known.chmod(0o600)
    with_guard = {"UPSTREAM_ADD": add, "UPSTREAM_REAL": str(SOURCE / "src/mosquitto.real"), "UPSTREAM_PLUGIN": str(PLUGIN),
                  "UPSTREAM_FOLDER": str(folder), "UPSTREAM_BROKER": str(HERE / "guarded_broker.py")}
    failure = failure_of(ports, what, with_guard, [HERE / "run_one.py"] if add == "deciding" else [])
    if failure and failure_of(ports, what, {}):
        pytest.skip(f"{Path(what[0]).stem} fails without the plugin, too")
    assert not failure, failure[-6000:]
    if not (folder / "added").exists():
        pytest.skip("another plugin decides")
