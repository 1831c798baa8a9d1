import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { connection } = load();

/** Let time pass as the page does: with a look four times a second. */
function pass(one, fromMs, toMs, online = true) {
  for (let ms = fromMs; ms < toMs; ms += 250) connection.pass(one, ms, online);
  connection.pass(one, toMs, online);
}

test("a silent dashboard is called lost within 3 s of its last answer", () => {
  const one = connection.create(1_000, 0);
  connection.good(one, 1_000, 5);
  pass(one, 1_000, 3_400);
  assert.equal(one.lost, false);
  pass(one, 3_400, 3_750);
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

test("a first answer that comes late catches nothing up", () => {
  const one = connection.create(1_000, 0);
  pass(one, 0, 5_000);
  connection.good(one, 9_000, 37);
  assert.deepEqual([one.lost, one.back], [false, null]);
});

test("an answer after a loss says what was caught up, for a while", () => {
  const one = connection.create(1_000, 0);
  connection.good(one, 0, 5);
  pass(one, 0, 5_000);
  connection.good(one, 9_000, 37);
  assert.deepEqual([one.lost, one.back], [false, { readings: 37 }]);
  connection.pass(one, 11_000, true);
  assert.notEqual(one.back, null);
  connection.good(one, 14_000, 1);
  connection.pass(one, 14_001, true);
  assert.equal(one.back, null);
});

test("who is not signed in any more is told so until an answer comes", () => {
  const one = connection.create(1_000, 0);
  pass(one, 0, 5_000);
  connection.told(one, 401);
  assert.equal(one.isSignedOut, true);
  connection.told(one, null);
  assert.equal(one.isSignedOut, false);
  connection.told(one, 401);
  connection.good(one, 6_000, 1);
  assert.equal(one.isSignedOut, false);
  connection.told(one, 401); // asked before that answer
  assert.equal(one.isSignedOut, false);
});

test("who was taken out of the users is signed out, also when the page looks at no password of his any more", () => {
  const one = connection.create(1_000, 0);
  pass(one, 0, 5_000);
  connection.told(one, 429, true);
  assert.equal(one.isSignedOut, true);
  connection.told(one, 429); // a proxy's limit
  assert.equal(one.isSignedOut, false);
});

test("a browser without network is lost after a tick, unless the dashboard still answers", () => {
  const one = connection.create(1_000, 0);
  pass(one, 0, 1_750, false);
  assert.deepEqual([one.lost, one.offline], [true, true]);
  connection.good(one, 1_800, 1); // what is drawn with this answer says it already
  assert.deepEqual([one.lost, one.offline], [false, false]);
  const local = connection.create(1_000, 0);
  for (let ms = 0; ms <= 5_000; ms += 1_000) {
    pass(local, ms, ms + 1_000, false);
    connection.good(local, ms + 1_000, 1);
  }
  assert.deepEqual([local.lost, local.offline], [false, false]);
});

test("a hidden page asks less often and is not called lost for it", () => {
  const one = connection.create(1_000, 0);
  connection.visibility(one, true, 0);
  assert.equal(connection.intervalMs(one), 10_000);
  pass(one, 0, 20_000);
  assert.equal(one.lost, false);
  connection.visibility(one, false, 20_000);
  pass(one, 20_000, 22_000);
  assert.equal(one.lost, false);
  pass(one, 22_000, 23_000);
  assert.equal(one.lost, true);
});

test("a slow tick has the patience it needs", () => {
  const one = connection.create(30_000, 0);
  pass(one, 0, 31_000);
  assert.equal(one.lost, false);
});

/** Answers that take `tookMs` each, asked for a second after one another; return how often the connection was lost. */
function slowly(one, fromMs, answers, tookMs, letPass = pass) {
  let nowMs = fromMs;
  let losses = 0;
  for (let number = 0; number < answers; number += 1) {
    letPass(one, nowMs, nowMs + 1_000 + tookMs);
    nowMs += 1_000 + tookMs;
    losses += Number(one.lost);
    connection.good(one, nowMs, 1);
  }
  return losses;
}

test("a dashboard that answers slowly is called lost once, not with every answer", () => {
  const one = connection.create(1_000, 0);
  assert.equal(slowly(one, 0, 20, 2_500), 1);
});

/** Let time pass with a dashboard that answers whatever is not a tick with that status. */
function passWith(status) {
  return (one, fromMs, toMs) => {
    for (let ms = fromMs; ms <= toMs; ms += 250) {
      connection.pass(one, ms, true);
      if (connection.isLookDue(one, ms)) connection.told(one, status);
    }
  };
}

test("the first slow tick of a dashboard that answers something else is no loss", () => {
  assert.equal(slowly(connection.create(1_000, 0), 0, 20, 2_500, passWith(200)), 0);
  for (const status of [null, 401, 502]) {
    assert.equal(slowly(connection.create(1_000, 0), 0, 1, 2_500, passWith(status)), 1);
  }
});

test("a dashboard that answers all but ticks is called lost after 6 s, one that dies then sooner", () => {
  const one = connection.create(1_000, 0);
  passWith(200)(one, 0, 6_000);
  assert.equal(one.lost, false);
  passWith(200)(one, 6_000, 6_250);
  assert.equal(one.lost, true);
  const dying = connection.create(1_000, 0);
  passWith(200)(dying, 0, 2_000);
  passWith(null)(dying, 2_000, 3_500);
  assert.equal(dying.lost, true);
});

test("nothing else is asked for while ticks are answered", () => {
  const one = connection.create(1_000, 0);
  let looks = 0;
  for (let ms = 0; ms <= 10_000; ms += 250) {
    connection.pass(one, ms, true);
    looks += Number(connection.isLookDue(one, ms));
    if (ms % 1_250 === 0) connection.good(one, ms, 1);
  }
  assert.equal(looks, 0);
});

test("a dashboard that was slow and is quick again is found dead as soon as ever", () => {
  const one = connection.create(1_000, 0);
  slowly(one, 0, 5, 2_500);
  slowly(one, 17_500, 5, 50);
  pass(one, 22_750, 25_500);
  assert.equal(one.lost, true);
});

test("an outage is not taken for a slow answer", () => {
  const one = connection.create(1_000, 0);
  for (let ms = 0; ms <= 60_000; ms += 250) if (connection.pass(one, ms, true)) connection.asked(one, ms);
  connection.asked(one, 60_500);
  connection.good(one, 60_600, 1);
  pass(one, 60_600, 63_350);
  assert.equal(one.lost, true);
});

test("however slow it was, a dashboard is called lost after 10 s", () => {
  const one = connection.create(1_000, 0);
  slowly(one, 0, 3, 30_000);
  pass(one, 93_000, 103_250);
  assert.equal(one.lost, true);
});

test("time in which the browser itself stood still is hardly held against the dashboard", () => {
  const one = connection.create(1_000, 0);
  connection.good(one, 1_000, 1);
  connection.pass(one, 1_250, true);
  connection.pass(one, 61_500, true);
  assert.equal(one.lost, false);
  pass(one, 61_500, 63_250);
  assert.equal(one.lost, true);
});

test("a dashboard that is silent is found by a slow browser too", () => {
  const one = connection.create(1_000, 0);
  for (let ms = 0; ms <= 4_500; ms += 1_500) connection.pass(one, ms, true);
  assert.equal(one.lost, true);
});

test("a quick dashboard is not taken for a slow one because its tick is slow", () => {
  for (const tickMs of [1_000, 4_000, 8_000]) {
    const one = connection.create(tickMs, 0);
    for (let number = 1; number <= 3; number += 1) {
      const answeredMs = number * (tickMs + 20);
      pass(one, answeredMs - tickMs - 20, answeredMs);
      connection.good(one, answeredMs, 1);
    }
    const lastMs = 3 * (tickMs + 20);
    pass(one, lastMs, lastMs + tickMs + 1_500);
    assert.equal(one.lost, false);
    pass(one, lastMs + tickMs + 1_500, lastMs + tickMs + 2_000);
    assert.equal(one.lost, true);
  }
});
