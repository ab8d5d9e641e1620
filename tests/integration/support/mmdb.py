"""
A small country database in MaxMind's format, version 2 (https://maxmind.github.io/MaxMind-DB/): what the tests need of it, an IPv6
tree of 24-bit records in which IPv4 lies below ::/96, with {"country": {"iso_code": …}} for each network.
"""
import ipaddress
import struct

UINT16, UINT32, UINT64 = 5, 6, 9
METADATA = b"\xab\xcd\xefMaxMind.com"


def encode(value):
    """A value of the data section: text, (kind, whole number), list, dictionary."""
    if isinstance(value, str):
        octets = value.encode()
        return control(2, len(octets)) + octets
    if isinstance(value, tuple):
        kind, number = value
        octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return control(kind, len(octets)) + octets
    if isinstance(value, list):
        return control(11, len(value)) + b"".join(map(encode, value))
    return control(7, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())


def control(kind, size):
    assert size < 29
    return bytes([kind << 5 | size]) if kind < 8 else bytes([size, kind - 7])


def bits_of(network):
    network = ipaddress.ip_network(network)
    offset = 96 if network.version == 4 else 0
    number = int(network.network_address)
    return [(number >> (127 - bit)) & 1 for bit in range(offset + network.prefixlen)]


def write(path, countries):
    """countries: {"192.0.2.0/24": "DE", "2001:db8::/32": "JP", …}; networks must not overlap."""
    nodes, data, offsets = [[None, None]], b"", {}
    for network, code in countries.items():
        if code not in offsets:
            offsets[code] = len(data)
            data += encode({"country": {"iso_code": code}})
        bits, at = bits_of(network), 0
        for bit in bits[:-1]:
            if nodes[at][bit] is None:
                nodes.append([None, None])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        nodes[at][bits[-1]] = code

    def record(value):
        number = len(nodes) if value is None else value if isinstance(value, int) else len(nodes) + 16 + offsets[value]
        return struct.pack("!I", number)[1:]

    tree = b"".join(record(left) + record(right) for left, right in nodes)
    about = {"node_count": (UINT32, len(nodes)), "record_size": (UINT16, 24), "ip_version": (UINT16, 6), "languages": ["en"],
             "database_type": "Test-Country", "binary_format_major_version": (UINT16, 2),
             "binary_format_minor_version": (UINT16, 0), "build_epoch": (UINT64, 1700000000),
             "description": {"en": "countries for tests"}}
    path.write_bytes(tree + bytes(16) + data + METADATA + encode(about))
