"""
The brokers that are compared: without authorization, with acl_file, with the dynamic-security plugin, with Mosquitto Guard.
In each of them every client comes with a user name and a password, because the broker itself does more for named clients.
"""
import base64
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
BROKER = os.environ.get("GUARD_BROKER") or shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
DYNSEC = next(iter(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so")), None)

# What every client may do, in %u notation: 20 templates of a device fleet.
TEMPLATES = [f"devices/%u/topic{i}/#" for i in range(17)] + ["devices/%u/data", "devices/%u/commands", "fleet/all"]


SALT = b"twelve bytes"
HASH = hashlib.pbkdf2_hmac("sha512", b"secret", SALT, 101)


def encoded(octets):
    return base64.b64encode(octets).decode()


def private_rules(count):
    """Rules that one user holds beside the templates, none of which matches what it does."""
    return [f"site/{i // 100}/line/{i % 100}/state" for i in range(count)]


class Setup:
    """One configuration. rules: how many further rules each user holds (through one role or list)."""

    def __init__(self, name, folder, build, rules=0, users=1, audit=None):
        self.name, self.folder, self.build, self.rules, self.users, self.audit = name, Path(folder), Path(build), rules, users, audit
        self.folder.mkdir(parents=True)
        self.port = self.process = None

    def lines(self):
        return getattr(self, "lines_" + self.name.partition(" ")[0].replace("-", "_"))()

    def lines_none(self):
        return ["allow_anonymous true"]

    def lines_acl_file(self):
        acl = [f"pattern readwrite {t}" for t in TEMPLATES]
        if self.rules:
            for name in self.names():
                acl += [f"user {name}"] + [f"topic readwrite {t}" for t in private_rules(self.rules)]
        (self.folder / "acl").write_text("\n".join(acl) + "\n")
        return ["allow_anonymous true", f"acl_file {self.folder}/acl"]

    def lines_dynamic_security(self):
        # 2.0 has no %u here: the nearest a role can say is `+`, which grants everybody's topics
        topics = private_rules(self.rules) + [t.replace("%u", "+") for t in TEMPLATES]
        acls = [{"acltype": kind, "topic": t, "priority": 0, "allow": True} for t in topics
                for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")]
        users = [{"username": name, "password": encoded(HASH), "salt": encoded(SALT), "iterations": 101,
                  "roles": [{"rolename": "device"}]} for name in self.names()]
        config = {"defaultACLAccess": dict.fromkeys(("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), False),
                  "clients": users, "groups": [], "roles": [{"rolename": "device", "acls": acls}]}
        (self.folder / "dynsec.json").write_text(json.dumps(config))
        return ["allow_anonymous false", f"plugin {DYNSEC}", f"plugin_opt_config_file {self.folder}/dynsec.json"]

    def lines_guard(self):
        policy = ["[default]", "roles = device", "[role device]"]
        policy += [f"t{i} = allow all {t.replace('%u', '${username}')}" for i, t in enumerate(TEMPLATES)]
        policy += [f"p{i} = allow all {t}" for i, t in enumerate(private_rules(self.rules))]
        for name in self.names():
            policy += [f"[client {name}]", f"password = $7$101${encoded(SALT)}${encoded(HASH)}"]
        (self.folder / "policy.conf").write_text("\n".join(policy) + "\n")
        (self.folder / "policy.conf").chmod(0o640)
        lines = ["allow_anonymous false", f"plugin {self.build}/mosquitto_guard.so", f"plugin_opt_policy_file {self.folder}/policy.conf"]
        if self.audit:
            lines += [f"plugin_opt_audit_dir {self.folder}/audit", f"plugin_opt_audit_publish {self.audit}", "plugin_opt_broker_id bench"]
        return lines

    def names(self):
        return [f"u{i}" for i in range(self.users)] + [f"s{i}" for i in range(100)]

    @staticmethod
    def identity():
        return ["--clientid", "u%d", "--username", "u%d", "--password", "secret",
                "--sub-clientid", "s%d", "--sub-username", "s%d", "--sub-password", "secret"]

    def start(self, before=()):
        with socket.create_server(("127.0.0.1", 0)) as s:
            self.port = s.getsockname()[1]
        conf = [f"listener {self.port} 127.0.0.1", "user root", "max_queued_messages 0", "max_inflight_messages 0", "log_type error",
                "log_dest file " + str(self.folder / "log"), "set_tcp_nodelay true", *self.lines()]
        (self.folder / "mosquitto.conf").write_text("\n".join(conf) + "\n")
        self.process = subprocess.Popen([*before, BROKER, "-c", str(self.folder / "mosquitto.conf")], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(12000):  # under valgrind a large policy takes minutes
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name}: the broker did not start:\n" + (self.folder / "log").read_text())
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name}: the broker does not listen")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def thread_ns(self):
        """Processor time of the broker's own thread, and of all its threads, in nanoseconds."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        times = {t.name: int((t / "schedstat").read_text().split()[0]) for t in tasks.iterdir()}
        return times[str(self.process.pid)], sum(times.values())
