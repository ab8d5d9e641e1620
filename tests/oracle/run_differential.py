#!/usr/bin/python3
"""Random policies and requests: guardctl explain --batch against the oracle.

    tests/oracle/run_differential.py [--policies N] [--jobs N] [--full] SEED…

Each seed is one stream of policies. --full runs enough of them for 1,000,000 publish and receive and 100,000 SUBSCRIBE decisions.
Exit 0: no difference; 1: differences, the first few shown as small as they get; 2: could not run.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import sys
import tempfile
import time

import compare
import generator
import guardctl
import rule_language

SUBJECTS, TOPICS, FILTERS = 12, 60, 16  # of a policy; of a subject
FULL_POLICIES = 1400


def traffic_of(rng, subjects, filters):
    """A fleet at work: every client asks for its own topics over and over, and now and then for another's."""
    wanted = [(rng.choice(["publish", "publish", "receive"]), rng.choice(filters)) for _ in range(4)]
    queries = []
    for _ in range(TOPICS // len(wanted)):
        for action, rule_filter in wanted:
            for subject in subjects:
                owner = subject if rng.random() < 0.8 else rng.choice(subjects)
                queries.append({**subject, "action": action, "topic": generator.own_topic(rng, owner, rule_filter)})
    return queries


def queries_of(rng, names, filters):
    """Each client has its own requests, or all ask for the same, one after the other, as in a fan-out; a third of the fleets work."""
    # a fleet's topics are too many to list; what is special about them concerns publish and receive
    count = TOPICS if names is generator.FLEET_NAMES else TOPICS + FILTERS
    subjects = [generator.random_subject(rng, names) for _ in range(SUBJECTS)]
    if rng.random() < 0.5:  # a fleet: the same roles, other names
        roles = generator.random_grants(rng, rng.choice([1, 2])).split(", ")
        subjects = [{**subject, "roles": roles} for subject in subjects]
        if names is generator.FLEET_NAMES and rng.random() < 0.6:
            return traffic_of(rng, subjects, filters)

    def request(i):
        return generator.random_request(rng, names, filters, i >= TOPICS)

    if rng.random() < 0.5:
        return [{**subject, **request(i)} for subject in subjects for i in range(count)]
    requests = [request(i) for i in range(count)]
    return [{**subject, **one} for one in requests for subject in rng.sample(subjects, SUBJECTS)]


def differs(folder, text, query):
    """Is there still a difference with this policy? An unreadable policy is none."""
    path = pathlib.Path(folder) / "smaller.conf"
    path.write_text(text, encoding="utf-8")
    try:
        policy = rule_language.parse_policy(text)
        [answer] = guardctl.batch(path, [query], generator.NOW)
    except (ValueError, KeyError, TypeError, RuntimeError):
        return False
    [expected] = compare.ask_all(policy, [query], generator.NOW)
    return compare.difference(query, expected, answer) is not None


def report(folder, text, query, seed):
    text, query = compare.minimise(text, query, lambda t, q: differs(folder, t, q))
    path = pathlib.Path(folder) / "smaller.conf"
    path.write_text(text, encoding="utf-8")
    [answer] = guardctl.batch(path, [query], generator.NOW)
    [expected] = compare.ask_all(rule_language.parse_policy(text), [query], generator.NOW)
    what = compare.difference(query, expected, answer)
    return f"seed {seed}: {what}\n{text}query    {json.dumps(query)}\nguardctl {json.dumps(answer)}\noracle   {expected}\n"


def run_policy(rng, seed, folder, tally, show):
    text, names, filters = generator.random_policy(rng)
    path = pathlib.Path(folder) / "policy.conf"
    path.write_text(text, encoding="utf-8")
    queries = queries_of(rng, names, filters)
    answers = guardctl.batch(path, queries, generator.NOW)
    expected = compare.ask_all(rule_language.parse_policy(text), queries, generator.NOW)
    for query, right, answer in zip(queries, expected, answers):
        kind = "other" if right.coverage is None else "subscribe"
        tally[kind] += 1
        tally[kind, "allow" if right.allowed else "deny"] = tally.get((kind, "allow" if right.allowed else "deny"), 0) + 1
        if compare.difference(query, right, answer):
            tally["differences"] += 1
            if len(show) < 3:
                show.append(report(folder, text, query, seed))


def run_seed(seed, policies):
    rng = random.Random(seed)
    tally, show = {"other": 0, "subscribe": 0, "differences": 0}, []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(policies):
            run_policy(rng, seed, folder, tally, show)
    return tally, show


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("seeds", nargs="*", type=int, metavar="SEED")
    parser.add_argument("--policies", type=int, default=100, help="policies for each seed (default 100)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--full", action="store_true", help="all that the design asks for")
    options = parser.parse_args(arguments)
    seeds = options.seeds or [1, 2, 3, 4]
    if options.full:
        options.policies = -(-FULL_POLICIES // len(seeds))
    started = time.monotonic()
    total, shown = {}, []
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        for tally, show in pool.map(run_seed, seeds, [options.policies] * len(seeds)):
            for key, count in tally.items():
                total[key] = total.get(key, 0) + count
            shown += show
    print("\n".join(shown[:5]), end="")
    print(
        f"seeds {seeds}: {total['other']} publish and receive decisions ({total.get(('other', 'allow'), 0)} allowed), "
        f"{total['subscribe']} SUBSCRIBE decisions ({total.get(('subscribe', 'allow'), 0)} allowed), "
        f"{total['differences']} differences, {time.monotonic() - started:.0f} s"
    )
    return 1 if total["differences"] else 0


if __name__ == "__main__":
    sys.exit(main())
