"""The policy language, read a second time: a parser for policy files and rule lines that shares nothing with acl/ or store/.

It reads what the design says may stand in a policy (docs/policy.md has the same for operators) and raises PolicyError on
the rest. It is written for the differential tests, so that a mistake of one parser shows as a difference.
"""
import datetime
import ipaddress
import json
import re
from dataclasses import dataclass, field

PUBLISH, RECEIVE, SUBSCRIBE_PACKET = "publish", "receive", "subscribe-packet"
ACTIONS = {
    "publish": {PUBLISH},
    "receive": {RECEIVE},
    "subscribe-only": {SUBSCRIBE_PACKET},
    "subscribe": {RECEIVE, SUBSCRIBE_PACKET},
    "all": {PUBLISH, RECEIVE, SUBSCRIBE_PACKET},
}
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")


class PolicyError(ValueError):
    pass


@dataclass(frozen=True)
class Placeholder:
    """One `${…}` of a level, with the text around it. kind is "", "any" or "path"."""

    name: str
    kind: str
    before: str
    after: str


@dataclass
class Conditions:
    """Everything that must hold for a rule to apply; None means not written."""

    qos: int = None
    retain: bool = None
    size: int = None
    networks: list = None
    until: int = None
    share: bool = None
    payload: str = None
    exact: bool = False


@dataclass
class Rule:
    role: str
    name: str
    allow: bool
    actions: set
    levels: list  # of "+", "#", ("text", …) or Placeholder; None is `**`
    priority: int = 0
    conditions: Conditions = field(default_factory=Conditions)

    @property
    def label(self):
        return f"{self.role}/{self.name}"


def tokens_of(line):
    """Splits at blanks; a token that begins with a quote runs to the closing one and has JSON's escapes.

    Yields (text, was_quoted)."""
    at = 0
    while True:
        while at < len(line) and line[at] in " \t":
            at += 1
        if at == len(line):
            return
        if line[at] == '"':
            try:
                text, end = json.JSONDecoder().raw_decode(line, at)
            except ValueError as error:
                raise PolicyError(f"bad quoted text: {error}") from error
            yield text, True
        else:
            end = at
            while end < len(line) and line[end] not in " \t":
                end += 1
            yield line[at:end], False
        at = end


def parse_level(text):
    if text in ("+", "#"):
        return text
    found = [m for m in PLACEHOLDER.finditer(text) if m.group(1) != "$"]
    bare = PLACEHOLDER.sub("", text)
    if "${" in bare:
        raise PolicyError(f"unclosed placeholder in {text!r}")
    if "+" in bare or "#" in bare:
        raise PolicyError(f"a wildcard must fill a level: {text!r}")
    if len(found) > 1:
        raise PolicyError(f"two placeholders in one level: {text!r}")
    if not found:
        return ("text", text.replace("${$}", "$"))
    name, _, kind = found[0].group(1).partition("|")
    if name == "clientid":
        name = "client_id"
    if name not in ("username", "client_id") and not re.match(r"(cert|jwt|attr)\..", name):
        raise PolicyError(f"unknown placeholder {name!r}")
    if kind not in ("", "any", "path"):
        raise PolicyError(f"unknown kind {kind!r}")
    before, after = text[: found[0].start()], text[found[0].end() :]
    return Placeholder(name, kind, before.replace("${$}", "$"), after.replace("${$}", "$"))


def parse_filter(text):
    """The levels of a rule's filter, None for `**`."""
    if text == "**":
        return None
    if not text or "\0" in text:
        raise PolicyError("an empty filter, or one with U+0000")
    levels = [parse_level(level) for level in text.split("/")]
    if "#" in levels[:-1]:
        raise PolicyError("# stands last only")
    return levels


def parse_size(text):
    match = re.fullmatch(r"(\d+)([KM]?)", text)
    if not match:
        raise PolicyError(f"bad size {text!r}")
    return int(match.group(1)) * {"": 1, "K": 1024, "M": 1024 * 1024}[match.group(2)]


def parse_condition(text, rule):
    conditions = rule.conditions
    if text == "exact":
        conditions.exact = True
    elif text.startswith("priority="):
        rule.priority = int(text[9:])
    elif text.startswith("qos<="):
        conditions.qos = int(text[5:])
    elif text == "retain=no":
        conditions.retain = False
    elif text.startswith("size<="):
        conditions.size = parse_size(text[6:])
    elif text.startswith("from="):
        conditions.networks = [ipaddress.ip_network(one, strict=False) for one in text[5:].split(",")]
    elif text.startswith("until="):
        when = datetime.datetime.fromisoformat(text[6:].replace("Z", "+00:00"))
        conditions.until = int(when.timestamp())
    elif text in ("share=yes", "share=no"):
        conditions.share = text == "share=yes"
    elif text == "payload=json":
        conditions.payload = "json"
    else:
        raise PolicyError(f"unknown condition {text!r}")


