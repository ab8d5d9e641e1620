"""password_file and acl_file as options of the plugin: a deployment changes its two lines and nothing else changes."""
import json
import os

import pytest

from support import aclfile, passwords
from support.broker import Broker, BrokerFailed, wait_until
from support.client import V5

ACL = """# everybody without a name
topic read public/#

user ann
topic readwrite home/ann/#
topic deny home/ann/secret
topic read $SYS/#
pattern write dev/%c/up
pattern read to/%u/#
"""
DIFFERENTIAL_FILES = int(os.environ.get("GUARD_ACL_FILES", "8"))


class Files:
    """A password_file and an acl_file, as the broker's or as the plugin's."""

    def __init__(self, folder, acl=ACL, users=("ann", "bob")):
        self.folder = folder
        self.passwords, self.acl = folder / "passwd", folder / "acl"
        self.write_passwords("".join(f"{user}:{passwords.mosquitto_7('pw')}\n" for user in users))
        self.write_acl(acl)

    def write_passwords(self, text):
        self._write(self.passwords, text)

    def write_acl(self, text):
        self._write(self.acl, text)

    @staticmethod
    def _write(path, text):
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)

    def lines(self):
        return f"password_file {self.passwords}\nacl_file {self.acl}\n"

    def options(self, **more):
        return {"policy_file": None, "password_file": self.passwords, "acl_file": self.acl, **more}


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture
def ours(make_broker, files):
    """ours(options…, **as Broker): a broker with the plugin, which reads the two files."""

    def make(conf="", **options):
        return make_broker(None, options=files.options(**options), conf=conf)

    return make


def expect_rights(broker):
    ann = broker.client("c1", "ann", "pw", version=V5).open()
    bob = broker.client("c2", "bob", "pw", version=V5).open()
    for client, topic, code in ((ann, "home/ann/x", 0), (ann, "home/ann/secret", 0x87), (ann, "dev/c1/up", 0),
                                (ann, "dev/c2/up", 0x87), (ann, "to/ann/x", 0x87), (bob, "home/ann/x", 0x87),
                                (bob, "dev/c2/up", 0), (bob, "public/x", 0x87)):
        assert client.publish(topic) == code, topic
    assert bob.subscribe("#") == 1, "the acl_file refuses no subscription"
    ann.publish("home/ann/x")
    assert ann.subscribe("$SYS/broker/version") == 1 and ann.receive().topic == "$SYS/broker/version"
    assert bob.subscribe("$SYS/broker/version") == 1
    assert bob.receives_nothing()


@pytest.mark.memory
def test_two_lines_change(make_broker, files, ours):
    """The same files, first the broker's, then the plugin's."""
    before = make_broker(None, plugin_lines=[], conf=files.lines())
    expect_rights(before)
    for name, password in (("ann", "wrong"), ("eve", "pw"), ("ann", None)):
        assert before.client("c", name, password, version=V5).connect() == 0x87
    after = ours()
    expect_rights(after)
    for name, password in (("ann", "wrong"), ("eve", "pw"), ("ann", None)):
        assert after.client("c", name, password, version=V5).connect() == 0x87
    denied = after.trail.wait("mqtt-publish", 5, event__outcome="failure")
    assert denied, "and there is an audit trail now"


@pytest.mark.parametrize("allow", ["true", "false"])
def test_anonymous_is_the_brokers_decision(make_broker, files, allow):
    """Who may come without credentials: allow_anonymous, as before. What they may do: the lines before the first user."""
    for named in ({"plugin_lines": [], "conf": files.lines()}, {"options": files.options()}):
        broker = make_broker(None, start=False, **named)
        broker = (let_anonymous_in(broker) if allow == "true" else broker).start()
        nobody = broker.client("c1", version=V5)
        code = nobody.connect()
        assert (code == 0) == (allow == "true")
        if code:
            continue
        assert nobody.publish("dev/c1/up") == 0
        assert nobody.publish("public/x") == 0x87
        assert nobody.subscribe("#") == 1
        ann = broker.client("c2", "ann", "pw", version=V5).open()
        assert ann.publish("home/ann/x") == 0
        assert nobody.receives_nothing()
        broker.hang_up()
        assert nobody.connected and nobody.publish("dev/c1/up") == 0 and nobody.publish("public/x") == 0x87
        nobody.close()


