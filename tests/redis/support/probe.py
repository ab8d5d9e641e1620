"""The store in a process of its own (tests/unit/store/store_probe.c), and what it tells."""
import json
import os
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("GUARD_BUILD", ROOT / "build" / "release"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
PROBE = BUILD / "tests" / "store_probe"
GUARDCTL = BUILD / "guardctl"


class Probe:
    """A running store; events arrive in order in self.events."""

    def __init__(self, url, **options):
        arguments = [str(PROBE), f"url={url}"] + [f"{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.events = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()

    def wait(self, condition, timeout=10, since=0):
        """The first event from index `since` on that condition(event) is true for."""
        deadline = time.monotonic() + timeout
        position = since
        with self.changed:
            while True:
                while position < len(self.events):
                    if condition(self.events[position]):
                        return self.events[position]
                    position += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    shown = "\n".join(json.dumps(e)[:300] for e in self.events[-8:])
                    raise AssertionError(f"not within {timeout} s; last events:\n{shown}")
                self.changed.wait(left)

    def mark(self):
        with self.changed:
            return len(self.events)

    def update(self, condition=lambda e: True, timeout=10, since=0):
        return self.wait(lambda e: e["event"] == "update" and condition(e), timeout, since)

    def state(self, timeout=10, since=0, **expected):
        return self.wait(lambda e: e["event"] == "state" and all(e[k] == v for k, v in expected.items()), timeout, since)

    def problem(self, text, timeout=10, since=0):
        return self.wait(lambda e: e["event"] == "problem" and text in e["place"] + ": " + e["text"], timeout, since)

    def updates(self, since=0):
        with self.changed:
            return [e for e in self.events[since:] if e["event"] == "update"]

    def last_state(self):
        with self.changed:
            return [e for e in self.events if e["event"] == "state"][-1]

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def stop(self):
        """Ends the store; returns the seconds that took."""
        if self.process.poll() is not None:
            return 0
        start = time.monotonic()
        self.process.stdin.close()
        code = self.process.wait(20)
        self.reader.join(5)
        errors = self.process.stderr.read()
        assert code == 0, errors
        return time.monotonic() - start


def lines_of(update, name, kind="role"):
    """The lines an update gives a section; None if it does not name it."""
    for section in update["sections"]:
        if section["kind"] == kind and section["name"] == name:
            return section["lines"]
    return None


def guardctl(*arguments, url=None, input=None, code=0, **environment):
    """Runs guardctl and returns its standard output; code None: returns (code, stdout, stderr)."""
    full = {**os.environ, **environment}
    if url:
        full["GUARD_REDIS_URL"] = url
    done = subprocess.run([str(GUARDCTL), *map(str, arguments)], input=input or "", capture_output=True, text=True, env=full,
                          timeout=60)
    if code is None:
        return done.returncode, done.stdout, done.stderr
    assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def rules_of_the_manual(name):
    """The words of the ACL SETUSER line in docs/redis.md that makes that user."""
    lines = (ROOT / "docs" / "redis.md").read_text().replace("\\\n", " ").splitlines()
    line = next(line.strip() for line in lines if line.strip().startswith(f"ACL SETUSER {name} "))
    return [word.strip("'\"") for word in line.split()]
