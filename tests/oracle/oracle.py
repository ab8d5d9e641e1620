"""What a policy means: slow, and simple enough to be believed.

Written from the design's policy document alone, never from acl/. A publish or a delivery looks at every rule. A SUBSCRIBE is
decided by listing every topic over the names that occur anywhere plus one that occurs nowhere, one level deeper than any
filter, and asking for each what a rule look-up would say: FULL is "all of them", PARTIAL "some", NONE "none". No theory of
containment or overlap is used, so none can be wrong here.
"""
import ipaddress
import itertools
from dataclasses import dataclass, field

from rule_language import PUBLISH, RECEIVE, SUBSCRIBE_PACKET, Placeholder

ANY_CAP = 64
PLUS, HASH = "+", "#"
ANY = "any one level"  # an unbindable level of a deny rule: `$…` included
ALL_TOPICS = None  # `**`
QUERY_ACTIONS = {
    "publish": PUBLISH,
    "receive": RECEIVE,
    "subscribe": SUBSCRIBE_PACKET,
    "subscribe-only": SUBSCRIBE_PACKET,
}


@dataclass
class Subject:
    username: str = None
    client_id: str = None
    roles: dict = None  # name -> binding priority; None: as the policy binds them
    attributes: dict = field(default_factory=dict)  # full name -> list of values
    address: str = None


@dataclass
class Request:
    action: str
    topic: str
    qos: int = 0
    retain: bool = False
    size: int = 0


@dataclass
class Answer:
    allowed: bool
    coverage: str = None  # full, partial, none for subscriptions
    deciding: list = None  # publish and receive: labels of the rules of the winning rank and effect, [] where the default decided
    allows: set = None  # subscriptions: labels of allow rules that let some topic of the filter through
    denies: set = None  # subscriptions: labels of deny rules that touch the filter
    failed: set = None  # conditions that keep an allow rule from applying
    valid: bool = True


# --- topics and filters (MQTT 3.1.1 and 5.0, 4.7) ---


def well_formed(text):
    return 1 <= len(text.encode("utf-8", "surrogatepass")) <= 65535 and "\0" not in text


def valid_topic(topic):
    return well_formed(topic) and "+" not in topic and "#" not in topic


def valid_filter(text):
    levels = text.split("/")
    if not well_formed(text) or "#" in levels[:-1]:
        return False
    return all(level in (PLUS, HASH) or not set("+#") & set(level) for level in levels)


def split_share(text):
    """(is shared, filter to authorise); the filter is None if the text begins like a shared subscription and is none."""
    if not text.startswith("$share/"):  # a bare `$share` is a filter like any other
        return False, text
    parts = text.split("/", 2)
    if len(parts) < 3 or not parts[1] or set("+#") & set(parts[1]) or not valid_filter(parts[2]):
        return True, None
    return True, parts[2]


def matches(levels, topic):
    """Does a bound filter match a topic, given as a list of levels? A level is PLUS, HASH, ANY or a set of texts."""
    if levels is ALL_TOPICS:
        return True
    if topic[0].startswith("$") and levels[0] in (PLUS, HASH):
        return False
    for i, level in enumerate(levels):
        if level == HASH:
            return True
        if i >= len(topic):
            return False
        if level not in (PLUS, ANY) and topic[i] not in level:
            return False
        # `a/#` matches `a` too
        if i == len(topic) - 1 and levels[i + 1 :] == [HASH]:
            return True
    return len(topic) == len(levels)


# --- binding rules to a client ---


def usable(value, placeholder, first):
    if not value or set("+#\0") & set(value):
        return False
    if "/" in value and placeholder.kind != "path":
        return False
    return not (first and placeholder.before == "" and value.startswith("$"))


def values_of(subject, name):
    if name in ("username", "client_id"):
        value = getattr(subject, name)
        return [] if value is None else [value]
    return subject.attributes.get(name, [])


def bind_level(level, first, subject, allow):
    """The levels one template level becomes; None where an allow rule can match nothing."""
    if level in (PLUS, HASH):
        return [level]
    if not isinstance(level, Placeholder):
        return [{level[1]}]
    values = values_of(subject, level.name)
    good = [v for v in values if usable(v, level, first)]
    unbindable = None if allow else [ANY]
    if level.kind == "any":
        all_good = len(good) == len(values)
        if not good or len(values) > ANY_CAP or not (allow or all_good):
            return unbindable
        return [{level.before + v + level.after for v in good}]
    if len(values) != 1 or len(good) != 1:
        return unbindable
    if level.kind == "path":
        return [{part} for part in (level.before + good[0] + level.after).split("/")]
    return [{level.before + good[0] + level.after}]


def bind_rule(rule, subject):
    """The rule's filter for this client as a list of levels, ALL_TOPICS, or False if it can match nothing."""
    if rule.levels is None:
        return ALL_TOPICS
    bound = []
    for i, level in enumerate(rule.levels):
        part = bind_level(level, i == 0, subject, rule.allow)
        if part is None:
            return False
        bound += part
    return bound


