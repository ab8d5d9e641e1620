"""Password hashes as Mosquitto and others write them, made here independently of the plugin."""
import base64
import hashlib
import os

import argon2


def mosquitto_6(password):
    """mosquitto_passwd before 2.0: SHA-512 over password and salt."""
    salt = os.urandom(12)
    digest = hashlib.sha512(password.encode() + salt).digest()
    return f"$6${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def mosquitto_7(password, iterations=101):
    """mosquitto_passwd of 2.0: PBKDF2-SHA512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def argon2id(password):
    return argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1, type=argon2.Type.ID).hash(password)


KINDS = {"mosquitto-6": mosquitto_6, "mosquitto-7": mosquitto_7, "argon2id": argon2id}
