"""Several issuers of tokens (jwt_issuers_file), their keys in files and in Redis, and what SIGHUP makes of changes."""
import json
import threading

import pytest

from support.broker import BrokerFailed
from support.client import V5
from support.raw import RawClient
from support.tokens import AUDIENCE, Issuer
from test_ways_in import RULES, works

A, B = "https://a.test/realms/plant", "https://b.test/"


@pytest.fixture
def issuers(tmp_path):
    return Issuer(tmp_path / "a"), Issuer(tmp_path / "b")


def section(name, keys, **fields):
    return f"[issuer {name}]\nkeys = {keys}\n" + "".join(f"{field} = {value}\n" for field, value in fields.items())


def write(path, *sections, head=""):
    new = path.with_suffix(".new")
    new.write_text(f"# who may issue tokens for this broker\n{head}\n" + "\n".join(sections))
    new.replace(path)
    return path


@pytest.fixture
def two(make_broker, tmp_path, issuers):
    """A broker that accepts tokens of both, by different rules."""
    a, b = issuers
    path = write(tmp_path / "issuers.conf",
                 section(A, a.jwks_file, audience="mqtt-a, " + AUDIENCE, roles_claim="realm_access.roles"),
                 section(B, b.jwks_file, audience="mqtt-b", algorithms="EdDSA ES256", identity_claim="device.name",
                         max_lifetime=7200),
                 head="leeway = 0 ; clocks are in step here")
    broker = make_broker(RULES, options={"auth_methods": "token", "jwt_issuers_file": path})
    broker.issuers_file = path
    return broker


def refused(broker, token, reason, client_id="c"):
    before = len(broker.trail.events("mqtt-connect", event__outcome="failure"))
    assert broker.client(client_id, "x", token, version=V5).connect() == 0x87
    event = broker.trail.wait("mqtt-connect", before + 1, event__outcome="failure")[-1]
    assert event["event"]["reason"] == reason


@pytest.mark.memory
def test_each_by_its_own_rules(two, issuers):
    a, b = issuers
    assert works(two.client("c1", "x", a.token("pump", iss=A, aud="mqtt-a"), version=V5).open(), "pump")
    assert works(two.client("c2", "x", a.token("gate", "RS256", iss=A), version=V5).open(), "gate")
    named = b.token("ignored", "EdDSA", iss=B, aud="mqtt-b", device={"name": "valve"})
    assert works(two.client("c3", "x", named, version=V5).open(), "valve")
    refused(two, a.token("pump", iss=A, aud="mqtt-b"), "jwt_wrong_audience")
    # a's key of that kid was tried as well: the farthest that any issuer came is told
    refused(two, b.token("v", "RS256", iss=B, aud="mqtt-b", device={"name": "v"}), "jwt_bad_signature")
    refused(two, b.token("v", iss=B, aud="mqtt-b"), "jwt_missing_claim")
    refused(two, b.token("v", iss=B, aud="mqtt-b", lifetime=9000, device={"name": "v"}), "jwt_missing_claim")
    refused(two, a.token("p", iss=A, lifetime=-2), "jwt_expired")


def test_one_issuer_cannot_speak_for_the_other(two, issuers):
    """The kids are equal; what counts is whose key made the signature."""
    a, b = issuers
    refused(two, a.token("v", iss=B, aud="mqtt-b", device={"name": "v"}), "jwt_wrong_issuer")
    refused(two, b.token("pump", iss=A), "jwt_wrong_issuer")
    refused(two, a.token("pump", iss="https://c.test/"), "jwt_wrong_issuer")
    refused(two, a.token("pump", iss=None), "jwt_missing_claim")