def holds(test, subject):
    if not test.name:
        return (subject.username is None) == (test.operator == "anonymous")
    values = values_of(subject, test.name)
    if test.operator == "contains":
        return any(test.value in value for value in values)
    if test.operator == "=":
        return values == [test.value]
    if test.name in ("jwt.scope", "jwt.scp"):  # RFC 6749 3.3: one string, words parted by blanks
        return any(test.value == word for value in values for word in value.split(" "))
    return test.value in values


def bound_roles(policy, subject):
    """Role name -> binding priority; the highest where a role is granted twice."""
    if subject.roles is not None:
        return dict(subject.roles)
    grants = list(policy.default_roles)
    if subject.username in policy.clients:
        grants += policy.clients[subject.username]["roles"]
    for assignment in policy.assignments:
        if all(holds(test, subject) for test in assignment.tests):
            grants += assignment.roles
    roles = {}
    for role, priority in grants:
        roles[role] = max(priority, roles.get(role, priority))
    return roles


# --- conditions ---


def parse_address(text):
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def applies(rule, bound, subject, request, shared, now):
    """Do the rule's conditions hold for this request?"""
    c = rule.conditions
    if c.qos is not None and request.qos > c.qos:
        return False
    if c.retain is False and request.retain:
        return False
    if c.size is not None and request.size > c.size:
        return False
    if c.until is not None and now >= c.until:
        return False
    if c.networks is not None:
        address = parse_address(subject.address) if subject.address else None
        if address is None:
            if rule.allow:
                return False
        elif not any(address.version == n.version and address in n for n in c.networks):
            return False
    subscribing = QUERY_ACTIONS[request.action] == SUBSCRIBE_PACKET
    if subscribing and c.share is not None and c.share != shared:
        return False
    if not subscribing and c.payload and rule.allow:
        return False  # whether the payload is JSON is not known
    return not c.exact or spelled_the_same(bound, request.topic, shared)


def spelled_the_same(bound, requested, shared):
    """`exact`: is the requested text octet for octet the bound filter? An unbindable level stands for any text."""
    if shared:
        requested = split_share(requested)[1]
    if bound is ALL_TOPICS:
        return False  # `**` is no MQTT filter, so no request is spelled like it
    levels = requested.split("/")
    if len(levels) != len(bound):
        return False
    return all(b == ANY or (l == b if b in (PLUS, HASH) else l in b) for l, b in zip(levels, bound))


# --- every topic there is, as far as these filters can tell ---


class Universe:
    """All topics of 1..depth levels over an alphabet, each one bit of an integer; a set of topics is such an integer."""

    known = {}

    LARGEST = 2_000_000

    def __init__(self, alphabet, depth):
        if len(alphabet) ** depth > self.LARGEST:
            raise OverflowError(f"{len(alphabet)} names in {depth} levels are too many topics to list")
        self.alphabet, self.depth = frozenset(alphabet), depth
        self.topics = [t for n in range(1, depth + 1) for t in itertools.product(sorted(alphabet), repeat=n) if t != ("",)]
        self.everything = (1 << len(self.topics)) - 1
        self.level = {(i, name): self.pick(lambda t: len(t) > i and t[i] == name) for i in range(depth) for name in alphabet}
        self.levels_at_least = [self.pick(lambda t: len(t) >= n) for n in range(depth + 2)]
        self.dollar = self.pick(lambda t: t[0].startswith("$"))
        self.masks = {}

    def pick(self, wanted):
        return int("".join("1" if wanted(t) else "0" for t in reversed(self.topics)), 2)

    def matching(self, levels):
        """The topics that a bound filter matches: `matches` for all topics at once."""
        if levels is ALL_TOPICS:
            return self.everything
        key = tuple(l if isinstance(l, str) else frozenset(l) for l in levels)
        if key not in self.masks:
            self.masks[key] = self.compute(levels)
        return self.masks[key]

    def compute(self, levels):
        mask = self.everything
        if levels[0] in (PLUS, HASH):
            mask &= ~self.dollar
        for i, level in enumerate(levels):
            if level == HASH:
                return mask & self.levels_at_least[i]
            if level in (PLUS, ANY):
                mask &= self.levels_at_least[i + 1]
                continue
            fitting = 0
            for name in level:
                fitting |= self.level.get((i, name), 0)
            mask &= fitting
        return mask & ~self.levels_at_least[len(levels) + 1]

    @classmethod
    def having(cls, plain, dollar, depth):
        """The universe of the empty level, so many names, so many that begin with `$`, and a further one of each kind."""
        key = plain, dollar, depth
        if key not in cls.known:
            names = {"", *(f"{i}" for i in range(plain + 1)), *(f"${i}" for i in range(dollar + 1))}
            cls.known[key] = cls(names, depth)
        return cls.known[key]


