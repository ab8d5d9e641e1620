#!/usr/bin/python3
"""
What a fault of Redis does to the broker's loop, and how it is told. Each fault: 3 s of a 1 kHz probe without it, then 5 s in which it
comes after one second and is mended after four; afterwards an edit must be live again. Repeated, since others use this machine too:
a stall that the fault causes is in every repetition, so the smallest of the largest gaps counts.

As a script it prints a table: redis_faults.py [--repeat 3] [--priority] [FAULT …]; GUARD_BROKER and GUARD_BUILD as in
tests/integration. --priority (as root) puts broker and probe before whatever else runs on this machine.
"""
import argparse
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from probe import Probe  # noqa: E402
from support import broker as broker_module  # noqa: E402
from support.audit import Trail  # noqa: E402
from support.broker import Broker, wait_until  # noqa: E402
from support.client import V5, Client  # noqa: E402
from support.passwords import mosquitto_7  # noqa: E402
from support.redis import Proxy, Redis  # noqa: E402

ROLES, RULES, CLIENTS = 500, 20, 5000


class Stage:
    """A broker whose policy is in a Redis behind a proxy, of a size at which reading it all takes a while."""

    def __init__(self, folder, **options):
        self.folder = Path(folder)
        self.redis = Redis(self.folder / "redis").start()
        self.stored = mosquitto_7("pw", 1)
        self.fill(self.redis)
        self.proxy = Proxy(self.redis.port)
        self.broker = Broker(self.folder / "broker", None, conf="set_tcp_nodelay true\n",
                             options={"policy_file": None, "redis_url": self.proxy.url, "redis_command_timeout": "1000",
                                      "snapshot_file": self.folder / "snapshot", **options}).start()
        self.trail = Trail(self.broker.audit_dir)
        self.client = None
        wait_until(lambda: self.trail.events("policy-reload", mosquitto__policy__source="redis", event__outcome="success"), 20, "the policy")
        self.client = Client(self.broker, "witness", "probe", "pw", version=V5).open()

    def fill(self, redis):
        redis.connection.pipeline(("HSET", f"guard:role:r{n}", *[w for r in range(RULES) for w in (f"l{r}", f"allow publish r{n}/{r}/+")])
                                  for n in range(ROLES))
        redis.connection.pipeline(("HSET", f"guard:client:c{n}", "password", self.stored, "roles", f"r{n % ROLES}") for n in range(CLIENTS))
        redis.load(f"[role device]\ndata = allow publish devices/${{username}}/data\n[default]\nroles = device\n"
                   f"[client probe]\npassword = {self.stored}\n")

    def recovers(self):
        """An edit is live again; the seconds it took."""
        began = time.monotonic()
        self.redis("HSET", "guard:role:device", "mended", "allow publish mended")
        wait_until(lambda: self.client.publish("mended") == 0, 15, "an edit to be live again")
        self.redis("HDEL", "guard:role:device", "mended")
        wait_until(lambda: self.client.publish("mended") == 0x87, 5, "the edit to be taken back")
        return time.monotonic() - began

    def close(self):
        if self.client:
            self.client._stop_loop()
        try:
            self.broker.stop()
        finally:
            self.proxy.stop()
            self.redis.stop()


class Fault:
    """begin and end of a fault; reasons: those which its store-down may have (empty: none may come)."""

    def __init__(self, begin, end, reasons):
        self.begin, self.end, self.reasons = begin, end, reasons


def by_proxy(mode, *reasons, cut=True):
    def begin(stage):
        stage.proxy.set(mode)
        if cut:
            stage.proxy.cut()
    return Fault(begin, lambda stage: stage.proxy.set("pass"), reasons)


def errors(text, *reasons):
    return by_proxy(("error", text), *reasons, cut=False)


def kill(stage):
    stage.redis.stop()
    stage.proxy.cut()


def come_back(stage):
    stage.redis.start()
    stage.fill(stage.redis)


def change_password(stage):
    stage.redis("CONFIG", "SET", "requirepass", "another")
    stage.redis("CLIENT", "KILL", "TYPE", "pubsub")


def old_password(stage):
    stage.redis("CONFIG", "SET", "requirepass", "")


