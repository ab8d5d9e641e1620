"""
Tokens whose signatures take long to check (ES384, ES512, RSA above 4,096 bits): on 2.1 workers do it, and the broker has no
user name for the client until its token was found good. On 2.0 the broker's own thread does, with the same outcome.
"""
import signal
import time
from pathlib import Path

import pytest

from support import passwords
from support.broker import SLOWNESS
from support.client import REFUSED, V5
from support.raw import RawClient
from support.tls import TlsClient
from support.tokens import Issuer, b64, damaged
from test_auth_delayed import OPEN, begin, code, delaying  # noqa: F401
from test_enhanced import connect as connect_enhanced
from test_enhanced import publish as publish_enhanced
from test_revocations import start  # noqa: F401
from test_ways_in import works

SLOW = ("ES384", "ES512", "RS8192")
RULES = """\
[role device]
data     = allow publish devices/${username}/data
commands = allow subscribe devices/${username}/commands
[default]
roles = device
"""
BLOCKER = "[client busy]\npassword = %s\n"


@pytest.fixture(scope="module")
def slow_issuer(tmp_path_factory):
    issuer = Issuer(tmp_path_factory.mktemp("slow"))
    for alg in SLOW:
        issuer.add_slow(alg)
    return issuer


def token(issuer, subject, alg="ES384", **more):
    if alg != "RS8192":
        return issuer.token(subject, alg, **more)
    return issuer.token(subject, "RS256", kid="rs8192", key=issuer.keys[alg], **more)


def options(issuer, **more):
    return {**issuer.options(), "jwt_algorithms": "RS256,ES256,ES384,ES512", "auth_cache_size": "0", **more}


def switches(broker):
    """How often the worker threads of the broker have gone to sleep."""
    total = 0
    for task in Path(f"/proc/{broker.process.pid}/task").iterdir():
        if (task / "comm").read_text().startswith("guard-verify"):
            status = (task / "status").read_text()
            total += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
    return total


class busy:
    """Keeps the only worker busy with log-ins of half a second or so each. As a context: the last of them."""

    def __init__(self, broker, count=1):
        self.clients = [begin(broker, f"blocker-{n}", "busy", "pw") for n in range(count)]

    def __enter__(self):
        return self.clients[-1]

    def __exit__(self, *_):
        for client in self.clients:
            client.close()


