import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIG, answer, load } from "./support/load.js";

const bus = load();
const NOW = 1_795_554_000_500;
const TOPICS = { sensor: "x-sensor", alert: "x-alert" };
const config = { ...CONFIG, kafka: "broker:9092", topics: TOPICS };

/** Return an answer as the dashboard sends it when there is nothing to tell. */
function told(parts = {}) {
  const columns = { id: [], age_ms: [], celsius: [] };
  return {
    v: 7, now: NOW, cursor: "c", devices: columns, averages: columns, fleet: { devices: 0, rate_hz: 0, age_p95_ms: null },
    pipeline: { topics: [300, null] }, ...parts,
  };
}

test("what an answer leaves out is nothing", () => {
  const whole = bus.answer.whole(told(), config);
  assert.deepEqual(Object.keys(whole).sort(), Object.keys(answer(NOW)).sort());
  const { reset, skipped, roster, readings, alerts, counts, overview, devices } = whole;
  assert.deepEqual([reset, skipped, roster, overview], [false, 0, null, null]);
  assert.deepEqual([readings, alerts.steps, counts.steps, devices.previous], [[], [], [], []]);
});

test("what it tells stands", () => {
  const parts = { reset: true, skipped: 7, alerts: { id: ["a"], age_ms: [0], celsius: [31] }, devices: { age_ms: [1], celsius: [2], previous: [[0, 3]] } };
  const whole = bus.answer.whole(told(parts), config);
  for (const [name, value] of Object.entries(parts)) assert.deepEqual(whole[name], value);
});

test("temperatures as whole numbers are the numbers that were received", () => {
  const received = [21.95, 0.07, -273.15, 1_000_000.29, 30];
  const values = { lowest: -27_315, hundredths: received.map((celsius) => Math.round(celsius * 100) + 27_315) };
  const parts = { devices: { age_ms: [1], ...values }, alerts: { id: ["a"], age_ms: [0], ...values }, averages: { age_ms: [1], ...values } };
  const { devices, alerts, averages } = bus.answer.whole(told(parts), config);
  for (const { celsius } of [devices, alerts, averages]) assert.deepEqual(celsius, received);
});

test("the past is told by device, as what each reading differs in from the one before", () => {
  const history = { id: ["a", "b"], readings: [2, 1], ms: [-2_500, 1_000, -500], hundredths: [2_195, 12, -4_000] };
  const newer = [["a", NOW - 500, 20]];
  const rows = [["a", NOW - 2_500, 21.95], ["a", NOW - 1_500, 22.07], ["b", NOW - 2_000, -17.93]];
  assert.deepEqual(bus.answer.whole(told({ history, readings: newer }), config).readings, [...rows, ...newer]);
  const { hundredths: _, ...exact } = history;
  const values = { ...exact, celsius: [21.951, 22, -17.93] };
  assert.deepEqual(bus.answer.whole(told({ history: values }), config).readings.map((row) => row[2]), values.celsius);
});

test("ages are told in the order of the page's topics, and of Kafka only what is wrong", () => {
  assert.deepEqual(bus.answer.whole(told(), config).pipeline, {
    kafka: { ok: true, since_ms: null, error: null, address: "broker:9092" }, behind: 0, dead_letters: 0,
    topics: { sensor: 300, alert: null },
  });
  const away = { kafka: { ok: false, since_ms: 1, error: "x" }, behind: 5, topics: [null, null], dead_letters: 0 };
  const { kafka } = bus.answer.whole(told({ pipeline: away }), config).pipeline;
  assert.deepEqual(kafka, { ok: false, since_ms: 1, error: "x", address: "broker:9092" });
});

test("the next request names the newest second of the overview that is held", () => {
  const second = { step_ms: 1_000, t: [NOW - 2_000], min: [1], p10: [2], median: [3], p90: [4], max: [5] };
  const model = bus.model.create(CONFIG);
  bus.model.ingest(model, answer(NOW, { reset: true, overview: second }));
  assert.equal(bus.model.request(model, "c", []).overview, NOW - 2_000);
  bus.model.ingest(model, answer(NOW, { overview: { ...second, t: [NOW - 1_000] } }));
  assert.deepEqual([model.overview.t, bus.model.request(model, "c", []).overview], [[NOW - 2_000, NOW - 1_000], NOW - 1_000]);
});
