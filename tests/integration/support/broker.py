"""A real Mosquitto in a folder of its own, on free loopback ports, with the plugin loaded."""
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ports import free_ports

TOP = Path(__file__).resolve().parents[3]
BROKER = os.environ.get("GUARD_BROKER") or shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") or "mosquitto"
UNDER = os.environ.get("GUARD_UNDER", "")
BUILD = Path(os.environ.get("GUARD_BUILD") or TOP / "build" / {"asan": "asan", "tsan": "tsan", "valgrind": "dev"}.get(UNDER, "release")).resolve()
PLUGIN = BUILD / "mosquitto_guard.so"
GUARDCTL = BUILD / "guardctl"
SLOWNESS = {"valgrind": 20, "asan": 3, "tsan": 5}.get(UNDER, 1)  # time limits are stretched by this

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
            "--errors-for-leak-kinds=definite", "--keep-debuginfo=yes", "--num-callers=30",
            f"--suppressions={Path(__file__).with_name('valgrind.supp')}"]


def version():
    """The broker's version as a tuple, e.g. (2, 0, 11)."""
    text = subprocess.run([BROKER, "-h"], capture_output=True, text=True, check=False).stdout
    return tuple(int(n) for n in re.search(r"version (\d+)\.(\d+)\.(\d+)", text).groups())


def wait_until(condition, timeout=5.0, what="a condition"):
    """Polls until condition() is true and returns what it gave; AssertionError after timeout seconds (stretched)."""
    end = time.monotonic() + timeout * SLOWNESS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout * SLOWNESS:.0f} s in vain for {what}")
        time.sleep(0.01)


class BrokerFailed(AssertionError):
    """The broker did not start; .log holds what it said."""

    def __init__(self, code, log):
        super().__init__(f"the broker ended with {code} before it was up:\n{log}")
        self.code, self.log = code, log


