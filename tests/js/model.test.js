import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIG, answer, columns, heard, load } from "./support/load.js";

const bus = load();
const { model: fleet } = bus;
const NOW = 1_795_554_000_500;
const STEP = 1_795_554_000_000;

test("states follow the age of the last reading and the threshold", () => {
  const model = heard(bus, NOW, { cold: [20], hot: [29.86], edge: [29.85] });
  const state = (id, afterMs) => {
    fleet.ingest(model, answer(NOW + afterMs, {}));
    return fleet.state(model, model.devices.get(id), NOW + afterMs);
  };
  assert.deepEqual([state("cold", 0), state("hot", 0), state("edge", 0)], ["OK", "HIGH", "OK"]);
  assert.deepEqual([3_000, 3_001, 10_000, 10_001].map((ms) => state("hot", ms)), ["HIGH", "STALE", "STALE", "OFFLINE"]);
});

test("without an answer a number is stale, but no device is called offline", () => {
  const model = heard(bus, NOW, { a: [20] });
  const state = () => fleet.state(model, model.devices.get("a"), NOW + 60_000);
  assert.equal(state(), "STALE");
  fleet.ingest(model, answer(NOW + 60_000, {}));
  assert.equal(state(), "OFFLINE");
});

test("a clock that is ahead does not keep a silent device alive", () => {
  const model = fleet.create(CONFIG);
  fleet.ingest(model, answer(NOW, { devices: [["ahead", NOW + 240_000, 20]] }));
  fleet.ingest(model, answer(NOW + 10_001, {}));
  assert.equal(fleet.state(model, model.devices.get("ahead"), NOW + 10_001), "OFFLINE");
});

test("the count now is that of the window ending at the step, and 0 without a result", () => {
  const model = heard(bus, NOW, { a: [20] });
  const counts = [["a", STEP - 5_000, 3], ["a", STEP - 4_000, 2]];
  fleet.ingest(model, answer(NOW, { counts }));
  assert.deepEqual([0, 499, 500, 1_500].map((ms) => fleet.alertsNow(model, "a", NOW + ms)), [3, 3, 2, 0]);
});

test("the count falls to 0 within length and step after the last alert, without a message", () => {
  const model = heard(bus, NOW, { a: [31] });
  const alertMs = STEP + 300;
  const counts = [0, 1, 2, 3, 4].map((step) => ["a", STEP - 4_000 + step * 1_000, 1]);
  fleet.ingest(model, answer(NOW, { counts }));
  assert.equal(fleet.alertsNow(model, "a", alertMs + 5_000), 1);
  assert.equal(fleet.alertsNow(model, "a", alertMs + 5_000 + 1_000), 0);
});

test("the same window again replaces its count", () => {
  const model = heard(bus, NOW, { a: [20] });
  for (const count of [1, 2]) fleet.ingest(model, answer(NOW, { counts: [["a", STEP - 5_000, count]] }));
  assert.equal(fleet.alertsNow(model, "a", NOW), 2);
});

test("a device that is offline has no live average", () => {
  const model = heard(bus, NOW, { a: [20] });
  fleet.ingest(model, answer(NOW, { averages: [["a", STEP, 20.5]] }));
  const device = model.devices.get("a");
  assert.deepEqual(fleet.average(model, device, NOW), { endMs: STEP, celsius: 20.5 });
  fleet.ingest(model, answer(NOW + 10_001, {}));
  assert.equal(fleet.average(model, device, NOW + 10_001), null);
});

test("an older window does not replace the newest average", () => {
  const model = heard(bus, NOW, { a: [20] });
  fleet.ingest(model, answer(NOW, { averages: [["a", STEP, 20.5]] }));
  fleet.ingest(model, answer(NOW, { averages: [["a", STEP - 1_000, 1]] }));
  assert.equal(fleet.average(model, model.devices.get("a"), NOW).celsius, 20.5);
});