def test_a_name_alone(make_broker, files):
    """Without a password_file, too, a name needs a proof; the log says what was missing."""
    broker = let_anonymous_in(make_broker(None, start=False, options=files.options(password_file=None))).start()
    assert broker.client("c1", "ann", version=V5).connect() == 0x87
    assert broker.client("c2", version=V5).connect() == 0
    assert "refused client 'c1' from 127.0.0.1: a client certificate is required (a user name without password, token or certificate)" in broker.log()


BAD_ACLS = {"unknown word": "topik read a\n", "no topic": "user ann\ntopic\n", "bad filter": "topic read a/#/b\n",
            "unknown access": "topic reed a\n", "comment behind blanks": " # c\n"}


@pytest.mark.parametrize("what", BAD_ACLS)
def test_bad_acl_file(make_broker, files, ours, what):
    """What the broker refuses stops the start, and at SIGHUP the old state stays."""
    broker = ours()
    ann = broker.client("c1", "ann", "pw", version=V5).open()
    files.write_acl(ACL + BAD_ACLS[what])
    log = broker.hang_up()
    place = f"{files.acl}:{len((ACL + BAD_ACLS[what]).splitlines())}"
    assert place in log
    assert ann.connected and ann.publish("home/ann/x") == 0
    assert broker.client("c2", "bob", "pw", version=V5).connect() == 0
    event = broker.trail.one("policy-reload", event__outcome="failure")
    assert event["event"]["reason"] == "policy_parse_error" and place in event["error"]["message"]
    for named in ({"plugin_lines": [], "conf": files.lines()}, {"options": files.options()}):
        with pytest.raises(BrokerFailed):
            Broker(files.folder / "fails", None, **named).start()


@pytest.mark.memory
def test_reload(files, ours):
    """SIGHUP reads both files again: rights change at once, a user that is gone goes."""
    broker = ours()
    ann = broker.client("c1", "ann", "pw", version=V5).open()
    bob = broker.client("c2", "bob", "pw", version=V5).open()
    assert bob.publish("new/x") == 0x87
    files.write_acl(ACL + "user bob\ntopic write new/#\n")
    files.write_passwords(f"bob:{passwords.mosquitto_7('pw')}\n")
    broker.hang_up()
    assert ann.wait_gone()
    assert bob.wait_gone(), "his password was hashed anew: it counts as a new one"
    again = broker.client("c2", "bob", "pw", version=V5).open()
    assert again.publish("new/x") == 0


def test_bad_password_lines(files, make_broker, ours, broker_version):
    """2.0 passes over a line that it cannot read, 2.1 refuses the file; here too, and it is said."""
    good = f"ann:{passwords.mosquitto_7('pw')}\n"
    broker = ours()
    files.write_passwords(good + "eve:plain\n")
    log = broker.hang_up()
    assert f"{files.passwords}:2" in log
    assert "plain" not in log.split("policy")[-1] or "plain text" in log
    if broker_version >= (2, 1):
        assert "stays in use" in log
        with pytest.raises(BrokerFailed):
            Broker(files.folder / "fails", None, options=files.options()).start()
    else:
        assert broker.client("c", "eve", "plain", version=V5).connect() == 0x87
    assert broker.client("c", "ann", "pw", version=V5).connect() == 0


def test_hashes(files, make_broker, ours):
    """What mosquitto_passwd writes, and has written; 2.1's argon2id too, which not every broker is built with."""
    theirs = ["mosquitto-6", "mosquitto-7"]
    for kinds in (theirs, list(passwords.KINDS)):
        files.write_passwords("".join(f"{kind}:{passwords.KINDS[kind]('pw')}\n" for kind in kinds))
        broker = make_broker(None, plugin_lines=[], conf=files.lines()) if kinds is theirs else ours()
        for kind in kinds:
            assert broker.client(f"c-{kind}", kind, "pw", version=V5).connect() == 0, kind
            assert broker.client(f"d-{kind}", kind, "wp", version=V5).connect() == 0x87, kind


