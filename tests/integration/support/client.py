"""MQTT clients of the tests: paho-mqtt behind a blocking interface that says what the broker answered."""
import queue
import ssl
import threading
import warnings
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from .broker import SLOWNESS

V311, V5 = mqtt.MQTTv311, mqtt.MQTTv5
REFUSED = {V311: 5, V5: 0x87}  # CONNACK "not authorized"
DENIED = {V311: 0x80, V5: 0x87}  # SUBACK
PATIENCE = 5.0 * SLOWNESS


@dataclass(frozen=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool


def code_of(answer):
    """A reason as a number, whatever type this paho version gives it."""
    return getattr(answer, "value", answer)


class _Paho(mqtt.Client):
    """paho keeps the reason code of PUBACK and PUBREC to itself in version 1; this client does not."""

    def __init__(self, *arguments, **named):
        self.publish_codes = {}
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2
            arguments = (mqtt.CallbackAPIVersion.VERSION1, *arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            super().__init__(*arguments, **named)

    def _note(self):
        packet = bytes(self._in_packet["packet"])
        self.publish_codes[int.from_bytes(packet[:2], "big")] = packet[2] if len(packet) > 2 else 0

    def _handle_pubackcomp(self, cmd):
        if cmd == "PUBACK":
            self._note()
        return super()._handle_pubackcomp(cmd)

    def _handle_pubrec(self):
        self._note()
        return super()._handle_pubrec()


class Client:
    """
    One client. connect() returns the CONNACK code (0 = accepted), or None if the broker hung up without one. publish(),
    subscribe() and unsubscribe() return the code of the answer; a code of None is no answer at all.
    """

    def __init__(self, broker, client_id, username=None, password=None, version=V311, listener="plain", certificate=None,
                 clean=True, expiry=None, will=None, keepalive=60):
        self.version, self.keepalive, self.clean, self.expiry = version, keepalive, clean, expiry
        self.client_id, self._port = client_id, broker.ports[listener]
        web = listener.startswith("ws")
        named = {"reconnect_on_failure": False, **({} if version == V5 else {"clean_session": clean})}
        self.paho = _Paho(client_id=client_id, protocol=version, transport="websockets" if web else "tcp", **named)
        if username is not None:
            self.paho.username_pw_set(username, password)
        if listener.startswith(("tls", "wss")):
            context = ssl.create_default_context(cafile=str(broker.pki.ca_file))
            context.check_hostname = False  # the certificate is checked, its name is "localhost"
            if certificate is not None:
                context.load_cert_chain(certificate.certificate, certificate.key)
            self.paho.tls_set_context(context)
        if will is not None:
            self.paho.will_set(*will)
        self.messages = queue.Queue()
        self._answers, self._gone, self._connack = {}, threading.Event(), queue.Queue()
        self.disconnect_code = None
        self.paho.on_message = lambda c, u, m: self.messages.put(Message(m.topic, m.payload, m.qos, m.retain))
        self.paho.on_connect = lambda c, u, flags, rc, *more: self._connack.put((code_of(rc), flags))
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_publish = self._on_publish
        self.paho.on_subscribe = lambda c, u, mid, codes, *more: self._answer(mid, code_of(codes[0]))
        self.paho.on_unsubscribe = self._on_unsubscribe
        self._lock = threading.Condition()
        self.session_present = None

    def _answer(self, mid, code):
        with self._lock:
            self._answers[mid] = code
            self._lock.notify_all()

    def _on_publish(self, client, userdata, mid, *more):
        code = self.paho.publish_codes.pop(mid, 0)
        self._answer(mid, 0 if code == 0x10 else code)  # 0x10: accepted, but nobody has subscribed

    def _on_unsubscribe(self, client, userdata, mid, properties=None, codes=None):
        one = codes[0] if isinstance(codes, list) else codes
        self._answer(mid, 0 if one is None else code_of(one))

    def _on_disconnect(self, client, userdata, code, *more):
        if not self._gone.is_set():  # the first one tells; our own disconnect() below brings another
            self.disconnect_code = code_of(code)
        self._connack.put((None, {}))
        self._gone.set()
        self.paho.disconnect()  # no automatic reconnect: a test wants to see that it is gone
        with self._lock:
            self._lock.notify_all()

    def _wait_answer(self, mid):
        with self._lock:
            self._lock.wait_for(lambda: mid in self._answers or self._gone.is_set(), PATIENCE)
            return self._answers.pop(mid, None)

    # --- what a client does

    def connect(self):
        self._gone.clear()
        self._connack = queue.Queue()
        more = {}
        if self.version == V5:
            more["clean_start"] = self.clean
            if self.expiry is not None:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = self.expiry
        try:
            self.paho.connect("127.0.0.1", self._port, keepalive=self.keepalive, **more)
        except (ConnectionError, ssl.SSLError, mqtt.WebsocketConnectionError):
            return None
        self.paho.loop_start()
        try:
            code, flags = self._connack.get(timeout=PATIENCE)
        except queue.Empty:
            code, flags = None, {}
        self.session_present = bool(flags.get("session present")) if code == 0 else None
        if code != 0:
            self._stop_loop()
        return code

    def open(self):
        """connect() that has to succeed; returns the client."""
        code = self.connect()
        assert code == 0, f"{self.client_id} was not accepted: {code}"
        return self

    def publish(self, topic, payload=b"x", qos=1, retain=False):
        """The PUBACK or PUBREC code; with QoS 0, where there is none, 0 as soon as the packet is out."""
        info = self.paho.publish(topic, payload, qos, retain)
        if qos == 0:
            return 0 if info.rc == mqtt.MQTT_ERR_SUCCESS else None
        return self._wait_answer(info.mid)

    def subscribe(self, topic_filter, qos=1):
        """The granted QoS, or the code of the refusal (>= 0x80)."""
        if self.version == V5:
            _, mid = self.paho.subscribe(topic_filter, options=SubscribeOptions(qos=qos))
        else:
            _, mid = self.paho.subscribe(topic_filter, qos)
        return self._wait_answer(mid)

    def unsubscribe(self, topic_filter):
        _, mid = self.paho.unsubscribe(topic_filter)
        return self._wait_answer(mid)

    def receive(self, timeout=None):
        """The next message, or None."""
        try:
            return self.messages.get(timeout=PATIENCE if timeout is None else timeout * SLOWNESS)
        except queue.Empty:
            return None

    def receives_nothing(self, timeout=0.3):
        return self.receive(timeout) is None

    def wait_gone(self, timeout=5.0):
        """Whether the connection has ended within timeout seconds."""
        return self._gone.wait(timeout * SLOWNESS)

    @property
    def connected(self):
        return not self._gone.is_set()

    def close(self):
        """Leaves as a client should (DISCONNECT)."""
        self.paho.disconnect()
        self._gone.wait(PATIENCE)
        self._stop_loop()

    def drop(self):
        """Leaves without a word, so that the will is published."""
        sock = self.paho.socket()
        if sock is not None:
            self.paho.on_disconnect = lambda *a: self._gone.set()
            raw = getattr(sock, "_socket", sock)  # paho wraps the socket of a websocket
            raw.shutdown(2)
            self._gone.wait(PATIENCE)
        self._stop_loop()

    def _stop_loop(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def release(self):
        """Ends it for good. paho keeps a pair of sockets until it is collected, and select() takes none above 1023."""
        self._stop_loop()
        self.paho._reset_sockets()

    def __enter__(self):
        return self.open()

    def __exit__(self, *_):
        if self.connected:
            self.close()
        else:
            self._stop_loop()
