"""guardctl import reads another product's Redis wherever it is: over TLS, behind an ACL user, spread over a cluster's masters."""
import pytest

from support.pki import Authority
from support.places import start_cluster
from support.probe import guardctl

FILLED = {
    "go-auth": [("SET", f"device-{n}", "PBKDF2$sha512$1000$c2FsdA==$" + "A" * 86 + "==") for n in range(60)] +
               [("SADD", f"device-{n}:racls", f"device-{n}/in", "news/#") for n in range(60)] +
               [("SADD", "common:rwacls", "shared/%u/x")],
    "auth-plug": [("SET", f"device-{n}", "PBKDF2$sha256$901$c2FsdA==$" + "A" * 32) for n in range(60)] +
                 [("SET", f"device-{n}-topics/{n}", str(1 + n % 2)) for n in range(60)],
    "emqx-redis": [("HSET", f"mqtt_user:device-{n}", "password_hash", "a" * 64, "salt", "s") for n in range(60)] +
                  [("HSET", f"mqtt_acl:device-{n}", f"device-{n}/#", "all") for n in range(60)],
}
OPTIONS = {"go-auth": [], "auth-plug": ["--acl-query", "GET %s-%s"],
           "emqx-redis": ["--algorithm", "sha256"]}


def fill(source, server_of):
    for command in FILLED[source]:
        server_of(command[1])(*command)


def imported(source, *where):
    text = guardctl("import", source, *where, *OPTIONS[source], "--verify", "500")
    assert text.count("device-59") >= 1
    return text


def masters_by_key(nodes):
    """Which of the masters has a key."""
    owners = {node("CLUSTER", "MYID"): node for node in nodes}
    ranges = [(first, last, owners[owner[2]]) for first, last, owner, *_ in nodes[0]("CLUSTER", "SLOTS")]

    def find(key):
        slot = int(nodes[0]("CLUSTER", "KEYSLOT", key))
        return next(node for first, last, node in ranges if first <= slot <= last)
    return find


@pytest.mark.parametrize("source", FILLED)
def test_the_same_from_everywhere(make_server, tmp_path, source):
    plain = make_server()
    fill(source, lambda key: plain)
    expected = imported(source, "--from", plain.url)

    authority = Authority(tmp_path / "ca")
    secure = make_server(tls={**authority.issue("redis"), "clients": "yes"})
    fill(source, lambda key: secure)
    secure("ACL", "SETUSER", "reader", "on", ">let-me-read", "~*", "+scan", "+type", "+pttl", "+get", "+smembers", "+hgetall")
    password = tmp_path / "password"
    password.write_text("let-me-read\n")
    password.chmod(0o600)
    client = authority.issue("admin")
    tls = ["--from-tls-ca", client["ca"], "--from-tls-cert", client["cert"], "--from-tls-key", client["key"]]
    who = ["--from-username", "reader", "--from-password-file", password]
    assert imported(source, "--from", secure.url, *tls, *who) == expected

    nodes, _, _ = start_cluster(make_server)
    fill(source, masters_by_key(nodes))
    assert all(node("DBSIZE") for node in nodes[:3]), "the keys are on all masters"
    froms = [word for node in nodes[:3] for word in ("--from", node.url)]
    assert imported(source, *froms) == expected


@pytest.mark.parametrize("case", ["other ca", "no client certificate", "wrong password", "one master is away"])
def test_what_cannot_be_read_is_said(make_server, tmp_path, case):
    """Nothing half: the command fails with the reason, and writes nothing."""
    authority = Authority(tmp_path / "ca")
    secure = make_server(tls={**authority.issue("redis"), "clients": "yes"})
    fill("go-auth", lambda key: secure)
    client = authority.issue("admin")
    ca = Authority(tmp_path / "other").ca if case == "other ca" else client["ca"]
    words = ["--from", secure.url, "--from-tls-ca", ca]
    if case != "no client certificate":
        words += ["--from-tls-cert", client["cert"], "--from-tls-key", client["key"]]
    if case == "wrong password":
        (tmp_path / "password").write_text("wrong\n")
        (tmp_path / "password").chmod(0o600)
        words += ["--from-password-file", tmp_path / "password"]
    if case == "one master is away":
        words += ["--from", "rediss://127.0.0.1:1"]
    code, out, err = guardctl("import", "go-auth", *words, "-o", tmp_path / "policy.conf", code=None)
    assert code not in (0, 1) and not out and not (tmp_path / "policy.conf").exists()
    assert {"other ca": "certificate", "no client certificate": "127.0.0.1", "wrong password": "AUTH",
            "one master is away": "127.0.0.1:1"}[case] in err, err