def test_beside_a_policy_file(make_broker, files):
    """They add up: a client has the roles of both, the policy's password counts, ranks decide."""
    policy = (f"[client ann]\npassword = {passwords.mosquitto_7('new')}\nroles = extra\n"
              "[role extra]\na = allow publish extra/#\nb = allow publish home/ann/secret\nc = allow publish home/ann/open priority=1\n"
              "[role all]\na = deny publish dev/c1/up\n[default]\nroles = all\n")
    files.write_acl(ACL + "user bob\ntopic deny home/ann/open\n")
    broker = make_broker(policy, options=files.options(policy_file=files.folder / "broker1/policy.conf"))
    assert broker.client("c1", "ann", "pw", version=V5).connect() == 0x87
    ann = broker.client("c1", "ann", "new", version=V5).open()
    assert ann.publish("extra/x") == 0
    assert ann.publish("home/ann/x") == 0
    assert ann.publish("home/ann/secret") == 0x87, "the user's lines have binding priority 1"
    assert ann.publish("dev/c1/up") == 0x87, "the policy denies it at the rank of the patterns"
    bob = broker.client("c2", "bob", "pw", version=V5).open()
    assert bob.publish("dev/c2/up") == 0
    assert "the password of client 'ann' is that of" in broker.log()


def test_a_role_of_both_is_refused(files):
    policy = files.folder / "policy.conf"
    policy.write_text("[role patterns]\na = allow publish x\n")
    with pytest.raises(BrokerFailed) as failed:
        Broker(files.folder / "fails", None, options=files.options(policy_file=policy)).start()
    assert "role 'patterns' is also made from" in failed.value.log


@pytest.mark.memory
def test_beside_redis(make_broker, files, redis):
    """Redis adds to the clients of the files, wins where only one can hold, and may be away."""
    redis.load("[client ann]\nroles = extra\n[client carl]\npassword = " + passwords.mosquitto_7("pw") + "\nroles = extra\n"
               "[role extra]\na = allow publish extra/#\n[role patterns]\na = allow publish #\n[default]\nmode = strict\n")
    broker = make_broker(None, options=files.options(redis_url=redis.url))
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    ann = broker.client("c1", "ann", "pw", version=V5).open()
    carl = broker.client("c3", "carl", "pw", version=V5).open()
    assert [ann.publish(topic) for topic in ("home/ann/x", "home/ann/secret", "extra/x", "else")] == [0, 0x87, 0, 0x87]
    assert [carl.publish(topic) for topic in ("extra/x", "dev/c3/up", "home/ann/x", "else")] == [0, 0, 0x87, 0x87]
    assert carl.subscribe("#") == 1, "the acl_file's mode"
    redis.cli("HSET", "guard:role:extra", "b", "allow publish else")
    wait_until(lambda: ann.publish("else") == 0, 3, "Redis' edit to be in force")
    redis.cli("HSET", "guard:client:ann", "disabled", "yes")
    assert ann.wait_gone()
    redis.cli("DEL", "guard:client:ann")
    wait_until(lambda: broker.client("c1", "ann", "pw", version=V5).connect() == 0, 3, "ann to be the password file's again")
    redis.cli("HSET", "guard:client:bob", "password", passwords.mosquitto_7("other"))
    wait_until(lambda: broker.client("c2", "bob", "other", version=V5).connect() == 0, 3, "bob's new password")
    assert broker.client("c2", "bob", "pw", version=V5).connect() == 0x87
    redis.stop()
    broker.stop()
    broker.start()
    assert broker.client("c1", "ann", "pw", version=V5).open().publish("home/ann/x") == 0, "the files need no Redis"


def test_coexist_leaves_strangers_alone(make_broker, files):
    """mode coexist: a client of neither file, and one without a name, are for what comes after the plugin."""
    theirs = files.folder / "theirs"
    theirs.write_text(f"eve:{passwords.mosquitto_7('pw')}\n", encoding="utf-8")
    theirs.chmod(0o600)
    broker = make_broker(None, options=files.options(mode="coexist"), conf=f"password_file {theirs}\n")
    assert broker.client("c1", "eve", "pw", version=V5).connect() == 0
    ann = broker.client("c2", "ann", "pw", version=V5).open()
    assert ann.publish("home/ann/x") == 0 and ann.publish("home/ann/secret") == 0x87
    assert broker.client("c3", "ann", "wrong", version=V5).connect() == 0x87
    assert broker.client("c4", version=V5).connect() == 0x87


def let_anonymous_in(broker):
    configuration = broker.configuration
    broker.configuration = lambda: configuration().replace("allow_anonymous false", "allow_anonymous true")
    return broker


ODD = [("a+b", "c1"), ("ann", "c+1"), ("bob", "#"), (None, "c#2"), ("p/q", "c2"), ("bob", "i/d"), ("$x", "c5")]


