"""guardctl import emqx-redis: real Redis, the result in a real broker, and every deviation the report names."""
import hashlib
import json

import pytest

from support.client import V5


def salted(password, salt, algorithm="sha256", position="prefix"):
    text = {"prefix": salt + password, "suffix": password + salt, "disable": password}[position]
    return {"password_hash": hashlib.new(algorithm, text.encode()).hexdigest(), "salt": salt}


def put(redis, key, fields):
    redis("HSET", key, *(part for pair in fields.items() for part in pair))


def fill(redis):
    for user, more in (("ann", {}), ("bob", {"is_superuser": "0"}), ("root", {"is_superuser": "1"})):
        put(redis, f"mqtt_user:{user}", salted(f"pw-{user}", f"salt{user}") | more)
    put(redis, "mqtt_acl:ann", {
        "t/all": "all", "t/write": "publish", "t/${username}/x/#": "subscribe", "c/${clientid}": "all", "with space/#": "subscribe",
        "q0": json.dumps({"action": "publish", "qos": 0}), "q01": json.dumps({"action": "publish", "qos": [0, 1]}),
        "nr": json.dumps({"action": "publish", "retain": False}), "eq t/one": "all",
    })
    put(redis, "mqtt_acl:norecord", {"only/rules": "all"})
    return redis


def run(guardctl, redis, tmp_path, *options, algorithm="sha256"):
    return guardctl("import", "emqx-redis", "--from", redis.url, "--algorithm", algorithm, "-o", tmp_path / "policy.conf", *options)


def test_carried_over_exactly(guardctl, redis, tmp_path, make_broker):
    fill(redis)
    made = run(guardctl, redis, tmp_path, "--verify", "20000")
    assert made.returncode == 0 and "20000 decisions by seed 1, 0 stricter, 0 wider" in made.stderr, made.stderr
    text = (tmp_path / "policy.conf").read_text()
    for line in ("allow subscribe t/${username}/x/#", "allow publish,subscribe c/${client_id}", "allow publish q0 qos<=0",
                 "allow publish q01 qos<=1", "allow publish nr retain=no", 'allow subscribe "with space/#"',
                 "allow publish,subscribe t/one exact"):
        assert f"= {line}\n" in text, line
    assert guardctl("check", tmp_path / "policy.conf").returncode == 0
    broker = make_broker(text)
    for user in ("ann", "bob", "root"):
        assert broker.client(f"id-{user}", username=user, password=f"pw-{user}", version=V5).connect() == 0
        assert broker.client(f"no-{user}", username=user, password="pw", version=V5).connect() != 0
    ann = broker.client("c1", username="ann", password="pw-ann", version=V5).open()
    assert ann.publish("t/write") in (0, 16) and ann.publish("t/bob/x/y") == 135
    assert ann.subscribe("t/ann/x/+") == 1 and ann.subscribe("t/+/x/y") == 135
    root = broker.client("c2", username="root", password="pw-root", version=V5).open()
    assert root.subscribe("#") == 1


@pytest.mark.parametrize("field, value, told", [
    ("a/+", "subscribe", "stricter: a/+: with '#' in place of the last '+'"),
    ("eq a/#", "subscribe", "stricter: eq a/#: the SUBSCRIBE is granted"),
    ("eq a/#", "publish", "left out: eq a/#: no topic that is published"),
    ("high", '{"action":"subscribe","qos":[1,2]}', "left out: high: a rule for high QoS alone"),
    ("high", '{"action":"subscribe","qos":[2]}', "left out: high: a rule for high QoS alone"),
    ("kept", '{"action":"publish","retain":true}', "left out: kept: a rule for retained messages alone"),
    ("odd", "pubsub", "left out: odd: its value is neither"),
    ("odd", '{"action":"publish","qos":3}', 'left out: odd: "qos" is neither'),
    ("a/${cert_common_name}", "all", "stricter: a/${cert_common_name}: with a placeholder of the certificate"),
    ("a/${zone}", "all", "left out: a/${zone}: "),
    ("eq a/${clientid}", "all", "left out: eq a/${clientid}: whether a placeholder"),
    ("a/#/b", "all", "left out: a/#/b: "),
    ("a/**", "all", "left out: a/**: "),
])
def test_what_differs_is_named(guardctl, redis, tmp_path, field, value, told):
    fill(redis)("HSET", "mqtt_acl:bob", field, value)
    made = run(guardctl, redis, tmp_path, "--verify", "3000")
    assert made.returncode == 1 and f"mqtt_acl:bob: {told}" in made.stderr and " 0 wider" in made.stderr, made.stderr
    assert guardctl("check", tmp_path / "policy.conf").returncode == 0


