"""guardctl against Redis: every write is one change with its entry in the log, and refuses what `check` refuses."""
import hashlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support.pki import Authority
from support.probe import GUARDCTL, guardctl, rules_of_the_manual
from support.resp import RedisError

HASH = ("$7$101$mo5OdkcX8yAfhJsXzk0VoMs5+vv0bqA5GXbCmyCBvdGg9aUQmLVp8bmcVq3/2z9N9oOl4DzPSkk8Pzkjq+ZTxw==$"
        "LkOfjj+2EQQ1EweVYM22OZx9sM9V466Ua3pUG0HcJ4C8t+LRuXSuuZJqNpyoe1fmuzkz3lmjjRPXJYd9Rz33Jw==")
POLICY = f"""[role device]
telemetry = allow publish devices/${{username}}/data
commands = allow subscribe devices/${{client_id}}/commands
[role "floor 2"]
"rule; one" = allow publish "floor 2/#"
[client sensor-7]
password = {HASH}
roles = device, "floor 2":5
attr.site = berlin
[assign]
sensors = device when cert.ou = "sensors"
[default]
mode = strict
"""


@pytest.fixture
def ctl(redis):
    def run(*arguments, **named):
        return guardctl(*arguments, url=redis.url, **named)
    return run


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.conf"
    path.write_text(POLICY)
    path.chmod(0o600)
    return path


def log(redis):
    return [dict(zip(e[1][::2], e[1][1::2])) for e in redis("XRANGE", "guard:log", "-", "+")]


def test_push_writes_everything_in_one_change(redis, ctl, policy, make_probe):
    probe = make_probe(redis.url)
    probe.state(up=True)
    since = probe.mark()
    out = ctl("push", policy, "--by", "alice", "--comment", "first")
    assert "published as version 1" in out and "8 added" in out and HASH not in out
    assert redis("HMGET", "guard:role:device", "telemetry", "commands") == [
        "allow publish devices/${username}/data", "allow subscribe devices/${client_id}/commands"]
    assert redis("HGET", "guard:role:floor 2", "rule; one") == 'allow publish "floor 2/#"'
    assert redis("HGET", "guard:client:sensor-7", "roles") == 'device, "floor 2":5'
    assert redis("GET", "guard:version") == "1"
    assert sorted(redis("SMEMBERS", "guard:roles")) == ["device", "floor 2"]
    assert redis("SMEMBERS", "guard:clients") == ["sensor-7"]
    entry = log(redis)[-1]
    assert entry["who"] == "alice" and entry["what"] == "push" and entry["version"] == "1" and "first" in entry["detail"]
    update = probe.update(since=since)
    assert update["version"] == 1 and update["section_count"] == 4 and "sensor-7" in update["changed_clients"]
    assert "nothing was published" in ctl("push", policy)


def test_push_tells_what_lint_finds(redis, ctl, tmp_path):
    path = tmp_path / "odd.conf"
    path.write_text("[role r]\na = allow publish x/#\nb = allow publish x/y\n[default]\nroles = r\n")
    out = ctl("push", path)
    assert f"{path}:3: dead-rule" in out and "published" in out
    path.write_text(path.read_text() + "mode = strict\n")
    assert "dead-rule" not in ctl("push", "--no-lint", path)


def test_push_replaces_roles_and_keeps_other_clients(redis, ctl, policy, tmp_path):
    redis("HSET", "guard:role:old", "a", "allow publish x")
    redis("HSET", "guard:client:other", "roles", "old")
    redis("HSET", "guard:role:device", "stale", "allow publish y")
    ctl("push", policy)
    assert not redis("EXISTS", "guard:role:old") and not redis("HEXISTS", "guard:role:device", "stale")
    assert redis("EXISTS", "guard:client:other")
    ctl("push", "--prune-clients", policy)
    assert not redis("EXISTS", "guard:client:other") and redis("EXISTS", "guard:client:sensor-7")