def parse_rule(role, name, line):
    tokens = list(tokens_of(line))
    while len(tokens) > 2 and tokens[1][0].endswith(","):  # `publish, subscribe`
        tokens[1:3] = [(tokens[1][0] + tokens[2][0], False)]
    if len(tokens) < 3 or tokens[0][0].lower() not in ("allow", "deny"):
        raise PolicyError(f"expected: allow|deny action filter, not {line!r}")
    actions = set()
    for action in tokens[1][0].lower().split(","):
        if action not in ACTIONS:
            raise PolicyError(f"unknown action {action!r}")
        actions |= ACTIONS[action]
    rule = Rule(role, name, tokens[0][0].lower() == "allow", actions, parse_filter(tokens[2][0]))
    for condition, quoted in tokens[3:]:
        if quoted:
            raise PolicyError(f"unexpected quoted text {condition!r}")
        parse_condition(condition, rule)
    return rule


def parse_names(text):
    """`device, floor2:5, "odd, name":2` -> [("device", 0), ("floor2", 5), ("odd, name", 2)]"""
    names = []
    at = 0
    while at < len(text):
        if text[at] in " \t,":
            at += 1
            continue
        if text[at] == '"':
            name, at = json.JSONDecoder().raw_decode(text, at)
            end = at
            while end < len(text) and text[end] not in " \t,":
                end += 1
            rest = text[at:end]
            priority = int(rest[1:]) if rest.startswith(":") else 0
        else:
            end = at
            while end < len(text) and text[end] not in " \t,":
                end += 1
            name, colon, number = text[at:end].rpartition(":")
            if not colon:
                name, number = text[at:end], "0"
            priority = int(number)
        names.append((name, priority))
        at = end
    return names


@dataclass
class Test:
    """
    One part of an assignment's `when`: a fact has exactly this value ("="), has it among others ("has"), or holds it
    somewhere ("contains").
    """

    name: str  # "" for `anonymous` and `named`, which are the operator then
    operator: str = ""
    value: str = ""


@dataclass
class Assignment:
    roles: list  # of (name, binding priority)
    tests: list  # all must hold


def parse_assignment(line):
    """`device:5, other when cert.ou = "sensors" and jwt.scope has gw`"""
    tokens = list(tokens_of(line))
    texts = [text for text, _ in tokens]
    if "when" not in texts:
        raise PolicyError(f"expected: role when test, not {line!r}")
    at = texts.index("when")
    roles = parse_names(" ".join(json.dumps(t) if quoted else t for t, quoted in tokens[:at]))
    tests, rest = [], texts[at + 1 :]
    while rest:
        if rest[0] in ("anonymous", "named"):
            tests.append(Test("", rest[0]))
            rest = rest[1:]
        elif len(rest) >= 3 and rest[1] in ("=", "has", "contains"):
            tests.append(Test(*rest[:3]))
            rest = rest[3:]
        else:
            raise PolicyError(f"not a test: {rest}")
        if rest and (rest[0] != "and" or len(rest) == 1):
            raise PolicyError(f"expected `and`, not {rest}")
        rest = rest[1:]
    if not roles or not tests:
        raise PolicyError(f"no role or no test in {line!r}")
    return Assignment(roles, tests)


@dataclass
class Policy:
    roles: dict = field(default_factory=dict)  # name -> [Rule]
    clients: dict = field(default_factory=dict)  # name -> {"roles": [(name, priority)], "attributes": {name: [value]}}
    assignments: list = field(default_factory=list)
    default_roles: list = field(default_factory=list)
    default_allow: set = field(default_factory=set)  # of elementary actions
    mode: str = "strict"


def strip_comment(value):
    """Cuts ` ; comment` outside quotes."""
    quoted = False
    for at, char in enumerate(value):
        if char == '"' and (at == 0 or value[at - 1] != "\\"):
            quoted = not quoted
        elif char == ";" and not quoted and (at == 0 or value[at - 1] in " \t"):
            return value[:at].rstrip()
    return value.rstrip()


def read_default(policy, key, value):
    if key == "roles":
        policy.default_roles = parse_names(value)
    elif key == "mode":
        policy.mode = value
    elif key in ("publish", "receive", "subscribe", "subscribe-only"):
        if value == "allow":
            policy.default_allow |= ACTIONS[key]
    else:
        raise PolicyError(f"[default] has no {key!r}")


def unquote(name):
    return json.loads(name) if name.startswith('"') else name


def parse_policy(text):
    policy = Policy()
    section, name = None, None
    for raw in text.split("\n"):
        line = raw.strip(" \t\r")
        if not line or line[0] in ";#":
            continue
        if line.startswith("["):
            section, _, name = line[1:-1].partition(" ")
            name = unquote(name.strip())
            if section == "role":
                policy.roles.setdefault(name, [])
            elif section == "client":
                policy.clients[name] = {"roles": [], "attributes": {}}
            continue
        key, _, value = line.partition("=")
        key, value = unquote(key.strip()), strip_comment(value.strip())
        if section == "role":
            policy.roles[name].append(parse_rule(name, key, value))
        elif section == "client" and key == "roles":
            policy.clients[name]["roles"] = parse_names(value)
        elif section == "client" and key.startswith("attr."):
            policy.clients[name]["attributes"][key] = [unquote(value)]
        elif section == "assign":
            policy.assignments.append(parse_assignment(value))
        elif section == "default":
            read_default(policy, key, value)
        elif section != "client":
            raise PolicyError(f"a line outside a known section: {line!r}")
    return policy
