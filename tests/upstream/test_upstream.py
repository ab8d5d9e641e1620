"""
Mosquitto's own tests of its broker, run against the broker with Mosquitto Guard in it (guarded_broker.py says how): what the
broker did before, it does still. A test that fails is run once more without the plugin; if it fails there too, it says nothing.
GUARD_UPSTREAM: the version (system, 2.0.21, 2.1.2).
"""
import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from ports import free_ports  # noqa: E402

VERSION = os.environ.get("GUARD_UPSTREAM", "system")
PLUGIN = Path(os.environ.get("GUARD_BUILD") or HERE.parents[1] / "build/release").resolve() / "mosquitto_guard.so"
# what any plugin changes that defers, and what docs/migration.md says of this one
NAMES = "a name without a password is refused where a plugin defers and there is no password_file"
CHANGED = {
    "deferring": {"01-connect-uname-or-anon": NAMES, "09-acl-access-variants": NAMES, "09-acl-change": NAMES},
    "deciding": {"01-connect-allow-anonymous": "a policy's assignments say who may come without credentials",
                 "01-connect-uname-or-anon": "a name needs a password; a policy's assignments say who may come without"},
}


def provide():
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
    with subprocess.Popen([sys.executable, *runner, *what, *map(str, free_ports(ports))], cwd=SOURCE / "test/broker", env={**os.environ, **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True) as process:
        try:
            said = process.communicate(timeout=100)[0]
        except subprocess.TimeoutExpired:
            said = "it did not end"
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return process.wait(), said


@pytest.mark.timeout(400)
@pytest.mark.parametrize("add", ["deferring", "deciding"])
@pytest.mark.parametrize("ports,what", listed())
def test_still(ports, what, add, tmp_path):
    if reason := CHANGED[add].get(Path(what[0]).stem):
        pytest.skip(reason)
    folder = tmp_path / "broker"
    folder.mkdir()
    for path in (folder, *folder.parents):  # the broker may be its own user
        if path.owner() == "root" and path != Path("/tmp") and Path("/tmp") in path.parents:
            path.chmod(0o755)
    folder.chmod(0o777)
    with_guard = {"UPSTREAM_ADD": add, "UPSTREAM_REAL": str(SOURCE / "src/mosquitto.real"), "UPSTREAM_PLUGIN": str(PLUGIN),
                  "UPSTREAM_FOLDER": str(folder), "UPSTREAM_BROKER": str(HERE / "guarded_broker.py")}
    for _ in range(2):  # they are not kind to a slow machine
        code, said = run(ports, what, with_guard, [HERE / "run_one.py"] if add == "deciding" else [])
        if code == 0:
            break
    if code == 0:
        if not (folder / "added").exists():
            pytest.skip("another plugin decides")
        return
    if run(ports, what, {})[0] != 0:
        pytest.skip("fails without the plugin, too")
    raise AssertionError(said[-6000:])