@pytest.mark.parametrize("number", range(DIFFERENTIAL_FILES // 2))
def test_odd_names(make_broker, tmp_path, number):
    """
    Names that cannot stand in a level, with identity_check log. With a wildcard: as the broker, which gives them nothing
    from patterns. With '/', or '$' in front: what the broker lets out of its level stays in it, permissions and denials.
    """
    rng = aclfile.seeded(1000 + number)
    acl = aclfile.random_acl(rng) + "\npattern readwrite dev/%u/#\npattern readwrite a/#\n"
    users = {user for user, _ in [*aclfile.CLIENTS, *ODD] if user} | {aclfile.PUBLISHER}
    files = Files(tmp_path, aclfile.with_publisher(acl), sorted(users))
    topics = [t for t in aclfile.topics_near(rng, acl, 30) + ["dev/p/q", "dev/p/q/x", "$x", "a/x", "b/x/y"] if t]
    options = files.options(audit_dir=None, identity_check="log")
    theirs, ours = (aclfile.ask(let_anonymous_in(make_broker(None, start=False, **named)).start().ports["plain"], "pw", topics, ODD)
                    for named in ({"plugin_lines": [], "conf": files.lines()}, {"options": options}))
    for question, allowed in theirs.items():
        user, client_id, _, _ = question
        wildcard = set(f"{user}{client_id}") & set("+#")
        stays = not wildcard and (allowed or "pattern deny" in " ".join(acl.split()))
        assert ours[question] == allowed or stays, (question, acl)


@pytest.mark.parametrize("number", range(DIFFERENTIAL_FILES))
def test_decides_as_the_broker(make_broker, guardctl, tmp_path, broker_version, number):
    """Random files, clients and topics: the broker's own acl_file, the plugin's, and guardctl import."""
    rng = aclfile.seeded(number)
    acl = aclfile.random_acl(rng)
    users = [user for user, _ in aclfile.CLIENTS if user] + [aclfile.PUBLISHER]
    files = Files(tmp_path, aclfile.with_publisher(acl), users)
    topics = aclfile.topics_near(rng, acl, 40)
    answers = []
    for named in ({"plugin_lines": [], "conf": files.lines()}, {"options": files.options(audit_dir=None)}):
        broker = let_anonymous_in(make_broker(None, start=False, **named))
        answers.append(aclfile.ask(broker.start().ports["plain"], "pw", topics))
    theirs, plugins = answers
    assert len(theirs) == 2 * len(aclfile.CLIENTS) * len(topics)
    assert plugins == theirs, acl
    version = "2.1" if broker_version >= (2, 1) else "2.0"
    policy = tmp_path / "imported.conf"
    told = guardctl("import", "mosquitto-files", "--acl-file", files.acl, "--broker", version, "--anonymous", "-o", policy)
    assert told.returncode == 0 or "two placeholders" in told.stderr or "**" in told.stderr, told.stderr
    questions = [{"action": action, "topic": topic, "client_id": client_id, **({"username": user} if user else {})}
                 for user, client_id, action, topic in theirs]
    explained = guardctl("explain", "--policy", policy, "--batch", input="".join(json.dumps(q) + "\n" for q in questions))
    verdicts = [json.loads(line)["verdict"] == "allow" for line in explained.stdout.splitlines()]
    assert dict(zip(theirs, verdicts)) == theirs, acl


def test_import_to_redis(make_broker, files, guardctl, redis):
    """guardctl import --push: the same rights from Redis, and the files are not needed any more."""
    told = guardctl("import", "mosquitto-files", "--password-file", files.passwords, "--acl-file", files.acl, "--broker",
                    "2.0", "--anonymous", "--push", "--yes", "--redis", redis.url, "--by", "the test")
    assert told.returncode == 0, told.stderr
    assert "published as version 1" in told.stdout
    again = guardctl("import", "mosquitto-files", "--password-file", files.passwords, "--acl-file", files.acl, "--broker",
                     "2.0", "--anonymous", "--push", "--dry-run", "--redis", redis.url)
    assert again.returncode == 0 and "nothing was published; version 1 stays" in again.stdout
    broker = make_broker(None, options={"policy_file": None, "redis_url": redis.url})
    broker.trail.wait("policy-reload", event__outcome="success", mosquitto__policy__source="redis")
    expect_rights(broker)
    assert "import" in guardctl("log", "--redis", redis.url).stdout
