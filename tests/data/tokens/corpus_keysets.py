"""Key sets that must load, and key sets that must not."""
import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from corpus_tools import CURVES, b64, compact, number, public_jwk, spki_pem

P25519 = 2**255 - 19


def le(value):
    return b64(value.to_bytes(32, "little"))


def cases(keys):
    out = []
    good_rsa, good_ec, good_ed = public_jwk(keys["rsa"]), public_jwk(keys["p256"]), public_jwk(keys["ed"])
    secret = {"kty": "oct", "k": b64(bytes(range(32)))}

    def add(name, jwks, keys_expected=0, text=None, secret=False):
        """secret: only where a secret may be (--key)."""
        content = text if text is not None else compact({"keys": jwks} if isinstance(jwks, list) else jwks)
        out.append({"name": name, "content": content, "keys": keys_expected, "secret": secret})

    for name, jwk in {"rsa": good_rsa, "ec": good_ec, "ed": good_ed, "oct": secret, "p384": public_jwk(keys["p384"]),
                      "p521": public_jwk(keys["p521"]), "rsa-e3": public_jwk(keys["rsa_e3"])}.items():
        add("ok-set-" + name, [jwk], 1)
        add("ok-single-" + name, jwk, 1)
    add("ok-all", [good_rsa, good_ec, good_ed, secret], 4)
    add("ok-members", {"keys": [dict(good_ec, kid="a", x5c=["x"], foo={"bar": 1})], "issuer": "x"}, 1)
    add("ok-same-kid-other-type", [dict(good_ec, kid="a"), dict(good_rsa, kid="a")], 2)
    add("ok-same-key-two-kids", [dict(good_ec, kid="a"), dict(good_ec, kid="b")], 2)
    add("ok-twice-the-same", [dict(good_ec, kid="a"), dict(good_ec, kid="a")], 1)
    add("ok-rsa-leading-zero", [dict(good_rsa, n=b64(b"\0" + keys["rsa"].public_key().public_numbers().n.to_bytes(256, "big")))], 1)
    add("ok-ed25519-alg", [dict(good_ed, alg="Ed25519")], 1)
    add("ok-eddsa-alg", [dict(good_ed, alg="EdDSA")], 1)
    add("ok-private-signing", [dict(good_ec, d=b64(b"\1" * 32), key_ops=["sign"])], 1)
    add("ok-key-ops", [dict(good_ec, key_ops=["verify", "x"])], 1)
    add("ok-spaces", None, 1, " \r\n" + compact({"keys": [good_ec]}) + "\n\n")
    # skipped keys: the set lives on the others, and dies without them
    skipped = {
        "use-enc": dict(good_rsa, use="enc"), "use-other": dict(good_rsa, use="wrap"), "use-empty": dict(good_rsa, use=""),
        "key-ops-sign": dict(good_ec, key_ops=["sign"]), "key-ops-empty": dict(good_ec, key_ops=[]), "key-ops-enc": dict(good_rsa, key_ops=["encrypt"]),
        "alg-rsa-oaep": dict(good_rsa, alg="RSA-OAEP"), "alg-none": dict(good_rsa, alg="none"), "alg-es256k": dict(good_ec, alg="ES256K"),
        "alg-lower": dict(good_ec, alg="es256"), "kty-unknown": {"kty": "LMS", "pub": "AA"}, "kty-case": dict(good_rsa, kty="rsa"),
        "kty-oct-case": dict(secret, kty="OCT"), "crv-secp256k1": dict(good_ec, crv="secp256k1"), "crv-p192": dict(good_ec, crv="P-192"),
        "crv-case": dict(good_ec, crv="p-256"), "crv-ed448": {"kty": "OKP", "crv": "Ed448", "x": b64(b"\1" * 57)}, "crv-x25519": dict(good_ed, crv="X25519"),
    }
    for name, jwk in skipped.items():
        add("skipped-beside-" + name, [good_ec, jwk], 1)
        add("skipped-alone-" + name, [jwk])
    weak_rsa = rsa.generate_private_key(65537, 1024)
    n = keys["rsa"].public_key().public_numbers().n
    other = ec.generate_private_key(CURVES["P-256"]()).public_key().public_numbers()
    refused = {
        "rsa-1024": public_jwk(weak_rsa), "rsa-512": dict(good_rsa, n=number((1 << 511) + 1)), "rsa-2047": dict(good_rsa, n=number((1 << 2046) + 1)),
        "rsa-even": dict(good_rsa, n=number(n + 1)), "rsa-e1": dict(good_rsa, e="AQ"), "rsa-e0": dict(good_rsa, e="AA"), "rsa-e2": dict(good_rsa, e="Ag"),
        "rsa-e-even": dict(good_rsa, e=number(65536)), "rsa-no-n": {"kty": "RSA", "e": "AQAB"}, "rsa-no-e": {k: v for k, v in good_rsa.items() if k != "e"},
        "rsa-n-padded": dict(good_rsa, n=good_rsa["n"] + "="), "rsa-n-standard": dict(good_rsa, n="+/" + good_rsa["n"][2:]), "rsa-n-number": dict(good_rsa, n=5),
        "rsa-n-empty": dict(good_rsa, n=""), "rsa-n-zero": dict(good_rsa, n=b64(bytes(256))), "rsa-huge": dict(good_rsa, n=number((1 << 20000) + 1)),
        "rsa-e-long": dict(good_rsa, e=number((1 << 300) + 1)), "rsa-alg-es256": dict(good_rsa, alg="ES256"), "rsa-alg-hs256": dict(good_rsa, alg="HS256"),
        "ec-off-curve": dict(good_ec, y=number(keys["p256"].public_key().public_numbers().y ^ 1, 32)), "ec-zero": dict(good_ec, x=b64(bytes(32)), y=b64(bytes(32))),
        "ec-mixed": dict(good_ec, y=number(other.y, 32)), "ec-x-short": dict(good_ec, x=b64(b"\1" * 31)), "ec-x-long": dict(good_ec, x=b64(b"\0" + b"\1" * 32)),
        "ec-x-above-p": dict(good_ec, x=b64(b"\xff" * 32)), "ec-no-y": {k: v for k, v in good_ec.items() if k != "y"}, "ec-no-crv": {k: v for k, v in good_ec.items() if k != "crv"},
        "ec-crv-of-another": dict(good_ec, crv="P-384"), "ec-alg-es384": dict(good_ec, alg="ES384"), "ec-alg-rs256": dict(good_ec, alg="RS256"),
        "ed-short": dict(good_ed, x=b64(b"\1" * 31)), "ed-long": dict(good_ed, x=b64(b"\1" * 33)), "ed-no-x": {"kty": "OKP", "crv": "Ed25519"},
        "ed-order-1": dict(good_ed, x=le(1)), "ed-order-2": dict(good_ed, x=le(P25519 - 1)), "ed-order-4": dict(good_ed, x=le(0)),
        "ed-order-4-sign": dict(good_ed, x=le(1 << 255)), "ed-order-1-sign": dict(good_ed, x=le(1 | 1 << 255)),
        "ed-order-8": dict(good_ed, x=b64(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))),
        "ed-order-8-sign": dict(good_ed, x=b64(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"))),
        "ed-order-8-other": dict(good_ed, x=b64(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))),
        "ed-not-canonical": dict(good_ed, x=le(P25519 + 3)), "ed-p": dict(good_ed, x=le(P25519)), "ed-top": dict(good_ed, x=b64(b"\xff" * 32)),
        "ed-not-on-curve": dict(good_ed, x=le(2)), "ed-alg-es256": dict(good_ed, alg="ES256"),
        "oct-31": dict(secret, k=b64(bytes(31))), "oct-1": dict(secret, k="AA"), "oct-empty": dict(secret, k=""), "oct-no-k": {"kty": "oct"},
        "oct-hs512-short": dict(secret, alg="HS512"), "oct-hs384-short": dict(secret, alg="HS384"), "oct-alg-rs256": dict(secret, alg="RS256"),
        "no-kty": {k: v for k, v in good_ec.items() if k != "kty"}, "kty-number": dict(good_ec, kty=1), "kid-number": dict(good_ec, kid=1), "use-number": dict(good_ec, use=1),
        "alg-number": dict(good_ec, alg=1), "key-ops-string": dict(good_ec, key_ops="verify"), "key-ops-number": dict(good_ec, key_ops=[1]), "not-object": "key",
    }
    for name, jwk in refused.items():
        add("refused-" + name, [jwk])
        add("refused-beside-" + name, [good_ec if jwk != good_ec else good_ed, jwk])
    add("refused-same-kid", [dict(good_ec, kid="a"), dict(public_jwk(keys["p256_other"]), kid="a")])
    add("refused-empty-set", [])
    for name, text in {"empty-object": "{}", "keys-object": '{"keys":{}}', "keys-null": '{"keys":null}', "list": "[]", "not-json": "{", "trailing": compact({"keys": [good_ec]}) + "x",
                       "duplicate-keys": '{"keys":[],"keys":[%s]}' % compact(good_ec), "duplicate-member": compact({"keys": [good_ec]})[:-3] + ',"kty":"RSA"}]}',
                       "deep": '{"keys":[' + "[" * 40 + "]" * 40 + "]}", "bom": "\ufeff" + compact({"keys": [good_ec]})}.items():
        add("refused-text-" + name, None, 0, text)
    add("ok-pem", None, 1, spki_pem(keys["p256"]).decode())
    add("refused-pem-1024", None, 0, spki_pem(weak_rsa).decode())
    add("refused-pem-p192", None, 0, spki_pem(ec.generate_private_key(ec.SECP192R1())).decode())
    add("refused-pem-secp256k1", None, 0, spki_pem(ec.generate_private_key(ec.SECP256K1())).decode())
    add("refused-pem-cut", None, 0, spki_pem(keys["p256"]).decode()[:80])
    # public keys in other clothes must never become HMAC secrets
    der = keys["rsa"].public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    add("refused-der-base64", None, 0, base64.b64encode(der).decode())
    add("refused-der-base64-lines", None, 0, base64.encodebytes(der).decode())
    add("refused-ssh", None, 0, keys["rsa"].public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode())
    add("refused-modulus-jwk-text", None, 0, "key = " + compact(good_rsa))
    add("refused-list-of-keys", None, 0, compact([good_rsa, good_ec]))
    add("refused-json-string", None, 0, '"' + "x" * 40 + '"')
    add("refused-secret-31", None, 0, "x" * 31)
    add("ok-secret-32", None, 1, "x" * 32, secret=True)
    add("refused-secret-31-and-newline", None, 0, "x" * 31 + "\n")
    add("refused-nothing", None, 0, "")
    return out
