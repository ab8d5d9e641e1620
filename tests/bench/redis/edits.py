#!/usr/bin/python3
"""
How long an administrator's edit in Redis takes to bite, end to end, on three brokers at once.

  rule         HSET or HDEL of one rule of one role, typed into redis-cli, until a publish is answered by the new rule. Each broker
               is asked once a millisecond.
  transaction  the same in a MULTI that touches three roles
  ban          SET guard:ban:client:… until the session that was idle on an otherwise idle broker is closed
  removed      DEL guard:client:… likewise

The time counts from the moment before the command is written to redis-cli's input. GUARD_BROKER and GUARD_BUILD as in
tests/integration/conftest.py. usage: edits.py [--edits 300] [--bans 100] [--brokers 3] [--json]
"""
import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration"))

from support import broker as broker_module  # noqa: E402
from support.broker import Broker  # noqa: E402
from support.passwords import mosquitto_7  # noqa: E402
from support.raw import RawClient, packet, text  # noqa: E402
from support.redis import Redis  # noqa: E402

POLICY = f"""\
[role device]
data = allow publish devices/${{username}}/data
[role second]
x = allow publish second/#
[role third]
x = allow publish third/#
[default]
roles = device
[client probe]
password = {mosquitto_7("pw", 1)}
"""
ASK_EVERY = 0.001
PATIENCE = 5.0


class Cli:
    """redis-cli with commands written to its input, as from a keyboard."""

    def __init__(self, port):
        self.process = subprocess.Popen(["redis-cli", "-p", str(port)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0)

    def type(self, *lines):
        """Returns the monotonic time just before the first octet left."""
        octets = "".join(line + "\n" for line in lines).encode()
        began = time.monotonic()
        self.process.stdin.write(octets)
        return began

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Asker(threading.Thread):
    """Publishes once a millisecond and notes when the answer is first another one."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client = RawClient(port)
        assert self.client.connect("probe", "probe", "pw", version=5) == 0
        self.publish = packet(0x32, text("news/1") + b"\0\1\0" + b"x")
        self.code, self.changed_at, self.running = self.ask(), 0.0, True
        self.changed = threading.Event()

    def ask(self):
        self.client.send(self.publish)
        body = self.client.read()[1]
        code = body[2] if len(body) > 2 else 0
        return 0 if code == 0x10 else code

    def run(self):
        while self.running:
            code = self.ask()
            if code != self.code:
                self.changed_at, self.code = time.monotonic(), code
                self.changed.set()
            time.sleep(ASK_EVERY)


def measure_rules(cli, brokers, edits, lines):
    askers = [Asker(b.ports["plain"]) for b in brokers]
    for asker in askers:
        asker.start()
    times = []
    for number in range(edits):
        for asker in askers:
            asker.changed.clear()
        began = cli.type(*lines(number % 2 == 0))
        for asker in askers:
            assert asker.changed.wait(PATIENCE), f"edit {number} never came"
            times.append(asker.changed_at - began)
        time.sleep(0.02 + number % 7 * 0.003)  # not in step with anything
    for asker in askers:
        asker.running = False
        asker.join()
        asker.client.close()
    return times


def rule_edit(add):
    return ["HSET guard:role:device news 'allow publish news/#'" if add else "HDEL guard:role:device news"]


def transaction(add):
    verb = "HSET guard:role:{} news 'allow publish news/#'" if add else "HDEL guard:role:{} news"
    return ["MULTI", *(verb.format(role) for role in ("third", "second", "device")), "INCR guard:version", "EXEC"]


def let_in(port):
    """A session; the edit that allows it may still be on its way."""
    until = time.monotonic() + PATIENCE
    while True:
        client = RawClient(port)
        if client.connect("probe", "probe", "pw", version=5) == 0:
            return client
        client.close()
        assert time.monotonic() < until, "not let in"
        time.sleep(0.05)


def measure_ends(redis, cli, brokers, count, end, restore):
    """One idle session a broker; how long after the edit each is closed."""
    times = []
    for number in range(count):
        clients = [let_in(b.ports["plain"]) for b in brokers]
        time.sleep(0.15 + number % 7 * 0.013)
        ends = [0.0] * len(clients)

        def watch(index):
            while clients[index].read() is not None:
                pass
            ends[index] = time.monotonic()
        watchers = [threading.Thread(target=watch, args=(n,)) for n in range(len(clients))]
        for watcher in watchers:
            watcher.start()
        began = cli.type(end)
        for watcher in watchers:
            watcher.join(PATIENCE)
            assert not watcher.is_alive(), "the session lives on"
        times += [end_time - began for end_time in ends]
        restore(redis)
        time.sleep(0.1)
    return times


def summary(times):
    times = sorted(times)

    def at(share):
        return round(1000 * times[min(len(times) - 1, int(len(times) * share))], 2)
    return {"n": len(times), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": round(1000 * times[-1], 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=300)
    parser.add_argument("--bans", type=int, default=100)
    parser.add_argument("--brokers", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        redis = Redis(Path(folder) / "redis").start()
        redis.load(POLICY)
        brokers = [Broker(Path(folder) / f"broker{n}", None, options={"policy_file": None, "redis_url": redis.url}).start()
                   for n in range(arguments.brokers)]
        cli = Cli(redis.port)
        record = redis("HGETALL", "guard:client:probe")
        try:
            time.sleep(0.5)
            results = {"rule": summary(measure_rules(cli, brokers, arguments.edits, rule_edit)),
                       "transaction": summary(measure_rules(cli, brokers, arguments.edits, transaction))}
            if arguments.bans:
                results["ban"] = summary(measure_ends(redis, cli, brokers, arguments.bans, "SET guard:ban:client:probe bench",
                                                      lambda r: r("DEL", "guard:ban:client:probe")))
                results["removed"] = summary(measure_ends(redis, cli, brokers, arguments.bans, "DEL guard:client:probe",
                                                          lambda r: r("HSET", "guard:client:probe", *record)))
        finally:
            cli.close()
            for broker in brokers:
                broker.stop()
            redis.stop()
    version = ".".join(map(str, broker_module.version()))
    if arguments.json:
        print(json.dumps({"broker": version, "brokers": arguments.brokers, **results}))
        return
    print(f"Mosquitto {version}, {arguments.brokers} brokers, one Redis; milliseconds")
    for name, one in results.items():
        print(f"{name:12} n={one['n']:<5} p50={one['p50_ms']:<7} p90={one['p90_ms']:<7} p99={one['p99_ms']:<7} max={one['max_ms']}")


if __name__ == "__main__":
    main()
