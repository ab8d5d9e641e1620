#!/usr/bin/python3
"""
What authorization costs, side by side in one run: no plugin, the broker's own files, dynamic-security, and Mosquitto Guard with
its policy in a file, in Redis, and with every event audited.

  compare.py [--rounds 3] [--connections 2000] [--messages 60000] [--held 10000] [--rules 10] [--json FILE] [--chart FILE.svg]

All brokers run at once, idle but for the one that is measured; the cases go round and round between them, and the tables hold
the medians. Times of the processor are the broker's own (schedstat); rates depend on the load generator, which shares the
machine. Environment: GUARD_BUILD (default build/release), GUARD_BROKER. compare.sh installs and builds what this needs.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chart import draw
from compared import kinds

BUILD = Path(os.environ.get("GUARD_BUILD") or Path(__file__).resolve().parents[3] / "build/release").resolve()
LOAD = BUILD / "tests/bench/mqload/mqload"


def start_load(setup, *arguments):
    command = [LOAD, *arguments, "-p", setup.port, "--pid", setup.process.pid, "--timeout", 300, "--json"]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)


def load(setup, *arguments):
    process = start_load(setup, *arguments)
    out = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{setup.name}: mqload {' '.join(map(str, arguments))}: {out}")
    return json.loads(out)


def settled_ns(setup):
    """Processor time (broker's thread, all threads) once the broker has worked off what it was sent."""
    last = -1
    while (now := setup.thread_ns())[1] - last > 2_000_000:
        last = now[1]
        time.sleep(0.2)
    return now


def measured(setup, operations, *arguments):
    """What mqload reports, and what each operation cost the broker in microseconds: its own thread, and all of them."""
    before = settled_ns(setup)
    result = load(setup, *arguments)
    after = settled_ns(setup)
    own, every = ((b - a) / operations / 1000 for a, b in zip(before, after))
    return result, own, every


# --- cases: each returns {column: value}

def connects(setup, options, identity, first=0):
    count = options.connections
    result, own, _ = measured(setup, count, "connect", "-n", count, "-c", 30, "--first", first, *identity)
    if result["accepted"] != count:
        raise SystemExit(f"{setup.name}: {result}")
    return {"/s": result["rate_per_s"], "p50 µs": result["connack_us"]["p50"], "broker µs": own}


class Cases:
    """Which user names were seen before, and which tokens are fresh, goes on over the rounds."""

    def __init__(self, options):
        self.options, self.round = options, 0

    def password_first(self, setup):
        return connects(setup, self.options, setup.identity(), self.round * self.options.connections)

    def password_again(self, setup):
        return connects(setup, self.options, setup.identity(), self.round * self.options.connections)

    def token(self, setup, alg):
        if not setup.tokens:
            return {}
        return connects(setup, self.options, ["--credentials", str(setup.credentials(alg, self.options.connections))])

    def token_rs256(self, setup):
        return self.token(setup, "RS256")

    def token_es256(self, setup):
        return self.token(setup, "ES256")

    def publish(self, setup, qos):
        total = self.options.messages
        result, own, every = measured(setup, total, "pub", "-P", 10, "-m", total // 10, "-q", qos, "-t", "devices/%c/data", *setup.identity())
        found = {"/s": result["acked_per_s" if qos else "sent_per_s"], "broker µs": own, "all threads µs": every}
        return {**found, "p50 µs": result["ack_us"]["p50"]} if qos else found

    def publish_qos_0(self, setup):
        return self.publish(setup, 0)

    def publish_qos_1(self, setup):
        return self.publish(setup, 1)

    def fan_out(self, setup):
        messages = self.options.messages // 100
        result, own, every = measured(setup, messages * 100, "pub", "-P", 1, "-m", messages, "-S", 100, "-t", "fleet/all", "-f", "fleet/all",
                                      *setup.identity())
        return {"/s": result["received_per_s"], "broker µs": own, "all threads µs": every}

    def subscribe(self, setup):
        total = self.options.messages // 4
        result, own, _ = measured(setup, total, "storm-sub", "-P", 10, "-m", total // 10, "-f", "devices/%c/commands", *setup.identity())
        return {"/s": result["acked_per_s"], "broker µs": own}


ROUNDS = {
    "password_first": "Log-in with a password, the first one of each user (PBKDF2-SHA512, 101 iterations)",
    "password_again": "Log-in with a password, again",
    "token_rs256": "Log-in with a token, RS256, each token new",
    "token_es256": "Log-in with a token, ES256, each token new",
    "publish_qos_0": "Publish, QoS 0, 10 clients",
    "publish_qos_1": "Publish, QoS 1, 10 clients",
    "fan_out": "Delivery, one publisher to 100 subscribers",
    "subscribe": "Subscribe, 10 clients",
}
ONCE = {
    "held": "Memory with connected clients",
    "change": "The broker's loop while the policy changes",
}


def held(setup, options):
    before = most = setup.memory_kib()
    process = start_load(setup, "connect", "-n", options.held, "-c", 30, "--hold", 2, *setup.identity())
    while process.poll() is None:
        most = max(most, setup.memory_kib())
        time.sleep(0.1)
    out = json.loads(process.communicate()[0])
    if out["accepted"] != options.held:
        raise SystemExit(f"{setup.name}: {out}")
    return {"MiB before": before / 1024, "MiB connected": most / 1024, "bytes a client": (most - before) * 1024 / options.held}


def change(setup, options):
    """The largest gap between answers to a client that publishes once a millisecond: nothing changing, then three changes."""
    found = {}
    for what, changes in (("ms, quiet", 0), ("ms, changing", 3)):
        process = start_load(setup, "stall", "--seconds", 6, "-t", "devices/%c/data", *setup.identity())
        for number in range(changes):
            time.sleep(1.5)
            setup.change(number)
        found[what] = json.loads(process.communicate()[0])["largest_gap_ms"]
    return found


def run(options, folder):
    users = max(options.held, options.rounds * options.connections)
    setups = [kind(folder / kind.__name__, BUILD, users, options.rules) for kind in kinds()]
    results = {case: {s.label: [] for s in setups} for case in (*ROUNDS, *ONCE)}
    cases = Cases(options)
    try:
        for setup in setups:
            setup.start()
        for cases.round in range(options.rounds):
            for case in ROUNDS:
                for setup in setups:
                    results[case][setup.label].append(getattr(cases, case)(setup))
                print(f"round {cases.round + 1}: {case}", file=sys.stderr, flush=True)
        for case in ONCE:
            for setup in setups:
                results[case][setup.label].append(globals()[case](setup, options))
            print(case, file=sys.stderr, flush=True)
    finally:
        for setup in setups:
            setup.stop()
    return {case: {label: medians(rows) for label, rows in per.items()} for case, per in results.items()}


def medians(rows):
    return {column: statistics.median(row[column] for row in rows) for column in rows[0]}


def table(title, rows):
    columns = list(next(row for row in rows.values() if row))
    base = next(iter(rows.values()))
    ratio = "broker µs" if "broker µs" in base else None
    print(f"\n**{title}**\n\n| | {' | '.join(columns)} |{' against no plugin |' if ratio else ''}")
    print("| --- |" + " --- |" * (len(columns) + bool(ratio)))
    for label, row in rows.items():
        cells = [f"{row[c]:,.0f}" if row and row[c] >= 100 else f"{row[c]:.2f}" if row else "–" for c in columns]
        against = f" {row[ratio] / base[ratio]:.2f} × |" if ratio and row else " – |" if ratio else ""
        print(f"| {label} | {' | '.join(cells)} |{against}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rounds", 3), ("connections", 2000), ("messages", 60000), ("held", 10000), ("rules", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65536), most))  # for mqload and for the brokers
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        results = run(options, Path(folder))
    for case, title in {**ROUNDS, **ONCE}.items():
        table(title, results[case])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    if options.chart:
        options.chart.write_text(draw(results))


if __name__ == "__main__":
    main()