@pytest.fixture
def queued(make_broker, slow_issuer):
    """A broker with one worker, which a log-in of `busy` keeps busy for about half a second."""
    def make(issuer=slow_issuer, policy="", iterations=900_000, **more):
        rules = BLOCKER % passwords.mosquitto_7("pw", iterations // SLOWNESS) + policy + RULES
        return make_broker(rules, options=options(issuer, auth_workers="1", **{**OPEN, **more}))
    return make


def failures(broker, count, **wanted):
    return [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", count, event__outcome="failure", **wanted)]


# --- who gets in

@pytest.mark.memory
@pytest.mark.parametrize("alg", SLOW)
@pytest.mark.parametrize("typed", ["typed-name", None])
def test_is_who_the_token_says(make_broker, slow_issuer, alg, typed):
    """Rights, audit and the broker's own idea of the user name come from the token, before and after a SIGHUP."""
    broker = make_broker(RULES, options=options(slow_issuer))
    good = token(slow_issuer, "sensor-7", alg)
    client = broker.client("c1", typed, good, version=V5) if typed else None
    if client:
        assert works(client.open(), "sensor-7")
        assert client.publish("devices/typed-name/data") == 0x87
        broker.hang_up()
        assert client.publish("devices/sensor-7/data") == 0, "it did not survive a SIGHUP"
    else:
        with RawClient(broker.ports["plain"]) as raw:
            assert raw.connect("c1", None, good, version=5) == 0
            assert publish_enhanced(raw, "devices/sensor-7/data") in (0, 0x10)
            broker.hang_up()
            assert publish_enhanced(raw, "devices/sensor-7/data", 2) in (0, 0x10)
    event = broker.trail.one("mqtt-connect", event__outcome="success")
    assert event["user"]["name"] == "sensor-7" and event["mqtt"]["auth"]["kid"] == alg.lower()
    for denied in broker.trail.events("mqtt-publish", event__outcome="failure"):
        assert denied["user"]["name"] == "sensor-7"


def test_by_worker_or_here(make_broker, slow_issuer, delaying):  # noqa: F811
    """Each slow signature wakes a worker; a quick one does not, nor what is refused before its signature is looked at."""
    broker = make_broker(RULES, options=options(slow_issuer, auth_throttle="no"))

    def settled():
        """A worker is counted when it goes to sleep again, which may be after the answer is here."""
        last = -1
        while (now := switches(broker)) != last:
            last = now
            time.sleep(0.05)
        return now

    def woken(credential):
        before = settled()
        with RawClient(broker.ports["plain"]) as raw:
            raw.connect("c", None, credential, version=5)
        return settled() - before
    good = token(slow_issuer, "a")
    head, payload, signature = good.split(".")
    short = ".".join((head, payload, signature[:-8]))
    cases = {"ES384": good, "bad ES384": damaged(good), "ES512": token(slow_issuer, "a", "ES512"), "RS8192": token(slow_issuer, "a", "RS8192")}
    assert {name: woken(each) > 0 for name, each in cases.items()} == dict.fromkeys(cases, True)
    cases = {"ES256": token(slow_issuer, "a", "ES256"), "RS256": token(slow_issuer, "a", "RS256"), "short signature": short,
             "unknown kid": token(slow_issuer, "a", kid="nobody"), "algorithm of another key": token(slow_issuer, "a", "ES512", kid="es384")}
    assert {name: woken(each) for name, each in cases.items()} == dict.fromkeys(cases, 0)


BAD = {
    "jwt_bad_signature": lambda i: damaged(token(i, "a")),
    "jwt_expired": lambda i: token(i, "a", lifetime=-10),
    "jwt_wrong_audience": lambda i: token(i, "a", aud="another"),
    "jwt_missing_claim": lambda i: token(i, "a/b"),
}


@pytest.mark.memory
@pytest.mark.parametrize("reason", BAD)
def test_refused(make_broker, slow_issuer, version, reason):
    broker = make_broker(RULES, options=options(slow_issuer))
    bad = BAD[reason](slow_issuer)
    assert broker.client("c1", "typed", bad, version=version).connect() == REFUSED[version]
    event = broker.trail.one("mqtt-connect", event__outcome="failure")
    assert event["event"]["reason"] == reason and event["user"]["name"] == "typed"
    assert bad.split(".")[2] not in broker.log() and bad.split(".")[2].encode() not in b"".join(broker.trail.lines())


def test_guessing_is_throttled(make_broker, slow_issuer):
    """Bad signatures with a known kid cost most; an address that keeps sending them is refused before they are looked at."""
    broker = make_broker(RULES, options=options(slow_issuer, auth_throttle_failures="5"))
    for number in range(12):
        with begin(broker, f"c{number}", f"name-{number}", damaged(token(slow_issuer, "a"))) as client:
            assert code(client) == 0x87
    reasons = failures(broker, 12)
    assert reasons[:5] == ["jwt_bad_signature"] * 5 and reasons[-4:] == ["ip_blocked"] * 4, reasons


def test_in_the_user_name(make_broker, slow_issuer):
    broker = make_broker(RULES, options=options(slow_issuer, jwt_in_username="yes"))
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("c1", token(slow_issuer, "a"), "no matter", version=5) == 0
        assert publish_enhanced(raw, "devices/a/data") in (0, 0x10)
    with RawClient(broker.ports["plain"]) as raw:
        assert raw.connect("c1", damaged(token(slow_issuer, "a")), "no matter", version=5) == 0x87
    written = b"".join(broker.trail.lines())
    assert b"eyJ" not in written
    broker.trail.one("mqtt-connect", event__outcome="success", user__name="a")


def test_bindings(make_broker, slow_issuer):
    broker = make_broker(RULES, options=options(slow_issuer, jwt_bind_client_id="required", jwt_bind_username="required"))
    for client_id, name, answer in (("a", "a", 0), ("b", "a", 0x87), ("a", "b", 0x87), ("a", None, 0x87)):
        with begin(broker, client_id, name, token(slow_issuer, "a")) as client:
            assert code(client) == answer, (client_id, name)


@pytest.mark.memory
def test_with_a_certificate(make_broker, slow_issuer, pki):
    """certificate+token: the certificate's facts wait with the log-in; bound to it, or not."""
    more = options(slow_issuer, auth_methods="certificate+token", cert_identity="cn", auth_throttle="no")
    broker = make_broker(RULES, options=more, listeners=("tls",), pki=pki)
    mine, other = pki.client("gate"), pki.client("other")
    bound = token(slow_issuer, "gate", cnf={"x5t#S256": b64(bytes.fromhex(mine.sha256))})
    for leaf, credential, answer in ((mine, token(slow_issuer, "gate"), 0), (mine, bound, 0), (other, bound, 0x87),
                                     (other, token(slow_issuer, "gate"), 0x87), (mine, damaged(bound), 0x87)):
        with TlsClient(broker.ports["tls"], pki, leaf) as client:
            assert client.connect("c1", None, credential, version=5) == answer
    events = broker.trail.wait("mqtt-connect", 2, event__outcome="success")
    assert {(e["user"]["name"], e["tls"]["client"]["hash"]["sha256"]) for e in events} == {("gate", mine.sha256)}


def test_enhanced_authentication(make_broker, slow_issuer):
    """The broker cannot wait there, so it is verified at once."""
    broker = make_broker(RULES, options=options(slow_issuer))
    with RawClient(broker.ports["plain"]) as raw:
        assert connect_enhanced(raw, token(slow_issuer, "a")) == 0
        assert publish_enhanced(raw, "devices/a/data") in (0, 0x10)
    with RawClient(broker.ports["plain"]) as raw:
        assert connect_enhanced(raw, damaged(token(slow_issuer, "a"))) == 0x87


def test_queued_messages(make_broker, slow_issuer):
    """What waited for a persistent session is judged by the token's identity, also before the broker says CONNECT."""
    policy = RULES + "[assign]\nboss = publisher when username = \"boss\"\n[role publisher]\nall = allow publish devices/#\n"
    broker = make_broker(policy, options=options(slow_issuer))

    def connect():
        return broker.client("c1", "typed", token(slow_issuer, "a"), version=V5, clean=False, expiry=600).open()
    client = connect()
    assert client.subscribe("devices/a/commands") == 1
    client.close()
    boss = broker.client("boss", "x", token(slow_issuer, "boss"), version=V5).open()
    assert boss.publish("devices/a/commands", b"go") == 0
    client = connect()
    assert client.session_present
    assert client.messages.get(timeout=5).payload == b"go"


def test_takes_over_only_its_own(make_broker, slow_issuer):
    broker = make_broker(RULES, options=options(slow_issuer))
    owner = broker.client("the-id", "x", token(slow_issuer, "a"), version=V5).open()
    with begin(broker, "the-id", "a", token(slow_issuer, "b")) as stranger:
        assert code(stranger) == 0x87
    assert owner.publish("devices/a/data") == 0
    with begin(broker, "the-id", "other", token(slow_issuer, "a")) as same:
        assert code(same) == 0
    assert failures(broker, 1) == ["client_id_mismatch"]


# --- while it waits (2.1)

@pytest.mark.memory
@pytest.mark.parametrize("second", ["bad", "other user", "quick token", "password", "nothing"])
def test_who_comes_after_gets_no_answer_of_the_one_before(queued, slow_issuer, second):
    """A-B-A: the owner's token waits for a worker when he drops, and a stranger comes under his client id."""
    broker = queued(iterations=300_000)
    offers = {"bad": ("a", damaged(token(slow_issuer, "a"))), "other user": ("a", token(slow_issuer, "b", aud="another")),
              "quick token": ("a", damaged(token(slow_issuer, "a", "ES256"))), "password": ("busy", "wrong"), "nothing": (None, None)}
    for turn in range(4):
        with busy(broker):
            owner = begin(broker, "the-id", "a", token(slow_issuer, "a"))
            time.sleep(0.02)
            owner.close()
            with begin(broker, "the-id", *offers[second]) as stranger:
                assert code(stranger) != 0, f"turn {turn}: admitted by another's token"
    users = {e["user"]["name"] for e in broker.trail.events("mqtt-connect", event__outcome="success")}
    assert users <= {"a", "busy"}


def test_hung_up(queued, slow_issuer, delaying):  # noqa: F811
    broker = queued()
    with busy(broker) as blocker:
        begin(broker, "gone", "a", token(slow_issuer, "a")).close()
        assert code(blocker) == 0
        with begin(broker, "stays", "b", token(slow_issuer, "b")) as client:
            assert code(client) == 0
    names = [e["user"]["name"] for e in broker.trail.wait("mqtt-connect", 2, event__outcome="success")]
    assert sorted(names) == ["b", "busy"]
    with begin(broker, "gone", "c", token(slow_issuer, "c")) as next_one:
        assert code(next_one) == 0


@pytest.mark.timing
def test_time_out(queued, slow_issuer, delaying):  # noqa: F811
    broker = queued(iterations=600_000, auth_timeout="1")
    with busy(broker, 8), begin(broker, "late", "a", token(slow_issuer, "a")) as client:
        began = time.monotonic()
        assert code(client) == 0x87
        assert time.monotonic() - began < 2
    assert failures(broker, 1, user__name="a") == ["rate_limited"]


@pytest.mark.parametrize("change", ["withdrawn", "another one added", "all gone"])
def test_keys_change_while_it_waits(queued, tmp_path, delaying, change):  # noqa: F811
    """What was verified with keys of before is verified anew."""
    issuer = Issuer(tmp_path / "own")
    issuer.add_slow("ES384")
    broker = queued(issuer, iterations=1_500_000)
    with busy(broker, 3) as blocker, begin(broker, "c", "a", token(issuer, "a")) as client:
        keys = {"withdrawn": ["ES256"], "another one added": ["ES384", "RS256", "ES256"], "all gone": ["EdDSA"]}[change]
        before = broker.log().count("token keys were renewed")
        issuer.write_jwks([issuer.public_jwk(alg) for alg in keys])
        broker.process.send_signal(signal.SIGHUP)
        assert code(blocker) == 0
        assert broker.log().count("token keys were renewed") > before, "too late to show anything"
        assert code(client) == (0 if change == "another one added" else 0x87)
    if change != "another one added":
        assert failures(broker, 1) == ["jwt_unknown_key"]


def test_disabled_while_it_waits(queued, slow_issuer, delaying):  # noqa: F811
    """The client record is looked up by the token's subject, with the policy of the moment of the answer."""
    broker = queued()
    with busy(broker) as blocker, begin(broker, "c", "typed", token(slow_issuer, "a")) as client:
        broker.write_policy(broker.policy_file.read_text() + "[client a]\ndisabled = true\n")
        broker.process.send_signal(signal.SIGHUP)
        assert code(blocker) == 0
        assert code(client) == 0x87
    assert failures(broker, 1) == ["user_disabled"]


@pytest.mark.timing
def test_expires_while_it_waits(queued, slow_issuer, delaying):  # noqa: F811
    broker = queued(iterations=1_500_000)
    with busy(broker, 5), begin(broker, "c", "a", token(slow_issuer, "a", lifetime=1.5)) as client:
        assert code(client) == 0x87
    assert failures(broker, 1) == ["jwt_expired"]


def test_revoked_while_it_waits(start, redis, slow_issuer, delaying):  # noqa: F811
    """A jti that is withdrawn while the signature is being checked: the look-up comes after it, on the broker's thread."""
    broker = start(BLOCKER % passwords.mosquitto_7("pw", 1_500_000) + RULES, **options(slow_issuer, auth_workers="1", **OPEN))
    with busy(broker, 3) as blocker, begin(broker, "c", "a", token(slow_issuer, "a", jti="number-1")) as client:
        redis("SET", "guard:revoked:jti:number-1", "1")
        assert code(blocker) == 0
        assert code(client) == 0x87
    assert failures(broker, 1) == ["jwt_revoked"]


@pytest.mark.memory
def test_shutdown_while_tokens_wait(queued, slow_issuer):
    broker = queued()
    clients = busy(broker).clients + [begin(broker, f"c{n}", f"u{n}", token(slow_issuer, "a")) for n in range(6)]
    time.sleep(0.05)
    broker.stop()
    for client in clients:
        client.close()