class Flapping:
    def __init__(self):
        self.stop = threading.Event()

    def begin(self, stage):
        self.stop.clear()

        def flap():
            while not self.stop.wait(0.15):
                stage.proxy.cut()
        threading.Thread(target=flap, daemon=True).start()

    def end(self, stage):
        self.stop.set()


class FailOver:
    """In mid-load: records are written all the time while the address moves to a replica that took over."""

    def __init__(self):
        self.stop = threading.Event()

    def begin(self, stage):
        self.stop.clear()
        stage.other = Redis(stage.folder / "replica").start()
        stage.other("REPLICAOF", "127.0.0.1", stage.redis.port)
        wait_until(lambda: "master_link_status:up" in stage.other("INFO", "replication"), 10, "the replica to follow")

        def write():
            from support.redis import Connection
            connection, number = Connection(stage.redis.port), 0
            while not self.stop.is_set():
                number += 1
                connection.pipeline(("HSET", f"guard:client:new{number}-{n}", "password", stage.stored) for n in range(20))
                time.sleep(0.01)
            connection.close()
        self.writer = threading.Thread(target=write, daemon=True)
        self.writer.start()
        time.sleep(0.5)
        stage.other("REPLICAOF", "NO", "ONE")
        stage.proxy.to_port = stage.other.port
        stage.proxy.cut()

    def end(self, stage):
        self.stop.set()
        self.writer.join()
        stage.redis.stop()
        stage.redis = stage.other


_flapping, _fail_over = Flapping(), FailOver()
FAULTS = {
    "none": Fault(lambda stage: None, lambda stage: None, ()),
    "gone": Fault(kill, come_back, ("store_refused",)),
    "hung": Fault(lambda s: s.redis.hang(), lambda s: s.redis.go_on(), ("store_timeout",)),
    "no answers": by_proxy("swallow", "store_timeout", cut=False),
    "slow": by_proxy(("delay", 0.2), cut=False),
    "flapping": Fault(_flapping.begin, _flapping.end, ("store_refused",)),
    "refusing": by_proxy("refuse", "store_refused"),
    "wrong password": Fault(change_password, old_password, ("store_refused",)),
    "LOADING": errors("LOADING Redis is loading the dataset in memory", "store_loading"),
    "MISCONF": errors("MISCONF Redis is configured to save RDB snapshots", "store_readonly"),
    "OOM": errors("OOM command not allowed when used memory > 'maxmemory'.", "store_readonly"),
    "READONLY": errors("READONLY You can't write against a read only replica.", "store_readonly"),
    "NOPERM": errors("NOPERM this user has no permissions to run the 'hgetall' command", "store_auth_failed"),
    "garbage": by_proxy("garbage", "store_protocol_error", cut=False),
    "fail-over": Fault(_fail_over.begin, _fail_over.end, ("store_refused",)),
}


def run(stage, fault):
    """(largest gap without, with the fault, both in ms, seconds until an edit was live again)."""
    without = Probe(stage.broker, 3).result()["largest_gap_ms"]
    probe = Probe(stage.broker, 5)
    time.sleep(1)
    fault.begin(stage)
    time.sleep(3)
    fault.end(stage)
    return without, probe.result()["largest_gap_ms"], stage.recovers()


def story(trail):
    """The store's events in order: "down store_timeout", "up"."""
    return [" ".join(filter(None, (e["event"]["action"][6:], e["event"].get("reason"))))
            for e in trail.events() if e["event"]["action"].startswith("store-")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--priority", action="store_true")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    arguments = parser.parse_args()
    if arguments.priority:
        os.setpriority(os.PRIO_PROCESS, 0, -15)  # whatever is started inherits it
    version = ".".join(map(str, broker_module.version()))
    print(f"Mosquitto {version}; largest gap of a 1 kHz probe in ms, without and with the fault (each repetition), then the smallest of each")
    for name in arguments.faults or FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            stage = Stage(folder)
            try:
                runs = [run(stage, FAULTS[name]) for _ in range(arguments.repeat)]
                told = story(stage.trail)
            finally:
                stage.close()
        without, during, back = (min(r[i] for r in runs) for i in range(3))
        print(f"{name:15} without={without:<7.2f} with={during:<7.2f} difference={during - without:+6.2f}  live again after {back:.2f} s  "
              f"{[tuple(round(v, 1) for v in r[:2]) for r in runs]}  {told}", flush=True)


if __name__ == "__main__":
    main()
