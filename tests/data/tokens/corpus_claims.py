"""Cases about claims, identities and bindings. Every token here has a good signature."""
from corpus_tools import compact, join, sign, signing_input

NOW = 1800000000
MISSING, EXPIRED, EARLY = "jwt_missing_claim", "jwt_expired", "jwt_not_yet_valid"
LAST = 253402300799  # 9999-12-31T23:59:59Z


def add(c, prints):
    expiry(c)
    other_times(c)
    issuer_and_audience(c)
    other_claims(c)
    identities(c)
    bindings(c, prints)


def text_claims(c, **replaced):
    """A token whose claims are given as JSON text, for numbers that Python would write another way."""
    values = {k: compact(v) for k, v in c.claims().items()}
    values.update(replaced)
    payload = "{" + ",".join('"%s":%s' % item for item in values.items()) + "}"
    signed = signing_input({"alg": "ES256", "kid": "p256"}, payload)
    return join(signed, sign("ES256", c.keys["p256"], signed))


def expiry(c):
    c.klass = "exp"
    c.add("missing", c.es(exp=...), MISSING)
    for name, value in {"string": str(NOW + 600), "null": None, "true": True, "list": [NOW + 600], "object": {}, "empty-string": ""}.items():
        c.add(name, c.es(exp=value), MISSING)
    for name, value in {"zero": 0, "minus": -1, "one": 1, "now": NOW, "before-now": NOW - 1, "minus-huge": -(10**18)}.items():
        c.add(name, c.es(exp=value), EXPIRED)
    for name, value in {"now-plus-1": NOW + 1, "last": LAST, "next-year": NOW + 31536000}.items():
        c.add(name, c.es(exp=value), expires=value)
    for name, text, expires in (("fraction", "1800000600.75", NOW + 600), ("exponent", "1.8000006e9", NOW + 600), ("e-plus", "18000006E+2", NOW + 600),
                                ("point-zero", "1800000600.0", NOW + 600), ("tiny-fraction", "1800000001.000001", NOW + 1)):
        c.add(name, text_claims(c, exp=text), expires=expires)
    # a fraction never makes a token live longer: exp is rounded down
    c.add("fraction-of-now", text_claims(c, exp="1800000000.999"), EXPIRED)
    c.add("minus-zero", text_claims(c, exp="-0"), EXPIRED)
    c.add("small-fraction", text_claims(c, exp="0.5"), EXPIRED)
    for name, text in {"after-last": "253402300800", "after-last-fraction": "253402300799.5", "1e15": "1e15", "2-64": "18446744073709551616",
                       "2-63": "9223372036854775808", "1e300": "1e300", "milliseconds": "1800000600000"}.items():
        c.add(name, text_claims(c, exp=text), MISSING)
    c.add("leeway-last-second", c.es(exp=NOW - 29), config="leeway", expires=NOW - 29)
    c.add("leeway-over", c.es(exp=NOW - 30), EXPIRED, config="leeway")
    c.add("early-now", c.es(exp=100, iat=...), now=99, expires=100)
    c.add("now-zero", c.es(exp=100, iat=...), now=0, expires=100)


