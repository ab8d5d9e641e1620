"""A server that speaks just enough of Redis' protocol, and then does what a real one will not do on demand."""
import socket
import threading
import time


class Fake:
    """
    answer(words) returns the bytes to send for a command, or None to say nothing. Used as a context manager; .url is where it is.
    """

    def __init__(self, answer, delay=0.0):
        self.answer = answer
        self.delay = delay
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.commands = []
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile("rb")
        try:
            while True:
                head = stream.readline()
                if not head:
                    return
                words = []
                for _ in range(int(head[1:])):
                    length = int(stream.readline()[1:])
                    words.append(stream.read(length).decode())
                    stream.read(2)
                self.commands.append(words)
                reply = self.answer(words)
                if self.delay:
                    time.sleep(self.delay)
                if reply is not None:
                    connection.sendall(reply)
        except (OSError, ValueError):
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.open:
            connection.close()


def well_behaved(words):
    """What an empty Redis would answer."""
    name = words[0].upper()
    if name == "ROLE":
        return b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"
    if name == "CLIENT" and words[1].upper() == "ID":
        return b":7\r\n"
    if name == "CLIENT" and words[1].upper() == "TRACKINGINFO":
        return b"*6\r\n$5\r\nflags\r\n*2\r\n$2\r\non\r\n$5\r\nbcast\r\n$8\r\nredirect\r\n:7\r\n$8\r\nprefixes\r\n*0\r\n"
    if name == "SUBSCRIBE":
        return b"*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n"
    if name == "PING":
        return b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
    if name == "SCAN":
        return b"*2\r\n$1\r\n0\r\n*0\r\n"
    if name == "GET":
        return b"$-1\r\n"
    return b"+OK\r\n"
