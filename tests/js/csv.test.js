import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, load } from "./support/load.js";

const bus = load();

test("cells are quoted by RFC 4180", () => {
  assert.equal(bus.csv.table([["a", 'say "x"', "b,c", "d\ne"], [1, -2.5, "", "ü"]]), 'a,"say ""x""","b,c","d\ne"\r\n1,-2.5,,ü\r\n');
});

test("text that a spreadsheet would run is not run, and numbers stay numbers", () => {
  assert.deepEqual(["=1+1", "+1", "-1", "@x", "\tx", "\rx"].map(bus.csv.cell), ["'=1+1", "'+1", "'-1", "'@x", "'\tx", '"\'\rx"']);
  assert.equal(bus.csv.cell(-1.5), "-1.5");
});

test("the export has a row for each reading in view, in UTC and in the unit its header names", () => {
  const now = Date.UTC(2026, 10, 24, 21, 0, 0);
  const model = heard(bus, now, { "=a": [20, 30], b: [10, 11] });
  const rows = bus.exporter.rows(model, { mode: "lines", drawn: ["=a", "b"] }, { fromMs: now, toMs: now, unit: "F" });
  assert.deepEqual(rows, [
    ["time_utc", "device_id", "temperature_fahrenheit", "above_threshold"],
    ["2026-11-24T21:00:00.000Z", "=a", 86, "yes"],
    ["2026-11-24T21:00:00.000Z", "b", 51.8, "no"],
  ]);
});

test("of an overview its quantiles are exported", () => {
  const model = heard(bus, 2_000, { a: [20] });
  const values = [1, null];
  model.overview = { t: [1_000, 2_000], min: values, p10: values, median: values, p90: values, max: values };
  const rows = bus.exporter.rows(model, { mode: "overview", drawn: [] }, { fromMs: 0, toMs: 2_000, unit: "C" });
  assert.equal(rows[0].join(), "time_utc,min_celsius,p10_celsius,median_celsius,p90_celsius,max_celsius");
  assert.deepEqual(rows.slice(1).map((row) => row[1]), [1, ""]);
});
