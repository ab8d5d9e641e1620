"""Random policies and random requests over a small vocabulary, so that rules meet often.

A policy uses one of a few vocabularies; names are short and the same names serve as levels, user names, client ids and
attribute values. The first two names of a vocabulary are
the most common ones. Vocabularies of long names are there because engines treat short and long topics differently; within them
one name begins or ends like another. Everything is drawn from the random.Random that is passed in, so a seed names a run.
"""
import json
import re

VOCABULARIES = [
    ["a", "b"],
    ["a", "b", "", "$s"],
    ["a", "b", "p-a", "p-b"],
    ["a", "a-s", "", "$SYS"],
    ["ä", "b", "plant 1"],
    ["sensor-0001", "sensor-0002", "sensor-00012"],
    ["device-alpha-17", "device-alpha-18", "alpha-17", "device-alpha-"],
    ["berlin-hall", "17", "", "$s"],
]
# A fleet's policy: few rules, long topics, levels in which nothing but placeholders stands.
FLEET_NAMES = ["sensor-0001", "sensor-0002", "sensor-00012", "data"]
FLEET_FILTERS = [
    "devices/${username}/data",
    "devices/${username}/data",
    "devices/${client_id}/data",
    "devices/${client_id}/commands/#",
    "devices/${username}/${client_id}/data",
    "sites/${jwt.site}/devices/${username}",
    "sites/${jwt.site}/devices/${jwt.site}",
    "sites/${jwt.sites|any}/devices/+",
    "sites/${jwt.place|path}/devices",
    "${username}/some/status",
    "${client_id}/some/status",
    "p-${username}-s/state",
    "devices/p-${username}/data",
    "devices/+/data",
    "devices/#",
    "+/${username}/data",
    "devices/sensor-0001/data",
    "common/announcements",
]
PLACEHOLDERS = [
    "${username}",
    "${client_id}",
    "${clientid}",
    "${cert.cn}",
    "${cert.ou}",
    "${jwt.site}",
    "${attr.zone}",
    "${jwt.sites|any}",
    "${cert.san.dns|any}",
    "${jwt.place|path}",
]
ROLES = ["r0", "r1", "r2", "r3"]
ACTIONS = ["publish", "subscribe", "receive", "subscribe-only", "all"]
ADDRESSES = ["10.0.0.7", "10.1.2.3", "192.168.3.4", "::1", "2001:db8::5", "::ffff:10.0.0.9", "not an address"]
NETWORKS = ["10.0.0.0/8", "10.0.0.7", "192.168.0.0/16", "::1/128", "2001:db8::/32"]
TESTS = [
    'cert.ou = "a"',
    'jwt.sites has "b"',
    'jwt.sites = "a"',
    "anonymous",
    "named",
    'client_id contains "1"',
    'username contains "/" and named',
    'jwt.sites contains "b"',
    'attr.zone = "a"',
    'username = "b"',
    "jwt.scope has gw",
    'client_id has "plant 1"',
]
NOW = 1_800_000_000


def users(names):
    return [names[0], names[1], "$s", f"{names[0]}/{names[1]}", "+", "plant 1"]


def quoted_if_needed(text):
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "\\;,:]') else text


def random_level(rng, names, first):
    draw = rng.random()
    if draw < 0.22:
        return "+"
    if draw < 0.42:
        placeholder = rng.choice(PLACEHOLDERS)
        if "|path" not in placeholder and rng.random() < 0.2:
            return rng.choice(["p-%s", "%s-s", "$%s" if first else "p-%s", "${$}%s" if first else "%s-s"]) % placeholder
        return placeholder
    name = rng.choice(names)
    return name.replace("$", "${$}", 1) if rng.random() < 0.1 else name


def random_rule_filter(rng, names):
    draw = rng.random()
    if draw < 0.05:
        return "**"
    if draw < 0.1:
        return "#"
    levels = [random_level(rng, names, i == 0) for i in range(rng.choice([1, 1, 2, 2, 2, 3]))]
    if sum("|path" in level for level in levels) > 1:  # would need more topics than can be listed
        levels = [level.replace("${jwt.place|path}", "${jwt.site}") for level in levels]
    if rng.random() < 0.35:
        levels.append("#")
    return "/".join(levels) or "a"


