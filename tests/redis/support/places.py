"""Constellations of real servers: a master with its replica, three Sentinels over them, a Cluster of three masters and a replica."""
from .servers import Server, role_of, wait_until

PREFIX = "{guard}:"  # what a Cluster's URL asks for: all keys in one slot


def start_pair(make_server):
    """A master and its replica, in step."""
    master = make_server()
    replica = make_server(replicaof=f"127.0.0.1 {master.port}")
    wait_until(lambda: role_of(replica)[3:4] == ["connected"])
    return master, replica


def start_sentinels(master):
    """Three Sentinels that watch master under the name "fleet" and know each other and its replica. The caller stops them."""
    sentinels = []
    for number in range(3):
        sentinel = Server(master.folder.parent / f"sentinel{number}", sentinel=True)
        sentinel.folder.mkdir(parents=True, exist_ok=True)
        (sentinel.folder / "redis.conf").write_text(
            f"port {sentinel.port}\nbind 127.0.0.1\ndir {sentinel.folder}\nlogfile {sentinel.folder}/redis.log\n"
            f"sentinel monitor fleet 127.0.0.1 {master.port} 2\nsentinel down-after-milliseconds fleet 800\n"
            "sentinel failover-timeout fleet 2000\nsentinel parallel-syncs fleet 1\n")
        sentinels.append(sentinel.start())
    wait_until(lambda: all(len(s("SENTINEL", "SENTINELS", "fleet")) == 2 for s in sentinels), timeout=20)
    wait_until(lambda: all(len(s("SENTINEL", "REPLICAS", "fleet")) == 1 for s in sentinels), timeout=20)
    return sentinels


def sentinel_url(sentinels):
    return "redis+sentinel://" + ",".join(f"127.0.0.1:{s.port}" for s in sentinels) + "/fleet"


def start_cluster(make_server):
    """(four nodes: three masters and a replica; the master that has the slot of {guard}; its replica)."""
    nodes = [make_server(cluster_enabled="yes", cluster_node_timeout="1000", cluster_require_full_coverage="no")
             for _ in range(4)]
    ranges = [(0, 5460), (5461, 10922), (10923, 16383)]
    for node, (first, last) in zip(nodes, ranges):
        node("CLUSTER", "ADDSLOTSRANGE", first, last)
    for number, node in enumerate(nodes):
        node("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        if number:
            nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
    wait_until(lambda: all("cluster_known_nodes:4" in n("CLUSTER", "INFO") for n in nodes), timeout=20)
    slot = nodes[0]("CLUSTER", "KEYSLOT", f"{PREFIX}x")
    owner = next(n for n, (first, last) in zip(nodes, ranges) if first <= slot <= last)
    wait_until(lambda: not _replicate(nodes[3], owner("CLUSTER", "MYID")), timeout=20)
    wait_until(lambda: all("cluster_state:ok" in n("CLUSTER", "INFO") for n in nodes), timeout=20)
    wait_until(lambda: role_of(nodes[3])[3:4] == ["connected"], timeout=20)
    return nodes, owner, nodes[3]


def _replicate(node, master):
    try:
        node("CLUSTER", "REPLICATE", master)
    except Exception as error:
        return error
    return None


def cluster_url(nodes):
    return "redis+cluster://" + ",".join(f"127.0.0.1:{n.port}" for n in nodes)
