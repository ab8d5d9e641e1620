#!/usr/bin/env python3
"""
What authorization costs inside a real broker, against a broker without it, acl_file and dynamic-security.

  cost.py cpu [--rounds 5] [--sizes 0,1000,10000] [--clients 10,1000,10000]    processor time, interleaved, medians
  cost.py instructions [--sizes 0,1000]                    user instructions inside the broker's mosquitto_acl_check (callgrind)

Environment: GUARD_BUILD (default build/release), GUARD_BROKER. Prints Markdown tables; see docs/performance.md.
"""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from set_ups import DYNSEC, TOP, Setup

BUILD = Path(os.environ.get("GUARD_BUILD") or TOP / "build/release").resolve()
LOAD = BUILD / "tests/bench/mqload/mqload"
NAMES = ["none", "acl_file", "dynamic-security", "guard"] if DYNSEC else ["none", "acl_file", "guard"]


def load(setup, *arguments):
    command = [LOAD, "pub", "-p", str(setup.port), *setup.identity(), *map(str, arguments), "--json", "--timeout", "600", "--idle", "60"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{setup.name}: {done.stdout} {done.stderr}")
    return json.loads(done.stdout)


def settle(setup):
    """Waits until the broker has worked off what it was sent."""
    last = -1
    while (now := setup.thread_ns()[0]) - last > 2_000_000:
        last = now
        time.sleep(0.2)


def publish(setup, clients, messages):
    return ["-P", clients, "-m", messages, "-t", "devices/%c/data", "--shuffle", 1]


def fan_out(setup, messages, subscribers=100):
    return ["-P", 1, "-m", messages, "-S", subscribers, "-t", "fleet/all", "-f", "fleet/all"]


def cpu_once(setup, arguments, operations):
    """Processor time of the broker's own thread for one operation, from when all clients are connected until all is answered."""
    settle(setup)
    stat, kept = f"/proc/{setup.process.pid}/task/{setup.process.pid}/schedstat", setup.folder / "schedstat"
    load(setup, *arguments, "--before", f"cp {stat} {kept}.before", "--after", f"cp {stat} {kept}.after")
    before, after = (int(Path(f"{kept}.{when}").read_text().split()[0]) for when in ("before", "after"))
    return (after - before) / operations / 1000


def table(title, rows):
    """Other work on the machine only adds: where medians waver, the least values are nearer to the truth."""
    print(f"\n{title}\n\n| set-up | µs | against none | µs, least | against none |\n| --- | --- | --- | --- | --- |")
    least = min(rows["none"])
    for name, values in rows.items():
        ratio = statistics.median(v / b for v, b in zip(values, rows["none"]))
        print(f"| {name} | {statistics.median(values):.2f} | {ratio:.3f} | {min(values):.2f} | {min(values) / least:.3f} |", flush=True)


def cpu_case(title, make, arguments, operations, rounds):
    with tempfile.TemporaryDirectory() as folder:
        setups = make(folder)
        try:
            for setup in setups:
                setup.start()
                cpu_once(setup, arguments(setup, True), 1)
            rows = {setup.name: [] for setup in setups}
            for _ in range(rounds):
                for setup in setups:
                    rows[setup.name].append(cpu_once(setup, arguments(setup, False), operations))
            table(title, rows)
        finally:
            for setup in setups:
                setup.stop()


def cpu(options):
    total = 200000
    for clients in options.clients:
        each = max(50, total // clients)  # so that what a client's first message costs does not count
        cpu_case(f"A QoS 0 publish, {clients} clients, 20 templates",
                 lambda folder: [Setup(n, Path(folder) / n, BUILD, users=clients) for n in NAMES],
                 lambda s, warm: publish(s, clients, 1 if warm else each), clients * each, options.rounds)
    for rules in options.sizes:
        names = NAMES if rules <= 1000 else ["none", "guard"]
        cpu_case(f"A QoS 0 publish, 10 clients, 20 templates and {rules} rules of its own",
                 lambda folder: [Setup(n, Path(folder) / n, BUILD, rules, 10) for n in names],
                 lambda s, warm: publish(s, 10, 10 if warm else 3000), 30000, options.rounds)
        cpu_case(f"A delivery, fan-out 1 → 100, 20 templates and {rules} rules",
                 lambda folder: [Setup(n, Path(folder) / n, BUILD, rules, 10) for n in names],
                 lambda s, warm: fan_out(s, 5 if warm else 300), 30000, options.rounds)


def collected(setup, arguments):
    # Debian's broker exports its functions: what is counted begins with the broker's own call of the plugins
    setup.start(["valgrind", "--tool=callgrind", "--toggle-collect=mosquitto_acl_check", f"--callgrind-out-file={setup.folder}/out", f"--log-file={setup.folder}/valgrind"])
    try:
        load(setup, *arguments)
        time.sleep(1)
    finally:
        setup.stop()
    text = (setup.folder / "valgrind").read_text()
    return int(re.search(r"Collected : (\d+)", text).group(1))


def instructions_of(name, rules, arguments, few, many):
    """Per operation, from the difference of two runs: what happens once, connections too, falls out."""
    counts = []
    for messages in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            counts.append(collected(Setup(name, Path(folder) / "s", BUILD, rules, 10), arguments(messages)))
    return (counts[1] - counts[0]) / (many - few)


def instructions(options):
    for rules in options.sizes:
        print(f"\nUser instructions, 20 templates and {rules} rules\n\n| set-up | a publish | added | a delivery of 100 | added |\n"
              "| --- | --- | --- | --- | --- |", flush=True)
        base = None
        for name in NAMES:
            write = instructions_of(name, rules, lambda m: publish(None, 1, m), 1000, 3000)
            read = (instructions_of(name, rules, lambda m: fan_out(None, m), 20, 60) - write) / 100  # each message is a publish, too
            base = base or (write, read)
            print(f"| {name} | {write:.0f} | {write - base[0]:.0f} | {read:.0f} | {read - base[1]:.0f} |", flush=True)


def numbers(text):
    return [int(n) for n in text.split(",") if n]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cpu", "instructions"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=numbers, default=[0, 1000, 10000])
    parser.add_argument("--clients", type=numbers, default=[10, 1000, 10000])
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a broker and a load generator with 10,000 clients
    {"cpu": cpu, "instructions": instructions}[options.what](options)


if __name__ == "__main__":
    main()