test("an answer that comes twice changes nothing", () => {
  const model = heard(bus, NOW, { a: [20, 21] });
  const again = answer(NOW + 1_000, {
    devices: [["a", NOW + 1_000, 22]], alerts: [["a", NOW, 31]],
  });
  assert.equal(fleet.ingest(model, again), 1);
  assert.equal(fleet.ingest(model, again), 0);
  assert.equal(model.received, 1);
  assert.equal(model.devices.get("a").previousCelsius, 21);
  assert.equal(model.episodes.all.length, 1);
});

test("the previous value is the one that was newest here, or the one that is told", () => {
  const model = heard(bus, NOW, { a: [20, 21], b: [30] });
  const previous = (id) => model.devices.get(id).previousCelsius;
  assert.deepEqual([previous("a"), previous("b")], [20, null]);
  fleet.ingest(model, answer(NOW + 2_000, {
    devices: [["a", NOW + 2_000, 23, 22], ["b", NOW + 1_000, 31]], readings: [["a", NOW + 1_000, 22]],
  }));
  assert.deepEqual([previous("a"), previous("b")], [22, 30]);
  const { series } = model.devices.get("a");
  assert.deepEqual([...series.celsius.slice(series.first, series.end)], [20, 21, 22, 23]);
});

test("an older reading of a device is drawn but is not its newest", () => {
  const model = heard(bus, NOW, { a: [20, 21] });
  fleet.ingest(model, answer(NOW, { readings: [["a", NOW - 500, 5]] }));
  const { celsius, series } = model.devices.get("a");
  assert.equal(celsius, 21);
  assert.deepEqual([...series.celsius.slice(series.first, series.end)], [20, 5, 21]);
});

test("reset forgets everything first and counts nothing as new", () => {
  const model = heard(bus, NOW, { gone: [20] });
  const received = fleet.ingest(model, answer(NOW, { reset: true, devices: [["fresh", NOW, 20]] }));
  assert.equal(received, null);
  assert.deepEqual(model.order, ["fresh"]);
});

test("a device whose clock is far behind stays as long as its worker hears it", () => {
  const model = heard(bus, NOW, { a: [20] });
  const late = (now, parts = {}) => fleet.ingest(model, answer(now, { devices: [["late", now - CONFIG.history_ms - 60_000, 20]], ...parts }));
  late(NOW + 6_000, { roster: ["1", ["a", "late"]] });
  late(NOW + 12_000);
  assert.deepEqual(model.order, ["a", "late"]);
  late(NOW + 18_000, { roster: ["2", ["a"]] });
  assert.deepEqual(model.order, ["a"]);
});

test("history that a loading worker could not give is asked for again", () => {
  const ids = Array.from({ length: 150 }, (_, number) => `d${number}`);
  const whole = answer(NOW, { reset: true, devices: ids.map((id) => [id, NOW, 20]), fleet: { devices: 150, rate_hz: 1, age_p95_ms: 1 } });
  const model = fleet.create(CONFIG);
  fleet.ingest(model, whole);
  assert.deepEqual(fleet.request(model, "c", ["d1"]).history, ["d1"]);
  fleet.ingest(model, { ...answer(NOW + 1_000), fleet: whole.fleet, pipeline: { ...whole.pipeline, behind: 9 } });
  assert.deepEqual(fleet.request(model, "c", ["d1"]).history, ["d1"]);
  fleet.ingest(model, { ...answer(NOW + 2_000), fleet: whole.fleet });
  assert.deepEqual(fleet.request(model, "c", ["d1"]).history, []);
});

test("more alerts than an answer holds: it is said since when they are known, whatever one clock says", () => {
  const model = fleet.create({ ...CONFIG, most_alerts: 20 });
  const alerts = Array.from({ length: 20 }, (_, number) => ["a", NOW - 20_000 + number * 1_000, 35]);
  fleet.ingest(model, answer(NOW, { reset: true, devices: [["a", NOW, 35]], alerts: alerts.slice(1) }));
  assert.equal(model.episodes.knownFromMs, null);
  alerts[0][1] -= 3_600_000;
  fleet.ingest(model, answer(NOW, { reset: true, devices: [["a", NOW, 35]], alerts }));
  assert.equal(model.episodes.knownFromMs, NOW - 11_000);
});

