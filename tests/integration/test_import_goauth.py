"""guardctl import go-auth: real Redis, the result in a real broker, and every deviation the report names."""
import base64
import hashlib

import pytest

from support.client import V5


def b64(octets):
    return base64.b64encode(octets).decode()


def pbkdf2(password, digest="sha512", salt=b"0123456789abcdef", iterations=1000, size=64, text=False):
    """As mosquitto-go-auth stores it; text: hasher_salt_encoding utf-8, where the base64 text itself is the salt."""
    used = b64(salt).encode() if text else salt
    key = hashlib.pbkdf2_hmac(digest, password.encode(), used, iterations, size)
    return f"PBKDF2${digest}${iterations}${b64(salt)}${b64(key)}"


def fill(redis):
    for user, password in (("ann", "apple"), ("bob", "berry"), ("admin", "secret"), ("c$r", "cherry")):
        redis("SET", user, pbkdf2(password))
    redis("SET", "small", pbkdf2("tiny", "sha256", size=32))
    redis("SET", "phc", "pbkdf2-sha512$i=1000,l=64$" + b64(b"0123456789abcdef").rstrip("=") + "$"
                   + b64(hashlib.pbkdf2_hmac("sha512", b"peach", b"0123456789abcdef", 1000, 64)).rstrip("="))
    redis("SET", "admin:su", "true")
    redis("SET", "bob:su", "false")
    redis("SADD", "ann:sacls", "ann/#", "room/+/light")
    redis("SADD", "ann:racls", "ann/#", "literal/%u/x", "tpl/${username}")
    redis("SADD", "ann:wacls", "ann/out")
    redis("SADD", "bob:rwacls", "bob/#", "with space/x")
    redis("SADD", "tokenuser:racls", "t/1")
    redis("SADD", "common:sacls", "users/%u/#")
    redis("SADD", "common:rwacls", "users/%u/#", "clients/c-%c/x")
    redis("SET", b64(b"auth-ann-xyz"), "true")
    return redis


def policy_of(guardctl, redis, tmp_path, *options, code=0):
    made = guardctl("import", "go-auth", "--from", redis.url, "-o", tmp_path / "policy.conf", *options)
    assert made.returncode == code, made.stderr
    return made


def test_carried_over_exactly(guardctl, redis, tmp_path, make_broker):
    fill(redis)
    made = policy_of(guardctl, redis, tmp_path, "--verify", "5000")
    assert "5000 decisions by seed 1, 0 stricter, 0 wider" in made.stderr
    assert "1 keys of the plugin's cache" in made.stderr and "JWT as user name" in made.stderr
    text = (tmp_path / "policy.conf").read_text()
    assert "allow receive literal/%u/x" in text and "allow receive tpl/${$}{username}" in text
    assert "allow subscribe-only users/${username}/# share=no" in text and "clients/c-${client_id}/x" in text
    assert guardctl("check", tmp_path / "policy.conf").returncode == 0
    linted = guardctl("lint", tmp_path / "policy.conf")
    assert not [line for line in linted.stdout.splitlines() if ": weak-password: " not in line], linted.stdout
    broker = make_broker(text)
    for user, password in (("ann", "apple"), ("bob", "berry"), ("admin", "secret"), ("c$r", "cherry"), ("small", "tiny"),
                           ("phc", "peach")):
        assert broker.client(f"id-{user}", username=user, password=password, version=V5).connect() == 0
        assert broker.client(f"no-{user}", username=user, password=password + "x", version=V5).connect() != 0
    ann = broker.client("c1", username="ann", password="apple", version=V5)
    ann.connect()
    assert ann.publish("ann/out", "x", qos=1) in (0, 16) and ann.publish("bob/x", "x", qos=1) == 135


def test_salts_as_text(guardctl, redis, tmp_path):
    redis("SET", "ann", pbkdf2("apple", text=True))
    for encoding, answer in (("utf-8", 0), ("base64", 1)):
        policy_of(guardctl, redis, tmp_path, "--salt-encoding", encoding)
        stored = next(line.split(" = ")[1] for line in (tmp_path / "policy.conf").read_text().splitlines()
                      if line.startswith("password"))
        assert guardctl("passwd", "--verify", stored, input="apple").returncode == answer