@pytest.mark.parametrize("text, place, says", [
    ("[role r]\na = alow publish x\n", ":2:5", "allow"),
    ("[role r]\na = allow publish a/#/b\n", ":2:", "#"),
    ("[client c]\npasword = x\n", ":2:11", "password"),
    ("[client c]\npassword = plaintext\n", ":2:12", "hash"),
    ("[rol r]\n", ":1:2", "did you mean [role]"),
    ("[default]\nmode = strickt\n", ":2:8", "strict"),
    ("[assign]\nx = device when\n", ":2:", ""),
])
def test_push_refuses_what_check_refuses(redis, ctl, tmp_path, text, place, says):
    path = tmp_path / "bad.conf"
    path.write_text(text)
    code, out, error = ctl("push", path, code=None)
    assert code == 1 and place in error and says in error and "nothing was changed" in error
    code, out, error = ctl("push", "--json", path, code=None)
    answer = json.loads(out)
    assert code == 1 and not answer["ok"] and any(p["severity"] == "error" and p["line"] for p in answer["problems"])
    assert redis("DBSIZE") == 0


def test_diff_and_pull(redis, ctl, policy, tmp_path):
    ctl("push", policy)
    assert ctl("diff", policy) .endswith("0 added, 0 changed, 0 removed\n")
    pulled = tmp_path / "pulled.conf"
    ctl("pull", "--output", pulled)
    assert os.stat(pulled).st_mode & 0o777 == 0o600
    ctl("diff", pulled)
    assert HASH in pulled.read_text() and "[client" not in ctl("pull", "--no-clients")
    redis("HSET", "guard:role:device", "telemetry", "allow publish elsewhere", "added", "deny publish z")
    changes = json.loads(ctl("diff", "--json", policy, code=1))["changes"]
    assert [(c["op"], c["name"], c["field"]) for c in changes] == [("remove", "device", "added"), ("change", "device", "telemetry")]
    assert changes[1]["before"] == "allow publish elsewhere"
    lines = json.loads(ctl("pull", "--json"))["lines"]
    assert {"section": "role", "name": "device", "field": "added", "value": "deny publish z"} in lines


def test_pull_tells_what_it_cannot_write(redis, ctl, tmp_path):
    redis("HSET", "guard:role:r", "a", "allow\npublish x", "b", "allow publish y")
    redis("SET", "guard:role:s", "x")
    code, out, error = ctl("pull", code=None)
    assert code == 1 and "b = allow publish y" in out and "guard:role:r" in error and "guard:role:s" in error


def test_rollback(redis, ctl, policy, tmp_path):
    ctl("push", policy)
    second = tmp_path / "second.conf"
    second.write_text("[role device]\nonly = allow publish second\n[client sensor-8]\nroles = device\n")
    ctl("push", second)
    assert redis("HGETALL", "guard:role:device") == ["only", "allow publish second"]
    assert "published as version 3" in ctl("rollback")
    assert redis("HLEN", "guard:role:device") == 2 and redis("EXISTS", "guard:role:floor 2", "guard:assign", "guard:default") == 3
    assert redis("EXISTS", "guard:client:sensor-8", "guard:client:sensor-7") == 2, "clients are data: they stay"
    assert [v["version"] for v in json.loads(ctl("history", "--json"))] == [1, 2, 3]
    ctl("rollback", "2")
    assert redis("HGETALL", "guard:role:device") == ["only", "allow publish second"]
    assert "not kept" in ctl("rollback", "77", code=None)[2]
    assert log(redis)[-1]["what"] == "rollback" and "version 2" in log(redis)[-1]["detail"]


def test_edits_by_hand_are_kept_before_a_push(redis, ctl, policy):
    redis("HSET", "guard:role:device", "by-hand", "allow publish precious")
    ctl("push", policy)
    assert not redis("HEXISTS", "guard:role:device", "by-hand")
    ctl("rollback", "0")
    assert redis("HGETALL", "guard:role:device") == ["by-hand", "allow publish precious"]


def test_history_is_bounded(redis, ctl, tmp_path):
    path = tmp_path / "policy.conf"
    for number in range(6):
        path.write_text(f"[role r]\na = allow publish x/{number}\n")
        ctl("push", "--keep", "3", path)
    assert [v["version"] for v in json.loads(ctl("history", "--json"))] == [4, 5, 6]
    assert sorted(k for k in redis("KEYS", "guard:history:*")) == ["guard:history:4", "guard:history:5", "guard:history:6"]


def test_dry_run(redis, ctl, policy):
    assert "nothing was published" in ctl("push", "--dry-run", policy)
    assert redis("DBSIZE") == 0


