import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, heard, load } from "./support/load.js";

const bus = load();
const NOW = 1_795_554_000_000;
const IDS = Array.from({ length: 300 }, (_, index) => `d${String(index).padStart(3, "0")}`);
const SOME = IDS.slice(0, 120);
const colours = new Proxy({}, { get: (_, name) => String(name) });

function bands(celsius, ...seconds) {
  return { step_ms: 1_000, t: seconds, ...Object.fromEntries(["min", "p10", "median", "p90", "max"].map((name) => [name, seconds.map(() => celsius)])) };
}

function fleet() {
  const model = heard(bus, NOW, Object.fromEntries(IDS.map((id) => [id, [20, 21]])));
  bus.model.ingest(model, answer(NOW, { roster: ["key", IDS], overview: bands(20, NOW - 2_000), fleet: { devices: 300 } }));
  return model;
}

function asked(model, ids) {
  bus.chosen.want(model, ids);
  return bus.model.request(model, "c", []);
}

function chart(model, ids) {
  return bus.chartData.build(model, { ids, nowMs: NOW, windowMs: 100_000, unit: "C", zone: "utc", colours, zoom: null });
}

function places(text) {
  const bytes = Buffer.from(text, "base64url");
  return IDS.filter((_, place) => (bytes[place >> 3] >> (place & 7)) & 1);
}

test("more than a hundred devices but not all are asked for by their places", () => {
  const model = fleet();
  const [number, bits] = asked(model, [...SOME, "d299"]).chosen;
  assert.deepEqual(places(bits), [...SOME, "d299"]);
  assert.equal(asked(model, [...SOME, "d299"]).chosen[0], number);
  assert.notEqual(asked(model, SOME).chosen[0], number);
  for (const ids of [null, IDS, IDS.slice(0, 100)]) assert.equal(asked(model, ids).chosen, undefined);
});

test("a choice that the roster cannot name is not asked for", () => {
  const model = fleet();
  model.roster = { key: "older", ids: IDS.slice(1) };
  assert.equal(asked(model, SOME).chosen, undefined);
  model.roster = { key: "", ids: [] };
  assert.equal(asked(model, SOME).chosen, undefined);
  assert.equal(bus.chosen.inAddress(model, null), null);
});

test("until the bands of a choice are told, those of all are said to be of all", () => {
  const model = fleet();
  asked(model, SOME);
  const { note, bands: drawn } = chart(model, SOME);
  assert.match(note, /median of all 300 devices per second, not of the chosen alone, with/);
  assert.equal(bus.chosen.inAddress(model, drawn), null);
  assert.match(bus.chartTable.fleetSummary(model, chart(model, SOME), "C"), /^All 300 devices, /);
});

test("the bands of a choice take the place of those of all, and follow", () => {
  const model = fleet();
  const { chosen: [number], overview } = asked(model, SOME);
  assert.equal(overview, 0);
  bus.model.ingest(model, answer(NOW, { chosen: number }));
  assert.match(chart(model, SOME).note, /^The lines of the 5 hottest of 120 devices; their lowest, .* come in a moment\. Alerts are not known/);
  bus.model.ingest(model, answer(NOW, { chosen: number, overview: bands(30, NOW - 3_000, NOW - 2_000) }));
  assert.equal(asked(model, SOME).overview, NOW - 2_000);
  bus.model.ingest(model, answer(NOW, { chosen: number, overview: bands(31, NOW - 1_000) }));
  assert.deepEqual([model.overview.t, model.overview.max], [[NOW - 3_000, NOW - 2_000, NOW - 1_000], [30, 30, 31]]);
  const drawn = chart(model, SOME);
  assert.match(drawn.note, /median of the 120 chosen devices per second, with the lines of the 5 hottest chosen\./);
  assert.match(bus.chartTable.fleetSummary(model, drawn, "C"), /^The 120 chosen devices, .*from 30\.0.* to 31\.0/);
  const [key, bits] = bus.chosen.inAddress(model, drawn.bands).split(".");
  assert.deepEqual([key, places(bits)], ["key", SOME]);
  bus.model.ingest(model, answer(NOW, { chosen: number })); // another worker has none yet
  assert.equal(model.overview.t.length, 3);
});

test("bands of a choice of before are neither taken nor shown, and all is told anew", () => {
  const model = fleet();
  const { chosen: [before] } = asked(model, SOME);
  bus.model.ingest(model, answer(NOW, { chosen: before, overview: bands(30, NOW - 2_000) }));
  assert.equal(chart(model, IDS.slice(0, 130)).bands, null);
  assert.equal(asked(model, IDS.slice(0, 130)).overview, 0);
  bus.model.ingest(model, answer(NOW, { chosen: before, overview: bands(30, NOW - 1_000) }));
  assert.deepEqual(model.overview.t, [NOW - 2_000]);
  assert.deepEqual([asked(model, null).overview, chart(model, IDS).bands], [0, null]);
  bus.model.ingest(model, answer(NOW, { overview: bands(20, NOW - 1_000), fleet: { devices: 300 } }));
  assert.match(chart(model, IDS).note, /median of all 300 devices per second, with/);
});

test("a choice too long for an address is exported as all, which is said", () => {
  const model = fleet();
  const ids = Array.from({ length: 30_000 }, (_, index) => `e${index}`);
  model.roster = { key: "key", ids };
  model.choice = { ids: ids.slice(0, 200), number: 1, key: null, bits: null };
  assert.equal(bus.chosen.inAddress(model, { of: ids.slice(0, 200) }), null);
});
