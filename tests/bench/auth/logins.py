#!/usr/bin/python3
"""
What log-ins cost a real broker, and what they do to those who are connected.

  logins.py storm    [--users 2000] [--seconds 20]  2.1: reconnects with argon2id; the largest gap of a 1 kHz probe
  logins.py guessing [--count 20000]                wrong passwords against anonymous refusals, blocked address and not
  logins.py cached   [--count 10000]                repeated log-ins with known credentials against anonymous ones
  logins.py reload   [--sessions 2000]              SIGHUP with that many argon2id sessions
  logins.py signatures [--count 10000]              2.1: log-ins with ES384 tokens, verified by the broker thread and by workers

Environment: GUARD_BUILD (default build/release; mqload is taken from GUARD_LOAD or from there), GUARD_BROKER. Processor time
is the broker thread's own (/proc/PID/task/PID/schedstat), so that other work on the machine disturbs it little; gaps are
wall-clock time and want a quiet machine, which is why each run stands beside one without the load.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
os.environ.setdefault("GUARD_BUILD", str(TOP / "build/release"))
sys.path.insert(0, str(TOP / "tests/integration"))
from support import broker as broker_module  # noqa: E402
from support.broker import Broker  # noqa: E402
from support.passwords import mosquitto_7  # noqa: E402
from support.tokens import Issuer  # noqa: E402

LOAD = os.environ.get("GUARD_LOAD") or broker_module.BUILD / "tests/bench/mqload/mqload"
DEVICE = "[role device]\ndata = allow publish devices/${username}/data\n[default]\nroles = device\n"


def argon2id(password, memory=19456, passes=2):
    import argon2
    return argon2.PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=1, type=argon2.Type.ID).hash(password)


class Bench(Broker):
    """A quiet broker: it logs nothing, so that its log is not what is measured."""

    def configuration(self):
        text = super().configuration().replace("log_type all", "log_type error\nlog_type warning\nlog_type notice\nlog_type information")
        return text.replace("connection_messages true", "connection_messages false\nset_tcp_nodelay true")

    @property
    def pid(self):
        return self.process.pid

    def thread_ns(self):
        """Processor time of the broker thread, of all others."""
        times = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            times[task.name] = int((task / "schedstat").read_text().split()[0])
        own = times.pop(str(self.pid))
        return own, sum(times.values())

    def load(self, *arguments):
        command = [str(LOAD), *map(str, arguments), "-p", str(self.ports["plain"]), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout:
            raise SystemExit(f"{command}: {done.stderr}")
        return json.loads(done.stdout)


def start(policy, **options):
    folder = tempfile.mkdtemp(prefix="guard-logins-")
    return Bench(folder, policy, options={"auth_methods": "password", "audit_dir": None, **options}).start()


# --- storm

def probe(broker, seconds):
    return subprocess.Popen([str(LOAD), "stall", "-p", str(broker.ports["plain"]), "--seconds", str(seconds), "--json",
                             "--clientid", "probe", "--username", "probe", "--password", "pw"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def storm(arguments):
    stored = argon2id("pw")
    policy = f"[client probe]\npassword = {mosquitto_7('pw')}\n"
    policy += "".join(f"[client dev-{n}]\npassword = {stored}\n" for n in range(arguments.users)) + DEVICE
    print("| | storm | largest gap, ms | p99.9, ms | gaps > 10 ms | admitted | seconds |\n|---|---|---|---|---|---|---|", flush=True)
    for turn in range(arguments.rounds):
        for storming in (False, True):
            with start(policy, auth_workers=arguments.workers, auth_timeout=60, auth_cache_size=0) as broker:
                probing = probe(broker, arguments.seconds)  # mosquitto listens with a backlog of 100, hence the rate below
                if arguments.realtime:
                    for pid in (broker.pid, probing.pid):  # of the broker its own thread only: the others were there before
                        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))
                time.sleep(1)
                admitted, began = 0, time.monotonic()
                if storming:
                    result = broker.load("connect", "-n", arguments.users, "-c", arguments.users, "-r", 1000, "--username", "dev-%d", "--password", "pw",
                                         "--timeout", "110", "--idle", "60")
                    admitted = result["accepted"]
                lasted = time.monotonic() - began
                result = json.loads(probing.communicate()[0])
            print(f"| {turn} | {'yes' if storming else 'no'} | {result['largest_gap_ms']:.1f} | {result['ack_gap_us']['p99.9'] / 1000:.1f} "
                  f"| {result['stalls']} | {admitted} | {lasted:.1f} |", flush=True)


# --- processor time of refusals and of known credentials

def cost(broker, count, *identity):
    """Microseconds of the broker thread for one connection."""
    time.sleep(0.5)
    before = broker.thread_ns()
    result = broker.load("connect", "-n", count, "-c", 30, "-V", 5, *identity)
    time.sleep(0.2)
    after = broker.thread_ns()
    return (after[0] - before[0]) / count / 1000, (after[1] - before[1]) / count / 1000, result


def compare(title, broker, count, cases, rounds=5):
    times = {name: [] for name in cases}
    for _ in range(rounds):
        for name, identity in cases.items():
            times[name].append(cost(broker, count, *identity)[:2])
    base = None
    print(f"\n{title}\n\n| | broker thread, µs | other threads, µs | more than the first, µs | at 10,000/s, % of a core |\n"
          "|---|---|---|---|---|")
    for name, each in times.items():
        own, others = (statistics.median(column) for column in zip(*each))
        base = own if base is None else base
        print(f"| {name} | {own:.1f} | {others:.1f} | {own - base:.1f} | {(own - base + others) / 1e6 * 1e4 * 100:.1f} |", flush=True)


def plain(arguments):
    """The broker alone, without a plugin, refusing as it does of itself."""
    with Bench(tempfile.mkdtemp(prefix="guard-logins-"), DEVICE, plugin_lines=[]).start() as broker:
        compare("Without the plugin", broker, arguments.count, {"anonymous, refused": ["--clientid", "c%d"]})


def signatures(arguments):
    issuer = Issuer(tempfile.mkdtemp(prefix="guard-logins-"))
    issuer.add_slow("ES384")
    for workers in (0, arguments.workers):
        options = issuer.options(auth_methods="token", jwt_algorithms="ES256,ES384", auth_workers=workers, auth_timeout=60)
        with start(DEVICE, **options) as broker:
            cases = {f"{alg}, auth_workers {workers}": ["--clientid", "c%d", "--password", issuer.token("a", alg)] for alg in ("ES256", "ES384")}
            compare("Signatures", broker, arguments.count, cases)


def guessing(arguments):
    plain(arguments)
    policy = f"[client known]\npassword = {argon2id('pw')}\n" + DEVICE
    cases = {"anonymous, refused": ["--clientid", "c%d"],
             "known user, wrong password": ["--clientid", "c%d", "--username", "known", "--password", "guess-%d"],
             "unknown users": ["--clientid", "c%d", "--username", "user-%d", "--password", "guess-%d"]}
    with start(policy) as broker:
        compare("Guessing, throttle on", broker, arguments.count, cases)
        known = broker.load("connect", "-n", 1, "-c", 1, "--username", "known", "--password", "pw", "--clientid", "dev-new")
        print("\na device that was never here, from the guessing address:", known["accepted"])
    with start(policy) as broker:
        first = broker.load("connect", "-n", 1, "-c", 1, "--username", "known", "--password", "pw", "--clientid", "dev-1")
        broker.load("connect", "-n", 2000, "-c", 30, *cases["unknown users"])
        again = broker.load("connect", "-n", 1, "-c", 1, "--username", "known", "--password", "pw", "--clientid", "dev-1")
        print("a device that was here before, from the same address:", first["accepted"], again["accepted"])


def cached(arguments):
    policy = f"[client known]\npassword = {argon2id('pw')}\n" + DEVICE + "[assign]\nguests = device when anonymous\n"
    cases = {"anonymous, admitted": ["--clientid", "c%d"],
             "argon2id, known credentials": ["--clientid", "c%d", "--username", "known", "--password", "pw"]}
    with start(policy) as broker:
        broker.load("connect", "-n", 1, "-c", 1, *cases["argon2id, known credentials"])
        compare("Known credentials", broker, arguments.count, cases)


def reload(arguments):
    policy = f"[client known]\npassword = {argon2id('pw')}\n" + DEVICE
    with start(policy) as broker:
        broker.load("connect", "-n", 1, "-c", 1, "--username", "known", "--password", "pw", "--clientid", "first")
        holding = subprocess.Popen([str(LOAD), "connect", "-p", str(broker.ports["plain"]), "-n", str(arguments.sessions), "-c", "50",
                                    "--hold", "40", "--username", "known", "--password", "pw", "--json"],
                                   stdout=subprocess.PIPE, text=True)
        time.sleep(10)
        times = []
        for _ in range(10):
            before = broker.thread_ns()[0]
            broker.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            times.append((broker.thread_ns()[0] - before) / 1e6)
        idle = broker.thread_ns()[0]
        time.sleep(1)
        idle = (broker.thread_ns()[0] - idle) / 1e6
        sockets = len([f for f in os.listdir(f"/proc/{broker.pid}/fd")])
        holding.terminate()
        holding.wait()
        print(f"SIGHUP with {arguments.sessions} argon2id sessions ({sockets} descriptors): median {statistics.median(times):.1f} ms "
              f"of the broker thread, of which a second without one takes {idle:.1f} ms; one hash takes about 20 ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["storm", "guessing", "cached", "reload", "signatures"])
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0, help="of everything here, to stand above other work on the machine")
    parser.add_argument("--realtime", action="store_true", help="storm: broker thread and probe come before anything else")
    parser.add_argument("--count", type=int, default=10000)
    arguments = parser.parse_args()
    os.nice(arguments.nice)
    {"storm": storm, "guessing": guessing, "cached": cached, "reload": reload, "signatures": signatures}[arguments.what](arguments)


if __name__ == "__main__":
    main()
