"""
A crowd comes and goes while the policy changes under it; afterwards nothing is lost, leaked or left. GUARD_SOAK_SECONDS and
GUARD_SOAK_CLIENTS make it a real soak (1800 and 2000); by default it is short.
"""
import asyncio
import os
import threading
from pathlib import Path

import pytest

from support import passwords
from support.broker import UNDER
from support.swarm import swarm
from test_rules import EVERYONE

SECONDS = float(os.environ.get("GUARD_SOAK_SECONDS", "8"))
CLIENTS = int(os.environ.get("GUARD_SOAK_CLIENTS", "100"))


def resident(process):
    """Resident memory of the broker in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.slow
@pytest.mark.timeout(SECONDS * 3 + 300)
def test_crowd(make_broker, issuer):
    names = [f"dev-{n}" for n in range(CLIENTS)]
    stored = passwords.mosquitto_7("pw", 1)
    records = "".join(f"[client {name}]\npassword = {stored}\n" for name in names[::2])
    policies = [records + EVERYONE.replace("${client_id}", "${username}"),
                records + EVERYONE.replace("${client_id}", "${username}") + "[role more]\nx = allow publish more/#\n"]
    broker = make_broker(policies[0], options=issuer.options(audit_rotate_size="4M"))
    lifetime = 3 if SECONDS < 60 else 30

    def password(name):
        return (lambda: "pw") if name in names[::2] else (lambda: issuer.token(name, "EdDSA", lifetime=lifetime))

    stop, sizes, reloads = threading.Event(), [], 0

    def disturb():
        nonlocal reloads
        while not stop.wait(max(0.5, SECONDS / 100)):
            reloads += 1
            broker.write_policy(policies[reloads % 2])
            broker.process.send_signal(1)
            sizes.append(resident(broker.process))

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        counts = asyncio.run(swarm(broker.ports["plain"], [(n, password(n)) for n in names], SECONDS))
    finally:
        stop.set()
        thread.join()
    assert counts["accepted"] > CLIENTS and counts["published"] > CLIENTS and counts["denied"], counts
    assert not counts["refused"] and not counts["not subscribed"], counts
    broker.stop()
    trail = broker.trail
    by = {}
    for event in trail.events():
        key = event["event"]["action"], event["event"].get("outcome")
        by[key] = by.get(key, 0) + 1
    assert by[("mqtt-connect", "success")] == counts["accepted"] == by[("mqtt-disconnect", "success")], (by, counts)
    assert by[("mqtt-subscribe", "success")] == counts["subscribed"], (by, counts)
    # a client that was cut off (its token ended) may have missed the answer to its last publish
    slack = counts["hung up"]
    assert 0 <= by[("mqtt-publish", "success")] - counts["published"] <= slack, (by, counts)
    assert 0 <= by.get(("mqtt-publish", "failure"), 0) - counts["denied"] <= slack, (by, counts)
    assert by[("policy-reload", "success")] >= reloads / 2
    if len(sizes) >= 12 and not UNDER:  # a sanitizer keeps freed memory aside
        early, late = max(sizes[len(sizes) // 4:len(sizes) // 2]), max(sizes[-len(sizes) // 4:])
        assert late < early * 1.15 + 4096, f"memory grows: {early} -> {late} KiB ({sizes[::max(1, len(sizes) // 10)]})"
