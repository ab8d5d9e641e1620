#!/usr/bin/python3
"""Writes vectors.tsv and emqx.tsv: hashes made by the tools that people's hashes come from, never by this project.

Needs (Debian): mosquitto, argon2, apache2-utils, whois, python3-bcrypt, python3-argon2. Run in this folder.
"""
import base64
import hashlib
import os
import subprocess
import tempfile

import argon2.low_level
import bcrypt

PASSWORDS = ["secret", "p\u00e4ssw\u00f6rd \u2603", "x" * 72, 'quote " dollar $ back\\slash']


def run(*command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, check=True, text=True).stdout.strip()


def mosquitto(kind, password):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        run("mosquitto_passwd", "-H", kind, "-c", "-b", path, "u", password)
        with open(path) as file:
            return file.read().strip().split(":", 1)[1]


def b64(octets, padded=True):
    text = base64.b64encode(octets).decode()
    return text if padded else text.rstrip("=")


def pbkdf2(digest, password, salt, iterations, length):
    return hashlib.pbkdf2_hmac(digest, password.encode(), salt, iterations, length)


def goauth(digest, password, length):
    salt = os.urandom(16)
    return f"PBKDF2${digest}$1000${b64(salt)}${b64(pbkdf2(digest, password, salt, 1000, length))}"


def goauth_text_salt(digest, password, length):
    salt = b64(os.urandom(16))
    return f"PBKDF2${digest}$1000${salt}${b64(pbkdf2(digest, password, salt.encode(), 1000, length))}"


def goauth_phc(digest, password, length, dollar):
    salt = os.urandom(16)
    key = pbkdf2(digest, password, salt, 1000, length)
    return f"{dollar}pbkdf2-{digest}$i=1000,l={length}${b64(salt, False)}${b64(key, False)}"


def authplug(digest, password):
    salt = b64(os.urandom(12))
    return f"PBKDF2${digest}$901${salt}${b64(pbkdf2(digest, password, salt.encode(), 901, 24))}"


def django(password):
    salt = "Zk3nP0wq8Lx1"
    return f"pbkdf2_sha256$1200${salt}${b64(pbkdf2('sha256', password, salt.encode(), 1200, 32))}"


def argon2id(password, salt, time, memory, lanes, length):
    return argon2.low_level.hash_secret(password.encode(), salt, time, memory, lanes, length,
                                        argon2.low_level.Type.ID).decode()


def rows():
    for password in PASSWORDS:
        yield "mosquitto_passwd -H sha512", password, mosquitto("sha512", password)
        yield "mosquitto_passwd -H sha512-pbkdf2", password, mosquitto("sha512-pbkdf2", password)
        yield "go-auth pbkdf2 sha512", password, goauth("sha512", password, 64)
        yield "go-auth pbkdf2 sha256", password, goauth("sha256", password, 32)
        yield "go-auth pbkdf2, text salt", password, goauth_text_salt("sha512", password, 64)
        yield "go-auth pbkdf2, phc", password, goauth_phc("sha512", password, 64, "")
        yield "go-auth pbkdf2, phc, dollar", password, goauth_phc("sha256", password, 32, "$")
        yield "auth-plug sha256", password, authplug("sha256", password)
        yield "auth-plug sha1", password, authplug("sha1", password)
        yield "auth-plug sha512", password, authplug("sha512", password)
        yield "django", password, django(password)
        yield "argon2 of go-auth", password, argon2id(password, os.urandom(16), 3, 4096, 2, 64)
        yield "python bcrypt 2b", password, bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        yield "python bcrypt 2a", password, bcrypt.hashpw(password.encode(), bcrypt.gensalt(5, b"2a")).decode()
        yield "htpasswd -B 2y", password, run("htpasswd", "-nbB", "-C", "4", "u", password).split(":", 1)[1]
        yield "mkpasswd sha-512", password, run("mkpasswd", "-m", "sha-512", "-s", stdin=password)
        yield "mkpasswd sha-512, rounds", password, run("mkpasswd", "-m", "sha-512", "-R", "1000", "-s", stdin=password)
        yield "mkpasswd yescrypt", password, run("mkpasswd", "-m", "yescrypt", "-R", "1", "-s", stdin=password)
    yield "mosquitto 2.1 argon2id", "secret", argon2id("secret", os.urandom(64), 1, 47104, 1, 64)
    yield "argon2 tool", "secret", run("argon2", "somesalt123", "-id", "-e", "-t", "2", "-k", "1024", "-p", "1",
                                       stdin="secret")
    yield "default yescrypt", "secret", run("mkpasswd", "-m", "yescrypt", "-s", stdin="secret")
    # published in the sources and manuals of the two older plugins
    yield from (("mosquitto-go-auth", "secret", text) for text in (
        "PBKDF2$sha512$100000$8OkvQG2meZ3HXF0bbHcrQA==$LkOfjj+2EQQ1EweVYM22OZx9sM9V466Ua3pUG0HcJ4C8t+LRuXSuuZJqNpyoe1fmuzkz3lmjjRPXJYd9Rz33Jw==",
        "PBKDF2$sha256$100000$pR0XGa0ZuaIN9o/OtX+Mgw==$H6EsdyS2vVrr0N+sFlANZIjvCo0reRZ3+X7jbKDFS1E=",
        "$2a$10$dTiGphHqG4bbUyjvi9DhseO4zStdHv5qoyhIIQ/r6FRxWdRWCS2Fm",
        "$argon2id$v=19$m=4096,t=3,p=2$Lfgu0/22eOLgL2xgu61OgQ$Cza+zw8ur+GvXtrLOwB4DBFa0DaMvr8r6T/HOFeRUKDb+7t98AGJDoA6oFgkZgTn0FcqNDT0nInpJK1uRH3Fow"))
    yield "mosquitto-auth-plug", "secret", "PBKDF2$sha256$901$7s6K8ll3Pzdmhw8k$SM/oIGmRLVn6OqrW3syM14lQeiJ48nCT"


def emqx_rows():
    """As EMQX computes password_hash: hex digests over password and salt, or PBKDF2 with the salt as text."""
    salt = "slat_foo123"
    for password in PASSWORDS:
        for name, digest in (("md5", "md5"), ("sha", "sha1"), ("sha256", "sha256"), ("sha512", "sha512")):
            for position, text in (("disable", password), ("prefix", salt + password), ("suffix", password + salt)):
                yield name, position, "-", 0, password, hashlib.new(digest, text.encode()).hexdigest(), salt
        for name, digest in (("sha", "sha1"), ("sha256", "sha256"), ("sha512", "sha512")):
            key = hashlib.pbkdf2_hmac(digest, password.encode(), salt.encode(), 4096)
            yield "pbkdf2", "-", name, 4096, password, key.hex(), salt
        setting = bcrypt.gensalt(4)
        yield "bcrypt", "-", "-", 0, password, bcrypt.hashpw(password.encode(), setting).decode(), setting.decode()
        yield "plain", "-", "-", 0, password, password, "-"


if __name__ == "__main__":
    with open("vectors.tsv", "w") as file:
        file.write("# tool\tpassword\tstored; made by make_vectors.py\n")
        for tool, password, stored in rows():
            file.write(f"{tool}\t{password}\t{stored}\n")
    with open("emqx.tsv", "w") as file:
        file.write("# algorithm\tsalt position\tmac\titerations\tpassword\tpassword_hash\tsalt; - = not set\n")
        for row in emqx_rows():
            file.write("\t".join(map(str, row)) + "\n")
