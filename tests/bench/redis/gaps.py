#!/usr/bin/python3
"""
What the broker's loop feels of a policy of real size: a million client records and a million rules come to a broker that is at work,
and then one record after another changes. Each round is a broker of its own: a stretch of a 1 kHz probe with nothing to do, the
sync, nothing again, the edits. A machine shared with others has gaps of its own, so rounds are repeated and the distributions
compared: the median over the rounds of the largest gap, and the pooled 99.9th percentile. What the kernel let the broker's thread
wait for a core is told beside it.

usage: gaps.py [--rounds 5] [--clients 1000000] [--roles 10000] [--rules 100] [--json]; GUARD_BROKER and GUARD_BUILD as in size.py
"""
import argparse
import json
import os
import random
import statistics
import tempfile
import threading
import time
from pathlib import Path

from size import SMALL, Bench, fill_clients, fill_roles, threads  # noqa: E402 (sets the path)
from probe import Probe  # noqa: E402
from support import broker as broker_module  # noqa: E402
from support.broker import free_ports, wait_until  # noqa: E402
from support.redis import Redis  # noqa: E402

STRETCH = 8  # seconds under the probe
KINDS = "idle", "sync", "edits"


class SteadyProbe(Probe):
    """As root the probe gets its turn before everything else: what it then sees is the broker's."""

    def __init__(self, broker, seconds):
        super().__init__(broker, seconds)
        if os.getuid() == 0:
            os.sched_setscheduler(self.process.pid, os.SCHED_FIFO, os.sched_param(1))


def waited(broker):
    """Milliseconds that the broker's thread was runnable and had no core, so far."""
    thread = threads(broker)["mosquitto"][0]
    return int(Path(f"/proc/{broker.process.pid}/task/{thread}/schedstat").read_text().split()[1]) / 1e6


def stretch(broker, work=lambda: None):
    """A stretch of the probe in which work is done: {"gap": largest, "p999": …, "wait": …}, all in ms."""
    before, probe = waited(broker), SteadyProbe(broker, STRETCH)
    time.sleep(1)
    work()
    result = probe.result()
    return {"gap": result["largest_gap_ms"], "p999": result["ack_gap_us"]["p99.9"] / 1000, "at": result["largest_gap_at_s"],
            "wait": waited(broker) - before}


def one_round(bench, arguments, number):
    """{kind: [stretch …]}"""
    small = Redis(bench.folder / f"small{number}").start()
    small.load(SMALL)
    broker = bench.start(bench.broker(small.url, snapshot_file=bench.folder / f"snapshot{number}"))
    bench.taken(broker)

    def sync():
        small.stop()
        bench.redis.take_port(small.port)

    def edit():
        for count in range(60):
            bench.redis("HSET", f"guard:client:device-{random.randrange(arguments.clients):07}", "attr.n", f"{number}.{count}")
            if count % 4 == 0:
                bench.redis("HSET", f"guard:role:role-{random.randrange(arguments.roles)}", "x", f"allow publish x/{number}/{count}")
            time.sleep(0.1)

    found = {"idle": [stretch(broker)], "sync": [stretch(broker, sync)]}
    bench.taken(broker, 2, 200)
    found["idle"].append(stretch(broker))
    editor = threading.Thread(target=edit)
    found["edits"] = [stretch(broker, editor.start)]
    editor.join()
    broker.process.kill()  # its last snapshot is of no interest
    broker.process.wait()
    bench.brokers.remove(broker)
    bench.redis.take_port(free_ports(1)[0])
    (bench.folder / f"snapshot{number}").unlink(missing_ok=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--roles", type=int, default=10_000)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.priority = False
    broker_module.SLOWNESS = 6
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder, arguments)
        try:
            bench.redis.load(SMALL)
            fill_roles(bench.redis, arguments.roles, arguments.rules)
            fill_clients(bench.redis, arguments.clients, arguments.roles)
            for _ in range(10):  # newer than any small one
                bench.redis("INCR", "guard:version")
            for number in range(arguments.rounds):
                rounds.append(one_round(bench, arguments, number))
                if not arguments.json:
                    print(" ", {kind: [{k: round(v, 2) for k, v in s.items()} for s in found] for kind, found in rounds[-1].items()}, flush=True)
        finally:
            bench.close()
    pooled = {kind: [s for found in rounds for s in found[kind]] for kind in KINDS}
    if arguments.json:
        print(json.dumps(pooled))
        return
    print(f"Mosquitto {'.'.join(map(str, broker_module.version()))}, {arguments.clients} client records, {arguments.roles} roles x "
          f"{arguments.rules} rules, {arguments.rounds} rounds; ms")
    idle = statistics.median(s["gap"] for s in pooled["idle"])
    for kind in KINDS:
        gaps = sorted(s["gap"] for s in pooled[kind])
        print(f"{kind:6} largest gap: median {statistics.median(gaps):.2f} ({statistics.median(gaps) - idle:+.2f}), all {[round(g, 1) for g in gaps]}; "
              f"p99.9 median {statistics.median(s['p999'] for s in pooled[kind]):.2f}; waited for a core in all "
              f"{statistics.median(s['wait'] for s in pooled[kind]):.0f}")


if __name__ == "__main__":
    main()
