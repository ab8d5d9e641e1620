// The page: logs in with a token, shows what devices publish, publishes orders. What the broker refuses, it says.
"use strict";

const at = id => document.getElementById(id);
const broker = "wss://" + location.hostname + ":" + document.body.dataset.brokerPort + "/mqtt";
let client = null;

function show(topic, text) {
  const id = "value:" + topic;
  let row = at(id);
  if (!row) {
    row = at("values").insertRow();
    row.id = id;
    for (let i = 0; i < 3; i++) row.insertCell();
    row.cells[0].textContent = topic; // textContent: whatever a device sends is text, not a piece of this page
  }
  row.cells[1].textContent = text;
  row.cells[2].textContent = new Date().toLocaleTimeString();
}

at("login").addEventListener("submit", async event => {
  event.preventDefault();
  if (client) client.close();
  const mine = client = new Mqtt(broker, { username: at("name").value, password: at("token").value });
  at("token").value = ""; // it is kept nowhere in the page
  client.onmessage = show;
  client.onclose = why => { if (client === mine) at("state").textContent = why; };
  try {
    await client.connected;
    const code = await client.subscribe("devices/+/data");
    at("state").textContent = code < 128 ? "connected" : "connected; watching devices is " + Mqtt.reason(code);
  } catch (error) {
    at("state").textContent = error.message;
  }
});

at("order").addEventListener("submit", async event => {
  event.preventDefault();
  if (!client) { at("answer").textContent = "not connected"; return; }
  try {
    const code = await client.publish(at("topic").value, at("message").value);
    at("answer").textContent = code < 128 ? "done" : Mqtt.reason(code);
  } catch (error) {
    at("answer").textContent = error.message;
  }
});
