"""Cases about the compact form, base64url, the header, and the JSON of header and payload."""
from corpus_tools import b64, compact, join, public_jwk, sign, signing_input, token

MALFORMED = "jwt_malformed"


def add(c):
    parts(c)
    octets(c)
    sizes(c)
    header_json(c)
    payload_json(c)
    header_members(c)
    key_ids(c)
    embedded_keys(c)


def raw(c, header, payload, alg="ES256", key="p256"):
    """header and payload as octets or text, signed as they are."""
    signed = signing_input(header, payload)
    return join(signed, sign(alg, c.keys[key], signed))


def parts(c):
    c.klass = "parts"
    good = c.es()
    h, p, s = good.split(".")
    c.add("good", good)
    for name, tok in {
        "empty": "", "dot": ".", "two-dots": "..", "one-part": h, "two-parts": h + "." + p, "no-signature": h + "." + p + ".",
        "no-header": "." + p + "." + s, "no-payload": h + ".." + s, "four-parts": good + "." + s, "trailing-dot": good + ".",
        "leading-dot": "." + good, "jwe-five-parts": ".".join((h, p, s, p, s)), "double-dot": h + ".." + p + "." + s,
        "bearer": "Bearer " + good, "quoted": '"' + good + '"', "json-serialization": compact(
            {"payload": p, "protected": h, "signature": s}),
        "json-general": compact({"payload": p, "signatures": [{"protected": h, "signature": s}]}),
        "comma": good.replace(".", ","), "swapped-header-payload": ".".join((p, h, s)), "repeated": good + good,
        "two-tokens": good + " " + good,
    }.items():
        c.add(name, tok, MALFORMED)


def octets(c):
    c.klass = "base64url"
    good = c.es()
    h, p, s = good.split(".")
    for i, part in enumerate((h, p, s)):
        name = ("header", "payload", "signature")[i]

        def put(text):
            return ".".join(text if j == i else x for j, x in enumerate((h, p, s)))
        c.add(name + "-padding", put(part + "="), MALFORMED)
        c.add(name + "-padding-2", put(part + "=="), MALFORMED)
        c.add(name + "-padding-encoded", put(part + "%3D"), MALFORMED)
        c.add(name + "-space", put(part[:5] + " " + part[5:]), MALFORMED)
        c.add(name + "-newline", put(part[:5] + "\n" + part[5:]), MALFORMED)
        c.add(name + "-crlf", put(part + "\r\n"), MALFORMED)
        c.add(name + "-tab", put("\t" + part), MALFORMED)
        c.add(name + "-plus", put(part[:4] + "+" + part[5:]), MALFORMED)
        c.add(name + "-slash", put(part[:4] + "/" + part[5:]), MALFORMED)
        c.add(name + "-non-ascii", put(part[:4] + "é" + part[5:]), MALFORMED)
        c.add(name + "-bang", put(part[:4] + "!" + part[5:]), MALFORMED)
        c.add(name + "-nul", put(part[:4] + "\0" + part[4:]).encode(), MALFORMED)
        c.add(name + "-one-more", put(part + "A" * ((5 - len(part) % 4) % 4 or 4)), MALFORMED
              if i == 0 else "jwt_bad_signature" if (len(part) + ((5 - len(part) % 4) % 4 or 4)) % 4 != 1 else MALFORMED)
    # the unused bits of the last character: another text for the same octets
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for name, tok in (("signature", good), ("header", c.es(header={"kid": "p256", "x": "1"})),
                      ("payload", c.es(x="12"))):
        pieces = tok.split(".")
        i = ("header", "payload", "signature").index(name)
        if len(pieces[i]) % 4 == 0:
            pieces = (c.es(header={"x": "12"}) if i == 0 else c.es(x="1234" if i else "")).split(".")
        assert len(pieces[i]) % 4 != 0, name
        last = alphabet[alphabet.index(pieces[i][-1]) ^ 1]
        pieces[i] = pieces[i][:-1] + last
        c.add(name + "-trailing-bits", ".".join(pieces), MALFORMED)
    c.add("nul-behind", (good + "\0").encode(), MALFORMED)
    c.add("nul-and-more-behind", (good + "\0evil").encode(), MALFORMED)
    c.add("nul-before", ("\0" + good).encode(), MALFORMED)
    c.add("newline-behind", good + "\n", MALFORMED)
    c.add("space-before", " " + good, MALFORMED)
    c.add("bom-before", "\ufeff" + good, MALFORMED)
    c.add("invalid-utf8", good[:9].encode() + b"\xff\xfe" + good[9:].encode(), MALFORMED)
    c.add("only-nul", b"\0", MALFORMED)
    c.add("utf16", good.encode("utf-16-le"), MALFORMED)
    # the standard alphabet where the url one is needed: find a signature that has - or _
    while "-" not in (t := c.es()).split(".")[2] and "_" not in t.split(".")[2]:
        pass
    head, payload, signature = t.split(".")
    c.add("standard-alphabet", ".".join((head, payload, signature.replace("-", "+").replace("_", "/"))), MALFORMED)


