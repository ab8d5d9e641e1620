#!/usr/bin/python3
"""
A policy of real size in Redis: how long the first sync takes, what it costs in memory, and what the broker's loop feels of it.

usage: size.py [--clients 1000000] [--roles 10000] [--rules 100] [--priority]; GUARD_BROKER and GUARD_BUILD (a release build) as in
tests/integration/conftest.py. Wants about 3 GiB of memory and two cores to itself; where others
use them, --priority (as root) puts Redis, the probe and the broker's threads before those.
"""
import argparse
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "fault"))

from probe import Probe  # noqa: E402
from support import broker as broker_module  # noqa: E402
from support.audit import Trail  # noqa: E402
from support.broker import Broker, wait_until  # noqa: E402
from support.client import V5, Client  # noqa: E402
from support.passwords import mosquitto_7  # noqa: E402
from support.redis import Redis  # noqa: E402

SMALL = f"""\
[role device]
data = allow publish devices/${{username}}/data
[default]
roles = device
[client probe]
password = {mosquitto_7("pw", 1)}
"""


def memory(broker, name="VmRSS"):
    """KiB."""
    status = Path(f"/proc/{broker.process.pid}/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0])


def threads(broker):
    """{name: (id, CPU seconds so far)} of the broker's process."""
    found = {}
    for task in Path(f"/proc/{broker.process.pid}/task").iterdir():
        head, _, rest = (task / "stat").read_text().rpartition(")")
        fields = rest.split()
        found[head.split("(", 1)[1]] = int(task.name), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def before_others(*ids, niceness=-15):
    for one in ids:
        os.setpriority(os.PRIO_PROCESS, one, niceness)


def before_other_sessions():
    """Where the kernel groups processes by session, niceness counts within one only."""
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("-15")


def used_memory(redis):
    return int(redis("INFO", "memory").split("used_memory:")[1].split()[0])


def fill_roles(redis, roles, rules):
    redis.connection.pipeline(
        ("HSET", f"guard:role:role-{n}", *(w for r in range(rules) for w in (f"rule-{r}", f"allow publish plant/{n}/line/{r}/${{username}}/+")))
        for n in range(roles))


def fill_clients(redis, clients, roles):
    digest = mosquitto_7("pw", 101)
    redis.connection.pipeline(("HSET", f"guard:client:device-{n:07}", "password", f"{digest[:20]}{n:07}{digest[27:]}", "roles",
                               f"role-{n % max(1, roles)}") for n in range(clients))


class Bench:
    def __init__(self, folder, arguments):
        self.folder, self.arguments, self.brokers = Path(folder), arguments, []
        self.redis = Redis(self.folder / "redis").start()
        if arguments.priority:
            before_others(os.getpid(), self.redis.process.pid)  # whatever is started from here inherits it
            before_other_sessions()

    def start(self, broker):
        broker.start()
        if self.arguments.priority:
            tasks = {name: number for name, (number, _) in threads(broker).items()}
            before_others(tasks["mosquitto"])
            before_others(tasks["guard-store"], niceness=-10)  # as much behind the broker's loop as the store puts itself
        return broker

    def broker(self, url, **options):
        broker = Broker(self.folder / f"broker{len(self.brokers)}", None, conf="set_tcp_nodelay true\n",
                        options={"policy_file": None, "redis_url": url, **options})
        self.brokers.append(broker)
        broker.trail = Trail(broker.audit_dir)
        return broker

    def taken(self, broker, count=1, timeout=60):
        """The newest policy event from Redis, when there are that many. Seldom looked for: reading the trail takes a core of its own."""
        def events():
            time.sleep(0.5)
            found = broker.trail.events("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
            return found if len(found) >= count else None
        return wait_until(events, timeout, "the policy")[-1]

    def close(self):
        for broker in self.brokers:
            broker.stop()
        self.redis.stop()


def say(what, value):
    print(f"{what:70} {value}", flush=True)


def first_sync(bench, what):
    """A broker that starts with what Redis holds: its memory in KiB."""
    broker = bench.start(bench.broker(bench.redis.url))
    event = bench.taken(broker)
    time.sleep(1.5)
    say(f"first sync, {what}: seconds (as the audit event tells)", f"{event['event']['duration'] / 1e9:.2f}")
    say("  of these on the CPU, in the store's thread", f"{threads(broker)['guard-store'][1]:.2f}")
    say(f"  broker's memory afterwards, at its peak: MiB", f"{memory(broker) / 1024:.0f}, {memory(broker, 'VmHWM') / 1024:.0f}")
    resident = memory(broker)
    broker.stop()
    return resident


def under_the_probe(bench):
    """The same sync, coming to a broker that is at work: it served a small Redis before."""
    small = Redis(bench.folder / "small").start()
    small.load(SMALL)
    broker = bench.start(bench.broker(small.url, snapshot_file=bench.folder / "snapshot"))
    bench.taken(broker)
    say("largest gap of a 1 kHz probe, quiet: ms", f"{Probe(broker, 8).result()['largest_gap_ms']:.2f}")
    probe = Probe(broker, 30)
    time.sleep(1)
    small.stop()
    bench.redis.take_port(small.port)  # no proxy: it would want a core
    gap = probe.result()
    say("  during the whole sync: ms", f"{gap['largest_gap_ms']:.2f} (at {gap['largest_gap_at_s']:.1f} s)")
    say("  which took: seconds", f"{bench.taken(broker, 2, 200)['event']['duration'] / 1e9:.2f}")
    return broker


def edits(bench, broker):
    """Records and rules are changed one by one under the probe."""
    def edit():
        for number in range(60):
            bench.redis("HSET", f"guard:client:device-{random.randrange(bench.arguments.clients):07}", "attr.n", number)
            time.sleep(0.1)
    probe, editor = Probe(broker, 8), threading.Thread(target=edit)
    time.sleep(0.5)
    editor.start()
    editor.join()
    gap = probe.result()
    say("  while one record after another changes: ms", f"{gap['largest_gap_ms']:.2f} (at {gap['largest_gap_at_s']:.1f} s)")
    client, times = Client(broker, "asker", "probe", "pw", version=V5).open(), []
    for number in range(40):
        began = time.monotonic()
        bench.redis(*(("HDEL", "guard:role:device", "x") if number % 2 else ("HSET", "guard:role:device", "x", "allow publish x")))
        wait_until(lambda: client.publish("x") == (0x87 if number % 2 else 0), 10, "the edit")
        times.append(time.monotonic() - began)
        time.sleep(0.05)
    times.sort()
    say("an edit of a rule is live after: ms p50, max", f"{times[20] * 1000:.1f}, {times[-1] * 1000:.1f}")
    client._stop_loop()


FILE = """\
[role file]
x = allow publish file/#
[assign]
file = file when username = "probe"
"""


def beside_a_file(bench):
    """A broker with a policy file of its own, stopped when its snapshot is written."""
    folder = bench.folder / "beside"
    broker = bench.broker(bench.redis.url, snapshot_file=bench.folder / "snapshot-beside", policy_file=folder / "policy.conf")
    folder.mkdir()
    (folder / "policy.conf").write_text(FILE)
    bench.start(broker)
    bench.taken(broker)
    say("beside a policy file: broker's memory after the first sync: MiB", f"{memory(broker) / 1024:.0f}")
    wait_until(lambda: (bench.folder / "snapshot-beside").exists(), 120, "the snapshot")
    broker.stop()
    return broker


def from_snapshot(bench, broker, beside):
    wait_until(lambda: (bench.folder / "snapshot").stat().st_size > 20 * bench.arguments.clients, 120, "the snapshot")
    broker.stop()
    say("snapshot: MiB", f"{(bench.folder / 'snapshot').stat().st_size / 2**20:.0f}")
    bench.redis.stop()
    for one, what, count in (broker, "", 3), (beside, ", beside a policy file", 2):
        began = time.monotonic()
        one.start()
        say(f"start from the snapshot, Redis gone{what}, until the broker listens: seconds", f"{time.monotonic() - began:.2f}")
        bench.taken(one, count)
        say("  CPU seconds of the broker's thread until then", f"{threads(one)['mosquitto'][1]:.2f}")
        assert "compiled anew" not in one.log()
        Client(one, "asker", "probe", "pw", version=V5).open()._stop_loop()
        one.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--roles", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--priority", action="store_true")
    arguments = parser.parse_args()
    broker_module.SLOWNESS = 6  # what is measured here may take longer than any test should
    print(f"Mosquitto {'.'.join(map(str, broker_module.version()))}, {arguments.clients} client records, {arguments.roles} roles x "
          f"{arguments.rules} rules, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, arguments)
        try:
            bench.redis.load(SMALL)
            empty = first_sync(bench, "next to nothing")
            fill_roles(bench.redis, arguments.roles, arguments.rules)
            with_roles = first_sync(bench, "the roles")
            say("  bytes a rule in the broker", f"{(with_roles - empty) * 1024 / max(1, arguments.roles * arguments.rules):.0f}")
            before = used_memory(bench.redis)
            fill_clients(bench.redis, arguments.clients, arguments.roles)
            bench.redis("INCR", "guard:version")
            say("  bytes a client record in Redis", f"{(used_memory(bench.redis) - before) / max(1, arguments.clients):.0f}")
            with_all = first_sync(bench, "the roles and the client records")
            say("  bytes a client record in the broker", f"{(with_all - with_roles) * 1024 / max(1, arguments.clients):.0f}")
            beside = beside_a_file(bench)
            broker = under_the_probe(bench)
            edits(bench, broker)
            from_snapshot(bench, broker, beside)
        finally:
            bench.close()


if __name__ == "__main__":
    main()
