"""
guardctl doctor: a configuration without a finding; one for each finding there is; and the real broker, which does what the
finding says: it refuses to start, or starts and lets in whom it should not.
"""
import functools
import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ports import free_port

TOP = Path(__file__).resolve().parents[2]
BROKER = os.environ.get("GUARD_BROKER") or shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
IS_2_1 = "version 2.1." in subprocess.run([BROKER, "-h"], capture_output=True, text=True, check=False).stdout
USER = "mosquitto" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
POLICY = "[role device]\ndata = allow publish devices/${username}/#\n[default]\nroles = device\n"
CLEAN = """user {user}
listener {port} 127.0.0.1
allow_anonymous false
plugin {dir}/mosquitto_guard.so
plugin_opt_policy_file {dir}/policy.conf
plugin_opt_audit_dir {dir}/audit
plugin_opt_audit_signing_key_file {dir}/audit.key
"""
TLS = "listener {tls}\ncertfile {dir}/server.pem\nkeyfile {dir}/server.key\n"


@functools.cache
def broker_environment(executable):
    """Of a broker that loads the plugin of that build: a sanitizer's libraries have to be there first."""
    needed = subprocess.run(["ldd", executable.parent / "mosquitto_guard.so"], capture_output=True, text=True, check=True).stdout
    sanitizers = re.findall(r"=> (\S*lib(?:asan|ubsan|tsan)\S*)", needed)
    # leaks: the broker's own would be reported too
    return {**os.environ, "LD_PRELOAD": ":".join(sanitizers), "ASAN_OPTIONS": "detect_leaks=0"} if sanitizers else None


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", folder / "server.key", "-out", folder / "server.pem"],
                   check=True, capture_output=True)
    ended(folder)
    return folder


def ended(folder):
    """A certificate and a revocation list that are over."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    key = serialization.load_pem_private_key((folder / "server.key").read_bytes(), None)
    now = datetime.now(timezone.utc)
    certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
                   .not_valid_before(now - timedelta(days=9)).not_valid_after(now - timedelta(hours=1)).sign(key, hashes.SHA256()))
    crl = (x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now - timedelta(days=9))
           .next_update(now - timedelta(days=3)).sign(key, hashes.SHA256()))
    for made, file in ((certificate, "ended.pem"), (crl, "ended.crl")):
        (folder / file).write_bytes(made.public_bytes(serialization.Encoding.PEM))


class Ward:
    """A folder that the broker's user can read, with a configuration in it that has no finding."""

    def __init__(self, folder, executable):
        self.dir, self.executable = folder, executable
        self.port, self.tls = free_port(), free_port()
        self.write("policy.conf", POLICY)
        self.write("mosquitto.conf", self.fill(CLEAN))
        shutil.copy(executable.with_name("mosquitto_guard.so"), folder)
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "audit.key"], check=True, capture_output=True)
        (folder / "audit").mkdir(mode=0o750)
        for name in ("audit", "audit.key"):
            self.own(name)

    def fill(self, text):
        for name, value in {"user": USER, "port": self.port, "tls": self.tls, "dir": self.dir}.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def write(self, name, text, mode=0o644):
        (self.dir / name).parent.mkdir(exist_ok=True)
        (self.dir / name).write_text(text)
        (self.dir / name).chmod(mode)

    def own(self, name, mode=None):
        if os.geteuid() == 0:
            shutil.chown(self.dir / name, USER)
        if mode is not None:
            (self.dir / name).chmod(mode)

    def change(self, *edits):
        """Each edit is "+lines" to add at the end, "-text" to remove the lines with it, or ("old", "new")."""
        path = self.dir / "mosquitto.conf"
        text = path.read_text()
        for edit in edits:
            if isinstance(edit, tuple):
                old, new = map(self.fill, edit)
                assert old in text, old
                text = text.replace(old, new)
            elif edit[0] == "+":
                text += self.fill(edit[1:]) + "\n"
            else:
                assert edit[1:] in text
                text = "".join(line for line in text.splitlines(True) if edit[1:] not in line)
        path.write_text(text)

    def doctor(self, *arguments):
        told = subprocess.run([self.executable, "doctor", "--json", *arguments, self.dir / "mosquitto.conf"],
                              capture_output=True, text=True, timeout=60, check=False)
        assert told.stderr == "", told.stderr
        return told.returncode, json.loads(told.stdout)

    def broker(self):
        """The broker with this configuration, once it is up or has ended; its log."""
        log = self.dir / "out"
        with open(log, "wb") as out:
            process = subprocess.Popen([BROKER, "-v", "-c", str(self.dir / "mosquitto.conf")], stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=subprocess.STDOUT, env=broker_environment(self.executable))
        for _ in range(3000):
            if process.poll() is not None or b" running\n" in log.read_bytes():
                break
            time.sleep(0.01)
        return process, log.read_text()


