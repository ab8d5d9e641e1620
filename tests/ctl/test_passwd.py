"""guardctl passwd and guardctl certificate, as people use them."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from datetime import datetime, timedelta


@pytest.mark.parametrize("options, shape", [
    ([], r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}"),
    (["--format", "argon2id", "--memory", "1024", "--iterations", "3", "--lanes", "2"], r"\$argon2id\$v=19\$m=1024,t=3,p=2\$.*"),
    (["--format", "pbkdf2"], r"\$7\$210000\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}=="),
    (["--format=pbkdf2", "--iterations=101"], r"\$7\$101\$.*"),
    (["--format", "bcrypt", "--iterations", "4"], r"\$2b\$04\$[./A-Za-z0-9]{53}"),
])
def test_make_and_verify(guardctl, options, shape):
    made = guardctl("passwd", *options, stdin="s3cret \u2603\n")
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(shape + "\n", made.stdout), made.stdout
    right = guardctl("passwd", "--verify", made.stdout.strip(), stdin="s3cret \u2603")
    assert (right.returncode, right.stdout) == (0, "the password matches\n")
    wrong = guardctl("passwd", "--verify", made.stdout.strip(), stdin="s3cret")
    assert (wrong.returncode, wrong.stdout) == (1, "the password does not match\n")


def test_line_ends(guardctl):
    stored = guardctl("passwd", "--format", "bcrypt", "--iterations", "4", "-", stdin="secret\r\nmore\n").stdout.strip()
    assert guardctl("passwd", "--verify", stored, stdin="secret").returncode == 0


def test_snippet_is_policy(guardctl, tmp_path):
    made = guardctl("passwd", "--format", "bcrypt", "--iterations", "4", 'the "pump"; 7', stdin="x")
    assert made.stdout.startswith('[client "the \\"pump\\"; 7"]\npassword = $2b$04$'), made.stdout
    (tmp_path / "policy.conf").write_text("[role r]\na = allow publish t\n" + made.stdout + "roles = r\n")
    os.chmod(tmp_path / "policy.conf", 0o600)
    checked = guardctl("check", "policy.conf")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_brokers_own_tool_reads_pbkdf2(guardctl, tmp_path):
    """mosquitto_passwd's format: 12 octets of salt, 64 of key, padded."""
    stored = guardctl("passwd", "--format", "pbkdf2", "--iterations", "10", stdin="secret").stdout.strip()
    _, seven, iterations, salt, key = stored.split("$")
    import base64
    import hashlib
    salt, key = base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
    assert (seven, len(salt), len(key)) == ("7", 12, 64)
    assert hashlib.pbkdf2_hmac("sha512", b"secret", salt, int(iterations)) == key


@pytest.mark.parametrize("arguments, stdin, told", [
    (["--format", "md5"], "x", "no format 'md5'"),
    (["--iterations", "0"], "x", "not a positive number"),
    (["--iterations", "-5"], "x", "not a positive number"),
    (["--iterations", "1e3"], "x", "not a positive number"),
    (["--bogus"], "x", "unknown option"),
    (["--memory"], "x", "unknown option, or one without its value"),
    (["user", "password"], "x", "never taken from the command line"),
    (["us]er"], "x", "cannot hold this user name"),
    (["--format", "pbkdf2", "--iterations", "3000000"], "x", "at most 2000000"),
    (["--format", "bcrypt"], "x" * 73, "72 octets"),
    ([], "", "the password is empty"),
    ([], "\n", "the password is empty"),
    ([], "a\0b\n", "NUL"),
    (["--verify", "$7$0$AAAA$AAAA"], "x", "iteration count"),
    (["--verify", "secret"], "x", "plain text"),
])
def test_refusals(guardctl, arguments, stdin, told):
    result = guardctl("passwd", *arguments, stdin=stdin)
    assert result.returncode == 2 and told in result.stderr, result
    assert result.stdout == ""


class Terminal:
    """guardctl with a terminal of its own."""

    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        self.text = b""

    def wait_for(self, what, seconds=20):
        end = time.monotonic() + seconds
        while what not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096)
                except OSError:
                    break
        assert what in self.text, self.text

    def type(self, text):
        os.write(self.fd, text)

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def end(self):
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.text += data
        os.close(self.fd)
        return os.waitpid(self.pid, 0)[1]


def test_terminal(executable):
    terminal = Terminal(executable, "passwd", "--format", "bcrypt", "--iterations", "4")
    terminal.wait_for(b"Password: ")
    assert not terminal.echoes()
    terminal.type(b"hush-hush\n")
    terminal.wait_for(b"Again: ")
    assert not terminal.echoes()
    terminal.type(b"hush-hush\n")
    terminal.wait_for(b"$2b$04$")
    assert os.waitstatus_to_exitcode(terminal.end()) == 0
    assert b"hush" not in terminal.text


def test_terminal_passwords_differ(executable):
    terminal = Terminal(executable, "passwd")
    terminal.wait_for(b"Password: ")
    terminal.type(b"one\n")
    terminal.wait_for(b"Again: ")
    terminal.type(b"two\n")
    terminal.wait_for(b"the two passwords differ")
    assert os.waitstatus_to_exitcode(terminal.end()) == 2


def test_terminal_is_restored_after_ctrl_c(executable):
    terminal = Terminal("/bin/sh", "-c", f"trap 'echo back' INT; {executable} passwd; stty -a | grep -o -- '-*echo '; sleep 5")
    terminal.wait_for(b"Password: ")
    assert not terminal.echoes()
    terminal.type(b"half a pass\x03")
    terminal.wait_for(b"echo ")
    assert terminal.echoes()
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.end()
    assert b"half" not in terminal.text


@pytest.fixture
def certificate(tmp_path):
    """certificate(common_name, days) -> name of a self-signed PEM file."""

    def make(common_name, days=1):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        now = datetime.utcnow()
        made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(77)
                .not_valid_before(now - timedelta(days=10)).not_valid_after(now + timedelta(days=days))
                .sign(key, hashes.SHA256()))
        (tmp_path / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return "c.pem"

    return make


def test_certificate(guardctl, certificate):
    file = certificate("dev-7.berlin")
    told = guardctl("certificate", "--identity", "cn:dev-{id}.{site}={site}:{id}", file)
    assert told.returncode == 0, told
    assert "user name   berlin:7\n" in told.stdout and 'attr.site = "berlin"\n' in told.stdout
    assert "serial      4D\n" in told.stdout
    refused = guardctl("certificate", "--identity", "san.dns", file)
    assert refused.returncode == 1 and "cert_identity_mismatch" in refused.stdout
    late = guardctl("certificate", "--now", "4000000000", file)
    assert late.returncode == 1 and "cert_revoked: the certificate has expired" in late.stdout
    assert guardctl("certificate", certificate("x", days=-1)).returncode == 1


@pytest.mark.parametrize("arguments, told", [
    (["--identity", "cn:{a}-{b}", "c.pem"], "column 8"),
    (["nothing.pem"], "nothing.pem"),
    ([], "expected one PEM file"),
    (["--now", "soon", "c.pem"], "Unix seconds"),
])
def test_certificate_refusals(guardctl, certificate, arguments, told):
    certificate("x")
    result = guardctl("certificate", *arguments)
    assert result.returncode == 2 and told in result.stderr, result
