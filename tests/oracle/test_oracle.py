"""The oracle held against answers worked out by hand from the design (and against itself by another road)."""
import random

import pytest

import generator
import oracle
import rule_language


def bound(lines, mode="strict", default="", **subject):
    text = "[role r]\n" + "".join(f"rule{i} = {line}\n" for i, line in enumerate(lines)) + f"[default]\nmode = {mode}\n{default}\n"
    subject.setdefault("roles", {"r": 0})
    return oracle.Bound(rule_language.parse_policy(text), oracle.Subject(**subject), generator.NOW)


def publish(lines, topic, **more):
    request = {key: more.pop(key) for key in ("qos", "retain", "size") if key in more}
    return bound(lines, **more).ask(oracle.Request("publish", topic, **request)).allowed


def coverage(lines, topic, **more):
    return bound(lines, **more).ask(oracle.Request("subscribe", topic)).coverage


MATCHES = """
a/#       a            yes
a/#       a/           yes
a/#       a/b/c        yes
a/#       ab           no
sport/+   sport/       yes
sport/+   sport        no
+         /a           no
+/+       /a           yes
#         $SYS/x       no
+/x       $SYS/x       no
$SYS/#    $SYS/x       yes
**        $SYS/x       yes
a//b      a//b         yes
a/b       a//b         no
""".strip().splitlines()


@pytest.mark.parametrize("case", MATCHES)
def test_matching(case):
    rule, topic, expected = case.split()
    assert publish([f"allow publish {rule}"], topic) == (expected == "yes")


COVERAGE = """
a/#       a/+          full
a/+       a/#          partial
+/#       #            full
/+/#      /#           full
+/+/#     /#           full
#         $SYS/#       none
**        $SYS/#       full
+         /#           none
a/b       a/+          partial
a/b       c/+          none
/#        #            partial
""".strip().splitlines()


@pytest.mark.parametrize("case", COVERAGE)
def test_coverage_of_one_rule(case):
    rule, wanted, expected = case.split()
    assert coverage([f"allow subscribe {rule}"], wanted) == expected


def test_a_union_covers_what_no_rule_covers_alone():
    assert coverage(["allow subscribe a", "allow subscribe a/+", "allow subscribe a/+/#"], "a/#") == "full"
    assert coverage(["allow subscribe a", "allow subscribe a/+/#"], "a/#") == "full"
    assert coverage(["allow subscribe a/b", "allow subscribe a/c"], "a/+") == "partial"


def test_deny_is_not_avoided_by_a_wider_filter():
    lines = ["allow subscribe #", "deny subscribe secret/#"]
    assert coverage(lines, "#") == "partial"
    assert coverage(lines, "secret/x") == "none"
    assert coverage(lines, "open/#") == "full"
    assert coverage(["allow subscribe # priority=1", "deny subscribe secret/#"], "#") == "full"


def test_priorities():
    assert not publish(["allow publish a", "deny publish a"], "a")
    assert publish(["allow publish a priority=1", "deny publish a"], "a")
    assert not publish(["allow publish a priority=-1", "deny publish #"], "a")
    two_roles = "[role x]\na = allow publish t\n[role y]\nb = deny publish t priority=9\n"
    policy = rule_language.parse_policy(two_roles)
    for roles, expected in (({"x": 1, "y": 0}, True), ({"x": 0, "y": 0}, False)):
        answer = oracle.Bound(policy, oracle.Subject(roles=roles)).ask(oracle.Request("publish", "t"))
        assert answer.allowed is expected


@pytest.mark.parametrize("name", ["bob/secret", "+", "#", "$SYS", "", None])
def test_unbindable_names_fail_closed_both_ways(name):
    assert not publish(["allow publish ${username}/data"], f"{name}/data", username=name)
    assert not publish(["allow publish **", "deny publish ${username}/data"], "anything/data", username=name)
    assert not publish(["allow publish **", "deny publish ${username}/data"], "$x/data", username=name)


def test_lists_and_paths():
    def sites(*values):
        return {"attributes": {"jwt.sites": list(values)}}

    assert publish(["allow publish ${jwt.sites|any}/x"], "b/x", **sites("a", "b"))
    assert publish(["allow publish ${jwt.sites|any}/x"], "b/x", **sites("#", "b"))
    assert not publish(["allow publish ${jwt.sites}/x"], "b/x", **sites("a", "b"))
    assert not publish(["allow publish **", "deny publish ${jwt.sites|any}/x"], "q/x", **sites("#", "b"))
    assert publish(["allow publish **", "deny publish ${jwt.sites|any}/x"], "q/x", **sites("a", "b"))
    assert publish(["allow publish at/${jwt.sites|path}/x"], "at/a/b/x", **sites("a/b"))
    assert not publish(["allow publish at/${jwt.sites|path}/x"], "at/a/c/x", **sites("a/b"))
    for count, bound_at_all in ((64, True), (65, False)):
        many = sites(*(f"n{i}" for i in range(count)))
        assert publish(["allow publish ${jwt.sites|any}"], "n63", **many) is bound_at_all
        assert publish(["allow publish **", "deny publish ${jwt.sites|any}"], "x", **many) is bound_at_all


def test_conditions():
    assert publish(["allow publish a qos<=1"], "a", qos=1) and not publish(["allow publish a qos<=1"], "a", qos=2)
    assert not publish(["allow publish a retain=no"], "a", retain=True)
    assert not publish(["allow publish a size<=1K"], "a", size=1025)
    assert publish(["allow publish a from=10.0.0.0/8"], "a", address="::ffff:10.1.1.1")
    assert not publish(["allow publish a from=10.0.0.0/8"], "a")
    assert not publish(["allow publish a", "deny publish a from=10.0.0.0/8"], "a")
    assert not publish(["allow publish a payload=json"], "a")
    assert not publish(["allow publish a until=2020-01-01T00:00:00Z"], "a")
    assert coverage(["allow subscribe a share=no"], "$share/g/a") == "none"
    assert coverage(["allow subscribe a share=no"], "a") == "full"
    assert coverage(["allow subscribe a/# exact"], "a/+") == "none"
    assert coverage(["allow subscribe a/# exact"], "a/#") == "full"


def test_modes_and_defaults():
    ask = oracle.Request("subscribe", "a/#")
    for mode, expected in (("strict", False), ("lenient", True), ("off", True)):
        assert bound(["allow subscribe a/b"], mode=mode).ask(ask).allowed is expected
    assert bound([], mode="off").ask(oracle.Request("subscribe", "a/#b")).allowed is False
    assert publish(["deny publish a"], "b", default="publish = allow")
    assert not publish(["deny publish a priority=-5"], "a", default="publish = allow")
    assert coverage([], "$SYS/#", default="subscribe = allow") == "full"


def test_masks_say_what_matching_says():
    """Universe.matching is the fast road to `matches`; both are asked about every topic."""
    rng = random.Random(7)
    universe = oracle.Universe(["a", "b", "", "$s"], 4)
    pool = ["+", oracle.ANY, {"a"}, {"b", "$s"}, {""}, {"not in it"}]
    for _ in range(400):
        levels = [rng.choice(pool) for _ in range(rng.choice([0, 1, 2, 3]))]
        if not levels or rng.random() < 0.5:
            levels.append("#")
        mask = universe.matching(levels)
        for bit, topic in enumerate(universe.topics):
            assert bool(mask >> bit & 1) == oracle.matches(levels, topic), (levels, topic)
