"""Holds guardctl's answers against the oracle's, and makes a difference small enough to read."""
import oracle
import rule_language


def subject_of(query):
    """The oracle's Subject for the client part of a batch query."""
    roles = None
    if "roles" in query:
        roles = {}
        for text in query["roles"]:
            for name, priority in rule_language.parse_names(text):
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
    """The oracle's answers. Neighbouring queries of one client share its bound rules."""
    answers, last, bound = [], None, None
    for query in queries:
        key = [query.get(part) for part in ("username", "client_id", "roles", "attributes", "address")]
        if bound is None or key != last:
            last, bound = key, oracle.Bound(policy, subject_of(query), now)
        answers.append(bound.ask(request_of(query)))
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
    return difference_of_subscription(expected, by, reason)


def difference_of_names(query, expected, by, reason):
    default = ["default/" + query["action"]] if expected.allowed else []
    if not (set(by) <= set(expected.deciding) and by if expected.deciding else by == default):
        return f"by {by}, expected of {expected.deciding or default}"
    if not expected.allowed and reason != ("acl_deny_rule" if expected.deciding else "acl_no_match"):
        return f"reason {reason}, but the deciding rules are {expected.deciding}"
    return None


def difference_of_subscription(expected, by, reason):
    if expected.allowed:
        strangers = {name for name in by if not name.startswith("default/")} - expected.allows
        return f"by {by}: {strangers} let nothing of it through" if strangers else None
    if set(by) - expected.denies:
        return f"by {by}, but the denies that touch it are {expected.denies}"
    if reason == "acl_deny_rule" and not by:
        return "acl_deny_rule without a rule"
    return None if reason in ("acl_deny_rule", "acl_no_match") else f"reason {reason}"


def minimise(text, query, differs):
    """Removes policy lines, query members and conditions while differs(text, query) stays true."""
    changed = True
    while changed:
        changed = False
        for smaller, simpler in candidates(text, query):
            if differs(smaller, simpler):
                text, query, changed = smaller, simpler, True
                break
    return text, query


def candidates(text, query):
    lines = text.splitlines()
    for i in range(len(lines)):
        yield "\n".join(lines[:i] + lines[i + 1 :]) + "\n", query
    for key in query:
        if key not in ("action", "topic"):
            yield text, {k: v for k, v in query.items() if k != key}
    for name in query.get("attributes", {}):
        yield text, {**query, "attributes": {k: v for k, v in query["attributes"].items() if k != name}}
    for role in query.get("roles", []):
        yield text, {**query, "roles": [r for r in query["roles"] if r != role]}
    for i, line in enumerate(lines):
        words = line.split(" ")
        for j in range(5, len(words)):
            yield "\n".join(lines[:i] + [" ".join(words[:j] + words[j + 1 :])] + lines[i + 1 :]) + "\n", query