def test_reload(two, issuers, tmp_path, eventually):
    """An issuer is added, one is removed; a faulty file changes nothing; sessions stay throughout."""
    a, b = issuers
    c = Issuer(tmp_path / "c")
    session = two.client("stay", "x", a.token("pump", iss=A), version=V5).open()
    write(two.issuers_file, section(A, a.jwks_file, audience=AUDIENCE), section("c", c.jwks_file, audience=AUDIENCE))
    two.hang_up()
    eventually(lambda: "tokens of 2 issuers are accepted" in two.log(), 3, "the new issuers")
    two.client("c1", "x", c.token("new", iss="c"), version=V5).open()
    refused(two, b.token("v", iss=B, aud="mqtt-b", device={"name": "v"}), "jwt_bad_signature")
    for fault in (section(A, a.jwks_file, audiense="x"), section(A, tmp_path / "nothing.jwks"), "", "[issuer ]\n",
                  section(A, a.jwks_file) + section(A, a.jwks_file), section(A, a.jwks_file, algorithms="none"),
                  section(A, a.jwks_file, leeway="an hour"), "[issuer x]\naudience = y\n", "[role x]\n"):
        write(two.issuers_file, fault)
        before = two.log().count("the issuers of tokens were not taken")
        two.hang_up()
        eventually(lambda: two.log().count("the issuers of tokens were not taken") > before, 3, f"a complaint about {fault}")
        two.client("c2", "x", c.token("new2", iss="c"), version=V5).open().close()
    assert "did you mean 'audience'?" in two.log()
    assert session.connected and session.publish("devices/pump/data") == 0


def test_key_files_are_watched(two, issuers, eventually):
    a, b = issuers
    old = b.token("v", "ES256", iss=B, aud="mqtt-b", device={"name": "v"})
    b.write_jwks([b.public_jwk("EdDSA")])
    eventually(lambda: "keys were renewed" in two.log(), 4, "the new keys")
    refused(two, old, "jwt_bad_signature")  # a's key of that kid was tried as well
    two.client("c1", "x", b.token("v", "EdDSA", iss=B, aud="mqtt-b", device={"name": "v"}), version=V5).open()
    two.client("c2", "x", a.token("p", "ES256", iss=A), version=V5).open()
    b.jwks_file.write_text("{ no keys")
    eventually(lambda: "keys are not taken" in two.log(), 4, "a complaint")
    two.client("c3", "x", b.token("w", "EdDSA", iss=B, aud="mqtt-b", device={"name": "w"}), version=V5).open()


@pytest.mark.parametrize("text, complaint", [
    ("", "there is no [issuer NAME]"),
    ("keys = x\n[issuer a]\n", "keys belong to one issuer"),
    ("[issuer a]\naudience = b\n", "has no keys"),
    ("[issuer a]\nkeys = redis\nbind_username = yes\n", "issuers.conf:3: bind_username: 'yes' is not one of"),
    ("[issuer a]\nkeys redis\n", "issuers.conf:2: expected [issuer NAME] or FIELD = VALUE"),
    ("[issuer a]\nkeys = redis\nkeys = redis\n", "given twice"),
    ("[issuer a]\nkeys = redis\nclient_id_pattern = x${\nbind_client_id = required\n", "issuers.conf:3: client_id_pattern "),
])
def test_a_faulty_file_stops_the_start(make_broker, tmp_path, text, complaint):
    path = tmp_path / "issuers.conf"
    path.write_text(text)
    broker = make_broker(RULES, options={"jwt_issuers_file": path}, start=False)
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert complaint in failed.value.log


def test_not_beside_the_options_of_one(make_broker, tmp_path, issuers):
    a, _ = issuers
    path = write(tmp_path / "issuers.conf", section(A, a.jwks_file))
    broker = make_broker(RULES, options={"jwt_issuers_file": path, "jwt_jwks_file": a.jwks_file}, start=False)
    with pytest.raises(BrokerFailed) as failed:
        broker.start()
    assert "jwt_issuers_file" in failed.value.log


def test_client_id_by_pattern(make_broker, tmp_path, issuers):
    """The file's issuers can bind the client id to more than the identity itself."""
    a, _ = issuers
    path = write(tmp_path / "issuers.conf", section(A, a.jwks_file, audience=AUDIENCE, bind_client_id="required",
                                                    client_id_pattern="site7-${identity}-*", bind_username="required"))
    broker = make_broker(RULES, options={"auth_methods": "token", "jwt_issuers_file": path})
    broker.client("site7-pump-1", "pump", a.token("pump", iss=A), version=V5).open()
    assert broker.client("pump", "pump", a.token("pump", iss=A), version=V5).connect() == 0x87
    assert broker.client("site7-pump-2", "gate", a.token("pump", iss=A), version=V5).connect() == 0x87
    for event in broker.trail.wait("mqtt-connect", 2, event__outcome="failure"):
        assert event["event"]["reason"] == "client_id_mismatch"


