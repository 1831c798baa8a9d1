import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIG, answer, load } from "./support/load.js";

const bus = load();
const { model: fleet, turns } = bus;
const NOW = 1_795_554_000_000;
const IDS = Array.from({ length: 250 }, (_, place) => `d${String(place).padStart(3, "0")}`);
const config = { ...CONFIG, turn_devices: 100 };
const fleetRow = { devices: IDS.length, rate_hz: 250, age_p95_ms: 300 };

/** Return a model that was told of all devices at NOW and holds their roster. */
function large(more = {}) {
  const model = fleet.create({ ...config, ...more });
  const devices = IDS.map((id) => [id, NOW, 20]);
  fleet.ingest(model, answer(NOW, { reset: true, devices, roster: ["key", IDS], fleet: fleetRow }));
  return model;
}

/** Take in what a worker answers whose devices from place `first` on have readings of now. */
function turn(model, nowMs, first, parts = {}) {
  const places = IDS.slice(first, first + config.turn_devices).length;
  const steps = [first, ...Array(places - 1).fill(1)];
  const devices = { steps, age_ms: steps.map(() => 0), celsius: steps.map(() => 21), previous: [] };
  const whole = answer(nowMs, { fleet: fleetRow, ...parts });
  return fleet.ingest(model, { ...whole, devices });
}

test("each request asks for the next devices of the roster, round and round", () => {
  const model = large();
  const asked = [];
  for (let tick = 1; tick <= 4; tick += 1) {
    asked.push(fleet.request(model, "c", []).turn);
    turn(model, NOW + tick * 1_000, asked.at(-1));
  }
  assert.deepEqual(asked, [0, 100, 200, 0]);
});

test("a turn whose answer did not come is asked for again", () => {
  const model = large();
  assert.deepEqual([fleet.request(model, "c", []).turn, fleet.request(model, "c", []).turn], [0, 0]);
});

test("a fleet that fits into one answer has no turns", () => {
  const model = large({ turn_devices: IDS.length });
  assert.equal("turn" in fleet.request(model, "c", []), false);
  assert.equal(turns.roundMs(model), 0);
  assert.equal(turns.roundMs(large()), 3_000);
});

test("a device out of its turn is as it was when its turn was, until nothing is heard of anybody", () => {
  const model = large();
  const state = (id, atMs) => fleet.state(model, model.devices.get(id), atMs);
  for (let tick = 1; tick <= 3; tick += 1) {
    fleet.request(model, "c", []);
    turn(model, NOW + tick * 1_000, (tick - 1) * 100);
  }
  assert.deepEqual([state("d000", NOW + 3_500), state("d249", NOW + 3_500)], ["OK", "OK"]);
  fleet.request(model, "c", []);
  turn(model, NOW + 4_500, 0);
  assert.deepEqual([state("d150", NOW + 5_500), turns.silentMs(model, model.devices.get("d150"), NOW + 5_500)], ["OK", 1_000]);
  assert.deepEqual([state("d000", NOW + 7_501), state("d150", NOW + 7_501)], ["STALE", "STALE"]);
  assert.equal(state("d150", NOW + 60_000), "STALE");
});

test("who is silent when its turn comes is called so", () => {
  const model = large();
  fleet.request(model, "c", []);
  const devices = { steps: [0, 1], age_ms: [4_000, 11_000], celsius: [20, 20], previous: [] };
  fleet.ingest(model, { ...answer(NOW + 20_000, { fleet: fleetRow }), devices });
  const state = (id) => fleet.state(model, model.devices.get(id), NOW + 20_000);
  assert.deepEqual([state("d000"), state("d001"), state("d200")], ["STALE", "OFFLINE", "OK"]);
});

test("what is followed is as of each answer, with the change since the reading before", () => {
  const model = large();
  assert.deepEqual(fleet.request(model, "c", ["d150"]).history, ["d150"]);
  turn(model, NOW + 1_000, 0, { readings: [["d150", NOW, 20], ["d150", NOW + 1_000, 23]] });
  const device = model.devices.get("d150");
  assert.deepEqual([device.celsius, device.previousCelsius, device.series.end], [23, 20, 2]);
  for (let tick = 2; tick <= 5; tick += 1) {
    fleet.request(model, "c", ["d150"]);
    turn(model, NOW + tick * 1_000, 0);
  }
  assert.equal(fleet.state(model, device, NOW + 5_000), "STALE");
  assert.equal(fleet.state(model, model.devices.get("d151"), NOW + 5_000), "OK");
});

test("of a device that is not followed the change since its last turn is no change of now", () => {
  const model = large();
  fleet.request(model, "c", []);
  turn(model, NOW + 1_000, 0);
  assert.deepEqual([model.devices.get("d000").celsius, model.devices.get("d000").previousCelsius], [21, null]);
});