@pytest.mark.parametrize("options, algorithm, fields", [
    ((), "sha512", salted("apple", "s", "sha512")),
    (("--salt-position", "suffix"), "sha256", salted("apple", "s", position="suffix")),
    (("--salt-position", "disable"), "md5", salted("apple", "", "md5", "disable")),
    ((), "plain", {"password_hash": "apple"}),
    (("--iterations", "1000", "--mac", "sha512"), "pbkdf2",
     {"password_hash": hashlib.pbkdf2_hmac("sha512", b"apple", b"s", 1000).hex(), "salt": "s"}),
])
def test_hashes(guardctl, redis, tmp_path, options, algorithm, fields):
    put(redis, "mqtt_user:ann", fields)
    made = run(guardctl, redis, tmp_path, *options, algorithm=algorithm)
    assert made.returncode == 0, made.stderr
    stored = next(line.split(" = ")[1] for line in (tmp_path / "policy.conf").read_text().splitlines()
                  if line.startswith("password"))
    assert guardctl("passwd", "--verify", stored, input="apple").returncode == 0
    assert guardctl("passwd", "--verify", stored, input="pear").returncode == 1


def test_records_it_cannot_use(guardctl, redis, tmp_path):
    put(redis, "mqtt_user:ann", {"password_hash": "zz", "salt": "s"})
    put(redis, "mqtt_user:eve", {"salt": "s"})
    redis("SET", "mqtt_user:text", "x")
    made = run(guardctl, redis, tmp_path)
    assert made.returncode == 1
    for told in ("mqtt_user:ann: left out: the password must be set anew", "mqtt_user:eve: left out: password_hash: there is none",
                 "mqtt_user:text: left out: it is no hash"):
        assert told in made.stderr, made.stderr


def test_emqx_4(guardctl, redis, tmp_path):
    put(redis, "mqtt_user:ann", salted("apple", "s"))
    put(redis, "mqtt_acl:ann", {"a/%u/#": "1", "b/%c": "2", "both": "3", "n/x%u": "3", "o": "publish"})
    made = run(guardctl, redis, tmp_path, "--v4", "--verify", "5000")
    text = (tmp_path / "policy.conf").read_text()
    assert made.returncode == 1 and " 0 wider" in made.stderr, made.stderr
    assert "allow subscribe a/${username}/#" in text and "allow publish b/${client_id}" in text and "publish,subscribe both" in text
    assert "left out: n/x%u: EMQX 4 replaced" in made.stderr and "left out: o: its value is not 1, 2 or 3" in made.stderr


@pytest.mark.parametrize("options", [("--algorithm", "rot13"), ("--algorithm", "pbkdf2"), ()])
def test_the_algorithm_has_to_be_told(guardctl, redis, options):
    made = guardctl("import", "emqx-redis", "--from", redis.url, *options)
    assert made.returncode == 2 and ("--algorithm is needed" in made.stderr or "needs --iterations" in made.stderr)


def test_verify_without_rules_says_that_it_compared_nothing(guardctl, redis, tmp_path):
    put(redis, "mqtt_user:ann", salted("apple", "s"))
    made = run(guardctl, redis, tmp_path, "--verify", "100")
    assert made.returncode == 0 and "nothing was compared" in made.stderr, made.stderr
