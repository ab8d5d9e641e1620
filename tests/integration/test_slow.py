"""Expensive credentials: hashing must not stall others, and a late answer must not admit somebody else."""
import threading
import time

import pytest

from support import passwords
from support.client import V5
from support.raw import RawClient
from test_rules import EVERYONE, users

SLOW = passwords.mosquitto_7("pw", 250_000)  # a tenth of a second, or some
POLICY = users("quick") + f"[client slow]\npassword = {SLOW}\n" + EVERYONE


def test_a_slow_hash_stalls_nobody(make_broker, broker_version):
    if broker_version < (2, 1):
        pytest.skip("2.0 has no delayed authentication: one hash at a time runs on the broker's thread")
    broker = make_broker(POLICY, options={"auth_timeout": "60", "auth_throttle": "no"})
    quick = broker.client("quick", "quick", "pw", version=V5).open()
    crowd = [broker.client(f"slow-{n}", "slow", "pw" if n % 2 else "wrong", version=V5) for n in range(6)]
    answers = [None] * len(crowd)
    threads = [threading.Thread(target=lambda n=n: answers.__setitem__(n, crowd[n].connect())) for n in range(len(crowd))]
    for thread in threads:
        thread.start()
    published = 0
    while any(t.is_alive() for t in threads):
        assert quick.publish("devices/quick/data") == 0
        published += 1
        time.sleep(0.002)
    assert [a == 0 for a in answers] == [bool(n % 2) for n in range(len(crowd))]
    # were one hash a turn of the broker's, a publish or two would be answered between it and the next
    assert published > 10 * len(crowd), f"while {len(crowd)} hashes were made {published} publishes were answered"


def test_a_late_answer_admits_nobody_else(make_broker):
    """While the owner's check runs he leaves, and a stranger takes his client id with another password."""
    broker = make_broker(POLICY)
    for _ in range(5):
        owner = RawClient(broker.ports["plain"])
        from support.raw import connect_packet
        owner.send(connect_packet("one-id", "slow", "pw", version=5))
        owner.close()
        for _ in range(3):
            with RawClient(broker.ports["plain"]) as stranger:
                assert stranger.connect("one-id", "slow", "wrong", version=5) != 0
            with RawClient(broker.ports["plain"]) as stranger:
                assert stranger.connect("one-id", "quick", "wrong", version=5) != 0
    wrong = [e for e in broker.trail.events("mqtt-connect", event__outcome="success") if e["user"]["name"] != "slow"]
    assert not wrong


@pytest.mark.timing
def test_the_second_login_is_cheap(make_broker):
    """A credential that was verified is remembered as a keyed hash: reconnecting costs no second KDF."""
    broker = make_broker(POLICY)
    before = broker.cpu_seconds()
    broker.client("a", "slow", "pw").open().close()
    first = broker.cpu_seconds() - before
    before = broker.cpu_seconds()
    for _ in range(5):
        broker.client("a", "slow", "pw").open().close()
    assert broker.cpu_seconds() - before < first, f"the first one took {first:.2f} s"


def test_guessing_is_slowed_down(make_broker):
    """After a handful of failures the address is refused before any hashing; another address is not."""
    broker = make_broker(users("a") + EVERYONE, options={"auth_throttle_failures": "5"})
    reasons = []
    for number in range(12):
        assert broker.client(f"g{number}", "a", f"guess{number}").connect() == 5
    reasons = [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", 12, event__outcome="failure")]
    assert reasons[:5] == ["bad_credentials"] * 5 and reasons[-1] in ("ip_blocked", "rate_limited"), reasons
    assert broker.client("g", "a", "pw").connect() == 5, "blocked, though the password is right"
    import socket
    other = RawClient.__new__(RawClient)
    other.socket = socket.create_connection(("127.0.0.1", broker.ports["plain"]), timeout=5, source_address=("127.0.0.2", 0))
    with other:
        assert other.connect("h", "a", "pw") == 0


def test_throttle_off(make_broker):
    broker = make_broker(users("a") + EVERYONE, options={"auth_throttle": "no"})
    for number in range(30):
        assert broker.client(f"g{number}", "a", "guess").connect() == 5
    broker.client("g", "a", "pw").open()
