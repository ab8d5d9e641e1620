"""The README's own set-up, followed word for word, but in a folder of the test and on a free port."""
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "README.md").read_text()
BUILD = Path(os.environ.get("GUARD_BUILD") or TOP / "build" / "release").resolve()
BROKER = os.environ.get("GUARD_BROKER") or shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def block(language, holds):
    found = [text for kind, text in re.findall(r"^```(\w*)\n(.*?)^```", README, re.S | re.M) if kind == language and holds in text]
    assert len(found) == 1, f"{len(found)} blocks of {language!r} with {holds!r}"
    return found[0]


def guardctl(*arguments, **named):
    return subprocess.run([BUILD / "guardctl", *arguments], capture_output=True, text=True, check=False, **named)


@pytest.fixture
def places(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "audit").mkdir(mode=0o750)
    return {"/var/log/mosquitto/audit": str(tmp_path / "audit"), "/etc/mosquitto": str(tmp_path), "listener 8883": f"listener {port} 127.0.0.1",
            "/usr/lib/x86_64-linux-gnu/mosquitto-guard": str(BUILD), "port": str(port)}


def placed(text, places):
    for there, here in places.items():
        if there != "port":
            text = text.replace(there, here)
    return text


@pytest.fixture
def followed(places, tmp_path):
    """Steps 1 to 3: the configuration file, and the environment of clients."""
    for arguments in (["init", "CA"], ["server", "server", "localhost", "IP:127.0.0.1"]):
        subprocess.run([TOP / "examples/mtls-fleet/ca.sh", *arguments], cwd=tmp_path, capture_output=True, check=True)
    policy = tmp_path / "policy.conf"
    policy.write_text(block("ini", "[role device]"))
    policy.chmod(0o640)
    assert "guardctl passwd sensor-7 >> /etc/mosquitto/policy.conf" in block("sh", "passwd")
    with policy.open("a") as file:
        file.write(guardctl("passwd", "sensor-7", "-", input="open-sesame\n").stdout)
    conf = tmp_path / "mosquitto.conf"
    name = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    conf.write_text(f"user {name}\n" + placed(block("", "plugin_opt_policy_file"), places))
    return conf


def test_the_doctor_is_content(followed):
    told = guardctl("doctor", followed).stdout
    found = [line for line in told.splitlines() if re.search(r": (error|warning): ", line) and "[user-root]" not in line]
    assert not found and "(1 file" in told, told


def test_the_question_is_answered(followed, places):
    question = re.search(r"^guardctl (explain .*)$", block("sh", "guardctl doctor"), re.M).group(1)
    told = guardctl(*placed(question, places).split())
    assert told.returncode == 1 and told.stdout.startswith("deny")


@pytest.mark.timeout(60)
def test_the_broker_does_as_it_is_told(followed, places, tmp_path):
    broker = subprocess.Popen([BROKER, "-c", followed], stdout=subprocess.DEVNULL, stderr=(tmp_path / "log").open("w"))
    try:
        while not re.search(r"mosquitto version \S+ running", (tmp_path / "log").read_text()):
            assert broker.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        client = ["mosquitto_pub", "-V", "5", "-q", "1", "-h", "127.0.0.1", "-p", places["port"], "--cafile", tmp_path / "ca.pem",
                  "-u", "sensor-7", "-m", "21"]
        said = {}
        for topic, password in (("sensor-7", "open-sesame"), ("sensor-8", "open-sesame"), ("sensor-7", "open-barley")):
            told = subprocess.run([*client, "-P", password, "-t", f"devices/{topic}/data"], capture_output=True, text=True, check=False)
            said[topic, password] = told.stdout + told.stderr
    finally:
        broker.terminate()
        broker.wait(20)
    assert said["sensor-7", "open-sesame"] == ""
    assert "Publish" in said["sensor-8", "open-sesame"] and "Not authorized" in said["sensor-8", "open-sesame"]
    assert "Connection error" in said["sensor-7", "open-barley"]
    assert guardctl("audit", "tail", "--denied", tmp_path / "audit").stdout.count("DENIED") == 2


def test_it_is_short():
    assert len(README.splitlines()) <= 150