# --- keys in Redis

def put_keys(redis, name, issuer, *algorithms):
    redis("SET", f"guard:jwks:{name}", json.dumps({"keys": [issuer.public_jwk(alg) for alg in algorithms]}))
    redis("INCR", "guard:version")


def accepts(broker, token, client_id="probe"):
    with RawClient(broker.ports["plain"]) as raw:
        return raw.connect(client_id, None, token, version=5) == 0


@pytest.mark.memory
def test_keys_in_redis(make_broker, redis, tmp_path, issuers, eventually):
    """One issuer's keys in a file, the other's in Redis; put, rotated, broken and withdrawn while the broker runs."""
    a, b = issuers
    redis.load(RULES)
    path = write(tmp_path / "issuers.conf", section(A, a.jwks_file, audience=AUDIENCE), section(B, "redis", audience=AUDIENCE))
    broker = make_broker(RULES, options={"auth_methods": "token", "jwt_issuers_file": path, "redis_url": redis.url,
                                         "auth_throttle": "no"})
    eventually(lambda: accepts(broker, a.token("pump", iss=A)), 5, "the issuer with a file")
    assert not accepts(broker, b.token("valve", iss=B))
    put_keys(redis, B, b, "ES256")
    eventually(lambda: accepts(broker, b.token("valve", iss=B)), 3, "the keys from Redis")
    assert accepts(broker, a.token("pump", iss=A))
    put_keys(redis, B, b, "ES256", "EdDSA")
    eventually(lambda: accepts(broker, b.token("valve", "EdDSA", iss=B)), 3, "the second key")
    put_keys(redis, B, b, "EdDSA")
    eventually(lambda: not accepts(broker, b.token("valve", iss=B)), 3, "the withdrawal of the first")
    redis("SET", f"guard:jwks:{B}", "{ not a key set")
    redis("INCR", "guard:version")
    eventually(lambda: "a key set of Redis was not taken" in broker.log(), 3, "a complaint")
    assert accepts(broker, b.token("valve", "EdDSA", iss=B))
    redis("DEL", f"guard:jwks:{B}")
    redis("INCR", "guard:version")
    eventually(lambda: not accepts(broker, b.token("valve", "EdDSA", iss=B)), 3, "the end of the keys")
    assert accepts(broker, a.token("pump", iss=A))


def test_an_issuer_that_comes_later_finds_its_keys(make_broker, redis, tmp_path, issuers, eventually):
    """The set lay in Redis before the issuers' file named it."""
    a, b = issuers
    redis.load(RULES)
    put_keys(redis, B, b, "ES256")
    path = write(tmp_path / "issuers.conf", section(A, a.jwks_file, audience=AUDIENCE))
    broker = make_broker(RULES, options={"auth_methods": "token", "jwt_issuers_file": path, "redis_url": redis.url,
                                         "auth_throttle": "no"})
    eventually(lambda: accepts(broker, a.token("pump", iss=A)), 5, "the policy")
    assert not accepts(broker, b.token("valve", iss=B))
    write(path, section(A, a.jwks_file, audience=AUDIENCE), section(B, "redis", audience=AUDIENCE))
    broker.hang_up()
    eventually(lambda: accepts(broker, b.token("valve", iss=B)), 3, "the new issuer")


@pytest.mark.timing
def test_reload_under_load(two, issuers):
    """SIGHUP after SIGHUP while tokens are verified: none is refused."""
    a, b = issuers
    answers, stop = [], threading.Event()

    def connect_on(token, client_id):
        while not stop.is_set():
            answers.append(accepts(two, token, client_id))
    threads = [threading.Thread(target=connect_on, args=(a.token("pump", iss=A), "la")),
               threading.Thread(target=connect_on, args=(b.token("v", "EdDSA", iss=B, aud="mqtt-b", device={"name": "v"}), "lb"))]
    for thread in threads:
        thread.start()
    for _ in range(8):
        two.hang_up()
    stop.set()
    for thread in threads:
        thread.join()
    assert len(answers) > 20 and all(answers)
