"""
The set-ups that people choose between, each with the same fleet: 20 templates for everybody, a password for each user.
They extend the brokers of ../broker/set_ups.py by those that need a Redis, tokens or an audit trail.
"""
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "broker"), str(HERE.parents[1] / "integration")]

from set_ups import DYNSEC, HASH, SALT, Setup, encoded  # noqa: E402
from support.client import V5, Client  # noqa: E402
from support.redis import Redis  # noqa: E402
from support.tokens import Issuer  # noqa: E402

STORED = f"$7$101${encoded(SALT)}${encoded(HASH)}"
ADMINISTRATOR = "administrator"


class Compared(Setup):
    """label: what the tables call it. change(number) makes one change to the policy and returns when it is on its way."""
    label = ""
    tokens = False

    def __init__(self, folder, build, users=1, rules=0):
        super().__init__(self.label, folder, build, rules, users)

    def change(self, number):
        raise NotImplementedError

    def reload(self):
        self.process.send_signal(1)

    def memory_kib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


class Nothing(Compared):
    label = "no plugin"

    def lines(self):
        return self.lines_none()

    def change(self, number):
        self.reload()


class Files(Compared):
    label = "password_file + acl_file"

    def lines(self):
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{STORED}\n" for name in self.names()))
        passwords.chmod(0o600)
        acl = self.lines_acl_file()[1]
        (self.folder / "acl").chmod(0o600)
        return ["allow_anonymous false", f"password_file {passwords}", acl]

    def change(self, number):
        with open(self.folder / "acl", "a", encoding="ascii") as acl:
            acl.write(f"pattern read changes/{number}/#\n")
        self.reload()


class DynamicSecurity(Compared):
    label = "dynamic-security"

    def lines(self):
        lines = self.lines_dynamic_security()
        path = self.folder / "dynsec.json"
        config = json.loads(path.read_text())
        config["roles"].append({"rolename": "admin", "acls": [
            {"acltype": kind, "topic": "$CONTROL/dynamic-security/#", "priority": 0, "allow": True}
            for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")]})
        config["clients"].append({"username": ADMINISTRATOR, "password": encoded(HASH), "salt": encoded(SALT), "iterations": 101,
                                  "roles": [{"rolename": "admin"}]})
        path.write_text(json.dumps(config))
        return lines

    def change(self, number):
        command = {"command": "addRoleACL", "rolename": "device", "acltype": "publishClientSend", "topic": f"changes/{number}",
                   "priority": 0, "allow": True}
        here = SimpleNamespace(ports={"plain": self.port})
        with Client(here, ADMINISTRATOR, ADMINISTRATOR, "secret", version=V5) as client:
            client.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": [command]}), qos=1)


class Guard(Compared):
    """The policy in a file, no audit."""
    label = "Mosquitto Guard, policy file"
    tokens = True
    options = ()

    def lines(self):
        self.issuer = Issuer(self.folder / "issuer")
        tokens = [f"plugin_opt_{name} {value}" for name, value in self.issuer.options().items()]
        return [*self.lines_guard(), "plugin_opt_auth_methods token,password", *tokens, *self.options]

    def credentials(self, alg, count):
        """A file of that many clients, each with a token of its own."""
        path = self.folder / f"tokens-{alg}"
        path.write_text("".join(f"t{n}\tt{n}\t{self.issuer.token(f't{n}', alg)}\n" for n in range(count)))
        return path

    def change(self, number):
        with open(self.folder / "policy.conf", "a", encoding="ascii") as policy:
            policy.write(f"[role change-{number}]\nrule = allow receive changes/{number}/#\n")
        self.reload()


class GuardAudit(Guard):
    label = "Mosquitto Guard, audit all"

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.options = (f"plugin_opt_audit_dir {self.folder}/audit", "plugin_opt_audit_publish all", "plugin_opt_broker_id bench")


class GuardRedis(Guard):
    label = "Mosquitto Guard, Redis"
    redis = None

    def lines(self):
        lines = [line for line in super().lines() if "policy_file" not in line]
        self.redis = Redis(self.folder / "redis").start()
        self.redis.load((self.folder / "policy.conf").read_text())
        return [*lines, f"plugin_opt_redis_url {self.redis.url}"]

    def start(self, before=()):
        super().start(before)
        deadline = time.monotonic() + 60
        while not self._admits():
            if time.monotonic() > deadline:
                raise SystemExit("the policy never came from Redis")
            time.sleep(0.1)
        return self

    def _admits(self):
        done = subprocess.run([self.build / "tests/bench/mqload/mqload", "connect", "-n", "1", "-p", str(self.port), *self.identity()],
                              capture_output=True, text=True, check=False)
        return done.returncode == 0 and "refused                    0" in done.stdout

    def change(self, number):
        self.redis("HSET", "guard:role:device", f"change-{number}", f"allow receive changes/{number}/#")

    def stop(self):
        super().stop()
        if self.redis:
            self.redis.stop()
            self.redis = None


def kinds():
    return [Nothing, Files, *([DynamicSecurity] if DYNSEC else []), Guard, GuardRedis, GuardAudit]
