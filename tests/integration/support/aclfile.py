"""Random acl_files, and what a real broker lets its clients do under one."""
import random

from .raw import RawClient, packet, text

CLIENTS = [  # user name, client id
    ("ann", "c1"), ("bob", "bob"), ("x y", "dev-1"), ("zoë", "a.b"), ("nobody", "ann"), (None, "c2"),
]
LEVELS = ["a", "b", "dev", "ann", "bob", "c1", "c2", "dev-1", "x y", "zoë", "", "dev-ann", "c1.up", "%u", "%c", "dev-%u"]
FIRST = [*LEVELS, "$x", "$y"]
PUBLISHER = "publisher-of-all"


def random_filter(rng, pattern, access):
    levels = []
    for i in range(rng.randint(1, 4)):
        kind = rng.random()
        if kind < 0.2:
            levels.append("+")
        elif pattern and kind < 0.6:
            levels.append(rng.choice(["%u", "%c", "%u", "%c", "dev-%u", "%c.up", "x%uy", "%"]))
        else:
            levels.append(rng.choice(LEVELS if i else FIRST))
    if rng.random() < 0.3:
        levels.append("#")
    out = "/".join(levels) or "/"
    return out if access else out.replace(" ", "-")  # without an access the first of two words would be taken for one


def random_acl(rng):
    """Text of an acl_file: all kinds of lines, with the layout that people bring along."""
    lines = []
    for _ in range(rng.randint(3, 25)):
        kind = rng.random()
        access = rng.choice(["", "read ", "write ", "readwrite ", "deny ", "deny "])
        blanks = " " * rng.choice([1, 1, 1, 3])
        if kind < 0.2:
            lines.append(f"user{blanks}{rng.choice([u for u, _ in CLIENTS if u] + ['else'])}{rng.choice(['', ' '])}")
        elif kind < 0.6:
            lines.append(f"topic{blanks}{access}{rng.choice(['', ' '])}{random_filter(rng, False, access)}")
        elif kind < 0.9:
            lines.append(f"pattern{blanks}{access}{random_filter(rng, True, access)}")
        else:
            lines.append(rng.choice(["", "# a comment", "#topic read #", "   "]))
    return "\n".join(lines) + rng.choice(["", "\n"])


def with_publisher(acl):
    """The same, and a user whom nothing stops from publishing."""
    return f"{acl}\nuser {PUBLISHER}\ntopic write #\ntopic write $x/#\ntopic write $y/#\n"


def topics_near(rng, acl, count):
    """Topics that the file speaks about, and some beside them."""
    words = [line.split(maxsplit=2) for line in acl.splitlines() if line[:1] in ("t", "p")]
    filters = [line[-1].strip() for line in words]
    topics = set()
    while len(topics) < count:
        source = rng.choice(filters).split("/") if filters and rng.random() < 0.8 else [rng.choice(FIRST)]
        levels = []
        for level in source:
            user, client_id = rng.choice(CLIENTS)
            level = level.replace("%u", user or "ann").replace("%c", client_id) if rng.random() < 0.8 else level
            if level == "#":
                levels += [rng.choice(LEVELS) for _ in range(rng.randint(0, 2))]
            else:
                levels.append(rng.choice(LEVELS) if level == "+" or rng.random() < 0.1 else level)
        topic = "/".join(levels)
        if topic and "+" not in topic and "#" not in topic and not topic.startswith("$SYS"):
            topics.add(topic)
    return sorted(topics)


class Asker(RawClient):
    """An MQTT 5 client that is told yes or no. A PINGREQ behind a question makes sure that the answer is complete."""

    def __init__(self, port, client_id, username, password):
        super().__init__(port)
        self.code = self.connect(client_id, username, password, version=5)
        self.received, self.acknowledged, self.packet_id = [], {}, 0

    def _next_id(self):
        self.packet_id = self.packet_id % 65535 + 1
        return self.packet_id

    def settle(self):
        """Reads until everything that came before is here."""
        self.send(packet(0xC0, b""))
        while True:
            first, body = self.read()
            kind = first >> 4
            if kind == 13:
                return self
            if kind == 3:
                length = int.from_bytes(body[:2], "big")
                self.received.append(body[2:2 + length].decode())
            elif kind in (4, 9):
                self.acknowledged[int.from_bytes(body[:2], "big")] = body[-1] if kind == 9 else (body[2] if len(body) > 2 else 0)

    def send_publish(self, topic):
        number = self._next_id()
        self.send(packet(0x32, text(topic) + number.to_bytes(2, "big") + b"\0x"))
        return number

    def may_publish(self, topics):
        numbers = [self.send_publish(topic) for topic in topics]
        self.settle()
        return {topic: self.acknowledged[number] in (0, 0x10) for topic, number in zip(topics, numbers)}

    def subscribe(self, topic_filter):
        number = self._next_id()
        self.send(packet(0x82, number.to_bytes(2, "big") + b"\0" + text(topic_filter) + b"\0"))
        self.settle()
        return self.acknowledged[number] < 0x80


def ask(port, password, topics, clients=CLIENTS):
    """{(user, client id, action, topic): allowed} of the broker there, where password is everybody's."""
    answers = {}
    for user, client_id in clients:  # one after the other: nobody subscribes yet, so publishing reaches nobody
        with Asker(port, client_id, user, password if user else None) as client:
            assert client.code == 0, (user, client_id, client.code)
            for topic, allowed in client.may_publish(topics).items():
                answers[user, client_id, "publish", topic] = allowed
    askers = [Asker(port, client_id, user, password if user else None) for user, client_id in clients]
    for asker in askers:
        for topic_filter in ("#", "$x/#", "$y/#"):
            assert asker.subscribe(topic_filter), "an acl_file refuses no subscription"
    with Asker(port, "publisher", PUBLISHER, password) as publisher:
        assert all(publisher.may_publish(topics).values())
    for (user, client_id), asker in zip(clients, askers):
        got = set(asker.settle().received)
        asker.close()
        for topic in topics:
            answers[user, client_id, "receive", topic] = topic in got
    return answers


def seeded(number):
    return random.Random(f"acl-file {number}")