def other_times(c):
    c.klass = "times"
    for claim in ("nbf", "iat"):
        for name, value in {"string": str(NOW - 60), "null": None, "true": True, "list": [NOW], "object": {}}.items():
            c.add("%s-%s" % (claim, name), c.es(**{claim: value}), MISSING)
        for name, value in {"future": NOW + 1, "far-future": LAST, "1e18": 10**18}.items():
            c.add("%s-%s" % (claim, name), c.es(**{claim: value}), EARLY)
        for name, value in {"now": NOW, "past": 1, "zero": 0, "minus": -5, "minus-huge": -(10**17), "absent": ...}.items():
            c.add("ok-%s-%s" % (claim, name), c.es(**{claim: value}))
        c.add(claim + "-fraction-future", text_claims(c, **{claim: "1800000000.001"}), EARLY)
        c.add(claim + "-1e300", text_claims(c, **{claim: "1e300"}), EARLY)
        c.add("ok-%s-minus-1e30" % claim, text_claims(c, **{claim: "-1e30"}))
        c.add("ok-%s-fraction-past" % claim, text_claims(c, **{claim: "1799999999.999"}))
        c.add("ok-%s-leeway" % claim, c.es(**{claim: NOW + 30}), config="leeway")
        c.add(claim + "-leeway-over", c.es(**{claim: NOW + 31}), EARLY, config="leeway")
    c.add("nbf-after-exp", c.es(nbf=NOW + 1000), EARLY)
    c.add("ok-lifetime", c.es(iat=NOW - 60, exp=NOW + 3540), config="lifetime", expires=NOW + 3540)
    c.add("lifetime-over", c.es(iat=NOW - 60, exp=NOW + 3541), MISSING, config="lifetime")
    c.add("lifetime-over-fraction", text_claims(c, iat="1799999940", exp="1800003540.5"), MISSING, config="lifetime")
    c.add("lifetime-no-iat", c.es(iat=...), MISSING, config="lifetime")
    c.add("lifetime-last", c.es(exp=LAST), MISSING, config="lifetime")
    c.add("lifetime-expired", c.es(iat=NOW - 9000, exp=NOW - 60), EXPIRED, config="lifetime")


def issuer_and_audience(c):
    c.klass = "iss"
    c.add("missing", c.es(iss=...), MISSING)
    for name, value in {"null": None, "number": 1, "list": ["https://issuer.example"], "true": True}.items():
        c.add(name, c.es(iss=value), MISSING)
        c.add("open-" + name, c.es(iss=value), MISSING, config="open")
    for name, value in {"other": "https://evil.example", "slash": "https://issuer.example/", "case": "https://Issuer.example", "empty": "",
                        "prefix": "https://issuer.exampl", "longer": "https://issuer.example.evil", "space": " https://issuer.example",
                        "http": "http://issuer.example", "port": "https://issuer.example:443"}.items():
        c.add(name, c.es(iss=value), "jwt_wrong_issuer")
    c.add("open-any", c.es(iss="https://anybody.example"), config="open")
    c.add("open-missing", c.es(iss=...), config="open")
    c.klass = "aud"
    wrong = "jwt_wrong_audience"
    c.add("missing", c.es(aud=...), MISSING)
    for name, value in {"null": None, "number": 1, "object": {"mqtt": 1}, "empty-list": [], "list-with-number": ["mqtt", 1], "list-null-first": [None, "mqtt"],
                        "nested-list": [["mqtt"]], "true": True}.items():
        c.add(name, c.es(aud=value), MISSING)
        c.add("open-" + name, c.es(aud=value), MISSING, config="open")
    for name, value in {"other": "web", "case": "MQTT", "empty": "", "prefix": "mqt", "longer": "mqtts", "space": "mqtt ", "comma": "mqtt,web", "words": "mqtt web",
                        "list-of-others": ["web", "mail"], "list-of-empty": [""]}.items():
        c.add(name, c.es(aud=value), wrong)
    for name, value in {"list": ["mqtt"], "list-last": ["web", "mqtt"], "list-twice": ["mqtt", "mqtt"]}.items():
        c.add("ok-" + name, c.es(aud=value))
    c.add("open-any", c.es(aud="web"), config="open")
    c.add("open-missing", c.es(aud=...), config="open")
    c.add("ok-second", c.es(aud="https://broker.example"), config="two-audiences")
    c.add("two-wrong", c.es(aud="https://broker.example/"), wrong, config="two-audiences")


