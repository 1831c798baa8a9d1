import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { format } = load();

test("a temperature and a difference of temperatures convert differently", () => {
  assert.equal(format.temperature(30, "C"), "30.0 °C");
  assert.equal(format.temperature(30, "F"), "86.0 °F");
  assert.equal(format.temperature(30, "K", 2), "303.15 K");
  assert.deepEqual(format.change(1, "C"), { arrow: "▲", text: "+1.0", word: "rising" });
  assert.equal(format.change(1, "F").text, "+1.8");
  assert.equal(format.change(1, "K").text, "+1.0");
});

test("a fall has a minus sign, and what rounds to nothing has neither arrow nor sign", () => {
  assert.deepEqual(format.change(-0.34, "C"), { arrow: "▼", text: "−0.3", word: "falling" });
  assert.deepEqual(format.change(-0.04, "C"), { arrow: "", text: "±0.0", word: "unchanged" });
  assert.equal(format.temperature(-0.04, "C"), "0.0 °C");
  assert.equal(format.temperature(-12.34, "C"), "−12.3 °C");
});

test("nothing known is a dash", () => {
  assert.equal(format.temperature(null, "C"), "–");
  assert.equal(format.count(null), "–");
  assert.equal(format.change(null, "C").text, "");
});

test("kelvin has the two decimals that the threshold is compared with", () => {
  assert.equal(format.kelvin(29.85), 303);
  assert.equal(format.kelvin(29.86), 303.01);
  assert.equal(format.kelvin(29.975), 303.12); // an exact tie goes to the even number, as job alert rounds it
  assert.equal(format.kelvin(29.805), 302.95); // a little less than a tie in binary
});

test("ages step from seconds to days and name a clock that is ahead", () => {
  assert.deepEqual([0, 2_400, 119_000, 120_000, 7_200_000, 172_800_000].map(format.age),
    ["now", "2 s ago", "119 s ago", "2 min ago", "2 h ago", "2 d ago"]);
  assert.equal(format.age(-240_000), "clock 4 min ahead");
});

test("clocks show UTC or the browser's zone", () => {
  const ms = Date.UTC(2026, 10, 24, 21, 4, 5);
  assert.equal(format.clock(ms, "utc"), "21:04:05");
  const local = new Date(ms);
  const pad = (number) => String(number).padStart(2, "0");
  assert.equal(format.clock(ms, "local"), [local.getHours(), local.getMinutes(), local.getSeconds()].map(pad).join(":"));
});

test("ranges, rates and plurals read as people say them", () => {
  assert.deepEqual([30_000, 100_000, 300_000].map(format.range), ["30 s", "100 s", "5 min"]);
  assert.deepEqual([0, 0.5, 20, 12_345].map(format.rate), ["0", "0.5", "20", "12,345"]);
  assert.deepEqual([1, 2].map((number) => format.plural(number, "reading")), ["1 reading", "2 readings"]);
});

test("a value of any unit is found again in °C", () => {
  for (const unit of format.UNITS) assert.ok(Math.abs(format.fromUnit(format.toUnit(21.5, unit), unit) - 21.5) < 1e-9);
});