def sizes(c):
    c.klass = "size"

    def of_length(length):
        for filler in range(length * 3 // 4 - 400, length * 3 // 4):
            for extra in range(4):
                tok = c.es(header={"p": "x" * extra}, x="y" * filler)
                if len(tok) == length:
                    return tok
                if len(tok) > length + 8:
                    break
        raise AssertionError(length)
    c.add("8192", of_length(8192))
    c.add("8193", of_length(8193), MALFORMED)
    c.add("16384", of_length(16384), MALFORMED)
    c.add("64-kilobytes", "A" * (1 << 16), MALFORMED)
    c.add("many-dots", "." * 8000, MALFORMED)
    base = len(compact({"alg": "ES256", "typ": "JWT", "kid": "p256", "p": ""}))
    c.add("header-4096", c.es(header={"p": "x" * (4096 - base)}))
    c.add("header-4097", c.es(header={"p": "x" * (4097 - base)}), MALFORMED)


NOT_JSON = {
    "trailing-comma": lambda j: j[:-1] + ",}", "trailing-text": lambda j: j + "x", "two-values": lambda j: j + j,
    "bom": lambda j: "\ufeff" + j, "single-quotes": lambda j: j.replace('"', "'"), "comment": lambda j: j[:-1] + "/**/}",
    "line-comment": lambda j: j[:-1] + "//\n}", "nan": lambda j: j[:-1] + ',"x":NaN}', "infinity": lambda j: j[:-1] + ',"x":Infinity}',
    "hex": lambda j: j[:-1] + ',"x":0x10}', "leading-zero": lambda j: j[:-1] + ',"x":01}', "plus": lambda j: j[:-1] + ',"x":+1}',
    "dot-number": lambda j: j[:-1] + ',"x":.5}', "number-dot": lambda j: j[:-1] + ',"x":5.}', "true-case": lambda j: j[:-1] + ',"x":True}',
    "unquoted-name": lambda j: j[:-1] + ',x:1}', "unclosed": lambda j: j[:-1], "control": lambda j: j[:-1] + ',"x":"\x01"}',
    "newline-in-string": lambda j: j[:-1] + ',"x":"\n"}', "bad-escape": lambda j: j[:-1] + ',"x":"\\x41"}',
    "u-short": lambda j: j[:-1] + ',"x":"\\u00"}', "u0000": lambda j: j[:-1] + ',"x":"\\u0000"}',
    "u0000-name": lambda j: j[:-1] + ',"x\\u0000":1}', "lone-high": lambda j: j[:-1] + ',"x":"\\ud800"}',
    "lone-low": lambda j: j[:-1] + ',"x":"\\udc00"}', "huge-number": lambda j: j[:-1] + ',"x":1e400}',
    "escaped-nul": lambda j: j[:-1] + ',"x":"\\\0"}', "nul": lambda j: j + "\0", "vertical-tab": lambda j: "\v" + j, "nbsp": lambda j: "\u00a0" + j,
    "array": lambda j: "[" + j + "]", "string": lambda j: '"x"', "number": lambda j: "1", "null": lambda j: "null",
    "true": lambda j: "true", "empty-array": lambda j: "[]", "space-only": lambda j: "   ",
    "nested-duplicate": lambda j: j[:-1] + ',"x":{"a":1,"a":1}}', "deep-duplicate": lambda j: j[:-1] + ',"x":[[{"a":1,"a":2}]]}',
    "depth-17": lambda j: j[:-1] + ',"x":' + "[" * 16 + "]" * 16 + "}",
    "depth-2000": lambda j: j[:-1] + ',"x":' + "[" * 2000 + "]" * 2000 + "}",
}
BAD_OCTETS = {"latin-1": b"\xe9", "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80", "above": b"\xf4\x90\x80\x80",
              "cut": b"\xe2\x82", "continuation": b"\x80"}


def header_json(c):
    c.klass = "header-json"
    header = compact({"alg": "ES256", "kid": "p256"})
    for name, change in NOT_JSON.items():
        c.add(name, raw(c, change(header), c.claims()), MALFORMED)
    for name, bad in BAD_OCTETS.items():
        c.add(name, raw(c, header[:-1].encode() + b',"x":"' + bad + b'"}', c.claims()), MALFORMED)
    for name, text in {
        "duplicate-alg": '{"alg":"ES256","alg":"ES256","kid":"p256"}', "duplicate-alg-none": '{"alg":"none","alg":"ES256","kid":"p256"}',
        "duplicate-alg-last-none": '{"alg":"ES256","kid":"p256","alg":"none"}', "duplicate-kid": '{"alg":"ES256","kid":"x","kid":"p256"}',
        "duplicate-escaped": '{"alg":"ES256","\\u0061lg":"ES256","kid":"p256"}', "empty-object": "{}", "no-alg": '{"kid":"p256"}',
        "utf16": header.encode("utf-16-le"), "utf16-bom": header.encode("utf-16"), "utf32": header.encode("utf-32-le"),
        "nul-before": "\0" + header,
    }.items():
        c.add(name, raw(c, text, c.claims()), MALFORMED)
    for name, text in {
        "spaces": ' \r\n\t{ "alg" : "ES256" ,\n "kid" : "p256" } ', "order": '{"kid":"p256","alg":"ES256"}',
        "escaped-value": '{"alg":"\\u0045S256","kid":"p\\u0032\\u0035\\u0036"}', "escaped-name": '{"\\u0061lg":"ES256","kid":"p256"}',
        "case-variants-are-others": '{"alg":"ES256","ALG":"none","Kid":"x","kid":"p256","CRIT":["x"]}',
        "depth-16": header[:-1] + ',"x":' + "[" * 15 + "]" * 15 + "}", "unicode": '{"alg":"ES256","kid":"p256","x":"\u00e9\U0001f600"}',
        "surrogate-pair": '{"alg":"ES256","kid":"p256","x":"\\ud83d\\ude00"}',
    }.items():
        c.add("ok-" + name, raw(c, text, c.claims()))


def payload_json(c):
    c.klass = "payload-json"
    payload = compact(c.claims())
    for name, change in NOT_JSON.items():
        c.add(name, raw(c, {"alg": "ES256", "kid": "p256"}, change(payload)), MALFORMED)
    for name, bad in BAD_OCTETS.items():
        c.add(name, raw(c, {"alg": "ES256", "kid": "p256"}, payload[:-1].encode() + b',"x":"' + bad + b'"}'), MALFORMED)
    for name, text in {
        "duplicate-sub": payload[:-1] + ',"sub":"admin"}', "duplicate-sub-same": payload[:-1] + ',"sub":"sensor-7"}',
        "duplicate-exp": payload[:-1] + ',"exp":1900000000}', "duplicate-escaped": payload[:-1] + ',"\\u0073ub":"admin"}',
        "deflated": b"x\x9c\xabV*.MR\xb2R*N\xcd+\xce/\xd25W\xaa\x05\x00", "text": "not JSON at all", "jwt-inside": c.es(),
        "utf16": payload.encode("utf-16-le"), "one-octet": "{",
    }.items():
        c.add(name, raw(c, {"alg": "ES256", "kid": "p256"}, text), MALFORMED)
    c.add("bad-signature-comes-first", raw(c, {"alg": "ES256", "kid": "p256"}, "not JSON", key="p256_other"), "jwt_bad_signature")
    for name, text in {
        "spaces": " \n" + payload.replace(",", " ,\r\n ") + "\t", "escaped-name": payload.replace('"sub"', '"\\u0073ub"'),
        "escaped-value": payload.replace("sensor-7", "\\u0073ensor-7"), "case-variants": payload[:-1] + ',"SUB":"admin","Exp":1}',
        "depth-16": payload[:-1] + ',"x":' + "[" * 15 + "]" * 15 + "}", "null-member": payload[:-1] + ',"x":null}',
        "empty-name": payload[:-1] + ',"":1}', "slash-escape": payload[:-1] + ',"x":"\\/"}',
        "all-escapes": payload[:-1] + ',"x":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u001f"}',
    }.items():
        c.add("ok-" + name, raw(c, {"alg": "ES256", "kid": "p256"}, text))


def header_members(c):
    c.klass = "header"
    for name, more in {
        "crit-empty": {"crit": []}, "crit-exp": {"crit": ["exp"], "exp": 1}, "crit-b64": {"crit": ["b64"], "b64": True},
        "crit-unknown": {"crit": ["http://example.com/x"], "http://example.com/x": 1}, "crit-null": {"crit": None},
        "crit-string": {"crit": "exp"}, "crit-alg": {"crit": ["alg"]}, "crit-object": {"crit": {}},
        "b64-false": {"b64": False}, "b64-string": {"b64": "true"}, "b64-null": {"b64": None}, "b64-0": {"b64": 0},
        "enc": {"enc": "A256GCM"}, "enc-null": {"enc": None}, "typ-jwe": {"typ": "JWE"}, "typ-jose": {"typ": "JOSE"},
        "typ-logout": {"typ": "logout+jwt"}, "typ-dpop": {"typ": "dpop+jwt"}, "typ-secevent": {"typ": "secevent+jwt"},
        "typ-empty": {"typ": ""}, "typ-number": {"typ": 1}, "typ-null": {"typ": None}, "typ-list": {"typ": ["JWT"]},
        "typ-space": {"typ": "JWT "}, "typ-prefix-only": {"typ": "application/"}, "typ-id": {"typ": "id+jwt"},
    }.items():
        c.add(name, c.es(header=more), MALFORMED)
    for name, more in {
        "typ-absent": {"typ": ...}, "typ-lower": {"typ": "jwt"}, "typ-at": {"typ": "at+jwt"}, "typ-at-upper": {"typ": "AT+JWT"},
        "typ-media-type": {"typ": "application/at+jwt"}, "typ-application-jwt": {"typ": "application/JWT"},
        "b64-true": {"b64": True}, "cty": {"cty": "JWT"}, "zip-is-for-jwe": {"zip": "DEF"}, "unknown": {"nonce": "1", "ver": 2},
        "iss-in-header": {"iss": "https://evil.example", "sub": "admin", "aud": "x", "exp": 1},
    }.items():
        c.add("ok-" + name, c.es(header=more))
    unencoded = b64(compact({"alg": "ES256", "kid": "p256", "b64": False, "crit": ["b64"]})) + "." + compact(c.claims())
    c.add("b64-false-unencoded", join(unencoded.encode(), sign("ES256", c.keys["p256"], unencoded.encode())), MALFORMED)


def key_ids(c):
    c.klass = "kid"
    unknown = "jwt_unknown_key"
    for name, kid in {
        "unknown": "nobody", "empty": "", "case": "P256", "prefix": "p25", "longer": "p2566", "space-behind": "p256 ",
        "space-before": " p256", "path": "../../../../dev/null", "sql": "x' UNION SELECT 'secret", "url": "https://evil.example/key",
        "shell": "p256;true", "percent": "p%32%35%36", "long": "p256" * 500, "skipped-enc": "enc", "skipped-ed448": "ed448",
        "control": "p256\x01", "newline": "p256\n", "homoglyph": "\u0440256", "format": "%s%n", "wildcard": "*",
    }.items():
        c.add(name, c.es(header={"kid": kid}), unknown)
    for name, kid in {"number": 256, "null": None, "true": True, "list": ["p256"], "object": {"kid": "p256"}}.items():
        c.add(name, c.es(header={"kid": kid}), MALFORMED)
    c.add("u0000", raw(c, '{"alg":"ES256","kid":"p256\\u0000"}', c.claims()), MALFORMED)
    c.add("of-another-type", c.es(header={"kid": "rsa"}), "jwt_alg_not_allowed")
    c.add("of-another-curve", c.es(header={"kid": "p384"}), "jwt_alg_not_allowed")
    c.add("of-another-key", token("RS256", c.keys["rsa_other"], {"alg": "RS256", "kid": "rsa"}, c.claims()), "jwt_bad_signature")
    c.add("none-one-fits", c.es(header={"kid": ...}))
    c.add("none-several-fit", token("RS256", c.keys["rsa"], {"alg": "RS256"}, c.claims()), unknown)
    for alg, key in (("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("EdDSA", "ed")):
        c.add("keys-without-" + alg, token(alg, c.keys[key], {"alg": alg}, c.claims()), config="no-kid")
    c.add("keys-without-but-named", c.es(), unknown, config="no-kid")
    c.add("two-fit", c.es(header={"kid": ...}), unknown, config="two-p256")
    c.add("two-named", token("ES256", c.keys["p256_other"], {"alg": "ES256", "kid": "b"}, c.claims()), config="two-p256")
    c.add("two-named-wrong", c.es(header={"kid": "b"}), "jwt_bad_signature", config="two-p256")


def embedded_keys(c):
    """A key the token brings along is never used, and does not make a good token bad."""
    c.klass = "embedded"
    own = public_jwk(c.keys["p256_other"], kid="p256")
    members = {
        "jwk": {"jwk": own}, "jku": {"jku": "https://evil.example/jwks"}, "x5u": {"x5u": "https://evil.example/cert"},
        "x5c": {"x5c": ["MIIB"]}, "x5t": {"x5t": "AAAA", "x5t#S256": "BBBB"}, "jwk-private": {"jwk": dict(own, d="AA")},
        "jku-file": {"jku": "file:///etc/passwd"}, "all": {"jwk": own, "jku": "http://127.0.0.1/", "x5c": []},
    }
    for name, more in members.items():
        header = dict({"alg": "ES256", "kid": "p256"}, **more)
        c.add(name + "-attacker", token("ES256", c.keys["p256_other"], header, c.claims()), "jwt_bad_signature")
        c.add(name + "-no-kid", token("ES256", c.keys["p256_other"], dict({"alg": "ES256"}, **more), c.claims()), "jwt_bad_signature")
        c.add("ok-" + name, c.es(header=more))