test("readings left out of the charts are said as long as a chart goes back to them", () => {
  const model = heard(bus, NOW, { a: [20] });
  fleet.ingest(model, answer(NOW + 1_000, { skipped: 5 }));
  fleet.ingest(model, answer(NOW + fleet.SERIES_MS));
  assert.equal(model.skipped, 5);
  fleet.ingest(model, answer(NOW + fleet.SERIES_MS + 7_000));
  assert.equal(model.skipped, 0);
});

test("devices stand by name, numbers in them by value", () => {
  const model = heard(bus, NOW, { "device-10": [20], "device-9": [20] });
  fleet.ingest(model, answer(NOW, { devices: [["device-1", NOW, 20]] }));
  assert.deepEqual(model.order, ["device-1", "device-9", "device-10"]);
});

test("the summary counts states, means the live and names the hottest", () => {
  const model = heard(bus, NOW, { a: [20], b: [32], c: [40] });
  model.devices.get("c").heardMs = NOW - 60_000;
  fleet.ingest(model, answer(NOW, { counts: [["b", STEP - 5_000, 4]] }));
  const { hottest, ...rest } = fleet.summary(model, model.order, NOW);
  assert.deepEqual(rest, { OK: 1, HIGH: 1, STALE: 0, OFFLINE: 1, alerts: 4, meanCelsius: 26 });
  assert.equal(hottest.id, "b");
});

test("a pause holds back the readings of those who are shown", () => {
  const model = heard(bus, NOW, { a: [20, 21], b: [20] });
  const pause = { pausedAtMs: NOW, pausedReceived: model.received };
  const readings = [["a", NOW - 500, 20], ["a", NOW + 1_000, 20], ["b", NOW + 1_000, 20]];
  bus.model.ingest(model, answer(NOW + 2_000, { readings, devices: [["a", NOW + 2_000, 22, 20], ["b", NOW + 2_000, 20, 20]] }), NOW);
  assert.equal(bus.model.heldBack(model, null, pause), 5);
  assert.equal(bus.model.heldBack(model, ["a", "b"], pause), 4); // one of before the pause is shown already
  assert.equal(bus.model.heldBack(model, ["b"], pause), 2);
  assert.equal(bus.model.heldBack(model, [], pause), 0);
  assert.equal(bus.model.heldBack(model, Array(101).fill("a"), pause), 5);
});

test("all is a choice of its own; a name not heard of is left out", () => {
  const model = heard(bus, NOW, { a: [20], b: [20] });
  assert.equal(fleet.selected(model, null), model.order);
  assert.deepEqual(fleet.selected(model, ["b", "nobody"]), ["b"]);
  assert.deepEqual(fleet.selected(model, []), []);
});

test("what is older than the window goes, unless a paused page shows it", () => {
  const held = (model) => model.devices.get("a").series.end - model.devices.get("a").series.first;
  const later = NOW + 20 * 60_000;
  const parts = { devices: [["a", later, 20]] };
  const running = heard(bus, NOW, { a: [20, 21, 22] });
  fleet.ingest(running, answer(later, parts));
  assert.equal(held(running), 1);
  const paused = heard(bus, NOW, { a: [20, 21, 22] });
  fleet.ingest(paused, answer(later, parts), NOW - 100_000);
  assert.equal(held(paused), 4);
});

test("a device unheard of for the whole history is forgotten", () => {
  const model = heard(bus, NOW, { a: [20], b: [20] });
  const later = NOW + CONFIG.history_ms + 1_000;
  fleet.ingest(model, answer(later, { devices: [["b", later, 20]] }));
  assert.deepEqual(model.order, ["b"]);
});

test("a small fleet is asked for whole", () => {
  const model = heard(bus, NOW, { a: [20] });
  assert.deepEqual(fleet.request(model, "c", ["a"]), { cursor: "c", detail: null, history: [], roster: "", overview: 0 });
});

