import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, heard, load } from "./support/load.js";

const bus = load();
const NOW = 1_795_554_000_000;
const up = { lost: false, offline: false };
const quiet = Array(60).fill(20);

function modelWith(topics, parts = {}, values = quiet) {
  const model = heard(bus, NOW, { a: values });
  const base = answer(NOW).pipeline;
  bus.model.ingest(model, answer(NOW, { pipeline: { ...base, topics: { ...base.topics, ...topics }, ...parts } }));
  return model;
}

function states(model, connection = up) {
  return Object.fromEntries(bus.diagnosis.links(model, connection, 0).map((link) => [link.name, link.state]));
}

test("a pipeline that flows is ok from browser to dead-letter", () => {
  assert.deepEqual(Object.values(states(modelWith({}))), Array(8).fill("ok"));
});

test("each link that breaks is named, and what lies behind it is unknown", () => {
  const model = modelWith({});
  assert.equal(states(model, { lost: true, offline: false }).Dashboard, "broken");
  assert.equal(states(model, { lost: true, offline: false }).Kafka, "unknown");
  const [, dashboard] = bus.diagnosis.links(model, { lost: true, offline: false, isSignedOut: true }, 0);
  assert.deepEqual([dashboard.state, dashboard.text, dashboard.fault], ["broken", "signed out", "You are signed out"]);
  assert.equal(states(model, { lost: true, offline: true }).Browser, "broken");
  assert.equal(states(model, { lost: true, offline: true, isSignedOut: true }).Dashboard, "unknown");
  const down = modelWith({}, { kafka: { ok: false, since_ms: 1, error: "x", address: "b" } });
  assert.deepEqual([states(down).Kafka, states(down).sensor], ["broken", "unknown"]);
});

test("a job that does not follow its source is named", () => {
  const fault = (topics, values) => bus.diagnosis.links(modelWith(topics, {}, values), up, 0).find((link) => link.fault)?.fault;
  assert.equal(fault({ "avg-temp": 30_000 }), "job avg-temp does not follow sensor");
  assert.equal(fault({ "avg-temp": null }), "job avg-temp does not follow sensor");
  assert.equal(fault({ "alert-count": 30_000 }), "job alert-count does not follow alert");
  assert.equal(fault({ alert: null, "alert-count": null }, Array(60).fill(35)), "job alert does not follow sensor");
});

test("a job that does not follow is named by a fleet too of which nothing is in detail", () => {
  const ids = Array.from({ length: 150 }, (_, index) => `d${index}`);
  const faultAfter = (seconds, parts) => {
    const model = heard(bus, NOW, Object.fromEntries(ids.map((id) => [id, [20]])));
    for (let second = 1; second <= seconds; second += 1) {
      bus.model.request(model, "c", []);
      const now = NOW + second * 1_000;
      const devices = ids.map((id, index) => [id, now, index === 70 ? 35 : 20]);
      bus.model.ingest(model, answer(now, { fleet: { devices: 150 }, devices, ...parts(now) }));
    }
    return bus.diagnosis.links(model, up, 0).find((link) => link.fault)?.fault;
  };
  assert.equal(faultAfter(5, () => ({})), undefined);
  for (const seconds of [12, 20, 40]) assert.equal(faultAfter(seconds, () => ({})), "job alert does not follow sensor");
  assert.equal(faultAfter(40, (now) => ({ alerts: [["d70", now, 35]] })), undefined);
  const overview = Object.fromEntries(["t", "min", "p10", "median", "p90", "max"].map((name) => [name, [NOW - 60_000]]));
  const { pipeline } = answer(NOW);
  const silent = { overview, pipeline: { ...pipeline, topics: { ...pipeline.topics, "avg-temp": null } } };
  assert.equal(faultAfter(1, () => silent), "job avg-temp does not follow sensor");
});

test("nobody is accused while history is read", () => {
  const links = bus.diagnosis.links(modelWith({ "avg-temp": null }, { behind: 500 }), up, 0);
  assert.ok(links.every((link) => link.state !== "broken"));
});

test("a fleet that just started, or has no alerts, breaks nothing", () => {
  const links = (topics, values) => bus.diagnosis.links(modelWith(topics, {}, values), up, 0);
  assert.ok(links({ "avg-temp": null, alert: null, "alert-count": null }, [20, 20]).every((link) => link.state !== "broken"));
  assert.ok(links({ alert: 900_000, "alert-count": 900_200 }).every((link) => link.state !== "broken"));
});

test("counts are trusted only while all before them holds", () => {
  const trusted = (model, connection) => bus.diagnosis.trusted(bus.diagnosis.links(model, connection, 0), "alert-count");
  assert.equal(trusted(modelWith({}), up), true);
  assert.equal(trusted(modelWith({ "alert-count": null, alert: null }), up), true);
  assert.equal(trusted(modelWith({ "alert-count": 30_000 }), up), false);
  assert.equal(trusted(modelWith({}), { lost: true, offline: false }), false);
  assert.equal(trusted(modelWith({}, { behind: 500 }), up), false);
});

test("states are counted of devices that were heard, but not while history is read nor where nothing was", () => {
  const known = (model, isConnected) => bus.diagnosis.areStatesKnown(model, isConnected);
  assert.equal(known(modelWith({}), true), true);
  assert.equal(known(modelWith({}), false), true);
  assert.equal(known(modelWith({}, { behind: 500 }), false), false);
  const empty = bus.model.create(modelWith({}).config);
  assert.deepEqual([known(empty, false), known(empty, true)], [false, true]);
});

test("a device's state is not told before the history is read", () => {
  const model = modelWith({});
  bus.model.ingest(model, answer(NOW + 60_000, {}));
  const state = (areKnown) => bus.diagnosis.state(model, model.devices.get("a"), NOW + 60_000, areKnown);
  assert.deepEqual([state(true), state(false)], ["OFFLINE", "LOADING"]);
});

test("dead letters and a worker that catches up are said", () => {
  const links = bus.diagnosis.links(modelWith({ "dead-letter": 5_000 }, { dead_letters: 1_234, behind: 500 }), up, 0);
  assert.equal(links.find((link) => link.name === "dead-letter").text, "1,234, 5 s ago");
  assert.equal(links.find((link) => link.name === "Dashboard").text, "500 behind");
});
