import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { connection } = load();

test("a silent dashboard is called lost within 3 s of its last answer", () => {
  const one = connection.create(1_000, 0);
  connection.good(one, 1_000, 5);
  connection.pass(one, 3_400, true);
  assert.equal(one.lost, false);
  connection.pass(one, 3_750, true);
  assert.equal(one.lost, true);
  assert.equal(one.sinceMs, 1_000);
});

test("retries come 1, 2, 5, 10, 10 s after one another", () => {
  const one = connection.create(1_000, 0);
  const asked = [];
  for (let ms = 0; ms <= 40_000; ms += 250) if (connection.pass(one, ms, true)) asked.push(ms);
  const lostMs = 2_750;
  assert.deepEqual(asked, [1, 3, 8, 18, 28].map((s) => lostMs + s * 1_000));
});

test("an answer after a loss says what was caught up, for a while", () => {
  const one = connection.create(1_000, 0);
  connection.pass(one, 5_000, true);
  connection.good(one, 9_000, 37);
  assert.deepEqual([one.lost, one.back], [false, { readings: 37 }]);
  connection.pass(one, 11_000, true);
  assert.notEqual(one.back, null);
  connection.good(one, 14_000, 1);
  connection.pass(one, 14_001, true);
  assert.equal(one.back, null);
});

test("a browser without network is lost after a tick", () => {
  const one = connection.create(1_000, 0);
  connection.pass(one, 1_001, false);
  assert.deepEqual([one.lost, one.offline], [true, true]);
});

test("a hidden page asks less often and is not called lost for it", () => {
  const one = connection.create(1_000, 0);
  connection.visibility(one, true, 0);
  assert.equal(connection.intervalMs(one), 10_000);
  connection.pass(one, 20_000, true);
  assert.equal(one.lost, false);
  connection.visibility(one, false, 20_000);
  connection.pass(one, 21_000, true);
  assert.equal(one.lost, false);
  connection.pass(one, 22_000, true);
  assert.equal(one.lost, true);
});

test("a slow tick has the patience it needs", () => {
  const one = connection.create(30_000, 0);
  connection.pass(one, 31_000, true);
  assert.equal(one.lost, false);
});
