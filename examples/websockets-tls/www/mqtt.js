// MQTT 5 over a websocket, as much of it as a page needs: connect, subscribe, publish with QoS 1, receive. No library.
//   const client = new Mqtt("wss://host/mqtt", {username, password});
//   client.onmessage = (topic, text) => …; client.onclose = why => …;
//   await client.connected;                              rejected with an Error that says why
//   const code = await client.subscribe("devices/#");    the broker's reason code; 128 and more is a refusal
//   const code = await client.publish("topic", "text");
"use strict";

class Mqtt {
  constructor(url, { username, password, clientId = "page-" + Math.random().toString(16).slice(2) }) {
    this.onmessage = this.onclose = () => {};
    this.next = 1;
    this.waiting = new Map(); // packet identifier → [resolve, reject]
    this.buffer = new Uint8Array(0);
    this.socket = new WebSocket(url, "mqtt");
    this.socket.binaryType = "arraybuffer";
    this.connected = new Promise((resolve, reject) => { this.greeted = resolve; this.rejected = reject; });
    this.connected.catch(() => {}); // whoever does not wait for it is told by onclose
    this.socket.onopen = () => this.send(0x10, [
      ...Mqtt.text("MQTT"), 5, 0xC2, 0, 30, 0, ...Mqtt.text(clientId), ...Mqtt.text(username), ...Mqtt.text(password)]);
    this.socket.onmessage = event => this.take(new Uint8Array(event.data));
    this.socket.onerror = () => {};
    this.socket.onclose = () => this.ended("the connection is closed");
    this.ping = setInterval(() => this.socket.readyState === 1 && this.send(0xC0, []), 15000);
  }

  subscribe(filter) { return this.ask(0x82, id => [...id, 0, ...Mqtt.text(filter), 1]); }
  publish(topic, text) { return this.ask(0x32, id => [...Mqtt.text(topic), ...id, 0, ...new TextEncoder().encode(text)]); }
  close() { this.socket.close(); }

  ask(kind, body) {
    const id = this.next;
    this.next = id % 65535 + 1;
    return new Promise((resolve, reject) => {
      if (this.over) { reject(new Error(this.over)); return; }
      this.waiting.set(id, [resolve, reject]);
      this.send(kind, body([id >> 8, id & 255]));
    });
  }

  send(kind, body) {
    const length = [];
    let rest = body.length;
    do { length.push(rest % 128 | (rest > 127 ? 128 : 0)); rest >>= 7; } while (rest);
    this.socket.send(new Uint8Array([kind, ...length, ...body]));
  }

  // A websocket's message may hold a piece of a packet, or several.
  take(octets) {
    const all = new Uint8Array(this.buffer.length + octets.length);
    all.set(this.buffer);
    all.set(octets, this.buffer.length);
    let at = 0;
    for (;;) {
      const [length, size] = Mqtt.number(all, at + 1);
      if (!size || all.length < at + 1 + size + length) break;
      this.packet(all[at], all.subarray(at + 1 + size, at + 1 + size + length));
      at += 1 + size + length;
    }
    this.buffer = all.slice(at);
  }

  packet(kind, body) {
    const id = body[0] << 8 | body[1];
    switch (kind >> 4) {
      case 2: if (body[1]) this.ended(Mqtt.reason(body[1])); else this.greeted(); break;
      case 3: this.message(kind, body); break;
      case 4: this.answer(id, body.length > 2 ? body[2] : 0); break;
      case 9: this.answer(id, body[body.length - 1]); break;
      case 14: this.ended(Mqtt.reason(body.length ? body[0] : 0)); break;
    }
  }

  answer(id, code) {
    if (this.waiting.has(id)) this.waiting.get(id)[0](code);
    this.waiting.delete(id);
  }

  message(kind, body) {
    const decode = octets => new TextDecoder().decode(octets);
    const end = 2 + (body[0] << 8 | body[1]);
    const qos = kind >> 1 & 3;
    const [length, size] = Mqtt.number(body, end + (qos ? 2 : 0));
    if (qos === 1) this.send(0x40, [body[end], body[end + 1]]);
    this.onmessage(decode(body.subarray(2, end)), decode(body.subarray(end + (qos ? 2 : 0) + size + length)));
  }

  ended(why) {
    if (this.over) return;
    this.over = why;
    clearInterval(this.ping);
    this.rejected(new Error(why));
    for (const [, reject] of this.waiting.values()) reject(new Error(why));
    this.socket.close();
    this.onclose(why);
  }

  static text(value) {
    const octets = new TextEncoder().encode(value);
    return [octets.length >> 8, octets.length & 255, ...octets];
  }

  // A variable byte integer: [value, octets it takes; 0 if they are not all there]
  static number(octets, at) {
    for (let value = 0, size = 0; at + size < octets.length && size < 4;) {
      value |= (octets[at + size] & 127) << 7 * size;
      if (octets[at + size++] < 128) return [value, size];
    }
    return [0, 0];
  }

  static reason(code) {
    return { 0x86: "wrong name or token", 0x87: "not allowed", 0x8E: "taken over by another page", 0x98: "ended by the broker" }[code] ||
      "refused (0x" + code.toString(16) + ")";
  }
}

if (typeof module !== "undefined") module.exports = Mqtt;
