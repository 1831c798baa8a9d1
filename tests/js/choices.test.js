import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const { choices } = load();

test("the address reproduces the view, whatever the names hold", () => {
  const view = { ...choices.defaults(), devices: ["a,b", "c&d=e", "ü <x>", "=1+1", "50%"], unit: "F", zone: "utc", theme: "dark",
    sort: "hottest", windowS: 300, paused: true, kiosk: true };
  assert.deepEqual(choices.read(choices.write(view), {}), view);
});

test("in a browser that keeps other choices too", () => {
  const stored = { unit: "F", zone: "utc", theme: "dark", sort: "hottest" };
  assert.deepEqual(choices.read(choices.write(choices.defaults()), stored), choices.defaults());
});

test("all is the absence of devices", () => {
  assert.equal(choices.write(choices.defaults()), "?unit=C&zone=local&theme=system&sort=name");
  assert.equal(choices.read("", {}).devices, null);
  assert.deepEqual(choices.read("?devices=", {}).devices, []);
  assert.deepEqual(choices.read(choices.write({ ...choices.defaults(), devices: [] }), {}).devices, []);
});

test("a browser keeps what was chosen in it, not what a link has brought along", () => {
  assert.deepEqual(choices.toStore({ zone: "utc" }, { unit: "F", paused: true }), { zone: "utc", unit: "F" });
});

test("a link to another page of ours takes along how numbers are shown", () => {
  const view = { ...choices.defaults(), devices: ["a"], unit: "F", windowS: 300, paused: true, kiosk: true };
  assert.equal(choices.carried(view), "?unit=F&zone=local&theme=system&sort=name&kiosk=1");
});

test("the address wins over the store, the store over the default, and unknown values are ignored", () => {
  const stored = { unit: "K", theme: "dark", zone: 7 };
  assert.equal(choices.read("?unit=F", stored).unit, "F");
  assert.equal(choices.read("?unit=X&window=77&foo=1&theme=%", stored).unit, "K");
  assert.deepEqual(choices.read("?unit=X&window=77", {}), choices.defaults());
  assert.equal(choices.read("", stored).zone, "local");
});

test("a broken escape is no name", () => {
  assert.deepEqual(choices.read("?devices=a,%E0%A4%A,b", {}).devices, ["a", "b"]);
});

test("switching off one of all leaves the others, switching it on again is all", () => {
  const order = ["a", "b", "c"];
  const without = choices.toggle(null, order, "b");
  assert.deepEqual(without, ["a", "c"]);
  assert.equal(choices.toggle(without, order, "b"), null);
  assert.deepEqual(choices.toggle([], order, "a"), ["a"]);
});

test("what was found can be switched on and off as a whole", () => {
  const order = ["a1", "a2", "b1"];
  assert.deepEqual(choices.switchAll(null, order, ["a1", "a2"], false), ["b1"]);
  assert.equal(choices.switchAll(["b1"], order, ["a1", "a2"], true), null);
});

test("names too many for a link are left out of it", () => {
  const devices = Array.from({ length: 1_000 }, (_, index) => `device-${index}`);
  const view = { ...choices.defaults(), devices, unit: "K" };
  assert.equal(choices.write(view), "?unit=K&zone=local&theme=system&sort=name");
  assert.ok(choices.areTooMany(view));
  assert.ok(!choices.areTooMany({ ...view, devices: devices.slice(0, 9) }) && !choices.areTooMany(choices.defaults()));
});

test("values go round", () => {
  assert.deepEqual(["C", "F", "K"].map((unit) => choices.next(["C", "F", "K"], unit)), ["F", "K", "C"]);
});