@pytest.fixture
def ward(executable, certificate):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    ward = Ward(folder, executable)
    for name in ("server.key", "server.pem", "ended.pem", "ended.crl"):
        shutil.copy(certificate / name, folder)
        ward.own(name, 0o640)
    yield ward
    shutil.rmtree(folder)


def test_a_clean_configuration(ward, guardctl):
    code, told = ward.doctor("--broker", "2.0.23")
    assert (code, told["findings"]) == (0, []), told
    assert told["user"] == USER and told["broker"] == "2.0.23"
    told = guardctl("doctor", ward.dir / "mosquitto.conf")
    assert told.returncode == 0 and ": 0 errors, 0 warnings, " in told.stdout, told.stdout
    process, log = ward.broker()
    assert process.poll() is None, log
    process.terminate()
    assert process.wait(20) == 0


@pytest.mark.parametrize("conf", sorted(p for p in (TOP / "examples").glob("*/*.conf") if "\nplugin " in p.read_text()),
                         ids=lambda p: f"{p.parent.name}-{p.name}")
def test_the_examples_are_in_good_health(ward, conf):
    """Nothing but that their files are not on this machine. Their brokers are those of the test, or one that is up to date."""
    shutil.copy(conf, ward.dir / "mosquitto.conf")
    elsewhere = {"file-missing", "plugin-file", "audit-folder", "folder-closed"}
    told = ward.doctor("--offline", "--broker", "2.0.23")[1]
    assert [f for f in told["findings"] if f["severity"] != "note" and f["id"] not in elsewhere] == []


