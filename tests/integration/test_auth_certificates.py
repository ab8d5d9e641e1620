"""Client certificates of every shape on real brokers: in full and resumed handshakes, TLS 1.2 and 1.3, plain and websockets."""
import datetime
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.client import V5
from support.pki import DAY, Authority, Leaf
from support.raw import RawClient, connect_packet, packet, text
from support.tls import HandshakeFailed, TlsClient
from support.tokens import b64
from test_rules import EVERYONE
from test_ways_in import RULES

CN, OU = NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CERTIFICATE = {"auth_methods": "certificate", "cert_identity": "cn"}


# --- certificates that no well-behaved CA makes

def der(tag, content):
    length = len(content)
    head = bytes([length]) if length < 128 else (bytes([0x81, length]) if length < 256 else
                                                 bytes([0x82, length >> 8, length & 255]))
    return bytes([tag]) + head + content


def sign(pki, tbs, algorithm):
    signature = pki._key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return der(0x30, tbs + algorithm + der(0x03, b"\0" + signature))


def odd(pki, subject, usage=ExtendedKeyUsageOID.CLIENT_AUTH, extensions=(), negative=False, starts=-1.0, ends=30.0):
    """A certificate of that x509.Name; negative: its serial number is below zero, which takes a signature by hand."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(pki._name).public_key(key.public_key())
               .serial_number(0x7F00112233445566 if negative else x509.random_serial_number())
               .not_valid_before(now + starts * DAY).not_valid_after(now + ends * DAY))
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(pki._key, hashes.SHA256())
    octets = certificate.public_bytes(serialization.Encoding.DER)
    if negative:
        serial = bytes.fromhex("02087f00112233445566")
        assert octets.count(serial) == 1
        tbs = certificate.tbs_certificate_bytes.replace(serial, b"\x02\x08\xff" + serial[3:])
        octets = sign(pki, tbs, bytes.fromhex("300a06082a8648ce3d040302"))
    pki._made += 1
    stem = f"odd-{pki._made}"
    pem = ssl.DER_cert_to_PEM_cert(octets).encode()
    return Leaf(pki._write(f"{stem}.pem", pem),
                pki._write(f"{stem}.key", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                            serialization.NoEncryption())), None)


def name(*pairs):
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


def one(value, kind=None):
    return x509.Name([x509.NameAttribute(CN, value, kind) if kind else x509.NameAttribute(CN, value)])


REFUSED_SHAPES = {
    "two CNs": lambda pki: odd(pki, name((CN, "gate"), (CN, "admin"))),
    "two CNs in one RDN": lambda pki: odd(pki, x509.Name([x509.RelativeDistinguishedName(
        [x509.NameAttribute(CN, "gate"), x509.NameAttribute(CN, "admin")])])),
    "NUL in the CN": lambda pki: odd(pki, one("admin\0.evil.example")),
    "NUL at the end": lambda pki: odd(pki, one("admin\0")),
    "no CN": lambda pki: odd(pki, name((OU, "admin"))),
    "a CN of blanks": lambda pki: odd(pki, one(" admin")),
    "a direction mark": lambda pki: odd(pki, one("ad\u202emin")),
    "for servers only": lambda pki: odd(pki, one("admin"), usage=ExtendedKeyUsageOID.SERVER_AUTH),
    "a CA's": lambda pki: odd(pki, one("admin"), extensions=[x509.BasicConstraints(ca=True, path_length=None)]),
}

ACCEPTED_SHAPES = {
    "BMPString": (lambda pki: odd(pki, one("gate-\u00e4\u4e2d", _ASN1Type.BMPString)), "gate-\u00e4\u4e2d"),
    "UniversalString": (lambda pki: odd(pki, one("gate-7", _ASN1Type.UniversalString)), "gate-7"),
    "PrintableString": (lambda pki: odd(pki, one("gate-7", _ASN1Type.PrintableString)), "gate-7"),
    "T61String": (lambda pki: odd(pki, one("gate-7", _ASN1Type.T61String)), "gate-7"),
    "multi-valued RDN": (lambda pki: odd(pki, x509.Name([x509.RelativeDistinguishedName(
        [x509.NameAttribute(CN, "gate-7"), x509.NameAttribute(OU, "plant")])])), "gate-7"),
    "negative serial": (lambda pki: odd(pki, one("gate-7"), negative=True), "gate-7"),
    "no extended usage": (lambda pki: odd(pki, one("gate-7"), usage=None), "gate-7"),
    "two OUs": (lambda pki: odd(pki, name((OU, "a"), (OU, "b"), (CN, "gate-7"))), "gate-7"),
}


@pytest.fixture
def shaped(make_broker, pki):
    return make_broker(RULES, options=CERTIFICATE, listeners=("tls", "wss"), pki=pki)


@pytest.mark.memory
@pytest.mark.parametrize("shape", REFUSED_SHAPES)
def test_refused_shape(shaped, pki, shape):
    """Refused in the handshake or by the plugin: nobody becomes "admin", nor anybody else."""
    leaf = REFUSED_SHAPES[shape](pki)
    for listener in ("tls", "wss"):
        try:
            with TlsClient(shaped.ports[listener], pki, leaf, web=listener == "wss") as client:
                assert client.connect("c1", version=5) in (0x87, None)
        except HandshakeFailed:
            pass
    assert not shaped.trail.events("mqtt-connect", event__outcome="success")
    for event in shaped.trail.events("mqtt-connect", event__outcome="failure"):
        assert event["event"]["reason"] == "cert_identity_mismatch"


@pytest.mark.memory
@pytest.mark.parametrize("shape", ACCEPTED_SHAPES)
def test_accepted_shape(shaped, pki, shape):
    make, username = ACCEPTED_SHAPES[shape]
    leaf = make(pki)
    for listener in ("tls", "wss"):
        with TlsClient(shaped.ports[listener], pki, leaf, web=listener == "wss") as client:
            assert client.connect("c1", version=5) == 0
    for event in shaped.trail.wait("mqtt-connect", 2, event__outcome="success"):
        assert event["user"]["name"] == username


UPN = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), der(0x0C, b"gate@corp.example"))
ALL_NAMES = x509.SubjectAlternativeName([
    x509.DNSName("gate.example"), x509.RFC822Name("gate@example.org"), UPN,
    x509.UniformResourceIdentifier("spiffe://example.org/tenant/t1/device/d7"),
    x509.IPAddress(__import__("ipaddress").ip_address("192.0.2.1")), x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4")),
    x509.DirectoryName(name((CN, "somebody-else")))])


@pytest.mark.parametrize("mapping, username", [
    ("cn", "by-cn"), ("ou[2]", "second"), ("san.dns", "gate.example"), ("san.email", "gate@example.org"),
    ("san.upn:{username}@corp.example", "gate"),
    ("san.uri:spiffe://example.org/tenant/{tenant}/device/{device}={tenant}-{device}", "t1-d7"),
    ("san.dns:{x}.other ; san.email:{user}@example.org", "gate")])
def test_all_alternative_names(make_broker, pki, mapping, username):
    """A certificate with every kind of name: the mapping takes the one that is meant, and no other."""
    leaf = odd(pki, name((OU, "first"), (OU, "second"), (CN, "by-cn")), extensions=[ALL_NAMES])
    broker = make_broker(RULES, options={**CERTIFICATE, "cert_identity": mapping}, listeners=("tls",), pki=pki)
    with TlsClient(broker.ports["tls"], pki, leaf) as client:
        assert client.connect("c1", version=5) == 0
    assert broker.trail.one("mqtt-connect", event__outcome="success")["user"]["name"] == username


# --- handshakes

@pytest.fixture(params=["tls", "wss"])
def listener(request):
    return request.param


@pytest.fixture(params=[TLS12, TLS13], ids=["tls1.2", "tls1.3"])
def tls_version(request):
    return request.param


def test_dates_and_issuers_that_the_handshake_refuses(shaped, pki, listener, tls_version, tmp_path):
    stranger = Authority(tmp_path / "stranger")
    for leaf in (pki.client("gate", starts=-3, ends=-1), pki.client("gate", starts=1), stranger.client("gate"), None):
        try:
            with TlsClient(shaped.ports[listener], pki, leaf, tls_version, web=listener == "wss") as client:
                assert client.connect("c1", version=5) is None
        except HandshakeFailed:
            pass
    assert not shaped.trail.events("mqtt-connect", event__outcome="success")
    with TlsClient(shaped.ports[listener], pki, pki.client("gate"), tls_version, web=listener == "wss") as client:
        assert client.connect("c1", version=5) == 0


@pytest.mark.timing
def test_resumed_after_the_end_of_the_certificate(shaped, pki, listener, tls_version):
    """A resumed handshake does not look at dates. The plugin does."""
    leaf = pki.client("gate", ends=5 / 86400)
    named = dict(version=tls_version, web=listener == "wss")
    with TlsClient(shaped.ports[listener], pki, leaf, **named) as first:
        assert first.connect("c1", version=5) == 0
        began = time.monotonic()
        with TlsClient(shaped.ports[listener], pki, resume=first, **named) as again:
            if not again.resumed and listener == "wss":  # Debian testing's own 2.1.2
                pytest.skip("this broker resumes no sessions of websockets")
            assert again.resumed, "the broker resumes no sessions: this test shows nothing"
            assert again.connect("c2", version=5) == 0
        assert first.gone(10), "the session outlives its certificate"
        assert time.monotonic() - began < 7
        try:
            with TlsClient(shaped.ports[listener], pki, resume=first, **named) as late:
                assert late.resumed
                assert late.connect("c3", version=5) == 0x87
        except HandshakeFailed:
            if listener == "wss":
                pytest.skip("this broker resumes no sessions of websockets: a full handshake looks at the date itself")
            raise
    assert shaped.trail.one("mqtt-connect", event__outcome="failure")["event"]["reason"] == "cert_revoked"


@pytest.mark.timing
def test_revoked_in_redis(make_broker, redis, pki, listener, tls_version, eventually):
    """On the deny list: live sessions go within a second, full and resumed handshakes lead nowhere; and it can be lifted."""
    redis.load(RULES)
    broker = make_broker(RULES, options={**CERTIFICATE, "redis_url": redis.url}, listeners=("tls", "wss"), pki=pki)
    leaf, other = pki.client("gate"), pki.client("other")
    named = dict(version=tls_version, web=listener == "wss")
    eventually(lambda: "policy" in broker.log() and redis("EXISTS", "guard:version"), 3, "the policy")
    time.sleep(0.3)
    with TlsClient(broker.ports[listener], pki, leaf, **named) as live, \
            TlsClient(broker.ports[listener], pki, other, **named) as stays:
        assert live.connect("c1", version=5) == 0 and stays.connect("c2", version=5) == 0
        began = time.monotonic()
        redis("SET", f"guard:revoked:cert:{leaf.sha256}", "stolen")
        redis("INCR", "guard:version")
        assert live.gone(3)
        assert time.monotonic() - began < 1, "a revocation takes longer than a second"
        assert not stays.gone(0.2)
        for resume in (live, None):
            with TlsClient(broker.ports[listener], pki, leaf, resume=resume, **named) as again:
                assert again.resumed == (resume is not None) or listener == "wss"  # Debian testing's own 2.1.2 resumes none there
                assert again.connect("c3", version=5) == 0x87
    for event in broker.trail.wait("mqtt-connect", 2, event__outcome="failure"):
        assert event["event"]["reason"] == "cert_revoked"
    redis("DEL", f"guard:revoked:cert:{leaf.sha256}")
    redis("INCR", "guard:version")

    def admitted():
        with TlsClient(broker.ports[listener], pki, leaf, **named) as again:
            return again.connect("c4", version=5) == 0
    eventually(admitted, 3, "the revocation to be lifted")


def test_revoked_by_key(make_broker, redis, pki, eventually):
    """A renewed certificate of a stolen key: the deny list may name the key."""
    redis.load(RULES)
    leaf = pki.client("gate")
    key = leaf.x509.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key)
    redis("SET", f"guard:revoked:cert:{digest.finalize().hex().upper()}", "stolen")
    redis("INCR", "guard:version")
    broker = make_broker(RULES, options={**CERTIFICATE, "redis_url": redis.url}, listeners=("tls",), pki=pki)

    def refused():
        with TlsClient(broker.ports["tls"], pki, leaf) as client:
            return client.connect("c1", version=5) == 0x87
    eventually(refused, 3, "the deny list")


def test_revoked_before(make_broker, redis, pki, eventually):
    """`guard:revoked:before:<user>` ends the sessions of older certificates, and lets younger ones in."""
    redis.load(RULES)
    old, new = pki.client("gate", starts=-2), pki.client("gate", starts=-0.0001)
    broker = make_broker(RULES, options={**CERTIFICATE, "redis_url": redis.url}, listeners=("tls",), pki=pki)

    def session():
        client = TlsClient(broker.ports["tls"], pki, old)
        return client if client.connect("c1", version=5) == 0 else client.close()
    live = eventually(session, 3, "the policy")
    redis("SET", "guard:revoked:before:gate", str(int(time.time()) - 86400))
    redis("INCR", "guard:version")
    assert live.gone(2)
    live.close()
    with TlsClient(broker.ports["tls"], pki, old) as client:
        assert client.connect("c2", version=5) == 0x87
    with TlsClient(broker.ports["tls"], pki, new) as client:
        assert client.connect("c3", version=5) == 0


# --- captures, issuers

def publishes(client, topic):
    client.send(packet(0x32, text(topic) + b"\0\1\0x"))
    kind, body = client.read()
    return kind == 0x40 and (len(body) < 3 or body[2] < 0x80)


def test_captures_are_attributes(make_broker, pki):
    policy = ("[role device]\nown = allow publish sites/${attr.site}/${username}/#\nby_cn = allow publish cn/${cert.cn}\n"
              "unit = allow publish unit/${cert.ou}/x\n[default]\nroles = device\n")
    broker = make_broker(policy, options={**CERTIFICATE, "cert_identity": "cn:{device}.{site}.example={site}-{device}"},
                         listeners=("tls",), pki=pki)
    with TlsClient(broker.ports["tls"], pki, pki.client("d7.berlin.example", unit=["pumps"])) as client:
        assert client.connect("c1", version=5) == 0
        assert publishes(client, "sites/berlin/berlin-d7/temperature")
        assert publishes(client, "cn/d7.berlin.example")
        assert publishes(client, "unit/pumps/x")
        assert not publishes(client, "sites/paris/berlin-d7/temperature")
    for foreign in ("d7.example", "a.d7.berlin.example", "d7.berlin.example.org", ".berlin.example"):
        with TlsClient(broker.ports["tls"], pki, pki.client(foreign)) as client:
            assert client.connect("c2", version=5) == 0x87, foreign


def test_two_authorities_do_not_share_a_name_space(make_broker, pki, tmp_path):
    """Both are in the cafile. The mapping says who may make devices and who may make people."""
    staff = Authority(tmp_path / "staff", "Staff CA")
    both = Authority(tmp_path / "both")
    both.ca_file.write_bytes(pki.ca_file.read_bytes() + staff.ca_file.read_bytes())
    both.server = pki.server
    mapping = f'cn:dev-{{device}} issuer_file={pki.ca_file} ; cn:{{user}}.staff "issuer=CN=Staff CA"'
    broker = make_broker(RULES, options={**CERTIFICATE, "cert_identity": mapping}, listeners=("tls",), pki=both)
    for leaf, code in ((pki.client("dev-7"), 0), (staff.client("ann.staff"), 0), (staff.client("dev-7"), 0x87),
                       (pki.client("ann.staff"), 0x87)):
        with TlsClient(broker.ports["tls"], pki, leaf) as client:
            assert client.connect("c1", version=5) == code
    names = {e["user"]["name"] for e in broker.trail.wait("mqtt-connect", 2, event__outcome="success")}
    assert names == {"7", "ann"}


# --- certificate and something else

def both_ways(make_broker, issuer, pki, **more):
    options = issuer.options(auth_methods="certificate+token", cert_identity="cn", auth_throttle="no", **more)
    return make_broker(EVERYONE, options=options, listeners=("tls", "plain"), pki=pki)


@pytest.mark.memory
def test_certificate_and_token(make_broker, issuer, pki):
    """Each alone is not enough, and both together only for one and the same user."""
    broker = both_ways(make_broker, issuer, pki)
    mine, other = pki.client("gate"), pki.client("other")
    bound = issuer.token("gate", cnf={"x5t#S256": b64(bytes.fromhex(mine.sha256))})
    stolen = issuer.token("gate", cnf={"x5t#S256": b64(bytes.fromhex(other.sha256))})
    cases = [(mine, issuer.token("gate"), 0, None), (mine, bound, 0, None), (mine, None, 0x87, "bad_credentials"),
             (other, issuer.token("gate"), 0x87, "cert_identity_mismatch"), (other, bound, 0x87, "cert_identity_mismatch"),
             (mine, stolen, 0x87, "cert_identity_mismatch"), (mine, issuer.token("gate", lifetime=-5), 0x87, "jwt_expired")]
    for leaf, token, code, reason in cases:
        with TlsClient(broker.ports["tls"], pki, leaf) as client:
            assert client.connect("c1", "x" if token is None else None, token, version=5) == code, reason
    with RawClient(broker.ports["plain"]) as client:
        assert client.connect("c1", None, issuer.token("gate"), version=5) == 0x87
    wanted = [reason for *_, reason in cases if reason] + ["cert_missing"]
    failures = broker.trail.wait("mqtt-connect", len(wanted), event__outcome="failure")
    assert [e["event"]["reason"] for e in failures] == wanted
    event = broker.trail.events("mqtt-connect", event__outcome="success")[-1]
    assert event["user"]["name"] == "gate" and event["tls"]["client"]["hash"]["sha256"] == mine.sha256


def test_certificate_and_bound_token_only(make_broker, issuer, pki):
    broker = both_ways(make_broker, issuer, pki, jwt_bind_certificate="required")
    mine = pki.client("gate")
    with TlsClient(broker.ports["tls"], pki, mine) as client:
        assert client.connect("c1", None, issuer.token("gate"), version=5) == 0x87
    with TlsClient(broker.ports["tls"], pki, mine) as client:
        assert client.connect("c1", None, issuer.token("gate", cnf={"x5t#S256": b64(bytes.fromhex(mine.sha256))}), version=5) == 0


@pytest.mark.timing
@pytest.mark.parametrize("first", ["certificate", "token"])
def test_the_session_ends_with_whichever_ends_first(make_broker, issuer, pki, first):
    broker = both_ways(make_broker, issuer, pki)
    leaf = pki.client("gate", ends=3 / 86400 if first == "certificate" else 1)
    with TlsClient(broker.ports["tls"], pki, leaf) as client:
        assert client.connect("c1", None, issuer.token("gate", lifetime=3600 if first == "certificate" else 3), version=5) == 0
        began = time.monotonic()
        assert client.gone(6)
        assert time.monotonic() - began < 4.5


@pytest.mark.memory
def test_certificate_and_slow_password(make_broker, pki):
    """The hash of a password beside a certificate is computed like any other; the names must agree before it is."""
    from support import passwords
    policy = f"[client gate]\npassword = {passwords.mosquitto_7('pw', 30_000)}\n[client other]\n" \
             f"password = {passwords.mosquitto_7('pw', 30_000)}\n" + EVERYONE + \
             "[role more]\ncn = allow publish cn/${cert.cn}\n[assign]\nall = more when cert.cn = gate\n"
    broker = make_broker(policy, options={"auth_methods": "certificate+password", "auth_throttle": "no"}, listeners=("tls",), pki=pki)
    leaf = pki.client("gate")
    for username, password, code in (("gate", "pw", 0), ("gate", "wrong", 0x87), ("other", "pw", 0x87), ("gate", "pw", 0)):
        with TlsClient(broker.ports["tls"], pki, leaf) as client:
            assert client.connect("c1", username, password, version=5) == code, (username, password)
            if code == 0:
                assert publishes(client, "cn/gate") and publishes(client, "devices/gate/data")
    reasons = [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", 2, event__outcome="failure")]
    assert reasons == ["bad_credentials", "cert_identity_mismatch"]


def test_revoked_while_the_password_is_checked(make_broker, redis, pki, broker_version, eventually):
    """The certificate was good at CONNECT; it is on the deny list when the hash beside it is done."""
    from support import passwords
    if broker_version < (2, 1):
        pytest.skip("2.0 has no delayed authentication")
    redis.load(f"[client gate]\npassword = {passwords.mosquitto_7('pw', 1_500_000)}\n" + EVERYONE)
    broker = make_broker(None, options={"auth_methods": "certificate+password", "policy_file": None, "redis_url": redis.url,
                                        "auth_timeout": "30"}, listeners=("tls",), pki=pki)
    eventually(lambda: "the policy is in force" in broker.log() or "is in use" in broker.log(), 5, "the policy")
    leaf = pki.client("gate")
    with TlsClient(broker.ports["tls"], pki, leaf) as client:
        client.send(connect_packet("c1", "gate", "pw", version=5))
        time.sleep(0.1)
        redis("SET", f"guard:revoked:cert:{leaf.sha256}", "stolen")
        redis("INCR", "guard:version")
        assert client.read()[1][1] == 0x87
    assert broker.trail.one("mqtt-connect")["event"]["outcome"] == "failure"