def random_conditions(rng, often):
    found = []
    if rng.random() < 0.35:
        found.append(f"priority={rng.choice([-1, 0, 1, 1, 2, 5])}")
    if rng.random() < often:
        found.append(
            rng.choice(
                [
                    "qos<=0",
                    "qos<=1",
                    "retain=no",
                    "size<=100",
                    "size<=1K",
                    "size<=1M",
                    "share=yes",
                    "share=no",
                    "payload=json",
                    "exact",
                    "exact",
                    "exact",
                    "exact",
                    "from=" + ",".join(rng.sample(NETWORKS, rng.choice([1, 1, 2]))),
                    "until=2020-01-01T00:00:00Z",
                    "until=2040-01-01T00:00:00+02:00",
                ]
            )
        )
    rng.shuffle(found)
    return "".join(" " + one for one in found)


def random_rule(rng, topic, often=0.3):
    actions = rng.choice([",", ",", ", "]).join(rng.sample(ACTIONS, rng.choice([1, 1, 1, 2])))
    if rng.random() < 0.1:
        actions = actions.upper()
    if any(char in topic for char in ' "\\;') or not topic or rng.random() < 0.05:
        topic = json.dumps(topic, ensure_ascii=False)
    effect = "allow" if rng.random() < 0.65 else "deny"
    return f"{effect} {actions} {topic}{random_conditions(rng, often)}"


def random_grants(rng, count):
    return ", ".join(role + rng.choice(["", "", ":1", ":2", ":-1"]) for role in rng.sample(ROLES, count))


def random_policy(rng):
    """(text of the policy file, its vocabulary, the filters of its rules)"""
    fleet = rng.random() < 0.4
    names, filters = FLEET_NAMES if fleet else rng.choice(VOCABULARIES), []
    lines = []
    for role in ROLES:
        if rng.random() < 0.9:
            lines.append(f"[role {role}]")
            for i in range(rng.choice([1, 2, 3, 4])):
                filters.append(rng.choice(FLEET_FILTERS) if fleet else random_rule_filter(rng, names))
                rule = random_rule(rng, filters[-1], 0.05 if fleet else 0.3)
                if fleet and rng.random() < 0.5:
                    rule = f"allow all {filters[-1]}"
                lines.append(f"rule{i} = {rule}" + rng.choice(["", "", "   ; a comment"]))
    for user in users(names)[:3]:
        if rng.random() < 0.6:
            lines += [f"[client {quoted_if_needed(user)}]", f"roles = {random_grants(rng, rng.choice([1, 2]))}"]
            if rng.random() < 0.5:
                lines.append(f"attr.zone = {json.dumps(rng.choice(users(names)[:4]))}")
    if rng.random() < 0.6:
        lines.append("[assign]")
        for i in range(rng.choice([1, 2, 3])):
            tests = " and ".join(rng.sample(TESTS, rng.choice([1, 1, 1, 2])))
            tests = tests.replace('"a"', json.dumps(names[0])).replace('"b"', json.dumps(names[1]))
            lines.append(f"assign{i} = {random_grants(rng, rng.choice([1, 1, 2]))} when {tests}")
    lines.append("[default]")
    if rng.random() < 0.3:
        lines.append(f"roles = {random_grants(rng, 1)}")
    if rng.random() < 0.5:
        lines.append(f"mode = {rng.choice(['strict', 'lenient', 'off'])}")
    for action in ("publish", "receive", "subscribe-only"):
        if rng.random() < 0.15:
            lines.append(f"{action} = {rng.choice(['allow', 'deny'])}")
    return "\n".join(lines) + "\n", names, filters


def random_value(rng, names):
    if rng.random() < 0.85:
        return rng.choice([names[0], names[1], rng.choice(names) or names[0]])
    return rng.choice(["", f"{names[0]}/{names[1]}", "+", "#", "$s", "x"])