def test_large_push_is_staged_and_whole(redis, ctl, tmp_path, make_probe):
    path = tmp_path / "large.conf"
    probe = make_probe(redis.url)
    probe.state(up=True)
    redis("HSET", "guard:draft:guardctl:0:role:left behind", "a", "allow publish x")
    since = probe.mark()
    path.write_text("".join(f"[role r{i}]\na = allow publish x/{i}\nb = allow subscribe y/{i}\n" for i in range(1000)))
    ctl("push", path)
    update = probe.update(since=since)
    assert update["section_count"] == 1000 and update["version"] == 1, "one change, nothing before it"
    assert not redis("KEYS", "guard:draft:*") and redis("SCARD", "guard:roles") == 1000


def test_somebody_else_was_quicker(redis, policy, tmp_path):
    """Many tools at once: no edit is lost, each that says it is done is in the log, the others say they are not."""
    results = []

    def edit(number):
        results.append(guardctl("role", "set", "shared", f"rule-{number}", f"allow publish x/{number}", url=redis.url, code=None))

    threads = [threading.Thread(target=edit, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = [r for r in results if r[0] == 0]
    assert done and all(r[0] in (0, 1) for r in results)
    assert all("try again" in r[2] for r in results if r[0] == 1)
    assert redis("HLEN", "guard:role:shared") == len(done) == len(log(redis)) == int(redis("GET", "guard:version"))


def test_roles(redis, ctl):
    ctl("role", "set", "device", "telemetry", "allow publish x")
    ctl("role", "set", "device", "other one", "deny publish y priority=5")
    assert json.loads(ctl("role", "show", "device", "--json"))["rules"] == {"telemetry": "allow publish x",
                                                                            "other one": "deny publish y priority=5"}
    assert '"other one" = deny publish y priority=5' in ctl("role", "show", "device")
    assert json.loads(ctl("role", "list", "--json")) == [{"role": "device", "rules": 2}]
    code, _, error = ctl("role", "set", "device", "bad", "allow publish a/#/b", code=None)
    assert code == 1 and "nothing was changed" in error and not redis("HEXISTS", "guard:role:device", "bad")
    ctl("role", "unset", "device", "other one")
    assert ctl("role", "unset", "device", "other one", code=1) == ""
    ctl("role", "remove", "device")
    assert not redis("EXISTS", "guard:role:device") and redis("SCARD", "guard:roles") == 0
    assert [e["what"] for e in log(redis)] == ["role set", "role set", "role unset", "role remove"]


def test_clients(redis, ctl):
    ctl("client", "add", "bob", "--roles", 'device,"floor 2":5', "--client-id", "bob-1, bob-2", "--attr", "site=berlin",
        "--password-stdin", input="correct horse\n")
    record = dict(zip(*[iter(redis("HGETALL", "guard:client:bob"))] * 2))
    assert record["roles"] == 'device,"floor 2":5' and record["attr.site"] == "berlin" and record["client_id"] == "bob-1, bob-2"
    check = subprocess.run([str(GUARDCTL), "passwd", "--verify", record["password"], "-"], input="correct horse\n", text=True,
                           capture_output=True)
    assert check.returncode == 0
    shown = ctl("client", "show", "bob")
    assert "(a hash is set)" in shown and record["password"] not in shown
    assert ctl("client", "add", "bob", code=1) == ""
    assert ctl("client", "add", "eve", "--roles", "a b", code=1) == "" and not redis("EXISTS", "guard:client:eve")
    assert ctl("client", "add", "eve", "--hash", "plaintext", code=1) == ""
    ctl("client", "disable", "bob")
    assert redis("HGET", "guard:client:bob", "disabled") == "yes"
    ctl("client", "enable", "bob")
    assert redis("HGET", "guard:client:bob", "disabled") == "no"
    ctl("client", "passwd", "bob", "--hash", HASH)
    assert redis("HGET", "guard:client:bob", "password") == HASH
    assert HASH not in json.dumps(log(redis))
    ctl("client", "add", "bob", "--replace", "--roles", "other")
    assert redis("HGETALL", "guard:client:bob") == ["roles", "other"]
    ctl("client", "remove", "bob")
    assert not redis("EXISTS", "guard:client:bob") and redis("SCARD", "guard:clients") == 0
    for command in ("show", "disable", "remove", "passwd"):
        assert ctl("client", command, "bob", code=1, input="x\n") == ""


@pytest.mark.parametrize("arguments, key, value", [
    (["revoke", "token", "jti:1"], "guard:revoked:jti:jti:1", ""),
    (["revoke", "token", "j", "--reason", "stolen"], "guard:revoked:jti:j", "stolen"),
    (["revoke", "certificate", "ab" * 32], "guard:revoked:cert:" + "ab" * 32, ""),
    (["revoke", "client", "bob", "--at", "2026-01-02T03:04:05Z"], "guard:revoked:before:bob", "1767323045"),
    (["revoke", "key", "2026-01 old"], "guard:revoked:kid:2026-01 old", ""),
    (["revoke", "certificate", "0a:ff/CN=A,O=B/C", "--match", "serial"], "guard:revoked:serial:0a:ff/CN=A,O=B/C", ""),
    (["revoke", "certificate", "ab" * 32, "--match", "key"], "guard:revoked:cert:" + "ab" * 32, ""),
    (["ban", "ip", "2001:db8::/32"], "guard:ban:ip:2001:db8::/32", ""),
    (["ban", "client", "c 1", "--reason", "noise"], "guard:ban:client:c 1", "noise"),
    (["ban", "user", "bob"], "guard:ban:user:bob", ""),
])
def test_revoke_and_ban(redis, ctl, arguments, key, value):
    ctl(*arguments, "--for", "1h")
    assert redis("GET", key) == value and 3590 < redis("TTL", key) <= 3600
    assert redis("SMEMBERS", "guard:index") == [key[len("guard:"):]]
    assert log(redis)[-1]["what"] == " ".join(arguments[:1] if arguments[0] == "ban" else arguments[:2])
    if arguments[0] == "ban":
        ctl("unban", *arguments[1:3])
    else:
        ctl(*(arguments[:3] if "--reason" in arguments or "--at" in arguments else arguments), "--lift")
    assert not redis("EXISTS", key) and redis("SCARD", "guard:index") == 0


def openssl(*arguments, **named):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True, **named).stdout


def test_revoke_certificate_by_its_file(redis, ctl, tmp_path):
    """Each name is what openssl makes of the certificate."""
    certificate = Authority(tmp_path / "ca").issue("device")["cert"]
    printed = [openssl("x509", "-in", certificate, "-noout", *more).decode().strip().split("=", 1)[1]
               for more in (["-fingerprint", "-sha256"], ["-serial"], ["-issuer", "-nameopt", "RFC2253"])]
    fingerprint, serial, issuer = printed
    key = openssl("pkey", "-pubin", "-outform", "DER", input=openssl("x509", "-in", certificate, "-noout", "-pubkey"))
    for more, name in (([], "cert:" + fingerprint.replace(":", "")), (["--match", "key"], "cert:" + hashlib.sha256(key).hexdigest().upper()),
                       (["--match", "serial"], f"serial:{serial.lstrip('0')}/{issuer}")):
        ctl("revoke", "certificate", certificate, *more)
        assert redis("EXISTS", "guard:revoked:" + name), (more, redis("KEYS", "*"))
        ctl("revoke", "certificate", certificate, *more, "--lift")
        assert not redis("EXISTS", "guard:revoked:" + name)


@pytest.mark.parametrize("arguments", [
    ["ban", "ip", "10.0.0"], ["ban", "ip", "10.0.0.0/33"], ["revoke", "certificate", "abc"], ["revoke", "key", ""],
    ["revoke", "certificate", "ab" * 32, "--match", "serial"], ["revoke", "certificate", "0a/", "--match", "serial"],
    ["revoke", "certificate", "0a/CN=A"],
])
def test_revoke_refuses_what_brokers_would_not_take(redis, ctl, arguments):
    assert ctl(*arguments, code=1) == "" and redis("DBSIZE") == 0


@pytest.mark.parametrize("arguments, says", [
    (["push"], "missing"),
    (["push", "a", "b"], "too many"),
    (["push", "--dryrun", "x"], "--dry-run"),
    (["client", "add", "x", "--attr", "novalue"], "NAME=VALUE"),
    (["ban", "host", "x"], "none of ip, client, user"),
    (["ban", "ip", "10.0.0.1", "--for", "soon"], "--for takes"),
    (["revoke", "client", "x", "--at", "yesterday"], "--at takes"),
    (["revoke", "key", "x", "--at", "2026-01-02T03:04:05Z"], "--at is only for"),
    (["revoke", "key", "x", "--match", "serial"], "--match is only for"),
    (["revoke", "certificate", "x", "--match", "name"], "--match takes"),
    (["rollback", "--keep", "0"], "--keep takes"),
    (["role", "set", "x"], "missing"),
])
def test_usage(ctl, arguments, says):
    code, _, error = ctl(*arguments, code=None)
    assert code == 2 and says in error


def test_without_redis():
    code, _, error = guardctl("status", code=None, GUARD_REDIS_URL="")
    assert code == 2
    code, out, error = guardctl("status", "--json", url="redis://127.0.0.1:1", code=None)
    assert code == 2 and "refused" in error and not json.loads(out)["ok"]


def test_options_from_a_configuration_file(make_server, tmp_path):
    server = make_server(requirepass="geheim")
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GUARD_REDIS")}
    for form in ("redis_url {}\nredis_password_file {}\n", "listener 1883\nplugin_opt_redis_url {}\nplugin_opt_redis_password_file {}\n"):
        config = tmp_path / "guard.conf"
        config.write_text(form.format(server.url, secret))
        out = subprocess.run([str(GUARDCTL), "status", "--config", str(config)], capture_output=True, text=True, env=clean)
        assert out.returncode == 0 and "version 0" in out.stdout, out.stderr


def test_status(redis, ctl, make_probe):
    redis("HSET", "guard:role:device", "a", "allow publish x")
    redis("SET", "guard:version", "3")
    probe = make_probe(redis.url, broker_id="b1")
    probe.state(up=True)
    time.sleep(1.5)
    answer = json.loads(ctl("status", "--json"))
    assert answer["version"] == 3
    broker = answer["brokers"][0]
    assert broker["health"] == "ok" and broker["status"]["policy_version"] == 3 and broker["stale_seconds"] <= 3
    assert "b1" in ctl("status") and "ok" in ctl("status")
    redis("HSET", "guard:role:device", "b", "alow publish x")
    probe.problem("guard:role:device")
    time.sleep(1.5)
    code, out, _ = ctl("status", code=None)
    assert code == 1 and "faulty keys" in out


def test_log_command(redis, ctl):
    ctl("ban", "user", "bob", "--reason", "why not", "--by", "carol")
    shown = ctl("log")
    assert "carol" in shown and "ban:user:bob: why not" in shown
    assert json.loads(ctl("log", "--json"))[0]["who"] == "carol"


WRITING = [["push", "POLICY"], ["role", "set", "r", "a", "allow publish x"], ["role", "unset", "r", "a"], ["role", "remove", "floor 2"],
           ["client", "add", "x", "--roles", "device"], ["client", "disable", "x"], ["client", "enable", "x"], ["client", "passwd", "x"],
           ["client", "remove", "x"], ["revoke", "token", "j"], ["revoke", "key", "k"], ["revoke", "client", "x"],
           ["revoke", "certificate", "ab" * 32], ["revoke", "token", "j", "--lift"], ["ban", "user", "u", "--for", "1m"],
           ["unban", "user", "u"], ["rollback"]]
READING = [["diff", "POLICY"], ["pull"], ["history"], ["log"], ["role", "list"], ["role", "show", "device"], ["client", "show", "sensor-7"],
           ["status"]]


def listed_commands():
    """The commands of guardctl's own help that speak to Redis."""
    listed = subprocess.run([str(GUARDCTL), "help"], capture_output=True, text=True, check=True).stdout
    names = [line[2:].split("  ")[0] for line in listed.splitlines() if line.startswith("  ") and "  " in line[2:]]
    return {name for name in names if name != "version" and "--redis URL" in guardctl(*name.split(), "--help", code=None)[1]}


def test_every_command_speaks_json_and_every_write_is_one_change_in_the_log(redis, ctl, policy):
    """By MONITOR: one MULTI with guard:version and guard:log in it, and no write outside of it."""
    def words(command):
        return [policy if word == "POLICY" else word for word in command]

    monitor = redis.connect()
    assert monitor("MONITOR") == "OK"
    for command in WRITING:
        before = len(log(redis)), int(redis("GET", "guard:version") or 0)
        done = json.loads(ctl(*words(command), "--json", input="secret\nsecret\n"))
        assert done, command
        assert (len(log(redis)), int(redis("GET", "guard:version"))) == (before[0] + 1, before[1] + 1), command
        redis("ECHO", "done")
        seen = []
        while '"ECHO"' not in (line := monitor.read()):
            seen.append(line.split('"')[1].upper())
        multi, closed = seen.index("MULTI"), seen.index("EXEC")
        writes = [n for n, name in enumerate(seen) if name in ("SET", "DEL", "HSET", "HDEL", "RENAME", "SADD", "SREM", "ZADD", "ZREM", "INCR", "XADD")]
        assert seen.count("MULTI") == 1 and writes and all(multi < n < closed for n in writes) and "XADD" in seen, (command, seen)
    redis("SET", "guard:version", redis("GET", "guard:version"))
    for command in READING:
        code, out, err = ctl(*words(command), "--json", code=None)
        assert code in (0, 1) and json.loads(out) is not None, (command, err)
    assert json.loads(ctl("confirm", "--json")) is not None
    tried = {" ".join(c[:2]) if c[0] in ("role", "client", "revoke") else c[0] for c in [*WRITING, *READING, ["confirm"]]}
    assert listed_commands() - {name for name in listed_commands() if name.startswith("import")} == tried


def test_every_command_has_help_and_completion():
    listed = subprocess.run([str(GUARDCTL), "help"], capture_output=True, text=True).stdout
    script = Path(__file__).resolve().parents[2] / "completions" / "guardctl"
    for command in ("push", "client add", "role set", "revoke token", "ban", "status"):
        assert f"  {command} " in listed
        assert "--redis URL" in guardctl(*command.split(), "--help")
    complete = subprocess.run(["bash", "-c", f'. "{script}"; COMP_WORDS=({GUARDCTL} client ""); COMP_CWORD=2; _guardctl; echo '
                               '"${COMPREPLY[*]}"'], capture_output=True, text=True)
    assert "passwd" in complete.stdout and "add" in complete.stdout, complete.stderr


def test_the_persons_user_of_the_manual(redis, ctl, policy, tmp_path):
    """Every command works with the rights docs/redis.md gives to people, and with no more."""
    redis(*[w.replace("SECRET", "geheim") for w in rules_of_the_manual("alice")])
    secret = tmp_path / "secret"
    secret.write_text("geheim\n")
    secret.chmod(0o600)
    as_alice = ["--redis-username", "alice", "--redis-password-file", secret]
    large = tmp_path / "large.conf"
    large.write_text("".join(f"[role r{i}]\na = allow publish x/{i}\n" for i in range(250)))
    for command in (["push", policy], ["push", large], ["diff", large], ["pull"], ["rollback"], ["history"], ["log"],
                    ["role", "set", "r", "a", "allow publish x"], ["role", "list"], ["role", "show", "r"], ["role", "remove", "r"],
                    ["client", "add", "x", "--roles", "r"], ["client", "disable", "x"], ["client", "remove", "x"],
                    ["revoke", "token", "j"], ["revoke", "token", "j", "--lift"], ["ban", "user", "u", "--for", "1m"],
                    ["unban", "user", "u"], ["status"], ["confirm"]):
        ctl(*command, *as_alice)
    alice = redis.connect()
    alice("AUTH", "alice", "geheim")
    for command in (["FLUSHALL"], ["GET", "other"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["EVAL", "return 1", "0"]):
        with pytest.raises(RedisError, match="NOPERM"):
            alice(*command)


def test_history_and_log_hold_no_terminal_tricks(redis, ctl):
    """What an attacker can put into the log is shown as text."""
    ctl("ban", "user", "a\x1b[31mb")
    redis("HSET", "guard:client:c", "attr.x", "\x1b[2J", "attr.y", "\u202e", "roles", "a")
    assert "a\\u{1b}[31mb" in ctl("log")
    code, out, error = ctl("client", "show", "c", code=None)
    assert "\x1b" not in ctl("log") + out + error and "\\u{202e}" in out and "control characters" in error
