"""Containment and overlap by full enumeration: every pair of filters over a small alphabet to depth 4, asked of guardctl.

One role for each filter R. SUBSCRIBE S with only that role: full if R contains S, partial if they overlap, none if not.
With everything allowed and R denied: full only if they do not overlap.
"""
import itertools

import pytest

import guardctl
import oracle

NAMES = ["a", "", "$s", "+"]
TOO_STRICT_IS_PERMITTED = {("+/#", "#"), ("/+/#", "/#"), ("+/+/#", "/#")}


def all_filters():
    plain = [levels for n in range(1, 5) for levels in itertools.product(NAMES, repeat=n)]
    ending = [levels + ("#",) for n in range(0, 4) for levels in itertools.product(NAMES, repeat=n)]
    return [text for text in ("/".join(levels) for levels in plain + ending) if text]


@pytest.fixture(scope="module")
def policy_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.conf"
    lines = ["[role all]", "everything = allow subscribe-only **"]
    for i, text in enumerate(all_filters()):
        lines += [f"[role yes{i}]", f"r = allow subscribe-only {text}", f"[role no{i}]", f"r = deny subscribe-only {text}"]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def topics_of():
    universe = oracle.Universe(["a", "", "$s", "z", "$z"], 5)
    return {text: universe.matching([l if l in "+#" and l else {l} for l in text.split("/")]) for text in all_filters()}


def coverages(policy_file, roles_of):
    filters = all_filters()
    queries = [
        {"roles": roles_of(i), "action": "subscribe-only", "topic": text} for i in range(len(filters)) for text in filters
    ]
    answers = guardctl.batch(policy_file, queries, 0)
    pairs = itertools.product(filters, filters)
    return {pair: answer["coverage"] for pair, answer in zip(pairs, answers)}


def differences(found, expected):
    wrong = [(pair, answer, expected(*pair)) for pair, answer in found.items() if answer != expected(*pair)]
    return [w for w in wrong if not (w[0] in TOO_STRICT_IS_PERMITTED and w[1] != "full")]


def test_one_allow(policy_file, topics_of):
    def expected(rule, wanted):
        if not topics_of[wanted] & ~topics_of[rule]:
            return "full"
        return "partial" if topics_of[wanted] & topics_of[rule] else "none"

    found = coverages(policy_file, lambda i: [f"yes{i}"])
    assert len(found) == len(all_filters()) ** 2
    assert differences(found, expected)[:20] == []


def test_one_deny_under_everything(policy_file, topics_of):
    def expected(rule, wanted):
        if not topics_of[wanted] & topics_of[rule]:
            return "full"
        return "partial" if topics_of[wanted] & ~topics_of[rule] else "none"

    found = coverages(policy_file, lambda i: ["all", f"no{i}"])
    assert differences(found, expected)[:20] == []
