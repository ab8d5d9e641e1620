"""The audit trail as an outsider reads it: every line against the schema, every hash and every sequence number."""
import hashlib
import json
import re
from functools import lru_cache

import jsonschema

from .broker import TOP, wait_until

TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\}$')


@lru_cache(maxsize=None)
def validator():
    schema = json.loads((TOP / "audit/schema/audit-event.schema.json").read_text())
    return jsonschema.Draft202012Validator(schema)


def matches(event, wanted):
    """Whether the event holds every wanted "dotted.name": value; a value may be a set of values, or a predicate."""
    for name, value in wanted.items():
        found = event.get(name)  # a dotted top-level key such as "log.level"
        if found is None:
            found = event
            for part in name.split("."):
                found = found.get(part) if isinstance(found, dict) else None
        if callable(value):
            if not value(found):
                return False
        elif isinstance(value, (set, frozenset)):
            if found not in value:
                return False
        elif found != value:
            return False
    return True


class Trail:
    def __init__(self, folder):
        self.folder = folder

    def files(self):
        """The segments, oldest first: a chain's segments are numbered, a chain begins when its process began."""
        def key(path):
            _, chain, number = path.stem.split("-")
            first = sorted(self.folder.glob(f"audit-{chain}-*.ndjson"))[0]
            with open(first, "rb") as stream:
                line = stream.readline()
            began = json.loads(line)["@timestamp"] if line.endswith(b"\n") else "9"
            return began, chain, int(number)
        return sorted(self.folder.glob("audit-*.ndjson"), key=key)

    def lines(self):
        out = []
        for path in self.files():
            out += [line for line in path.read_bytes().split(b"\n")[:-1]]  # what follows the last newline is still being written
        return out

    def events(self, action=None, **wanted):
        """Events so far, by action and by "dotted.name" values (a dot is written as __)."""
        wanted = {name.replace("__", "."): value for name, value in wanted.items()}
        if action:
            wanted["event.action"] = action
        return [e for e in map(json.loads, self.lines()) if matches(e, wanted)]

    def wait(self, action, count=1, timeout=5.0, **wanted):
        """Waits for that many such events and returns them; more at that moment is a failure as well."""
        found = []

        def enough():
            found[:] = self.events(action, **wanted)
            return len(found) >= count
        try:
            wait_until(enough, timeout, f"{count} × {action} {wanted}")
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {len(found)} in:\n{self.brief()}") from None
        assert len(found) == count, f"{len(found)} × {action} {wanted} instead of {count}:\n{self.brief()}"
        return found

    def one(self, action, **wanted):
        return self.wait(action, 1, **wanted)[0]

    def brief(self):
        """One short line an event, for messages of failed tests."""
        def words(e):
            mqtt, event = e.get("mqtt", {}), e["event"]
            return " ".join(str(w) for w in (
                event["sequence"], event["action"], event.get("outcome", ""), event.get("reason", ""),
                e.get("user", {}).get("name", "-"), mqtt.get("client_id", "-"), mqtt.get("packet", ""),
                mqtt.get("topic", mqtt.get("topic_filter", ""))))
        return "\n".join(words(json.loads(line)) for line in self.lines())

    def validate(self):
        """
        Checks every line against the schema, and chain, hash and sequence of every line (docs/audit.md). Gaps must be declared
        exactly. Returns the number of lines; zero is an error.
        """
        chains, count = {}, 0
        for line in self.lines():
            event = json.loads(line)
            errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator().iter_errors(event)]
            assert not errors, f"not as the schema says: {errors[:3]}\n{line.decode()}"
            chain, sequence = event["event"]["id"].rsplit("-", 1)
            assert int(sequence) == event["event"]["sequence"], line
            state = chains.setdefault(chain, {"head": hashlib.sha256(b"mosquitto-audit-v1\n" + chain.encode()).digest(),
                                              "next": 1})
            hash_text = TAIL.search(line)
            assert hash_text, f"the hash is not the end of the line: {line.decode()}"
            state["head"] = hashlib.sha256(state["head"] + line[:hash_text.start()]).digest()
            assert state["head"].hex().encode() == hash_text.group(1), f"the chain breaks at: {line.decode()}"
            if int(sequence) != state["next"]:
                gap = event.get("mosquitto", {}).get("audit", {})
                assert event["event"]["action"] == "audit-gap" and gap["first_sequence"] == state["next"] \
                    and gap["last_sequence"] == int(sequence) - 1 \
                    and gap["lost"] == gap["last_sequence"] - gap["first_sequence"] + 1, f"undeclared gap at: {line.decode()}"
            state["next"] = int(sequence) + 1
            count += 1
        assert count, "the trail is empty"
        return count
