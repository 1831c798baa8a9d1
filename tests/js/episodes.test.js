import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { episodes } = load();
const everybody = () => true;

test("alerts that follow each other are one episode with its peak, a gap starts another", () => {
  const all = episodes.create(3_000);
  for (const [ms, celsius] of [[1_000, 30], [2_000, 32], [5_000, 31], [8_001, 30]]) episodes.add(all, "a", ms, celsius);
  const recent = episodes.recent(all, 20_000, everybody, 10);
  assert.deepEqual(recent.newest, [
    { id: "a", startMs: 8_001, endMs: 8_001, peakCelsius: 30, goesOn: false },
    { id: "a", startMs: 1_000, endMs: 5_000, peakCelsius: 32, goesOn: false },
  ]);
});

test("episodes that go on stand first, and the filter is followed", () => {
  const all = episodes.create(3_000);
  episodes.add(all, "old", 1_000, 30);
  episodes.add(all, "on", 9_000, 30);
  episodes.add(all, "other", 9_500, 30);
  const recent = episodes.recent(all, 10_000, (id) => id !== "other", 10);
  assert.equal(recent.total, 2);
  assert.deepEqual(recent.newest.map((one) => [one.id, one.goesOn]), [["on", true], ["old", false]]);
});

test("what is left out is counted", () => {
  const all = episodes.create(10);
  for (const ms of [1_000, 2_000, 3_000]) episodes.add(all, "a", ms, 30);
  const { newest, total } = episodes.recent(all, 3_000, everybody, 2);
  assert.deepEqual([newest.map((one) => one.startMs), total], [[3_000, 2_000], 3]);
});

test("a repeated alert and one out of order do not split an episode", () => {
  const all = episodes.create(3_000);
  for (const ms of [5_000, 3_000, 4_000, 5_000]) episodes.add(all, "a", ms, 30);
  assert.deepEqual(episodes.recent(all, 5_000, everybody, 10).newest.map((one) => [one.startMs, one.endMs]), [[3_000, 5_000]]);
});

test("episodes that ended long ago are forgotten, and their number is bounded", () => {
  const all = episodes.create(10);
  for (let ms = 0; ms < 6_000_000; ms += 1_000) episodes.add(all, "a", ms, 30);
  assert.equal(all.all.length, 5_000);
  episodes.trim(all, 5_999_000);
  assert.deepEqual(all.all.map((one) => one.endMs), [5_999_000]);
});
