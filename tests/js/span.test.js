import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { span } = load();
const NOW = 1_795_554_000_000;
const MINUTE = 60_000;

/** Press keys one after the other; return the span in s before now, or "live". */
function press(keys, { windowMs = 100_000, fromMs, toMs } = {}) {
  let shown = fromMs === undefined ? null : { fromMs, toMs };
  for (const key of keys) {
    const live = { fromMs: NOW - windowMs, toMs: NOW };
    shown = span.asked(key, { ...(shown ?? live), nowMs: NOW, windowMs, heldMs: 15 * MINUTE });
  }
  return shown ? [shown.fromMs, shown.toMs].map((ms) => (NOW - ms) / 1000) : "live";
}

test("left and right move by a quarter, and back at the end it is live", () => {
  assert.deepEqual(press(["ArrowLeft"]), [125, 25]);
  assert.deepEqual(press(["ArrowLeft", "ArrowLeft"]), [150, 50]);
  assert.equal(press(["ArrowLeft", "ArrowRight"]), "live");
  assert.equal(press(["ArrowRight"]), "live");
});

test("nothing is asked for that is not held", () => {
  assert.deepEqual(press(Array(100).fill("ArrowLeft")), [900, 800]);
  assert.deepEqual(press(Array(9).fill("-")), [900, 0]);
  assert.equal(press(["-"], { windowMs: 15 * MINUTE }), "live");
  assert.equal(press(["ArrowLeft"], { windowMs: 15 * MINUTE }), "live");
});

test("closer and wider keep what is newest when live, else the middle", () => {
  assert.deepEqual(press(["+"]), [50, 0]);
  assert.equal(press(["+", "-"]), "live");
  assert.deepEqual(press(["-"]), [200, 0]);
  assert.deepEqual(press(["ArrowLeft", "ArrowLeft", "="]), [125, 75]);
  assert.deepEqual(press(["ArrowLeft", "ArrowLeft", "=", "-"]), [150, 50]);
});

test("time that goes by between two keys does not lead astray", () => {
  const view = { fromMs: NOW - 60_000, toMs: NOW - 10_000, nowMs: NOW, windowMs: 100_000, heldMs: 15 * MINUTE };
  assert.deepEqual(span.asked("+", view), { fromMs: NOW - 35_000, toMs: NOW - 10_000 });
  assert.equal(span.asked("-", view), null);
  assert.equal(span.asked("ArrowRight", { ...view, fromMs: NOW - 130_000, toMs: NOW - 30_000 }), null);
});

test("closer ends at 5 s, and leaves alone what a drag made narrower", () => {
  assert.deepEqual(press(Array(20).fill("+")), [5, 0]);
  assert.deepEqual(press(["+"], { fromMs: NOW - 12_000, toMs: NOW - 10_000 }), [12, 10]);
});

test("0 is live; other keys ask for nothing", () => {
  assert.equal(press(["ArrowLeft", "0"]), "live");
  for (const key of ["ArrowUp", "Tab", " ", "u", "constructor"]) {
    assert.equal(span.asked(key, { fromMs: NOW - 1, toMs: NOW, nowMs: NOW, windowMs: 1, heldMs: 10 }), undefined);
  }
});

test("a zoom is told by its ends, though it is as long as what live shows", () => {
  const view = { windowMs: 100_000, zone: "utc" };
  assert.equal(span.words({ ...view, zoom: null }), "last 100 s");
  const fromMs = Date.UTC(2026, 0, 1, 12);
  assert.equal(span.words({ ...view, zoom: { fromMs, toMs: fromMs + 100_000, y: null } }), "12:00:00 to 12:01:40");
});

test("what an axis was dragged to is moved into what is held, and cut to it", () => {
  const within = (from, to) => {
    const span_ = span.within({ fromMs: NOW - from * 1000, toMs: NOW - to * 1000 }, { nowMs: NOW, heldMs: 15 * MINUTE });
    return [span_.fromMs, span_.toMs].map((ms) => (NOW - ms) / 1000);
  };
  assert.deepEqual(within(60, 20), [60, 20]);
  assert.deepEqual(within(10, -90), [100, 0]);
  assert.deepEqual(within(2_000, 1_900), [900, 800]);
  assert.deepEqual(within(5_000, -5_000), [900, 0]);
});
