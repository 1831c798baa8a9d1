import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIG, answer, heard, load } from "./support/load.js";

const bus = load();
const NOW = 1_795_554_000_000;
const up = { lost: false, offline: false, back: null };

function notice(model, devices, waitedMs = 4_000) {
  return bus.notice.sentence(model, { devices }, bus.model.selected(model, devices).length, up, waitedMs);
}

test("an empty page says what it waits for, where and how long", () => {
  const model = bus.model.create(CONFIG);
  assert.equal(notice(model, null), "Loading.");
  bus.model.ingest(model, answer(NOW));
  assert.equal(notice(model, null), "Waiting for the first reading on topic x-sensor at broker:9092, 4 s");
  bus.model.ingest(model, answer(NOW, { pipeline: { ...answer(NOW).pipeline, behind: 12_000 } }));
  assert.equal(notice(model, null), "Loading history, 12,000 records to go.");
});

test("a filter that selects nothing and a device not heard of are said", () => {
  const model = heard(bus, NOW, { a: [20] });
  assert.equal(notice(model, null), "");
  assert.equal(notice(model, []), "No device is selected. Choose some in the filter.");
  assert.equal(notice(model, ["nobody"]), "Not heard of: nobody. Shown as soon as a reading comes.");
});

test("the banner names the worst of what is wrong", () => {
  const model = heard(bus, NOW, { a: [20] });
  const say = (connection) => bus.banner.message({ ...up, ...connection }, model, Date.UTC(2026, 0, 1, 12), "utc");
  assert.equal(say({}), null);
  assert.deepEqual(say({ lost: true }), { kind: "lost", text: "Connection to the dashboard lost since 12:00:00." });
  assert.equal(say({ lost: true, offline: true }).text, "This browser is offline since 12:00:00.");
  assert.deepEqual(say({ lost: true, isSignedOut: true }),
    { kind: "lost", text: "Signed out since 12:00:00.", link: "Sign in again" });
  assert.equal(say({ lost: true, offline: true, isSignedOut: true }).text, "This browser is offline since 12:00:00.");
  assert.deepEqual(say({ back: { readings: 37 } }), { kind: "back", text: "Back, caught up 37 readings." });
  assert.equal(say({ back: { readings: null } }).text, "Back, caught up all that is held.");
  model.pipeline.kafka = { ok: false, since_ms: Date.UTC(2026, 0, 1, 13), error: "x", address: "b:1" };
  assert.equal(say({}).text, "Kafka at b:1 cannot be reached since 13:00:00.");
});

test("changes of state are gathered into one sentence", () => {
  const changes = [["a", "HIGH"], ["b", "OFFLINE"], ["c", "HIGH"], ["d", "HIGH"], ["e", "HIGH"]];
  assert.equal(bus.announcer.sentence(changes), "HIGH: a, c, d and 1 more. OFFLINE: b.");
});

test("a device that is chosen again has not changed its state, and one that is gone is forgotten", () => {
  const place = { textContent: "" };
  globalThis.document = { getElementById: () => place };
  const model = heard(bus, NOW, { a: [20], b: [20] });
  bus.announcer.observe(model, ["a", "b"], NOW);
  bus.announcer.observe(model, ["b"], NOW + 1_000);
  model.devices.get("a").celsius = 35;
  bus.announcer.observe(model, ["a", "b"], NOW + 2_000);
  assert.equal(place.textContent, "");
  model.devices.get("b").celsius = 35;
  bus.announcer.observe(model, ["a", "b"], NOW + 2_500);
  assert.equal(place.textContent, "HIGH: b.");
  model.devices.get("a").celsius = 20;
  bus.announcer.observe(model, ["a", "b"], NOW + 3_000);
  bus.announcer.observe(model, ["a", "b"], NOW + 12_499);
  assert.equal(place.textContent, "HIGH: b.", "at most once per 10 s");
  bus.announcer.observe(model, ["a", "b"], NOW + 12_500);
  assert.equal(place.textContent, "STALE: a, b.", "what waited is said then");
  delete globalThis.document;
});

test("the chart has a summary in words", () => {
  const model = heard(bus, NOW, { a: [20, 30], b: [15, 16] });
  const rows = bus.chartTable.rows(model, ["a", "b"], NOW - 100_000, NOW);
  assert.deepEqual(rows, [["a", 30, 20, 30, 1], ["b", 16, 15, 16, 0]]);
  const before = bus.chartTable.rows(model, ["a"], NOW - 100_000, NOW - 50_000);
  assert.deepEqual(before, [["a", null, null, null, null]], "without a reading none is known to be above the threshold");
  assert.equal(bus.chartTable.summary(rows, "C", "last 100 s"),
    "2 devices, last 100 s: from 15.0 °C (b) to 30.0 °C (a), 1 reading above the threshold.");
  assert.equal(bus.chartTable.summary([], "C", "last 100 s"), "No reading, last 100 s.");
});

test("shortcuts are ignored while someone types, and space presses the button it is on", () => {
  const inside = (selectors) => ({ closest: (asked) => selectors.some((one) => asked.includes(one)) });
  const key = (name, target, more = {}) => bus.keyboard.action({ key: name, target, ...more });
  assert.equal(key(" ", inside([])), "pause");
  assert.equal(key("u", inside([])), "unit");
  assert.equal(key("U", inside([])), "unit");
  assert.equal(key("u", inside(["input"])), null);
  assert.equal(key(" ", inside(["button"])), null);
  assert.equal(key("t", inside([]), { ctrlKey: true }), null);
});

test("a choice that no address can hold says so", () => {
  const names = Array.from({ length: 1_000 }, (_, index) => `device-${index}`);
  const model = heard(bus, NOW, Object.fromEntries(names.map((name) => [name, [20]])));
  assert.equal(notice(model, names.slice(0, 3)), "");
  assert.match(notice(model, names), /^More devices are chosen than the address can name/);
});

test("the words of a large fleet are of all of it, not of the lines that are drawn", () => {
  const bands = { step_ms: 1_000, t: [NOW - 1_000, NOW], min: [1, 2], p10: [3, 3], median: [20, 21], p90: [30, 30], max: [41, 40] };
  const words = (fromMs) => bus.chartTable.fleetSummary({ fleet: { devices: 1_200 } }, { bands, fromMs, toMs: NOW, span: "last 100 s" }, "C");
  assert.equal(words(NOW - 99_000), "All 1,200 devices, last 100 s: from 1.0 °C to 41.0 °C, the median now 21.0 °C. Alerts are not known.");
  assert.equal(words(NOW + 1), "No reading, last 100 s.");
});

test("what the dashboard's limits leave out is said", () => {
  const model = heard(bus, NOW, { a: [20] });
  bus.model.ingest(model, answer(NOW, { fleet: { devices: 1, rate_hz: 1, age_p95_ms: 300, refused: 1_200 } }));
  assert.equal(notice(model, null), "Left out: 1,200 records of devices beyond the dashboard's limit.");
  bus.model.ingest(model, answer(NOW, { skipped: 1 }));
  assert.equal(notice(model, null), "Left out of the charts: 1 reading, more than one answer holds.");
});

test("the cards say how often those out of view of a large fleet are told", () => {
  assert.equal(bus.notice.outOfView(0), "");
  assert.equal(bus.notice.outOfView(10_000), "; those out of view are updated every 10 s");
});
