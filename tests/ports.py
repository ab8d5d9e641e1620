"""
Ports of loopback for servers that tests start. Not the kernel's own choice: a port that it gives away (32768 and up) may, while
its server restarts, become the near end of anybody's connection, and the server does not get it back.
"""
import random
import socket

FIRST, LAST = 10240, 32000
_random = random.SystemRandom()


def _bind(port):
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        probe.close()
        return None
    return probe


def free_ports(count, also=0):
    """That many ports which nobody listened on a moment ago; also: at that distance another one is free, too (Redis' cluster bus)."""
    held, ports = [], []
    try:
        while len(ports) < count:
            port = _random.randint(FIRST, LAST)
            sockets = [_bind(p) for p in ([port, port + also] if also else [port])]
            held += [s for s in sockets if s]
            if all(sockets):
                ports.append(port)
        return ports
    finally:
        for probe in held:
            probe.close()


def free_port(also=0):
    return free_ports(1, also)[0]
