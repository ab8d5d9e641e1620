"""guardctl import auth-plug: real Redis, the result in a real broker, and every deviation the report names."""
import base64
import hashlib

import pytest

from support.client import V5


def pbkdf2(password, digest="sha256", raw=False):
    """As the plugin's np writes it: 12 octets of salt whose base64 is used as text, 24 of key."""
    salt = base64.b64encode(b"0123456789ab")
    key = hashlib.pbkdf2_hmac(digest, password.encode(), b"0123456789ab" if raw else salt, 901, 24)
    return f"PBKDF2${digest}$901${salt.decode()}${base64.b64encode(key).decode()}"


def fill(redis):
    for user, password in (("ann", "apple"), ("ann-b", "berry"), ("root1", "secret")):
        redis("SET", user, pbkdf2(password))
    for key, value in (("ann-t/read", 1), ("ann-t/write", 2), ("ann-t/three", 3), ("ann-t/all", 4), ("ann-wild/#", 4),
                       ("ann-with space", 4), ("ann-${username}", 2), ("ann-b-t/x", 4), ("ann-t/none", 0)):
        redis("SET", key, value)
    return redis


def run(guardctl, redis, tmp_path, *options):
    return guardctl("import", "auth-plug", "--from", redis.url, "-o", tmp_path / "policy.conf", *options)


def test_carried_over_exactly(guardctl, redis, tmp_path, make_broker):
    fill(redis)
    made = run(guardctl, redis, tmp_path, "--acl-query", "GET %s-%s", "--superusers", "root*", "--verify", "20000")
    assert made.returncode == 0 and "20000 decisions by seed 1, 0 stricter, 0 wider" in made.stderr, made.stderr
    assert "ann-b-t/x: remark: it can be read as a rule of 2 users" in made.stderr
    text = (tmp_path / "policy.conf").read_text()
    assert "allow subscribe-only wild/# exact share=no" in text and "allow publish,receive ${$}{username}" in text
    assert guardctl("check", tmp_path / "policy.conf").returncode == 0
    broker = make_broker(text)
    for user, password in (("ann", "apple"), ("ann-b", "berry"), ("root1", "secret")):
        assert broker.client(f"id-{user}", username=user, password=password, version=V5).connect() == 0
        assert broker.client(f"no-{user}", username=user, password=password + "x", version=V5).connect() != 0
    ann = broker.client("c1", username="ann", password="apple", version=V5).open()
    assert ann.publish("t/write") in (0, 16) and ann.publish("t/read") == 135
    assert ann.subscribe("t/all") == 1 and ann.subscribe("t/write") == 135


def test_other_queries(guardctl, redis, tmp_path):
    redis("SET", "users:z:pw", pbkdf2("x", "sha512"))
    redis("SET", "users:ab:pw", pbkdf2("x", "sha1"))
    redis("SET", "acl/ab/t/1/end", 2)
    made = run(guardctl, redis, tmp_path, "--user-query", "GET users:%s:pw", "--acl-query", "GET acl/%s/%s/end",
               "--verify", "3000")
    assert made.returncode == 0 and "0 stricter, 0 wider" in made.stderr, made.stderr
    assert "allow publish,receive t/1\n" in (tmp_path / "policy.conf").read_text()


@pytest.mark.parametrize("options, answer", [((), 1), (("--raw-salt",), 0)])
def test_raw_salts(guardctl, redis, tmp_path, options, answer):
    redis("SET", "ann", pbkdf2("apple", raw=True))
    run(guardctl, redis, tmp_path, "--acl-query", "GET %s-%s", *options)
    stored = next(line.split(" = ")[1] for line in (tmp_path / "policy.conf").read_text().splitlines()
                  if line.startswith("password"))
    assert guardctl("passwd", "--verify", stored, input="apple").returncode == answer


@pytest.mark.parametrize("command, told", [
    (("SET", "eve", "plain"), "eve: left out: the password must be set anew"),
    (("SET", "nobody-t", 2), "nobody-t: left out: it begins with no user of the data"),
    (("HSET", "thing", "a", "b"), "thing: left out: it is neither a user nor a rule"),
    (("SET", "ann-$share/g/t", 4), "left out: $share/g/t: a rule cannot be for one shared group"),
    (("SET", "ann-a/**", 4), "left out: a/**"),
])
def test_what_differs_is_named(guardctl, redis, tmp_path, command, told):
    fill(redis)(*command)
    made = run(guardctl, redis, tmp_path, "--acl-query", "GET %s-%s", "--verify", "3000")
    assert made.returncode == 1 and told in made.stderr and " 0 wider" in made.stderr, made.stderr


def test_without_rules_everything_was_allowed(guardctl, redis, tmp_path):
    fill(redis)
    made = run(guardctl, redis, tmp_path)
    assert made.returncode == 2 and "--acl-query is needed" in made.stderr
    made = run(guardctl, redis, tmp_path, "--acl-query", "none")
    assert made.returncode == 0 and "every client may do everything" in made.stderr
    assert "allow all **" in (tmp_path / "policy.conf").read_text()


@pytest.mark.parametrize("query", ["GET %s", "GET %s %s", "HGET %s-%s", "GET %s-%s-%s"])
def test_queries_it_cannot_read(guardctl, redis, tmp_path, query):
    made = run(guardctl, redis, tmp_path, "--acl-query", query)
    assert made.returncode == 2 and "queries are 'GET" in made.stderr