# id, the broker's version, what makes it so (edits of the clean configuration), the line it is found in (text of it; None: the
# whole file), and what the real broker does: "refuses" to start, "starts", one of the two on 2.0 and the other on 2.1, or None where it
# cannot be tried with any broker.
CASES = [
    ("plugin-missing", "2.0.23", ["-plugin"], None, "starts"),
    ("plugin-file", "2.0.23", [("mosquitto_guard.so", "mosquitto_guard.so # ours")], "plugin ", "refuses"),
    ("plugin-file", "2.0.23", [("{dir}/mosquitto_guard.so", "mosquitto_guard.so")], "plugin ", "refuses"),
    ("plugin-order", "2.0.23", [("plugin {dir}", "plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so\nplugin {dir}")],
     "/mosquitto_guard.so", None),
    ("plugin-beside", "2.0.23", ["+plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so"], "dynamic_security", None),
    ("plugin-twice", "2.0.23", ["+plugin {dir}/mosquitto_guard.so\nplugin_opt_policy_file {dir}/policy.conf"], "plugin ",
     ("refuses", "starts")),
    ("plugin-unused", "2.1.2", [("plugin {dir}", "plugin_load guard {dir}")], "plugin_load", "refuses"),
    ("plugin-unloaded", "2.1.2", ["+plugin_use guard"], "plugin_use", "refuses"),
    ("listener-needed", "2.1.2", [("listener", "per_listener_settings true\npassword_file {dir}/audit/../none\nlistener")], "password_file",
     "refuses"),
    ("listener-needed", "2.1.2", [("listener", "per_listener_settings true\nallow_anonymous true\nlistener")], "allow_anonymous true",
     ("starts", "refuses")),
    ("per-listener-old", "2.1.2", [("user", "per_listener_settings true\nuser")], "per_listener", "starts"),
    ("files-beside", "2.0.23", ["+acl_file {dir}/policy.conf"], "acl_file", None),
    ("chain-open", "2.1.2", ["+plugin_opt_mode coexist\nplugin {dir}/mosquitto_acl_file.so"], "mosquitto_acl_file.so", None),
    ("listener-unguarded", "2.1.2", [("user", "per_listener_settings true\nuser"), "+listener {tls} 127.0.0.1"], "listener {tls}", "starts"),
    ("option-without-plugin", "2.0.23", [("allow_anonymous", "plugin_opt_mode strict\nallow_anonymous")], "plugin_opt_mode", "refuses"),
    ("option-wrong", "2.0.23", [("policy_file", "polcy_file")], "polcy_file", "refuses"),
    ("option-wrong", "2.0.23", ["+plugin_opt_auth_workers 65"], "auth_workers", "refuses"),
    ("option-wrong", "2.0.23", ["+plugin_opt_redis_url http://somewhere/"], "redis_url", "refuses"),
    ("option-twice", "2.0.23", ["+plugin_opt_audit_dir {dir}/audit"], "audit_dir", "refuses"),
    ("option-blanks", "2.0.23", [("{dir}/policy.conf", "{dir}/policy.conf  ")], "policy_file", "refuses"),
    ("option-not-reloaded", "2.0.23", ["+plugin_opt_client_takeover same-user"], "client_takeover", "starts"),
    ("policy-missing", "2.0.23", ["-policy_file"], "plugin ", "refuses"),
    ("policy-wrong", "2.0.23", [("policy.conf", "wrong.conf")], "plugin ", "refuses"),
    ("audit-off", "2.0.23", ["-audit_dir", "-signing_key"], "plugin ", "starts"),
    ("audit-unsigned", "2.0.23", ["-signing_key"], "plugin ", "starts"),
    ("audit-shared", "2.1.2", [("user", "per_listener_settings true\nuser"), "+listener {tls} 127.0.0.1\nplugin {dir}/mosquitto_guard.so\n"
     "plugin_opt_policy_file {dir}/policy.conf\nplugin_opt_audit_dir {dir}/audit"], "plugin ", "refuses"),
    ("audit-folder", "2.0.23", [("{dir}/audit\n", "{dir}/closed/audit\n")], "audit_dir", "refuses"),
    ("audit-open", "2.0.23", [("{dir}/audit\n", "{dir}/open\n")], "audit_dir", "starts"),
    ("redis-unreachable", "2.0.23", ["+plugin_opt_redis_url redis://127.0.0.1:1\nplugin_opt_snapshot_file {dir}/audit/s"], "redis_url", None),
    ("redis-plain", "2.0.23", ["+plugin_opt_redis_url redis://192.0.2.7\nplugin_opt_snapshot_file {dir}/audit/s"], "redis_url", None),
    ("snapshot-missing", "2.0.23", ["+plugin_opt_redis_url redis://127.0.0.1:1"], "plugin ", None),
    ("token-unbound", "2.0.23", ["+plugin_opt_jwt_jwks_file {dir}/server.pem\nplugin_opt_jwt_issuer me"], "plugin ", None),
    ("token-logged", "2.0.23", ["+plugin_opt_jwt_in_username yes"], "plugin ", "starts"),
    ("takeover-any", "2.0.23", ["+plugin_opt_client_takeover any"], "plugin ", "starts"),
    ("identity-logged", "2.0.23", ["+plugin_opt_identity_check log"], "plugin ", "starts"),
    ("throttle-off", "2.0.23", ["+plugin_opt_auth_throttle no"], "plugin ", "starts"),
    ("tls-ports", "2.1.3", ["+plugin_opt_require_tls yes"], "plugin ", "starts"),
    ("tls-ports", "2.0.23", ["+plugin_opt_require_tls yes\nplugin_opt_tls_ports {tls}"], "plugin ", "starts"),
    ("tls-ports", "2.1.3", ["+plugin_opt_require_tls yes\nplugin_opt_tls_ports {port}"], "listener", "starts"),
    ("tls-missing", "2.0.23", [(" 127.0.0.1", "")], "listener", "starts"),
    ("tls-old", "2.0.23", ["+" + TLS + "tls_version tlsv1.1"], "tls_version", None),
    ("identity-bypass", "2.0.23", ["+" + TLS + "cafile {dir}/server.pem\nrequire_certificate true\nuse_identity_as_username true"],
     "use_identity", "starts"),
    ("certificate-not-asked", "2.0.23", ["+plugin_opt_auth_methods certificate+password\n" + TLS], "plugin ", "starts"),
    ("anonymous", "2.0.23", [("allow_anonymous false", "allow_anonymous true")], "allow_anonymous", "starts"),
    ("mount-point", "2.0.23", ["+mount_point here/"], "mount_point", "starts"),
    ("proxy-protocol", "2.1.2", ["+" + TLS + "enable_proxy_protocol 2"], "enable_proxy", None),
    ("websocket-address", "2.0.21", ["+protocol websockets"], "protocol", None),
    ("http-api", "2.1.2", ["-listener"], None, None),
    ("user-root", "2.0.23", [("user {user}", "user root")], "user root", None),
    ("user-unknown", "2.0.23", [("user {user}", "user nobody-by-that-name")], "user nobody", "refuses" if USER == "mosquitto" else None),
    ("file-missing", "2.0.23", [("policy.conf", "gone.conf")], "gone.conf", "refuses"),
    ("file-missing", "2.0.23", ["+plugin_opt_config {dir}/gone.conf"], "gone.conf", "refuses"),
    ("file-unreadable", "2.0.23", [("policy.conf", "secret.conf")], "secret.conf", "refuses"),
    ("file-unreadable", "2.0.23", [("policy.conf", "closed/policy.conf")], "closed/policy.conf", "refuses"),
    ("file-unsafe", "2.0.23", [("policy.conf", "loose.conf")], "loose.conf", "refuses"),
    ("secret-open", "2.0.23", [("audit.key", "open.key")], "open.key", "refuses"),
    ("secret-open", "2.0.23", ["+" + TLS.replace("server.key", "open-server.key")], "open-server.key", "starts"),
    ("folder-closed", "2.0.23", ["+plugin_opt_metrics_file {dir}/closed/figures.prom"], "metrics_file", None),
    ("file-unreadable", "2.0.23", ["+plugin_opt_password_file {dir}/secret.conf"], "password_file", "refuses"),
    ("log-off", "2.0.23", ["+log_dest none"], "log_dest", None),
    ("log-off", "2.0.23", ["+log_type error"], "log_type", None),
    ("queue-unlimited", "2.0.23", ["+max_queued_messages 0"], "max_queued", "starts"),
    ("sessions-forever", "2.0.23", ["+persistence true\npersistence_location {dir}/audit/"], "persistence true", "starts"),
    ("persistence-place", "2.0.23", ["+persistence true"], "persistence true", None),
    ("persistence-names", "2.0.11", ["+persistence true"], "persistence true", None),
    ("retained-unchecked", "2.0.23", ["+persistence true"], "persistence true", None),
    ("bridge", "2.0.23", ["+connection north\naddress 192.0.2.7\ntopic # out"], "connection", None),
    ("deny-special", "2.0.23", ["+auth_plugin_deny_special_chars true"], "auth_plugin_deny", "starts"),
    ("reload-ends", "2.1.2", ["+password_file {dir}/policy.conf"], "password_file", None),
    ("per-listener-tick", "2.0.11-1.2+deb12u2", [("user", "per_listener_settings true\nuser")], "per_listener", "starts"),
    ("per-listener-queue", "2.0.21", [("user", "per_listener_settings true\nuser")], "per_listener", "starts"),
    ("broker-setting", "2.0.23", [("plugin {dir}", "global_plugin {dir}")], "global_plugin",
     ("refuses", "starts")),
    ("broker-setting", "2.0.23", ["+" + TLS + "plugin_use guard"], "plugin_use", "refuses"),
    ("certificate-ended", "2.0.23", ["+" + TLS.replace("server.pem", "ended.pem")], "ended.pem", "starts"),
    ("certificate-ended", "2.0.23", ["+" + TLS + "cafile {dir}/server.pem\ncrlfile {dir}/ended.crl"], "ended.crl", None),
    ("certificate-ends", "2.0.23", ["+" + TLS], "server.pem", "starts"),
    ("broker-too-old", "1.6.9", [], None, None),
    ("broker-holes", "2.0.15", [], None, None),
    ("broker-unknown", "unheard-of", [], None, None),
]


