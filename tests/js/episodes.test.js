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
    { id: "a", startMs: 8_001, endMs: 8_001, peakCelsius: 30, goesOn: false, isOlder: false },
    { id: "a", startMs: 1_000, endMs: 5_000, peakCelsius: 32, goesOn: false, isOlder: false },
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
  for (let ms = 0; ms < 30_000_000; ms += 1_000) episodes.add(all, "a", ms, 30);
  assert.ok(all.all.length <= 21_000 && all.isCut);
  episodes.trim(all, 29_999_000);
  assert.deepEqual(all.all.map((one) => one.endMs), [29_999_000]);
  assert.equal(all.isCut, false);
});

test("however many there are, one that goes on is listed: those that ended first make room", () => {
  const all = episodes.create(3_000);
  for (let second = 0; second < 400; second += 1) {
    episodes.add(all, "on", second * 1_000, 35);
    for (let number = 0; number < 60; number += 1) episodes.add(all, `${second} ${number}`, second * 1_000, 31);
  }
  assert.ok(all.isCut);
  const { newest, total } = episodes.recent(all, 399_000, (id) => id === "on", 10);
  assert.deepEqual([total, newest[0].startMs, newest[0].goesOn], [1, 0, true]);
});

test("an episode that began before alerts are known is told apart", () => {
  const all = episodes.create(3_000);
  all.knownFromMs = 10_000;
  episodes.add(all, "cut", 12_000, 35);
  episodes.add(all, "whole", 14_000, 35);
  const older = () => episodes.recent(all, 15_000, everybody, 10).newest.map((one) => [one.id, one.isOlder]);
  assert.deepEqual(older(), [["whole", false], ["cut", true]]);
  episodes.trim(all, 10_001);
  assert.deepEqual(older(), [["whole", false], ["cut", false]]);
});
