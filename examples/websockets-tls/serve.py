#!/usr/bin/python3
"""
Serves the page over TLS; a stand-in for your web server. (The broker's own http_dir is no use over TLS: with Mosquitto 2.0 it
agrees to HTTP/2, as browsers wish, and then does not speak it.)
    serve.py FOLDER PORT CERTIFICATE KEY
"""
import functools
import http.server
import ssl
import sys


class Page(http.server.SimpleHTTPRequestHandler):
    def end_headers(self):
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()


def main(folder, port, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), functools.partial(Page, directory=folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
