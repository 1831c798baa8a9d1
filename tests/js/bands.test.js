import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { bands } = load();

/** Return bands of these seconds, all of one value each. */
function of(...rows) {
  const t = rows.map(([ms]) => ms);
  const columns = ["min", "p10", "median", "p90", "max"].map((name, add) => [name, rows.map(([, celsius]) => celsius + add)]);
  return { step_ms: 1_000, t, ...Object.fromEntries(columns) };
}

test("what is told replaces what is held from its first second on, and older seconds stay as long as they are wanted", () => {
  const joined = bands.join(of([1_000, 1], [2_000, 2], [3_000, 3]), of([3_000, 4], [4_000, 5]), 2_000);
  assert.deepEqual(joined, of([2_000, 2], [3_000, 4], [4_000, 5]));
  assert.deepEqual(bands.join(null, of([3_000, 4]), 0), of([3_000, 4]));
});

test("a small fleet has no bands, and when nothing new is told what is held stays as long as it is wanted", () => {
  assert.equal(bands.join(of([1_000, 1]), null, 0), null);
  assert.deepEqual(bands.join(of([1_000, 1], [2_000, 2]), of(), 2_000), of([2_000, 2]));
  assert.deepEqual(bands.join(null, of(), 0), of());
});

test("a second without readings parts the bands", () => {
  const parted = bands.withGaps(of([1_000, 1], [2_000, 2], [5_000, 3]));
  assert.deepEqual(parted.t, [1_000, 2_000, 5_000, 5_000]);
  assert.deepEqual(parted.min, [1, 2, null, 3]);
  assert.deepEqual(parted.max, [5, 6, null, 7]);
});

test("extremes are of the seconds in range", () => {
  const held = of([1_000, 1], [2_000, 9], [3_000, 3]);
  assert.deepEqual(bands.extremes(held, 1_000, 3_000), { lowest: 1, highest: 13, median: 5 });
  assert.deepEqual(bands.extremes(held, 3_000, 9_000), { lowest: 3, highest: 7, median: 5 });
  assert.equal(bands.extremes(held, 4_000, 9_000), null);
  assert.equal(bands.extremes(null, 0, 9_000), null);
});
