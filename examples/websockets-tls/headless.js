// The page's own MQTT client (www/mqtt.js) without a browser, for the test. Says what happens, one line each.
//   NODE_EXTRA_CA_CERTS=ca.pem node headless.js URL NAME TOKEN watch FILTER
//   NODE_EXTRA_CA_CERTS=ca.pem node headless.js URL NAME TOKEN publish TOPIC TEXT
"use strict";

if (!globalThis.WebSocket) globalThis.WebSocket = require("ws");
const Mqtt = require("./www/mqtt.js");

const [url, username, password, what, topic, text] = process.argv.slice(2);
const client = new Mqtt(url, { username, password });
client.onmessage = (where, said) => console.log("message", where, said);

(async () => {
  try {
    await client.connected;
  } catch (error) {
    console.log("not let in:", error.message);
    process.exit(1);
  }
  client.onclose = why => { console.log("closed:", why); process.exit(1); };
  const code = what === "watch" ? await client.subscribe(topic) : await client.publish(topic, text);
  console.log(code < 128 ? "allowed" : "refused");
  if (what !== "watch") process.exit(0);
})();
