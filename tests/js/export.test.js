import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, load } from "./support/load.js";

const bus = load();
const FROM = Date.UTC(2026, 10, 24, 21, 0, 0);
const SPAN = "since=2026-11-24T21%3A00%3A00.000Z&until=2026-11-24T21%3A00%3A05.001Z";

function view(parts = {}) {
  return { mode: "lines", devices: ["a"], fromMs: FROM - 0.5, toMs: FROM + 5_000.7, unit: "C", ...parts };
}

test("the span and the unit shown are asked for, the last millisecond with them", () => {
  assert.deepEqual(bus.export.addresses("/", view({ unit: "K" })), [`/api/v1/readings.csv?${SPAN}&unit=kelvin&device=a`]);
});

test("all devices are asked for by no name, so that one which just came is there", () => {
  assert.deepEqual(bus.export.addresses("/x/", view({ devices: null })), [`/x/api/v1/readings.csv?${SPAN}&unit=celsius`]);
  assert.deepEqual(bus.export.addresses("/", view({ devices: [] })), []);
});

test("of an overview the bands are asked for", () => {
  assert.deepEqual(bus.export.addresses("/", view({ mode: "overview", unit: "F" })), [`/api/v1/overview.csv?${SPAN}&unit=fahrenheit`]);
  assert.deepEqual(bus.export.addresses("/", view({ mode: "overview", chosen: "ab.AA_-" })),
    [`/api/v1/overview.csv?${SPAN}&unit=celsius&chosen=ab.AA_-`]);
});

test("a name is only a name in an address", () => {
  const [address] = bus.export.addresses("/", view({ devices: ["a&unit=kelvin#%"] }));
  assert.deepEqual(new URL(address, "http://host").searchParams.getAll("device"), ["a&unit=kelvin#%"]);
});

test("names that do not fit into one request are asked for in several, each once", () => {
  const devices = Array.from({ length: 250 }, (_, index) => `device-${index}`.padEnd(index < 100 ? 10 : 128, "ü"));
  const addresses = bus.export.addresses("/", view({ devices }));
  const names = addresses.map((address) => new URL(address, "http://host").searchParams.getAll("device"));
  assert.deepEqual(names.flat(), devices);
  assert.ok(names.every((some) => some.length <= 100));
  assert.ok(addresses.every((address) => address.length < 4_000));
});

test("what the dashboard does not hold any more is said, of a page that was paused for long", () => {
  const model = heard(bus, FROM + 100_000, { a: Array(61).fill(20), b: [20] }); // a: from 21:00:40 on
  const shown = { mode: "lines", drawn: ["a", "b"], bands: null, fromMs: FROM, toMs: FROM + 100_000 };
  const say = (nowS, parts = {}, fleet = { devices: 2 }) =>
    bus.export.limit(model, { ...shown, ...parts }, { nowMs: FROM + nowS * 1_000, fleet, zone: "utc" });
  const all = { is: true, words: "" };
  assert.deepEqual(say(100), all);
  assert.deepEqual(say(945), all);
  assert.deepEqual(say(950), { is: true, words: "Exported in part: the dashboard holds none of before 21:00:50." });
  assert.deepEqual(say(950, { drawn: ["b"] }), all);
  assert.deepEqual(say(1_100), { is: false, words: "Not exported: the dashboard holds none of before 21:03:20." });
  const full = { devices: 2, limit: "rows", held_from_ms: FROM + 60_000 };
  assert.deepEqual(say(100, {}, full), { is: true, words: "Exported in part: the dashboard holds none of before 21:01:00." });
  const bands = { mode: "overview", drawn: [], bands: { t: [FROM - 1_000, FROM + 40_000] } };
  assert.deepEqual(say(100, bands, full), all);
  assert.equal(say(950, bands).words, "Exported in part: the dashboard holds none of before 21:00:50.");
  assert.deepEqual(say(1_100, { drawn: [] }), all);
  model.config.history_ms = 3_600_000;
  assert.deepEqual(say(1_100), all); // lines are of all that is held, bands of 15 min at most
  assert.equal(say(1_100, bands).is, false);
});

test("an answer that goes on elsewhere is followed", () => {
  assert.equal(bus.export.following('</api/v1/readings.csv?cursor=x>; rel="next"'), "/api/v1/readings.csv?cursor=x");
  assert.equal(bus.export.following(null), null);
});

test("answers become one table by time", () => {
  const texts = ["time_utc,x\r\n2026-01-01T00:00:01.000Z,b\r\n2026-01-01T00:00:02.000Z,b\r\n", "time_utc,x\r\n2026-01-01T00:00:01.000Z,a\r\n"];
  assert.equal(bus.export.merge(texts),
    "time_utc,x\r\n2026-01-01T00:00:01.000Z,a\r\n2026-01-01T00:00:01.000Z,b\r\n2026-01-01T00:00:02.000Z,b\r\n");
  assert.equal(bus.export.merge(texts.slice(1)), texts[1]);
  assert.equal(bus.export.merge(["time_utc,x\r\n"]), "time_utc,x\r\n");
});
