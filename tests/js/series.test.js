import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { series } = load();

function held(one) {
  const rows = [];
  for (let index = one.first; index < one.end; index += 1) rows.push([one.tMs[index], one.celsius[index]]);
  return rows;
}

/** A small generator with a seed, so that a failure can be repeated. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

test("a series equals a plain sorted list under any mix of adding, repeating and trimming", () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const next = random(seed);
    const one = series.create();
    let plain = [];
    for (let step = 0; step < 600; step += 1) {
      const ms = Math.floor(step * 10 + (next() < 0.2 ? -next() * 500 : 0));
      const celsius = Math.floor(next() * 3);
      const known = plain.some((row) => row[0] === ms && row[1] === celsius);
      assert.equal(series.add(one, ms, celsius), !known, `seed ${seed}`);
      if (!known) plain.push([ms, celsius]);
      plain.sort((a, b) => a[0] - b[0]);
      if (next() < 0.02) {
        const from = plain[Math.floor(next() * plain.length)][0];
        series.trim(one, from);
        plain = plain.filter((row) => row[0] >= from);
      }
    }
    const byTime = (a, b) => a[0] - b[0] || a[1] - b[1];
    assert.deepEqual(held(one).sort(byTime), plain.sort(byTime), `seed ${seed}`);
    const times = held(one).map((row) => row[0]);
    assert.deepEqual(times, [...times].sort((a, b) => a - b));
  }
});

test("a long life in a short window does not grow the columns", () => {
  const one = series.create();
  for (let ms = 0; ms < 100_000; ms += 1) {
    series.add(one, ms, 20);
    if (ms % 50 === 0) series.trim(one, ms - 100);
  }
  assert.ok(one.tMs.length <= 512, `capacity ${one.tMs.length}`);
});

test("picking keeps every peak and valley and the bounds of the range", () => {
  const one = series.create();
  for (let ms = 0; ms < 10_000; ms += 1) series.add(one, ms, 20);
  series.add(one, 5_000.5, 99);
  series.add(one, 7_000.5, -99);
  const picked = series.pick(one, 1_000, 9_000, 100);
  const values = picked.map((index) => one.celsius[index]);
  assert.ok(picked.length <= 202, `${picked.length} picked`);
  assert.ok(values.includes(99) && values.includes(-99));
  assert.ok(picked.every((index) => one.tMs[index] >= 1_000 && one.tMs[index] <= 9_000));
  assert.deepEqual(picked, [...picked].sort((a, b) => a - b));
});

test("few readings are picked whole", () => {
  const one = series.create();
  for (const ms of [0, 1, 2, 3]) series.add(one, ms, ms);
  assert.deepEqual(series.pick(one, 1, 2, 100).map((index) => one.tMs[index]), [1, 2]);
});
