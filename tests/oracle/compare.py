"""Holds guardctl's answers against the oracle's, and makes a difference small enough to read."""
import json
import re

import oracle


def subject_of(query):
    """The oracle's Subject for the client part of a batch query."""
    roles = None
    if "roles" in query:
        roles = {}
        for text in query["roles"]:
            match = re.fullmatch(r"(.+):(-?\d+)", text, re.S)
            name, priority = (match.group(1), int(match.group(2))) if match else (text, 0)
            roles[name] = max(priority, roles.get(name, priority))
    attributes = {}
    for name, value in query.get("attributes", {}).items():
        full = name if "." in name else "attr." + name
        attributes[full] = value if isinstance(value, list) else [value]
    return oracle.Subject(query.get("username"), query.get("client_id"), roles, attributes, query.get("address"))


def request_of(query):
    return oracle.Request(
        query["action"], query["topic"], query.get("qos", 0), query.get("retain", False), query.get("size", 0)
    )


def ask_all(policy, queries, now):
    """The oracle's answers. Queries of one client share its bound rules."""
    answers, clients = [], {}
    for query in queries:
        client = json.dumps([query.get(part) for part in ("username", "client_id", "roles", "attributes", "address")])
        if client not in clients:
            clients[client] = oracle.Bound(policy, subject_of(query), now)
        answers.append(clients[client].ask(request_of(query)))
    return answers


def difference(query, expected, answer):
    """One sentence on what differs, or None."""
    if answer.get("verdict") != ("allow" if expected.allowed else "deny"):
        return f"verdict {answer.get('verdict')}, expected {'allow' if expected.allowed else 'deny'}"
    if answer.get("coverage") != expected.coverage:
        return f"coverage {answer.get('coverage')}, expected {expected.coverage}"
    by, reason = answer.get("by"), answer.get("reason")
    if not isinstance(by, list):
        return f"by is {by!r}"
    if expected.allowed != (reason is None):
        return f"reason {reason!r} with verdict {answer['verdict']}"
    if not expected.valid:
        return None if expected.allowed or reason == "topic_invalid" else f"reason {reason!r}, expected topic_invalid"
    if expected.coverage is None:
        return difference_of_names(query, expected, by, reason)
    return difference_of_subscription(query, expected, by, reason)


CONDITION_REASONS = {
    "qos": "qos_denied",
    "retain": "retain_denied",
    "size": "payload_too_large",
    "payload": "payload_rejected",
}


def reasons_where_nothing_applies(query, expected):
    reasons = {"acl_no_match"} | {CONDITION_REASONS[name] for name in expected.failed}
    if "$" in query["topic"]:
        reasons.add("sys_topic_denied")
    return reasons


def difference_of_names(query, expected, by, reason):
    default = ["default/" + query["action"]] if expected.allowed else []
    if not (set(by) <= set(expected.deciding) and by if expected.deciding else by == default):
        return f"by {by}, expected of {expected.deciding or default}"
    if expected.allowed:
        return None
    reasons = {"acl_deny_rule"} if expected.deciding else reasons_where_nothing_applies(query, expected)
    return None if reason in reasons else f"reason {reason}, expected of {reasons}"


def difference_of_subscription(query, expected, by, reason):
    if expected.allowed:
        strangers = set(by) - expected.allows - {"default/subscribe-only", "default/mode"}
        if strangers or not by:
            return f"by {by}, but what lets some of it through is {expected.allows}"
        return None
    strangers = set(by) - expected.denies
    if strangers or (not by if reason == "acl_deny_rule" else by and reason != "wildcard_denied"):
        return f"by {by} and reason {reason}, but the denies that touch it are {expected.denies}"
    reasons = {"acl_deny_rule", "wildcard_denied"}
    if expected.coverage == "none":
        reasons = {"acl_deny_rule"} | reasons_where_nothing_applies(query, expected)
    return None if reason in reasons else f"reason {reason}, expected of {reasons}"


def minimise(text, query, differs):
    """Removes query members, policy lines and conditions while differs(text, query) stays true."""
    for step in (simpler_queries, shorter_policies, fewer_words, simpler_queries):
        at = 0
        while True:
            smaller = next(iter(step(text, query, at)), None)
            if smaller is None:
                break
            if differs(*smaller):
                text, query = smaller
            else:
                at += 1
    return text, query


def simpler_queries(text, query, at):
    """The query without its at-th removable part."""
    parts = [("query", key) for key in query if key not in ("action", "topic")]
    parts += [("attributes", name) for name in query.get("attributes", {})]
    parts += [("roles", role) for role in query.get("roles", [])]
    for where, what in parts[at : at + 1]:
        if where == "query":
            yield text, {k: v for k, v in query.items() if k != what}
        elif where == "attributes":
            yield text, {**query, "attributes": {k: v for k, v in query["attributes"].items() if k != what}}
        else:
            yield text, {**query, "roles": [role for role in query["roles"] if role != what]}


def shorter_policies(text, query, at):
    lines = text.splitlines()
    if at < len(lines):
        yield "\n".join(lines[:at] + lines[at + 1 :]) + "\n", query


def fewer_words(text, query, at):
    """Without the at-th word behind a rule's filter."""
    lines = text.splitlines()
    places = [(i, j) for i, line in enumerate(lines) for j in range(5, len(line.split(" ")))]
    for i, j in places[at : at + 1]:
        words = lines[i].split(" ")
        yield "\n".join(lines[:i] + [" ".join(words[:j] + words[j + 1 :])] + lines[i + 1 :]) + "\n", query