def other_claims(c):
    c.klass = "claims"
    for claim in ("jti", "sub"):
        for name, value in {"number": 7, "null": None, "list": ["sensor-7"], "true": True, "object": {}}.items():
            c.add("%s-%s" % (claim, name), c.es(**{claim: value}), MISSING)
    c.add("ok-jti", c.es(jti="abc"))
    c.add("jti-revoked", c.es(jti="stolen-1"), "jwt_revoked", config="revoked")
    c.add("jti-empty-revoked", c.es(jti=""), "jwt_revoked", config="revoked")
    c.add("ok-jti-similar", c.es(jti="stolen-12"), config="revoked")
    c.add("ok-jti-absent", c.es(), config="revoked")
    c.add("revoked-and-expired", c.es(jti="stolen-1", exp=NOW), EXPIRED, config="revoked")
    c.add("ok-azp", c.es(azp="client-9"), config="azp", identity="client-9")
    c.add("azp-missing", c.es(), MISSING, config="azp")
    c.add("azp-number", c.es(azp=9), MISSING, config="azp")
    c.add("azp-sub-number", c.es(azp="client-9", sub=5), MISSING, config="azp")
    c.add("ok-azp-no-sub", c.es(azp="client-9", sub=...), config="azp", identity="client-9")
    c.add("ok-nested", c.es(device={"id": "pump-3"}), config="nested", identity="pump-3")
    c.add("ok-nested-literal-first", c.es(**{"device.id": "pump-4", "device": {"id": "pump-3"}}), config="nested", identity="pump-4")
    c.add("nested-not-object", c.es(device="pump-3"), MISSING, config="nested")
    c.add("nested-list", c.es(device=[{"id": "pump-3"}]), MISSING, config="nested")
    c.add("nested-missing", c.es(device={}), MISSING, config="nested")
    c.add("ok-uri-claim", c.es(**{"https://example.com/user.name": "anna"}), config="uri-claim", identity="anna")
    c.add("roles-number", c.es(device={"id": "pump-3"}, realm_access={"roles": 5}), MISSING, config="nested")
    c.add("roles-mixed", c.es(device={"id": "pump-3"}, realm_access={"roles": ["a", 5]}), MISSING, config="nested")
    c.add("roles-object", c.es(device={"id": "pump-3"}, realm_access={"roles": {"a": 1}}), MISSING, config="nested")
    c.add("ok-roles", c.es(device={"id": "pump-3"}, realm_access={"roles": ["a", "b"]}), config="nested", identity="pump-3")
    c.add("ok-scope", c.es(scope="openid mqtt:read"), config="scope")
    c.add("ok-scope-list", c.es(scope=["openid"]), config="scope")
    c.add("ok-many-groups", c.es(groups=["g%d" % i for i in range(200)]))
    c.add("ok-acl", c.es(acl={"pub": ["a/b"], "sub": []}))


def identities(c):
    c.klass = "identity"
    c.add("missing", c.es(sub=...), MISSING)
    bad = {"empty": "", "plus": "a+b", "hash": "a#b", "slash": "a/b", "plus-only": "+", "hash-only": "#", "dollar": "$SYS", "dollar-only": "$", "template": "${username}",
           "space-before": " a", "space-behind": "a ", "space-only": " ", "newline": "a\nb", "tab": "a\tb", "del": "a\x7fb", "c1": "a\u0085b",
           "escape": "a\x1b[31mb", "cr": "a\r", "rlo": "a\u202eb", "lro": "a\u202db", "rlm": "a\u200fb", "lrm": "a\u200eb", "alm": "a\u061cb", "lri": "a\u2066b",
           "pdi": "a\u2069b", "bom": "\ufeffa", "bom-inside": "a\ufeffb", "too-long": "a" * 256, "too-long-utf8": "\u00e9" * 128,
           "line-separator": "a\u2028b", "nbsp-behind": "a\u00a0", "ideographic-before": "\u3000a", "non-character": "a\uffffb", "path": "../admin"}
    for name, value in bad.items():
        c.add(name, c.es(sub=value), MISSING)
    good = {"one": "a", "255": "a" * 255, "255-utf8": "\u00e9" * 127 + "a", "space-inside": "a b", "dollar-inside": "a$b", "email": "anna@example.com",
            "uuid": "0b9e0a5e-6c0e-4c1f-9d53-6d1e2b6a7a11", "unicode": "\u00fcnic\u00f6de", "emoji": "\U0001f600", "cjk": "\u8bbe\u5907-7", "colon": "urn:dev:mac:0024",
            "pipe": "auth0|1234", "backslash": "DOMAIN\\user", "quote": 'a"b', "percent": "%u", "template": "x${username}", "dot": ".", "dots": "..", "star": "*",
            "comma": "a,b", "digits": "007", "null-text": "null", "hebrew": "\u05d0\u05d1", "arabic": "\u0627\u0628", "combining": "e\u0301", "zwj": "a\u200db"}
    for name, value in good.items():
        c.add("ok-" + name, c.es(sub=value), identity=value)