def renaming(sets):
    """Names -> names of a universe, so that one universe serves many filters: n-th plain name, n-th name with `$`.

    Names that every set holds together or not at all get the same: no filter tells them apart."""
    classes, names, count = {}, {}, {"": 0, "$": 0}
    for name in sorted(set().union(*sets)):
        kind = name[:1] if name[:1] == "$" else ""
        look = (name == "", kind, *(name in one for one in sets))
        if look not in classes:
            classes[look] = name and f"{kind}{count[kind]}"
            count[kind] += name != ""
        names[name] = classes[look]
    return names, count[""], count["$"]


# --- decisions ---


def rename(levels, names):
    if levels is ALL_TOPICS:
        return levels
    return [level if isinstance(level, str) else {names[name] for name in level} for level in levels]


class Bound:
    """A policy as one client sees it. Ask it requests."""

    def __init__(self, policy, subject, now=0):
        self.policy, self.subject, self.now = policy, subject, now
        record = policy.clients.get(subject.username)
        if record:
            merged = {**record["attributes"], **subject.attributes}
            subject = Subject(subject.username, subject.client_id, subject.roles, merged, subject.address)
            self.subject = subject
        self.rules = []  # (rank, rule, bound levels)
        for role, priority in bound_roles(policy, subject).items():
            for rule in policy.roles.get(role, []):
                bound = bind_rule(rule, subject)
                if bound is not False:
                    self.rules.append(((priority, rule.priority), rule, bound))

    def applicable(self, request, shared=False):
        action = QUERY_ACTIONS[request.action]
        return [
            (rank, rule, bound)
            for rank, rule, bound in self.rules
            if action in rule.actions and applies(rule, bound, self.subject, request, shared, self.now)
        ]

    def failed_conditions(self, request):
        """What is asked for at least once by an allow rule of this action and not so in the request."""
        failed = set()
        for _, rule, _ in self.rules:
            c = rule.conditions
            if rule.allow and QUERY_ACTIONS[request.action] in rule.actions:
                failed |= {"qos"} if c.qos is not None and request.qos > c.qos else set()
                failed |= {"retain"} if c.retain is False and request.retain else set()
                failed |= {"size"} if c.size is not None and request.size > c.size else set()
                failed |= {"payload"} if c.payload else set()
        return failed

    def ask(self, request):
        if QUERY_ACTIONS[request.action] == SUBSCRIBE_PACKET:
            return self.subscribe(request)
        if not valid_topic(request.topic):
            return Answer(False, deciding=[], valid=False)
        topic = request.topic.split("/")
        found = [(rank, rule) for rank, rule, bound in self.applicable(request) if matches(bound, topic)]
        if not found:
            allowed = QUERY_ACTIONS[request.action] in self.policy.default_allow
            return Answer(allowed, deciding=[], failed=self.failed_conditions(request))
        top = max(rank for rank, _ in found)
        best = [rule for rank, rule in found if rank == top]
        allowed = all(rule.allow for rule in best)
        return Answer(allowed, deciding=[rule.label for rule in best if rule.allow == allowed])

    def subscribe(self, request):
        shared, wanted = split_share(request.topic)
        if wanted is None or not valid_filter(wanted):
            return Answer(False, coverage="none", allows=set(), denies=set(), valid=False)
        levels = [l if l in (PLUS, HASH) else {l} for l in wanted.split("/")]
        rules = self.applicable(request, shared)
        filters = [bound for _, _, bound in rules] + [levels]
        universe, names = self.universe(filters)
        *masks, topics = [universe.matching(rename(one, names)) for one in filters]
        allowed = self.allowed_topics(universe, rules, masks)
        if not topics & ~allowed:
            coverage = "full"
        else:
            coverage = "partial" if topics & allowed else "none"
        good = {"strict": coverage == "full", "lenient": coverage != "none", "off": True}[self.policy.mode]
        touching = [rule for (_, rule, _), mask in zip(rules, masks) if mask & topics]
        return Answer(
            good,
            coverage=coverage,
            allows={rule.label for rule in touching if rule.allow},
            denies={rule.label for rule in touching if not rule.allow},
            failed=self.failed_conditions(request),
        )

    @staticmethod
    def universe(filters):
        """A universe in which these filters can be told apart, and the names they go by there."""
        filters = [one for one in filters if one is not ALL_TOPICS]
        names, plain, dollar = renaming([level for one in filters for level in one if not isinstance(level, str)])
        # one level more than any filter names: topics longer than that differ in nothing a filter can see
        depth = max(len(one) - (one[-1] == HASH) for one in filters) + 1
        return Universe.having(plain, dollar, depth), names

    def allowed_topics(self, universe, rules, masks):
        """The set of topics whose highest-ranking rules are all allows (or that no rule touches, if the default allows)."""
        allowed = decided = 0
        for top in sorted({rank for rank, _, _ in rules}, reverse=True):
            denied = granted = 0
            for (rank, rule, _), mask in zip(rules, masks):
                if rank == top and rule.allow:
                    granted |= mask
                elif rank == top:
                    denied |= mask
            allowed |= granted & ~denied & ~decided
            decided |= granted | denied
        if SUBSCRIBE_PACKET in self.policy.default_allow:
            allowed |= universe.everything & ~decided
        return allowed
