#!/usr/bin/python3
"""
A device that speaks MQTT over websockets, as browsers do. Prints what the broker answers to one PUBLISH:
    websocket_device.py PORT NAME TOKEN TOPIC MESSAGE
"""
import sys
import warnings

import paho.mqtt.client as mqtt


class Device(mqtt.Client):
    """paho does not hand the broker's answer to a PUBLISH out; this notes it."""
    answer = 0

    def _handle_pubackcomp(self, cmd):
        packet = bytes(self._in_packet["packet"])
        self.answer = packet[2] if len(packet) > 2 else 0
        return super()._handle_pubackcomp(cmd)


def main(port, name, token, topic, message):
    warnings.simplefilter("ignore")
    first = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
    device = Device(*first, client_id=name, protocol=mqtt.MQTTv5, transport="websockets")
    device.username_pw_set(name, token)
    device.on_connect = lambda c, u, f, code, p: c.publish(topic, message, qos=1) if code == 0 else finish(c, "not let in")
    device.on_publish = lambda c, u, mid: finish(c, "refused" if c.answer >= 0x80 else "allowed")
    device.connect("127.0.0.1", int(port))
    device.loop_forever()


def finish(device, outcome):
    if not getattr(device, "outcome", None):
        device.outcome = outcome
        print(outcome, flush=True)
    device.disconnect()


if __name__ == "__main__":
    main(*sys.argv[1:6])