def random_subject(rng, names):
    """The client part of a query, as guardctl explain --batch takes it."""
    subject = {}
    if rng.random() < 0.9:
        subject["username"] = rng.choice(users(names)[:3] if rng.random() < 0.7 else users(names))
    if rng.random() < 0.9:
        subject["client_id"] = random_value(rng, names)
    if rng.random() < 0.6:
        subject["roles"] = random_grants(rng, rng.choice([1, 2, 3])).split(", ")
        if rng.random() < 0.1:
            subject["roles"].append(rng.choice(["r0:1", "r1", "r2:-3", "no such role"]))
    elif rng.random() < 0.03:
        subject["roles"] = []
    attributes = {}
    for name in ("cert.cn", "cert.ou", "jwt.site", "attr.zone"):
        if rng.random() < 0.6:
            attributes[name] = random_value(rng, names)
    for name in ("jwt.sites", "cert.san.dns"):
        if rng.random() < 0.7:
            attributes[name] = [random_value(rng, names) for _ in range(rng.choice([0, 1, 2, 3]))]
            if rng.random() < 0.03:  # around the cap of |any
                attributes[name] = [f"n{i}" for i in range(rng.choice([62, 63, 64]))] + [names[0]]
    if rng.random() < 0.3:
        attributes["jwt.scope"] = rng.choice(["gw", "read gw", "gateway", ["x", "a gw"]])
    if rng.random() < 0.6:
        a, b = names[:2]
        attributes["jwt.place"] = rng.choice([a, b, f"{a}/{b}", f"{b}/{a}", f"$s/{a}", "+", f"{a}/#", ""])
    if attributes:
        subject["attributes"] = attributes
    if rng.random() < 0.7:
        subject["address"] = rng.choice(ADDRESSES)
    return subject


def like_a_rule(rng, names, rule_filter):
    """A filter as it would be spelled with a rule's placeholders bound, more or less."""
    if rule_filter == "**":
        return rng.choice(["**", "#", "+/#"])
    text = rule_filter.replace("${$}", "$")
    text = re.sub(r"\$\{[^}]*\}", lambda _: rng.choice([*names, *names[:2], "/".join(names[:2])]), text)
    return "/".join(text.split("/")[:4])


def own_topic(rng, subject, rule_filter):
    """The topic that a rule names for this very client; what it has not is spelled x."""
    attributes = subject.get("attributes", {})
    values = {"username": subject.get("username"), "client_id": subject.get("client_id"), **attributes}

    def value(match):
        found = values.get(match.group(1).partition("|")[0])
        return (rng.choice(found) if isinstance(found, list) and found else found) or "x"

    return re.sub(r"[+#]", "x", re.sub(r"\$\{([^}]*)\}", value, rule_filter))


def random_topic(rng, names, filters):
    draw = rng.random()
    if draw < 0.01:
        return rng.choice(["", "a/+", "#", "a#b"])
    if draw < (0.7 if names is FLEET_NAMES else 0.2) and filters:
        text = like_a_rule(rng, names, rng.choice(filters))
        return re.sub(r"[+#]", lambda _: rng.choice([*names, names[0], "x"]), text) or "a"
    return "/".join(rng.choice([*names, *names[:2], "x"]) for _ in range(rng.choice([1, 2, 2, 3, 3, 4]))) or "a"


def random_filter(rng, names, filters):
    if rng.random() < 0.02:
        return rng.choice(["", "a#", "#/a", "a/+b", "$share/g", "$share//a", "$share/g+/a", "$share/g/", "$share"])
    if rng.random() < 0.3 and filters:
        text = like_a_rule(rng, names, rng.choice(filters)) or "a"
    else:
        text = "/".join(random_filter_levels(rng, names)) or "a"
    return "$share/g/" + text if rng.random() < 0.15 else text


def random_filter_levels(rng, names):
    depth = rng.choice([0, 1, 1, 2, 2, 3, 3])
    levels = ["+" if rng.random() < 0.25 else rng.choice([*names, *names[:2], "x"]) for _ in range(depth)]
    return levels + ["#"] if not levels or rng.random() < 0.4 else levels


def random_request(rng, names, filters, subscribe):
    request = {}
    if subscribe:
        request["action"] = rng.choice(["subscribe", "subscribe-only"])
        request["topic"] = random_filter(rng, names, filters)
    else:
        request["action"] = rng.choice(["publish", "receive"])
        request["topic"] = random_topic(rng, names, filters)
    if rng.random() < 0.3:
        request["qos"] = rng.choice([0, 1, 2])
    if rng.random() < 0.2:
        request["retain"] = rng.random() < 0.6
    if rng.random() < 0.2:
        request["size"] = rng.choice([0, 100, 101, 1024, 1025, 1048576, 1048577])
    return request