test("of a large fleet only what is in view is asked for, its history once, and what left is forgotten", () => {
  const model = heard(bus, NOW, { a: [20, 21], b: [20, 21] });
  model.fleet = { devices: 1_000 };
  assert.deepEqual(fleet.request(model, "c", ["a", "a"]), { cursor: "c", detail: ["a"], history: ["a"], roster: "", overview: 0 });
  assert.equal(model.devices.get("b").series.end, 0);
  assert.deepEqual(fleet.request(model, "c", ["a", "b"]), { cursor: "c", detail: ["a", "b"], history: ["b"], roster: "", overview: 0 });
  assert.deepEqual(fleet.request(model, "c", ["b"]).history, []);
  assert.deepEqual(fleet.request(model, "c", ["a"]).history, ["a"]);
});

test("of a large fleet only what was asked for in detail is kept one by one", () => {
  const model = heard(bus, NOW, { a: [20], b: [20] });
  model.fleet = { devices: 1_000 };
  fleet.request(model, "c", ["a"]);
  fleet.ingest(model, answer(NOW + 1_000, { devices: [["a", NOW + 1_000, 21], ["b", NOW + 1_000, 22]] }));
  const held = (id) => model.devices.get(id).series.end - model.devices.get(id).series.first;
  assert.deepEqual([held("a"), held("b"), model.devices.get("b").celsius], [2, 0, 22]);
});

test("devices that are not named are those of the roster, all of them or some by their places", () => {
  const model = heard(bus, NOW, { a: [20], b: [20], c: [20] });
  fleet.ingest(model, { ...answer(NOW), roster: ["key", ["a", "b", "c"]] });
  assert.equal(fleet.request(model, "c", []).roster, "key");
  const values = () => ["a", "b", "c"].map((id) => model.devices.get(id).celsius);
  const { id: _, ...whole } = columns(NOW + 1_000, [["", NOW + 1_000, 1], ["", NOW + 1_000, 2], ["", NOW + 1_000, 3]]);
  fleet.ingest(model, { ...answer(NOW + 1_000), devices: whole });
  assert.deepEqual(values(), [1, 2, 3]);
  const { id: __, ...some } = columns(NOW + 2_000, [["", NOW + 2_000, 4], ["", NOW + 2_000, 5]]);
  fleet.ingest(model, { ...answer(NOW + 2_000), devices: { steps: [0, 2], ...some }, averages: { steps: [1], age_ms: [0], celsius: [6] } });
  assert.deepEqual(values(), [4, 2, 5]);
  fleet.ingest(model, { ...answer(NOW + 3_000), devices: { steps: [1, 1], ...some, age_ms: [0, 0] } });
  assert.deepEqual(values(), [4, 4, 5]);
  assert.equal(model.averages.get("b").celsius, 6);
  fleet.ingest(model, answer(NOW + 3_000, { reset: true }));
  assert.equal(fleet.request(model, "c", []).roster, "key");
});

test("a request names at most 200 devices and 50 histories", () => {
  const names = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`d${index}`, [20]]));
  const model = heard(bus, NOW, names);
  const request = fleet.request(model, "c", Object.keys(names));
  assert.deepEqual([request.detail.length, request.history.length], [200, 50]);
});

test("a reading near the threshold is an alert by the rule of job alert, rounded", () => {
  const model = { config: CONFIG };
  for (let celsius = 29.83; celsius < 29.88; celsius += 0.0003) {
    assert.equal(bus.model.isHigh(model, celsius), bus.format.kelvin(celsius) > CONFIG.threshold_kelvin, `${celsius}`);
  }
});

test("cards are ranked by heat of those that are not offline, or by silence of those that are not heard", () => {
  const model = heard(bus, NOW, { cool: [20], hot: [30], silent: [40], gone: [10] });
  Object.assign(model.devices.get("silent"), { heardMs: NOW - 4_000 });
  Object.assign(model.devices.get("gone"), { heardMs: NOW - 60_000 });
  const ranked = (sort) => model.order.map((id) => fleet.rank(model, model.devices.get(id), NOW, sort));
  assert.deepEqual(model.order, ["cool", "gone", "hot", "silent"]);
  assert.deepEqual(ranked("hottest"), [20, -Infinity, 30, 40]);
  assert.deepEqual(ranked("silent"), [-Infinity, 60_000, -Infinity, 4_000]);
});