class Broker:
    """
    listeners: names out of plain, tls, ws, wss; .ports maps them. TLS listeners ask for a client certificate unless
    require_certificate is false. options: plugin_opt_<name>, in order; a list repeats the option; None leaves it out.
    conf: lines put before the first listener; listener_conf: {name: lines} put below that listener.
    """

    DEFAULTS = {"auth_methods": "certificate,token,password", "broker_id": "broker-under-test"}

    def __init__(self, folder, policy=None, options=None, listeners=("plain",), pki=None, conf="", listener_conf=None,
                 require_certificate=True, plugin_lines=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.audit_dir = self.folder / "audit"
        self.audit_dir.mkdir(exist_ok=True)
        self.policy_file = self.folder / "policy.conf"
        self.log_file = self.folder / "broker.log"
        self.options = {**self.DEFAULTS, "policy_file": self.policy_file, "audit_dir": self.audit_dir, **(options or {})}
        self.listeners, self.pki, self.conf = tuple(listeners), pki, conf
        if all(name.startswith("ws") for name in self.listeners):
            self.listeners += ("plain",)  # 2.0 does not start with websocket listeners alone
        self.listener_conf = listener_conf or {}
        self.require_certificate, self.plugin_lines = require_certificate, plugin_lines
        self.ports, self.process = {}, None
        if policy is not None:
            self.write_policy(policy)

    # --- files

    def write_policy(self, text):
        """Replaces the policy file as an editor does: a new file, renamed over the old one."""
        new = self.policy_file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.policy_file)

    def plugin_block(self):
        lines = [f"plugin {PLUGIN}"]
        for name, value in self.options.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    lines.append(f"plugin_opt_{name} {one}")
        return lines

    def configuration(self):
        lines = ["user root", "log_dest stderr", "log_type all", "connection_messages true", "log_timestamp false",
                 *self.conf.splitlines()]
        if "per_listener_settings true" not in lines:
            lines.append("allow_anonymous false")
        lines += self.plugin_block() if self.plugin_lines is None else self.plugin_lines
        for name in self.listeners:
            lines.append(f"listener {self.ports[name]} 127.0.0.1")
            kind = re.match("[a-z]+", name).group()  # "plain2" is a second plain listener
            if kind in ("ws", "wss"):
                lines.append("protocol websockets")
            if kind in ("tls", "wss"):
                server = self.pki.server()
                lines += [f"cafile {self.pki.ca_file}", f"certfile {server.certificate}", f"keyfile {server.key}",
                          f"require_certificate {'true' if self.require_certificate else 'false'}"]
            lines += self.listener_conf.get(name, "").splitlines()
        return "\n".join(lines) + "\n"

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # --- life

    def start(self):
        """Starts the broker and waits until it listens. A port that somebody took meanwhile is replaced by another."""
        fresh = not any(self.audit_dir.iterdir())
        for _ in range(5):
            if not self.ports:
                self.ports = dict(zip(self.listeners, free_ports(len(self.listeners))))
            conf = self.folder / "mosquitto.conf"
            conf.write_text(self.configuration())
            try:
                self._launch(conf)
                return self
            except BrokerFailed as failed:
                if "Address already in use" not in failed.log:
                    raise
                self.ports = {}
                if fresh:  # a start that came to nothing is no part of the trail that a test reads
                    shutil.rmtree(self.audit_dir)
                    self.audit_dir.mkdir()
        raise AssertionError("no free port found")

    def _launch(self, conf):
        command, environment = [BROKER, "-c", str(conf)], dict(os.environ)
        if UNDER == "valgrind":
            command = VALGRIND + command
        elif UNDER == "asan":
            environment.update(asan_environment())
        elif UNDER == "tsan":
            command = ["setarch", "--addr-no-randomize", *command]  # its shadow wants certain addresses
            environment.update(tsan_environment())
        before = len(self.log())
        with open(self.log_file, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment,
                                            cwd=self.folder)

        def up():
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise BrokerFailed(code, self.log()[before:])
            return re.search(r"mosquitto version \S+ running", self.log()[before:])

        try:
            wait_until(up, 10, "the broker to start")
        except AssertionError:
            self.kill()
            raise

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends the broker in order (SIGTERM) and fails if it crashed or a checker complained. Nothing if it does not run."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(15 * SLOWNESS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("the broker did not stop") from None
        log = self.log()
        assert code == 0, f"the broker ended with {code}"
        for complaint in ("AddressSanitizer", "runtime error:", "ThreadSanitizer"):
            assert complaint not in log, f"the sanitizer complained: {log[log.index(complaint):][:3000]}"

    def kill(self):
        """Ends the broker as a power cut would (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def hang_up(self, policy=None):
        """SIGHUP, with a new policy first if one is given. Returns when the broker has read its configuration again."""
        if policy is not None:
            self.write_policy(policy)
        before = len(self.log())
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reloading config" in self.log()[before:], 5, "the broker to reload")
        time.sleep(0.15 * SLOWNESS)  # the sweep over all sessions, and one tick
        return self.log()[before:]

    def cpu_seconds(self):
        """User and system time the broker has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self):
        return self if self.running else self.start()

    def __exit__(self, *_):
        self.stop()


def runtime(name):
    """The path of a library of the compiler's, to be preloaded."""
    return subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()


def asan_environment():
    """Environment in which an uninstrumented broker can load the instrumented plugin. A test may add to ASAN_OPTIONS."""
    # leaks: the broker's own would be reported too; valgrind looks for ours
    mine = "detect_leaks=0:abort_on_error=0:exitcode=99:handle_segv=1:detect_stack_use_after_return=1"
    return {"LD_PRELOAD": f"{runtime('libasan.so')}:{runtime('libubsan.so')}",
            "ASAN_OPTIONS": ":".join(filter(None, [mine, os.environ.get("ASAN_OPTIONS")])),
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99"}


def tsan_environment():
    """The same for the thread sanitizer; what happens inside libraries that it cannot see is not reported."""
    return {"LD_PRELOAD": runtime("libtsan.so"),
            "TSAN_OPTIONS": "exitcode=99:halt_on_error=0:ignore_noninstrumented_modules=1:second_deadlock_stack=1"}
