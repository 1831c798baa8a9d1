import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, heard, load } from "./support/load.js";

const bus = load();
const { colours, model: fleet } = bus;
const NOW = 1_795_554_000_000;
const LATER = NOW + 5_000;

/** Return `number` names made of a seed, none like another. */
function names(number, seed) {
  let state = seed;
  const letter = () => String.fromCharCode(97 + ((state = (state * 48_271) % 2_147_483_647) % 26));
  const made = new Set();
  while (made.size < number) made.add(Array.from({ length: 6 }, letter).join(""));
  return [...made];
}

function slots(ids) {
  const given = new Map();
  colours.give([...ids].sort(fleet.byName), given);
  return given;
}

function model(...ids) {
  return heard(bus, NOW, Object.fromEntries(ids.map((id) => [id, [20]])));
}

function join(of, nowMs, ids, parts = {}, keepFromMs = Infinity) {
  fleet.ingest(of, answer(nowMs, { devices: ids.map((id) => [id, nowMs, 20]), ...parts }), keepFromMs);
}

function worn(of) {
  return Object.fromEntries([...of.devices.values()].map(({ id, slot }) => [id, slot]));
}

test("a fleet of as many devices as colours has as many, all of them solid", () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const looks = [...slots(names(colours.COLOURS, seed)).values()].map((slot) => colours.look({ slot }));
    assert.equal(new Set(looks.map((one) => one.token)).size, colours.COLOURS);
    assert.ok(looks.every((one) => one.dash === "solid"));
  }
});

test("no two look alike until every colour has every dash, and no dash comes before the one before is used up", () => {
  for (let number = 1; number <= colours.SLOTS; number += 1) {
    const given = [...slots(names(number, number)).values()].sort((a, b) => a - b);
    assert.equal(new Set(given).size, number);
    assert.ok(given.at(-1) < Math.ceil(number / colours.COLOURS) * colours.COLOURS);
  }
});

test("of more devices than there are looks each has the one that its name asks for", () => {
  const ids = names(500, 3);
  const given = slots(ids);
  assert.ok(ids.every((id) => given.get(id) === colours.wish(id)));
  const number = Array(colours.SLOTS).fill(0);
  for (const slot of given.values()) number[slot] += 1;
  assert.ok(Math.min(...number) >= 4 && Math.max(...number) <= 30, number.join());
});

test("names that differ in their last number alone ask for looks one after the other", () => {
  const away = (a, b) => (colours.wish(b) - colours.wish(a) + colours.SLOTS) % colours.SLOTS;
  assert.equal(away("device-0007", "device-0008"), 1);
  assert.equal(away("device-0009", "device-0010"), 1);
  assert.equal(away("line-3-oven", "line-12-oven"), 9);
  assert.equal(away("8", "9"), 1);
  const others = new Set(names(200, 5).map((name) => away(`${name}-1-1`, `${name}-2-1`)));
  assert.ok(others.size > 5, `the numbers before the last one are part of the name: ${[...others]}`);
});

test("of a numbered fleet nobody changes when the next one joins", () => {
  for (let number = 1; number < colours.SLOTS; number += 1) {
    const ids = Array.from({ length: number }, (_, index) => `device-${index + 1}`);
    const before = slots(ids);
    const after = slots([...ids, `device-${number + 1}`]);
    assert.deepEqual(ids.map((id) => after.get(id)), ids.map((id) => before.get(id)));
  }
});

test("of a fleet of any names few change when one joins", () => {
  let changed = 0;
  for (let seed = 1; seed <= 100; seed += 1) {
    const ids = names(13, seed);
    const [before, after] = [slots(ids.slice(1)), slots(ids)];
    changed += ids.slice(1).filter((id) => after.get(id) !== before.get(id)).length;
  }
  assert.ok(changed / 100 < 3, `${changed / 100} of 12`);
});

test("in the first seconds devices that join one by one end as those that are heard at once", () => {
  const ids = names(9, 11);
  const atOnce = model(...ids);
  const oneByOne = model(ids[0]);
  const before = oneByOne.generation;
  ids.slice(1).forEach((id, index) => join(oneByOne, NOW + 100 * index, [id]));
  assert.deepEqual(worn(oneByOne), { ...worn(atOnce) });
  assert.ok(oneByOne.generation > before); // or cards and legend would keep what they had
});

test("the first seconds last as long as history is read", () => {
  const ids = names(9, 11);
  const behind = { pipeline: { ...answer(NOW).pipeline, behind: 5 } };
  const slow = bus.model.create(model("a").config);
  ids.forEach((id, index) => join(slow, NOW + 4_000 * index, [id], behind));
  assert.deepEqual(worn(slow), { ...worn(model(...ids)) });
});

test("later nobody changes: who joins has a look that is free, even where its name would be put first", () => {
  const living = model("b", "c", "d");
  const before = worn(living);
  const { generation } = living;
  const rival = names(500, 7).find((id) => id < "b" && (colours.wish(id) - before.c) % colours.COLOURS === 0);
  join(living, LATER, [rival]);
  const { [rival]: slot, ...others } = worn(living);
  assert.deepEqual(others, before);
  assert.ok(slot < colours.COLOURS && !Object.values(before).includes(slot));
  assert.equal(living.generation, generation);
});

test("nobody changes when everything is told anew, in parts too", () => {
  const living = model("b", "c", "d");
  const rival = names(500, 7).find((id) => id < "b" && (colours.wish(id) - worn(living).c) % colours.COLOURS === 0);
  join(living, LATER, [rival]); // which a new choice would give c's colour
  const before = worn(living);
  join(living, LATER + 1_000, ["b", "d"], { reset: true });
  join(living, LATER + 2_000, ["c", rival]);
  assert.deepEqual(worn(living), before);
  join(living, LATER + 3_000, ["d"], { reset: true });
  join(living, LATER + 60_000, names(colours.COLOURS - 1, 3)); // those that stay away keep nothing for ever
  assert.ok(Object.values(worn(living)).every((slot) => slot < colours.COLOURS));
});

test("nobody changes on a paused page", () => {
  const ids = names(9, 13);
  const paused = model(...ids.slice(0, 4));
  const before = worn(paused);
  join(paused, NOW + 1_000, ids.slice(4), {}, NOW);
  assert.deepEqual(Object.fromEntries(ids.slice(0, 4).map((id) => [id, worn(paused)[id]])), before);
});

test("a look is free again when its device is forgotten", () => {
  const ids = names(colours.COLOURS, 17);
  const living = model(...ids);
  const freed = worn(living)[ids[0]];
  const late = NOW + living.config.history_ms + 1_000;
  join(living, late, ids.slice(1));
  join(living, late + 1_000, ["new"]);
  assert.equal(worn(living).new, freed);
});

test("of devices that are drawn together none looks as another, and who can keeps its look", () => {
  const devices = [["a", 3], ["b", 3], ["c", 10], ["d", 3], ["e", 4]].map(([id, slot]) => ({ id, slot }));
  const looks = colours.apart(devices);
  assert.equal(new Set([...looks.values()].map(({ token, dash }) => token + dash)).size, devices.length);
  for (const { id, slot } of devices) assert.equal(looks.get(id).token, colours.look({ slot }).token);
  for (const id of ["a", "c", "e"]) assert.deepEqual(looks.get(id), colours.look(devices.find((one) => one.id === id)));
  assert.equal(colours.apart(Array.from({ length: 10 }, (_, id) => ({ id, slot: 34 }))).size, 10);
});
