import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, load } from "./support/load.js";

const bus = load();
const { devicePage } = bus;

test("any name has an address that leads back to it", () => {
  for (const id of ["a", "a/b", "a//b", ".", "..", "50%", "%2F", "🔥", "<img src=x>", '=HYPERLINK("x")', "a?b#c&d=e +"]) {
    const { pathname, search } = new URL(devicePage.href("/x/", id), "http://host");
    assert.equal(devicePage.idIn(pathname, search, "/x/"), id);
  }
});

test("other addresses are of no device, and a broken escape is shown as it is", () => {
  assert.equal(devicePage.idIn("/", "?devices=a", "/"), null);
  assert.equal(devicePage.idIn("/device/", "", "/"), null);
  assert.equal(devicePage.idIn("/device/%E0%A4%A", "", "/"), "%E0%A4%A");
});

test("a query joins an address with and without one of its own", () => {
  assert.equal(devicePage.withQuery("/device/a", "?unit=F"), "/device/a?unit=F");
  assert.equal(devicePage.withQuery("/device/?id=..", "?unit=F"), "/device/?id=..&unit=F");
  assert.equal(devicePage.withQuery("/device/?id=..", ""), "/device/?id=..");
});

test("the numbers are of the readings in range", () => {
  const now = 1_000_000;
  const { series } = heard(bus, now, { a: [99, ...Array.from({ length: 21 }, (_, index) => 20 - index)] }).devices.get("a");
  const range = devicePage.statistics(series, now - 20_000, now, (celsius) => celsius > 18);
  assert.deepEqual(range, { number: 21, min: 0, max: 20, mean: 10, p95: 19, high: 2 });
  assert.deepEqual(devicePage.newest(series, now - 20_000, now, 2), [[now, 0], [now - 1_000, 1]]);
  const none = devicePage.statistics(series, now + 1, now + 2, () => true);
  assert.deepEqual(none, { number: 0, min: null, max: null, mean: null, p95: null, high: 0 });
});

test("a range that is not known from its begin says from when it is", () => {
  const now = 1_000_000;
  const { series } = heard(bus, now, { a: [20, 21, 22] }).devices.get("a"); // a reading a second
  const begin = series.tMs[series.first];
  assert.equal(devicePage.knownFromMs(series, begin - 3_000, 3_000), null);
  assert.equal(devicePage.knownFromMs(series, begin - 3_001, 3_000), begin);
  assert.equal(devicePage.knownFromMs(series, begin + 1, 3_000), null);
  assert.equal(devicePage.knownFromMs(bus.series.create(), begin, 3_000), null);
});
