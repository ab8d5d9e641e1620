"""Each thread of ours has its own descriptors: what the broker opens is the broker's alone (core/thread.h)."""
import os
from pathlib import Path

import pytest

from support import broker as broker_module
from support.broker import free_ports
from support.client import V5
from test_redis import POLICY, make_fleet  # noqa: F401

THREADS = {"guard-audit", "guard-metrics", "guard-sink", "guard-snapshot", "guard-store", "guard-work"}


def tables(broker):
    """"broker" or a thread's name -> what its descriptors lead to, without standard streams and event counters."""
    found = {}
    for task in Path(f"/proc/{broker.process.pid}/task").iterdir():
        name = "broker" if int(task.name) == broker.process.pid else (task / "comm").read_text().strip()
        links = set()
        for entry in (task / "fd").iterdir():
            try:
                links.add(os.readlink(entry))
            except FileNotFoundError:
                continue
        streams = {os.readlink(task / "fd" / n) for n in "012"}
        found.setdefault(name, set()).update(links - streams - {"anon_inode:[eventfd]"})
    return found


@pytest.mark.skipif(broker_module.UNDER in ("tsan", "valgrind"), reason="one takes two tables for one, the other has its own descriptors in each")
def test_what_the_broker_opens_is_its_own(make_fleet, redis, issuer, eventually):  # noqa: F811
    snapshot = redis.folder / "snapshot"
    broker, = make_fleet(policy=POLICY, snapshot_file=str(snapshot), metrics_listen=f"127.0.0.1:{free_ports(1)[0]}",
                         audit_redis=f"redis://127.0.0.1:{redis.port}/3", **issuer.options())
    clients = [broker.client(f"c-{n}", "a", "pw", version=V5).open() for n in range(40)]
    eventually(lambda: THREADS <= set(tables(broker)))
    broker.hang_up()
    redis.cli("HSET", "guard:role:device", "new", "allow publish new/#")
    redis.cli("INCR", "guard:version")

    def mixed():
        found = tables(broker)
        own = found.pop("broker")
        assert len([link for link in own if link.startswith("socket:")]) > len(clients)
        return {name: links & own for name, links in found.items() if name.startswith("guard-") and links & own}
    assert mixed() == {}
    store = tables(broker)["guard-store"]
    assert store and all(link.startswith("socket:") for link in store)
    assert any(link.endswith(".ndjson") for link in tables(broker)["guard-audit"])
    # what the snapshot thread writes is open only while it writes
    eventually(lambda: not tables(broker)["guard-work"] and not tables(broker)["guard-snapshot"])


def test_reloads_leave_no_descriptor_behind(make_broker, issuer, tmp_path):
    keys = tmp_path / "keys.jwks"
    keys.write_text(Path(issuer.options()["jwt_jwks_file"]).read_text())
    broker = make_broker(POLICY, options={**issuer.options(), "jwt_jwks_file": str(keys)})

    def count():
        return sum(len(list((task / "fd").iterdir())) for task in Path(f"/proc/{broker.process.pid}/task").iterdir())
    broker.hang_up()
    before = count()
    for _ in range(10):
        keys.write_text(keys.read_text() + "\n")
        broker.hang_up()
    assert count() <= before