def prepare(ward, edits):
    ward.change(*edits)
    ward.write("wrong.conf", "[role device]\nx = allow eat devices\n")
    ward.write("secret.conf", POLICY, 0o600)
    ward.write("loose.conf", POLICY, 0o646)
    ward.write("open.key", (ward.dir / "audit.key").read_text(), 0o644)
    ward.write("open-server.key", (ward.dir / "server.key").read_text(), 0o644)
    ward.write("mosquitto_acl_file.so", "")
    ward.write("closed/policy.conf", POLICY)
    (ward.dir / "closed").chmod(0o700)
    (ward.dir / "open").mkdir()
    ward.own("open", 0o755)


def skip_what_needs_root(identity):
    if os.geteuid() != 0 and identity in ("file-unreadable", "user-root", "audit-folder", "user-unknown", "folder-closed"):
        pytest.skip("only root can be somebody else")


@pytest.mark.parametrize("identity, version, edits, where, proof", CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_finding(ward, identity, version, edits, where, proof):
    skip_what_needs_root(identity)
    prepare(ward, edits)
    text = (ward.dir / "mosquitto.conf").read_text()
    code, told = ward.doctor("--broker", version, *([] if identity == "redis-unreachable" else ["--offline"]))
    found = [f for f in told["findings"] if f["id"] == identity]
    assert found, told
    assert code == (1 if told["errors"] + told["warnings"] else 0)
    if where:
        lines = [n for n, line in enumerate(text.splitlines(), 1) if ward.fill(where) in line]
        assert {f["line"] for f in found} & set(lines) and found[0]["file"] == str(ward.dir / "mosquitto.conf"), found
    else:
        assert found[0]["line"] == 0, found
    if isinstance(proof, tuple):
        proof = proof[IS_2_1]
    if proof:
        process, log = ward.broker()
        ended = end(process)
        assert (" running\n" in log) == (proof == "starts") and (ended == 0) == (proof == "starts"), f"{ended}\n{log}"


def end(process):
    """SIGTERM until it ends: 2.0.11 forgets one that comes between the line "running" and its loop."""
    for _ in range(20):
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError("the broker does not end")


def test_each_finding_has_a_case(guardctl):
    there_are = set(re.findall(r"^\| `([a-z0-9-]+)`", guardctl("doctor", "--list").stdout, re.M))
    tried = {case[0] for case in CASES}
    assert there_are - tried == ({"not-as-broker"}) and not tried - there_are


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_not_as_broker(ward):
    ward.write("secret.conf", POLICY, 0o600)
    ward.change(("policy.conf", "secret.conf"))
    shutil.copy(ward.executable, ward.dir)
    told = subprocess.run([ward.dir / "guardctl", "doctor", "--json", ward.dir / "mosquitto.conf"], user="nobody", group="nogroup",
                          capture_output=True, text=True, check=False)
    found = {f["id"] for f in json.loads(told.stdout)["findings"]}
    assert "not-as-broker" in found and "file-unreadable" not in found, told.stdout


def test_debians_corrections_count(ward):
    assert "broker-holes" in {f["id"] for f in ward.doctor("--broker", "2.0.11")[1]["findings"]}
    assert ward.doctor("--broker", "2.0.11-1.2+deb12u2")[1]["findings"] == []


def test_what_is_included_is_read_as_the_broker_reads_it(ward):
    """Each file begins without a plugin and without a listener; findings name the file they are in."""
    ward.change("-plugin", "+include_dir {dir}/conf.d")
    ward.write("conf.d/b.conf", ward.fill("plugin {dir}/mosquitto_guard.so\nplugin_opt_polcy_file {dir}/policy.conf\n"))
    ward.write("conf.d/a.conf", "# nothing\nallow_anonymous true\n")
    ward.write("conf.d/c.conf.bak", "user root\n")
    found = {(f["id"], Path(f["file"]).name, f["line"]) for f in ward.doctor()[1]["findings"]}
    assert {("option-wrong", "b.conf", 2), ("anonymous", "a.conf", 2)} <= found
    assert not {f for f in found if f[0] == "user-root"}


def test_mistakes_in_the_options_file(ward, guardctl):
    ward.write("options.conf", "audit_publish all\nclient_takover any\n")
    ward.change("+plugin_opt_config {dir}/options.conf")
    [found] = [f for f in ward.doctor()[1]["findings"] if f["id"] == "option-wrong"]
    assert "options.conf:2:" in found["why"] and "client_takeover" in found["why"]


def test_what_cannot_be_read(ward, guardctl):
    told = guardctl("doctor", ward.dir / "none.conf")
    assert told.returncode == 2 and "none.conf" in told.stderr
    ward.change("+include_dir {dir}/nowhere")
    told = guardctl("doctor", ward.dir / "mosquitto.conf")
    assert told.returncode == 2 and "nowhere" in told.stderr and ":8:" in told.stderr
    assert guardctl("doctor", "a", "b").returncode == 2


def publish(ward, *options, port=None):
    """mosquitto_pub's verdict: whether it was let in and its message taken."""
    return subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port or ward.port), "-t", "a/b", "-m", "1", "-q", "1",
                           "-V", "5", *options], capture_output=True, timeout=20, check=False).returncode == 0


