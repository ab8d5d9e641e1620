"""
Passwords whose hashes are computed beside the broker (2.1): answers that come late, never, or to somebody who is gone. On 2.0,
where each hash is computed at once, the same tests show that the outcome is the same.
"""
import random
import resource
import select
import signal
import threading
import time

import pytest

from support import passwords
from support.broker import SLOWNESS
from support.client import V5
from support.raw import RawClient, connect_packet
from support.tokens import Issuer
from test_rules import EVERYONE, users

SLOW = passwords.mosquitto_7("pw", 120_000 // SLOWNESS)  # about a tenth of a second
POLICY = users("quick") + "".join(f"[client {name}]\npassword = {SLOW}\n" for name in ("slow", "slow2")) + EVERYONE
OPEN = {"auth_throttle": "no", "auth_timeout": "60"}


@pytest.fixture
def delaying(broker_version):
    if broker_version < (2, 1):
        pytest.skip("2.0 has no delayed authentication")


def begin(broker, client_id, username, password):
    client = RawClient(broker.ports["plain"])
    client.send(connect_packet(client_id, username, password, version=5))
    return client


def code(client):
    answer = client.read()
    return answer[1][1] if answer else None


def successes(broker):
    return [(e["user"]["name"], e["mqtt"]["client_id"]) for e in broker.trail.events("mqtt-connect", event__outcome="success")]


# --- A-B-A

@pytest.mark.memory
@pytest.mark.parametrize("second", [("slow", "wrong"), ("slow2", "wrong"), ("quick", "wrong"), ("nobody", "pw"), (None, None)],
                         ids=["same user", "other user", "quick hash", "unknown user", "anonymous"])
def test_who_comes_after_gets_no_answer_of_the_one_before(make_broker, second):
    """The owner's good password is being verified when he drops; a stranger takes the client id. Any moment in between."""
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    for turn in range(8):
        owner = begin(broker, "the-id", "slow", "pw")
        time.sleep(random.random() * 0.15)
        owner.close()
        with begin(broker, "the-id", *second) as stranger:
            assert code(stranger) != 0, f"turn {turn}: admitted by somebody else's password"
    assert all(user == "slow" for user, _ in successes(broker))


@pytest.mark.memory
def test_nor_does_the_right_one_suffer(make_broker):
    """The reverse: a stranger's wrong password is being verified when he drops; the owner comes and is admitted."""
    broker = make_broker(POLICY, options=OPEN)
    for _ in range(8):
        stranger = begin(broker, "the-id", "slow", "wrong")
        time.sleep(random.random() * 0.15)
        stranger.close()
        for attempt in range(20):
            with begin(broker, "the-id", "slow2", "pw") as owner:
                answer = code(owner)
                if answer == 0:
                    break
                assert answer is None, "refused by somebody else's wrong password"  # the broker has not seen the other one go
        else:
            pytest.fail("never admitted")


@pytest.mark.memory
def test_who_gets_the_memory_of_one_who_left(make_broker):
    """The broker gives the next client the struct of the one that hung up: another id, another user, and no right to the answer."""
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    for turn in range(10):
        first = begin(broker, f"first-{turn}", "slow", "pw")
        time.sleep(0.02)
        first.close()
        time.sleep(0.01)
        with begin(broker, f"second-{turn}", "slow2", "wrong") as second, begin(broker, f"third-{turn}", "quick", "pw") as third:
            assert code(third) == 0
            assert code(second) == 0x87
    assert all(user != "slow2" for user, _ in successes(broker))


def test_two_at_once_under_one_id(make_broker):
    """The broker hangs up on the second while the first is pending; whoever is answered is answered for himself."""
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    for _ in range(6):
        with begin(broker, "one-id", "slow", "pw") as good, begin(broker, "one-id", "slow2", "wrong") as bad:
            assert code(bad) != 0
            assert code(good) in (0, None)
    assert all(user == "slow" for user, _ in successes(broker))


# --- gone, late, too many

@pytest.mark.memory
def test_hung_up_while_waiting(make_broker, delaying, eventually):
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    for number in range(6):
        begin(broker, f"gone-{number}", "slow", "pw").close()
    with begin(broker, "stays", "slow", "pw") as client:
        assert code(client) == 0
    assert successes(broker) in ([("slow", "stays")], [])
    eventually(lambda: successes(broker) == [("slow", "stays")], 3, "the audit event")
    begin(broker, "gone-1", "slow", "pw").close()
    with begin(broker, "gone-1", "quick", "pw") as client:
        assert code(client) in (0, None)


@pytest.mark.timing
def test_time_out(make_broker, delaying):
    """What cannot be computed within auth_timeout is refused at that time, not later, and said so."""
    stored = passwords.mosquitto_7("pw", 200_000)  # more than a tenth of a second, one after the other
    broker = make_broker(f"[client slow]\npassword = {stored}\n" + EVERYONE,
                         options={**OPEN, "auth_workers": "1", "auth_timeout": "1", "auth_cache_size": "0"})
    began = time.monotonic()
    clients = [begin(broker, f"c{n}", "slow", "wrong" if n == 1 else "pw") for n in range(24)]
    answers, times = [], []
    for client in clients:
        answers.append(code(client))
        times.append(time.monotonic() - began)
        client.close()
    assert answers[0] == 0 and answers[1] == 0x87 and answers[-1] == 0x87
    assert max(times) < 2.5, f"the last answer came after {max(times):.1f} s"
    reasons = [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", answers.count(0x87), event__outcome="failure")]
    assert "rate_limited" in reasons


@pytest.mark.timing
@pytest.mark.parametrize("kind", ["password", "token"])
def test_full_queue(make_broker, delaying, kind, tmp_path):
    """4,096 may wait; the next is refused at once, and the broker ends in good order with all of them waiting."""
    wanted = 4300
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3 * wanted:
        pytest.skip(f"only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * wanted), hard))
    stored = passwords.mosquitto_7("pw", 1_500_000)
    issuer = Issuer(tmp_path)
    issuer.add_slow("ES384")
    broker = make_broker(f"[client slow]\npassword = {stored}\n" + users("quick") + EVERYONE,
                         options={**OPEN, "auth_workers": "1", "auth_cache_size": "0", **issuer.options(jwt_algorithms="ES384")})
    # the worker has half a second's work with each of these: long enough for all the others to come, on a slow machine, too
    busy = [begin(broker, f"busy{n}", "slow", "pw") for n in range(100)]
    credentials = ("slow", "pw") if kind == "password" else ("slow", issuer.token("slow", "ES384"))
    clients = busy + [begin(broker, f"c{n}", *credentials) for n in range(wanted)]
    try:
        waiting, answers = {client.socket: client for client in clients}, []
        deadline = time.monotonic() + 40
        while answers.count(0x87) < 150 and time.monotonic() < deadline:  # a few got the place of one that was done
            poll = select.poll()
            for sock in waiting:
                poll.register(sock, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(1000)}
            for sock in [s for s in waiting if s.fileno() in ready]:
                answers.append(code(waiting.pop(sock)))
        assert answers.count(0x87) >= 150 and answers.count(0) < len(busy), answers
        with begin(broker, "q", "quick", "pw") as quick:
            assert code(quick) == 0
        refused = [e for e in broker.trail.events("mqtt-connect", event__outcome="failure")]
        assert refused and {e["event"]["reason"] for e in refused} == {"rate_limited"}, "refused for another reason"
        began = time.monotonic()
        broker.stop()
        assert time.monotonic() - began < 8
    finally:
        for client in clients:
            client.close()


# --- while checks are pending

@pytest.mark.memory
def test_reload_while_checks_are_pending(make_broker):
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    for turn in range(3):
        good = [begin(broker, f"g{turn}-{n}", "slow", "pw") for n in range(3)]
        bad = [begin(broker, f"b{turn}-{n}", "slow", "wrong") for n in range(3)]
        broker.process.send_signal(signal.SIGHUP)
        assert [code(c) for c in good] == [0] * 3
        assert [code(c) for c in bad] == [0x87] * 3
        for client in good + bad:
            client.close()


def test_password_changed_while_it_is_checked(make_broker, delaying):
    """The hash that was good at CONNECT is not the user's any more when the answer comes."""
    stored = passwords.mosquitto_7("pw", 1_000_000)
    broker = make_broker(f"[client slow]\npassword = {stored}\n" + EVERYONE, options=OPEN)
    with begin(broker, "c", "slow", "pw") as client:
        broker.write_policy(f"[client slow]\npassword = {passwords.mosquitto_7('new')}\n" + EVERYONE)
        broker.process.send_signal(signal.SIGHUP)
        assert code(client) == 0x87


def test_disabled_while_it_is_checked(make_broker, delaying):
    stored = passwords.mosquitto_7("pw", 1_000_000)
    record = f"[client slow]\npassword = {stored}\n"
    broker = make_broker(record + EVERYONE, options=OPEN)
    with begin(broker, "c", "slow", "pw") as client:
        broker.write_policy(record + "disabled = true\n" + EVERYONE)
        broker.process.send_signal(signal.SIGHUP)
        assert code(client) == 0x87
    assert broker.trail.one("mqtt-connect")["event"]["reason"] == "user_disabled"


@pytest.mark.memory
def test_shutdown_while_checks_are_pending(make_broker):
    """No crash, no thread left behind: the fixture looks at the exit code, valgrind and the sanitizers at the rest."""
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    clients = [begin(broker, f"c{n}", "slow", "pw" if n % 2 else "wrong") for n in range(12)]
    time.sleep(0.05)
    broker.stop()
    for client in clients:
        client.close()


def test_a_block_empties_the_queue(make_broker, delaying):
    """An address that guesses loses its places in the queue, so that its backlog costs no worker's time."""
    broker = make_broker(POLICY, options={"auth_throttle_failures": "3", "auth_workers": "1"})
    clients = [begin(broker, f"c{n}", f"guess-{n}", "wrong") for n in range(30)]
    began = time.monotonic()
    assert [code(c) for c in clients] == [0x87] * 30
    assert time.monotonic() - began < 30 * 0.1
    for client in clients:
        client.close()
    reasons = [e["event"]["reason"] for e in broker.trail.wait("mqtt-connect", 30, event__outcome="failure")]
    assert reasons.count("ip_blocked") >= 20, reasons


@pytest.mark.timing
def test_many_at_once(make_broker):
    """Good and bad, staying and leaving, from many threads: each gets what it deserves."""
    broker = make_broker(POLICY, options={**OPEN, "auth_cache_size": "0"})
    wrong = []

    def run(seed):
        dice = random.Random(seed)
        for number in range(6):
            good = dice.random() < 0.5
            client = begin(broker, f"id-{dice.randrange(6)}", "slow", "pw" if good else "wrong")
            if dice.random() < 0.3:
                time.sleep(dice.random() * 0.1)
                client.close()
                continue
            answer = code(client)
            client.close()
            if (answer == 0 and not good) or (answer == 0x87 and good):
                wrong.append((seed, number, good, answer))
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    broker.client("after", "quick", "pw", version=V5).open()