@pytest.mark.parametrize("command, told", [
    (("SET", "a:b", pbkdf2("x")), "a:b: left out: a user name with ':'"),
    (("SET", "common", pbkdf2("x")), "common: left out: a user called common"),
    (("SET", "eve", "plain"), "eve: left out: the password must be set anew"),
    (("SET", "eve", "PBKDF2$sha512$1000$AAAA"), "eve: left out: the password must be set anew"),
    (("HSET", "eve:racls", "a", "b"), "eve:racls: left out: the type of the key"),
    (("SADD", "eve:wacls", "a/#/b"), "eve:wacls: left out: a/#/b: it is no valid topic filter"),
    (("SADD", "eve:wacls", "a/**"), "eve:wacls: left out: a/**: a level is **"),
    (("SADD", "common:wacls", "x/%u-%c"), "common:wacls: left out: x/%u-%c: two placeholders"),
    (("SADD", "eve:sacls", "a/+"), "eve:sacls: stricter: a/+: it also let a SUBSCRIBE with #"),
    (("SADD", "eve:racls", "+/x"), "eve:racls: stricter: +/x: its first +"),
    (("SADD", "eve:sacls", "$share/g/a/b"), "eve:sacls: left out: $share/g/a/b: a rule cannot be for one"),
])
def test_what_differs_is_named(guardctl, redis, tmp_path, command, told):
    fill(redis)(*command)
    made = policy_of(guardctl, redis, tmp_path, "--verify", "3000", code=1)
    assert told in made.stderr and " 0 wider" in made.stderr, made.stderr
    assert guardctl("check", tmp_path / "policy.conf").returncode == 0


def test_a_name_that_is_no_level(guardctl, redis, tmp_path):
    fill(redis)("SET", "x/y", pbkdf2("x"))
    assert "1 users have '/'" in policy_of(guardctl, redis, tmp_path, code=1).stderr


def test_everything_means_dollar_topics_too(guardctl, redis, tmp_path):
    fill(redis)("SADD", "ann:racls", "#")
    made = policy_of(guardctl, redis, tmp_path, "--verify", "3000")
    assert "becomes **" in made.stderr and "0 stricter, 0 wider" in made.stderr


def test_shared_subscriptions(guardctl, redis, tmp_path):
    fill(redis)("SADD", "ann:sacls", "$share/+/a/b", "a/b")
    policy_of(guardctl, redis, tmp_path, "--verify", "5000")
    text = (tmp_path / "policy.conf").read_text()
    assert "allow subscribe-only a/b share=yes" in text and "allow subscribe-only a/b share=no" in text


def test_no_superusers(guardctl, redis, tmp_path):
    fill(redis)
    policy_of(guardctl, redis, tmp_path, "--no-superusers", "--verify", "2000")
    assert "superuser" not in (tmp_path / "policy.conf").read_text()


def test_published_to_redis(guardctl, redis, make_redis, tmp_path):
    fill(redis)
    target = make_redis()
    made = guardctl("import", "go-auth", "--from", redis.url, "--push", "--yes", "--redis", target.url)
    assert made.returncode == 0, made.stderr
    assert target("HGET", "guard:client:ann", "password").startswith("pbkdf2-sha512$i=1000,l=64$")
    assert target("HGET", "guard:role:user:bob", "readwrite-1") == "allow publish,receive bob/#"


def test_what_cannot_be_read(guardctl, redis, tmp_path):
    for options, told in (([], "--from URL"), (["--from", "redis+cluster://h1"], "every master"),
                          (["--from", "redis://127.0.0.1:1"], "refuse")):
        failed = guardctl("import", "go-auth", "-o", tmp_path / "p", *options)
        assert failed.returncode == 2 and told in failed.stderr, failed.stderr
    assert not (tmp_path / "p").exists()