def bindings(c, prints):
    c.klass = "bind"
    mismatch = "client_id_mismatch"
    tok = c.es()
    c.add("ok-client", tok, config="bind-client", client_id="sensor-7")
    for name, value in {"other": "sensor-8", "case": "Sensor-7", "longer": "sensor-77", "prefix": "sensor-", "empty": "", "space": "sensor-7 "}.items():
        c.add("client-" + name, tok, mismatch, config="bind-client", client_id=value)
    c.add("client-absent", tok, mismatch, config="bind-client")
    c.add("ok-client-not-asked", tok, client_id="anything")
    c.add("ok-user", tok, config="bind-user", username="sensor-7", client_id="x")
    for name, value in {"other": "admin", "case": "SENSOR-7", "longer": "sensor-7x", "empty": ""}.items():
        c.add("user-" + name, tok, mismatch, config="bind-user", username=value)
    c.add("user-absent", tok, mismatch, config="bind-user")
    c.add("ok-user-not-asked", tok, username="admin")
    device, other = "keys/device.crt", "keys/other.crt"
    bound = c.es(cnf={"x5t#S256": prints["device"]})
    for config in ("main", "bind-cert"):
        c.add("ok-cert-" + config, bound, config=config, certificate=device)
        c.add("cert-other-" + config, bound, "cert_identity_mismatch", config=config, certificate=other)
        c.add("cert-none-" + config, bound, "cert_missing", config=config)
        for name, cnf in {"null": None, "string": prints["device"], "list": [prints["device"]], "number": 1}.items():
            c.add("cnf-%s-%s" % (name, config), c.es(cnf=cnf), MISSING, config=config, certificate=device)
        for name, value in {"null": None, "empty": "", "short": prints["device"][:-1], "padded": prints["device"] + "=", "number": 1, "hex": "ab" * 32,
                            "trailing-bits": prints["device"][:-1] + "B", "list": [prints["device"]]}.items():
            c.add("x5t-%s-%s" % (name, config), c.es(cnf={"x5t#S256": value}), MISSING, config=config, certificate=device)
        c.add("sha1-only-" + config, c.es(cnf={"x5t": "AAAA"}), "" if config == "main" else MISSING, config=config, certificate=device)
        c.add("jkt-only-" + config, c.es(cnf={"jkt": "AAAA"}), "" if config == "main" else MISSING, config=config, certificate=device)
        c.add("unbound-" + config, tok, "" if config == "main" else MISSING, config=config, certificate=device)
        c.add("cnf-with-jkt-" + config, c.es(cnf={"jkt": "AAAA", "x5t#S256": prints["device"]}), config=config, certificate=device)
    c.add("unbound-no-cert", tok, MISSING, config="bind-cert")
    c.add("expired-comes-first", c.es(exp=NOW, cnf={"x5t#S256": prints["other"]}), EXPIRED, certificate=device)
