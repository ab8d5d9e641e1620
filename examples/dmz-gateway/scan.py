#!/usr/bin/python3
"""
Which TCP ports of an address let us in? Tries them all, thousands at a time; prints those that opened, or "none".
    scan.py ADDRESS FIRST LAST
"""
import resource
import selectors
import socket
import sys
import time


def opened(address, ports, patience=0.5):
    """Those of the ports that accept within that many seconds after the last answer."""
    waiting, found = selectors.DefaultSelector(), []
    for port in ports:
        probe = socket.socket()
        probe.setblocking(False)
        if probe.connect_ex((address, port)) == 0:
            found.append(port)
        waiting.register(probe, selectors.EVENT_WRITE, port)
    end = time.monotonic() + patience
    while waiting.get_map() and time.monotonic() < end:
        for key, _ in waiting.select(0.05):
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(key.data)
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    for key in list(waiting.get_map().values()):
        key.fileobj.close()
    return sorted(set(found))


def main(address, first, last):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    step = max(1, min(4000, hard - 100))
    found = []
    for start in range(int(first), int(last) + 1, step):
        found += opened(address, range(start, min(start + step, int(last) + 1)))
    print(*(found or ["none"]))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
