import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const bus = load();
const box = { fromMs: 0, toMs: 100_000, gapMs: 3_000, width: 100, height: 34, isHigh: (celsius) => celsius > 30 };

function seriesOf(rows) {
  const one = bus.series.create();
  for (const [ms, celsius] of rows) bus.series.add(one, ms, celsius);
  return one;
}

test("a gap breaks the line", () => {
  const { path } = bus.sparkline.draw(seriesOf([[0, 20], [1_000, 21], [50_000, 20], [51_000, 21]]), box);
  assert.equal(path.match(/M/g).length, 2);
  assert.equal(path.match(/L/g).length, 2);
});

test("a reading between gaps is a dot", () => {
  const dots = (rows) => bus.sparkline.draw(seriesOf(rows), box).path.match(/M[\d.]+ [\d.]+h1.5/g)?.length ?? 0;
  assert.equal(dots([[0, 20], [10_000, 21], [20_000, 20]]), 3);
  assert.equal(dots([[0, 20], [1_000, 20], [10_000, 21], [20_000, 20], [21_000, 20]]), 1);
  assert.equal(dots([[0, 20], [1_000, 20]]), 0);
});

test("alerts have dots of their own, and the line stays in its box", () => {
  const { path, highs } = bus.sparkline.draw(seriesOf([[0, 20], [1_000, 35], [2_000, 20]]), box);
  assert.equal(highs.match(/M/g).length, 1);
  for (const [, y] of path.matchAll(/[ML][\d.]+ ([\d.]+)/g)) assert.ok(y >= 0 && y <= 34);
});

test("nothing heard draws nothing", () => {
  assert.deepEqual(bus.sparkline.draw(bus.series.create(), box), { path: "", highs: "" });
});