@pytest.mark.skipif(not shutil.which("mosquitto_pub"), reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("identity, edits, let_in", [
    # nobody asked Mosquitto Guard
    ("listener-unguarded", [("user", "per_listener_settings true\nuser"), "+listener {tls} 127.0.0.1\nallow_anonymous true"], True),
    # whoever has no name passes through to allow_anonymous
    ("anonymous", [("allow_anonymous false", "allow_anonymous true"), "+plugin_opt_mode coexist\nlistener {tls} 127.0.0.1"], True),
    # in mode strict it is refused, as the finding says
    ("anonymous", [("allow_anonymous false", "allow_anonymous true"), "+listener {tls} 127.0.0.1"], False),
])
def test_whom_the_real_broker_lets_in(ward, identity, edits, let_in):
    ward.change(*edits)
    assert identity in {f["id"] for f in ward.doctor("--broker", "2.1.3")[1]["findings"]}
    process, log = ward.broker()
    assert process.poll() is None, log
    try:
        connected = subprocess.run(["mosquitto_sub", "-h", "127.0.0.1", "-p", str(ward.tls), "-t", "x", "-E", "-V", "5"],
                                   capture_output=True, timeout=20, check=False)
        assert (b"not authori" not in connected.stderr.lower()) == let_in, connected
    finally:
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.skipif(not shutil.which("mosquitto_passwd") or not shutil.which("mosquitto_pub"), reason="no mosquitto-clients")
def test_a_password_file_is_not_asked_in_mode_strict(ward):
    ward.write("passwords", "")
    subprocess.run(["mosquitto_passwd", "-b", ward.dir / "passwords", "sensor", "open-sesame"], check=True, capture_output=True)
    ward.own("passwords", 0o640)
    ward.change(("listener", "password_file {dir}/passwords\nlistener"))
    assert "files-beside" in {f["id"] for f in ward.doctor("--broker", "2.0.23")[1]["findings"]}
    process, log = ward.broker()
    assert process.poll() is None, log
    try:
        assert not publish(ward, "-u", "sensor", "-P", "open-sesame")
    finally:
        process.terminate()
        process.wait(20)
