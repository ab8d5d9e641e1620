#!/usr/bin/env python3
"""
What the audit trail costs a real broker: processor time a QoS 0 publish, against the same broker without the plugin.

  audit_cost.py cpu [--rounds 9] [--messages 40000]     broker thread and whole process, interleaved, medians
  audit_cost.py full [--messages 400000]                clients as fast as they can: rate, and what the trail lost

cpu has two loads: "single" (60,000 a second from 100 clients, each publish a packet and a read of its own, as devices send them) and
"packed" (ten clients write as fast as they can, so that the broker finds many publishes in one read: the least one can cost).
"none" runs twice: what the two differ by is the measurement's own error. The rounds begin with another set-up each time.
Environment: GUARD_BUILD (default build/release), GUARD_BROKER. Prints Markdown tables; see docs/performance.md.
"""
import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from cost import BUILD, load, settle
from set_ups import Setup

NAMES = {"none": None, "none again": None, "guard, no trail": None, "guard, audit_publish denied": "denied", "guard, audit_publish all": "all"}
LOADS = {"single": ["-P", 100, "-r", 60000], "packed": ["-P", 10]}


def set_up(name, folder):
    setup = Setup(name.replace(",", ""), Path(folder) / name.replace(" ", "-"), BUILD, users=100, audit=NAMES[name])
    setup.title = name
    return setup


def arguments(kind, messages):
    clients = LOADS[kind][1]
    return [*LOADS[kind], "-m", max(1, messages // clients), "-t", "devices/%u/data", "--idle", 10]


def once(setup, kind, messages):
    settle(setup)
    before = setup.thread_ns()
    load(setup, *arguments(kind, messages))
    settle(setup)
    after = setup.thread_ns()
    return [(b - a) / messages / 1000 for a, b in zip(before, after)]


def table(kind, rows):
    print(f"\nA QoS 0 publish, {kind}\n\n| set-up | broker thread µs | against none | whole process µs | against none |\n"
          "| --- | --- | --- | --- | --- |")
    for name, values in rows.items():
        cells = []
        for which in (0, 1):
            median = statistics.median(v[which] for v in values)
            cells += [f"{median:.2f}", f"{median / statistics.median(v[which] for v in rows['none']):.3f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def cpu(options):
    for kind in options.loads:
        with tempfile.TemporaryDirectory() as folder:
            setups = [set_up(name, folder) for name in NAMES]
            try:
                for setup in setups:
                    setup.start()
                    once(setup, kind, 1000)
                rows = {setup.title: [] for setup in setups}
                for n in range(options.rounds):
                    for setup in setups[n % len(setups):] + setups[:n % len(setups)]:
                        rows[setup.title].append(once(setup, kind, options.messages))
                table(kind, rows)
            finally:
                for setup in setups:
                    setup.stop()


def trail_of(setup):
    """(lines of publishes, declared as lost) of what the broker has written."""
    lines = lost = 0
    for path in sorted((setup.folder / "audit").glob("*.ndjson")):
        for line in open(path, "rb"):
            lines += b'"action":"mqtt-publish"' in line
            if b'"action":"audit-gap"' in line:
                lost += json.loads(line)["mosquitto"]["audit"]["lost"]
    return lines, lost


def full(options):
    print("| set-up | publishes/s | written | lost |\n| --- | --- | --- | --- |")
    for name in ("none", "guard, audit_publish all"):
        with tempfile.TemporaryDirectory() as folder:
            setup = set_up(name, folder).start()
            try:
                start, before = time.monotonic(), setup.thread_ns()[0]
                load(setup, *arguments("packed", options.messages))
                while (now := setup.thread_ns()[0]) - before > 1_000_000:
                    before, took = now, time.monotonic() - start
                    time.sleep(0.02)
            finally:
                setup.stop()
            print(f"| {name} | {options.messages / took:,.0f} | {' | '.join(map(str, trail_of(setup)))} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cpu", "full"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--loads", type=lambda text: text.split(","), default=list(LOADS))
    options = parser.parse_args()
    options.messages = options.messages or {"cpu": 40000, "full": 400000}[options.what]
    {"cpu": cpu, "full": full}[options.what](options)


if __name__ == "__main__":
    main()