test("an alert is a reading of its device, whosever turn it is", () => {
  const model = large();
  fleet.request(model, "c", []);
  turn(model, NOW + 1_000, 0, { alerts: [["d249", NOW + 900, 41], ["a stranger", NOW, 41]] });
  assert.equal(fleet.state(model, model.devices.get("d249"), NOW + 1_000), "HIGH");
});

test("the fleet's numbers are the worker's, unless some devices are chosen or nothing is heard", () => {
  const model = large();
  fleet.request(model, "c", []);
  const counts = [["d003", NOW - 4_000, 4], ["d201", NOW - 4_000, 2], ["d201", NOW - 5_000, 9]];
  const parts = { fleet: { ...fleetRow, states: [200, 30, 15, 5], states_ms: NOW + 1_000, mean: 25.5, hottest: ["d007", 50] }, counts };
  turn(model, NOW + 1_000, 0, parts);
  const { hottest, ...all } = fleet.summary(model, model.order, NOW + 1_000);
  assert.deepEqual(all, { OK: 200, HIGH: 30, STALE: 15, OFFLINE: 5, alerts: 6, meanCelsius: 25.5 });
  assert.deepEqual(hottest, { id: "d007", celsius: 50 });
  assert.equal(fleet.summary(model, ["d000", "d200"], NOW + 1_000).meanCelsius, 20.5);
  assert.equal(fleet.summary(model, model.order, NOW + 10_000).STALE, 250);
  turn(model, NOW + 9_000, 0, parts);
  assert.notEqual(fleet.summary(model, model.order, NOW + 9_000).OK, 200); // they are 8 s old
  turn(model, NOW + 1_000, 0, { fleet: { ...fleetRow, states: [0, 0, 0, 250], states_ms: NOW } });
  assert.deepEqual(fleet.summary(model, model.order, NOW + 1_000).hottest, null);
});

test("how many readings are new is told, for most of them are not", () => {
  const model = large();
  fleet.request(model, "c", []);
  assert.equal(turn(model, NOW + 1_000, 0, { new: 250 }), 250);
  assert.equal(model.received, 250);
});

test("a worker that names devices has told all of them", () => {
  const model = large();
  fleet.request(model, "c", []);
  fleet.ingest(model, answer(NOW + 20_000, { devices: [["d000", NOW + 20_000, 20]], fleet: fleetRow, roster: ["other", IDS] }));
  assert.equal(fleet.state(model, model.devices.get("d100"), NOW + 20_000), "OFFLINE");
  assert.equal(fleet.request(model, "c", []).turn, 0);
});

test("when a round takes three times as long as it should, all devices are asked for, once", () => {
  const model = large();
  const asked = [];
  for (const ms of [1_000, 5_000, 9_000, 10_001]) {
    const { roster, turn: first } = fleet.request(model, "c", []);
    asked.push(`${roster} ${first}`);
    if (roster) turn(model, NOW + ms, first);
    else fleet.ingest(model, answer(NOW + ms, { devices: IDS.map((id) => [id, NOW + ms, 20]), fleet: fleetRow }));
  }
  turn(model, NOW + 10_002, 0);
  asked.push(fleet.request(model, "c", []).roster);
  assert.deepEqual(asked, ["key 0", "key 100", "key 200", "key 0", "key"]);
  fleet.ingest(model, answer(NOW + 30_000, { devices: [], fleet: fleetRow }));
  turn(model, NOW + 30_000, 100);
  assert.equal(fleet.request(model, "c", []).roster, "");
});

test("a clock that is ahead keeps no silent device alive, however often it is told", () => {
  const model = large();
  const devices = { steps: [0], age_ms: [-200_000], celsius: [20], previous: [] };
  for (const ms of [1_000, 20_000]) {
    fleet.request(model, "c", []);
    fleet.ingest(model, { ...answer(NOW + ms, { fleet: fleetRow }), devices: { ...devices, age_ms: [ms - 201_000] } });
    model.nextTurn = 0;
  }
  assert.equal(fleet.state(model, model.devices.get("d000"), NOW + 20_000), "OFFLINE");
});

test("an answer of a worker that knows nothing yet tells of nobody", () => {
  const model = large();
  fleet.request(model, "c", []);
  fleet.ingest(model, answer(NOW + 20_000, { fleet: fleetRow }));
  assert.equal(fleet.state(model, model.devices.get("d100"), NOW + 20_000), "OK");
});

test("an alert between turns does not outlive the connection", () => {
  const model = large();
  fleet.request(model, "c", []);
  turn(model, NOW + 20_000, 0, { alerts: [["d249", NOW + 20_000, 41]] });
  const state = (atMs) => fleet.state(model, model.devices.get("d249"), atMs);
  assert.deepEqual([state(NOW + 20_000), state(NOW + 23_001)], ["HIGH", "STALE"]);
});
