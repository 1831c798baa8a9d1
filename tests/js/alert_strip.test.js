import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, load } from "./support/load.js";

const bus = load();
const NOW = 1_795_554_000_000;

/** Return a model of a fleet with these episodes [id, s before now that it began, and that it ended]. */
function fleet(...episodes) {
  const model = heard(bus, NOW, Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`d${index}`, [20]])));
  for (const [id, began, ended] of episodes) {
    for (let s = began; s >= ended; s -= 1) bus.episodes.add(model.episodes, id, NOW - s * 1_000, 40);
  }
  return model;
}

function count(model, parts = {}) {
  return bus.alertStrip.count(model, { ids: model.order, fromMs: NOW - 100_000, toMs: NOW, nowMs: NOW, zoom: null, alertsKnown: true, ...parts });
}

/** Return the bars as {s before now: number}. */
function bars(strip) {
  return Object.fromEntries(strip.bars.map(({ ms, number }) => [(NOW - ms) / 1_000, number]));
}

test("each step tells how many devices were in alert, and those of no step are left out", () => {
  const strip = count(fleet(["d1", 12, 10], ["d2", 11, 9], ["d3", 50, 50]));
  assert.deepEqual(bars(strip), { 50: 1, 12: 1, 11: 2, 10: 2, 9: 1 });
  assert.deepEqual([strip.total, strip.most, strip.stepMs], [3, 2, 1_000]);
});

test("a zoom that was dragged beyond now is empty", () => {
  const model = fleet(["d1", 12, 10]);
  const [fromMs, toMs] = [NOW + 150_000, NOW + 250_000];
  const strip = count(model, { fromMs, toMs, zoom: { fromMs, toMs, y: null } });
  assert.deepEqual([strip.bars, strip.total, strip.most], [[], 0, 0]);
});

test("two episodes of a device within a step are one device", () => {
  const strip = count(fleet(["d1", 599, 598], ["d1", 593, 592], ["d2", 595, 595]), { fromMs: NOW - 900_000 });
  assert.equal(strip.stepMs, 10_000);
  assert.deepEqual(bars(strip), { 600: 2 });
  assert.equal(strip.total, 2);
  const model = fleet(["d1", 599, 598], ["d1", 593, 592], ["d1", 588, 570], ["d1", 566, 566]);
  model.episodes.all.unshift(...model.episodes.all.splice(0, 3).reverse()); // as they stand when some were cut off
  assert.deepEqual(bars(count(model, { fromMs: NOW - 900_000 })), { 600: 1, 590: 1, 580: 1, 570: 1 });
});

test("the number of bars is bounded, by width too, and they stay where they are while time goes on", () => {
  const model = fleet(["d1", 100, 0]);
  assert.ok(count(model).bars.length <= 111);
  assert.equal(count(model, { widthPx: 235 }).stepMs, 5_000);
  const later = count(model, { widthPx: 235, fromMs: NOW - 97_000, toMs: NOW + 3_000, nowMs: NOW + 3_000 });
  assert.ok(later.bars.every(({ ms }) => ms % 5_000 === 0));
});

test("it is of the chosen devices, ends with a pause, and has the surroundings of a zoom", () => {
  const model = fleet(["d1", 12, 10], ["d2", 30, 0]);
  assert.equal(count(model, { ids: model.order.filter((id) => id !== "d2") }).total, 1);
  assert.deepEqual(bars(count(model, { toMs: NOW - 28_000, nowMs: NOW - 28_000 })), { 30: 1, 29: 1, 28: 1 });
  const zoomed = count(model, { fromMs: NOW - 40_000, toMs: NOW - 35_000, zoom: {} });
  assert.deepEqual([bars(zoomed), zoomed.total, zoomed.most], [{ 30: 1 }, 0, 0]);
});

test("what is not known is said: without job alert, and of before the oldest alert that was told", () => {
  const model = fleet(["d1", 12, 10]);
  const note = (strip) => bus.alertStrip.note(strip, { fromMs: NOW - 100_000, zone: "utc" });
  assert.equal(note(count(model)), " ▲ counts the devices in alert per 1 s.");
  assert.equal(count(model, { alertsKnown: false }), null);
  assert.match(note(null), /not known/);
  model.episodes.knownFromMs = NOW - 60_000;
  const since = ` Alerts are known since ${bus.format.clock(NOW - 60_000, "utc")}.`;
  assert.ok(note(count(model)).endsWith(since));
  Object.assign(model.episodes, { knownFromMs: null, isCut: true });
  assert.ok(note(count(model)).endsWith(` since ${bus.format.clock(NOW - 10_000, "utc")}.`));
});

test("the axis of numbers is round and does not magnify one device", () => {
  const top = (number) => count(fleet(...Array.from({ length: number }, (_, at) => [`d${at}`, 9, 9]))).top;
  assert.deepEqual([0, 1, 5, 6, 11, 21, 51, 100, 101].map(top), [5, 5, 5, 10, 20, 50, 100, 100, 200]);
});

test("words at the pointer and for who does not see it", () => {
  const strip = count(fleet(["d1", 12, 10], ["d2", 11, 9]));
  const { text, x, yaxis } = bus.alertStrip.trace(strip, { offsetMs: 3_600_000, zone: "utc", colours: {} });
  const [from, to] = [12, 11].map((s) => bus.format.clock(NOW - s * 1_000, "utc"));
  assert.deepEqual([text[0], x[0], yaxis], [`▲ 1 device in alert<br>${from} to ${to}`, NOW - 11_500 + 3_600_000, "y2"]);
  assert.equal(bus.alertStrip.summary(strip), "2 devices in alert, at most 2 within 1 s.");
  assert.equal(bus.alertStrip.summary(count(fleet())), "No device was in alert.");
  assert.equal(bus.alertStrip.summary(null), "Alerts are not known.");
});
