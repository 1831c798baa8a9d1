import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { heard, load } from "./support/load.js";

const bus = load();
const MINUTE = 60_000;
const BACK = Date.UTC(2026, 9, 25, 1); // Berlin's clocks go from 3 to 2
const AHEAD = Date.UTC(2027, 2, 28, 1); // and from 2 to 3
const CHANGES = [
  ["Europe/Berlin", BACK], ["Europe/Berlin", AHEAD],
  ["America/New_York", Date.UTC(2026, 10, 1, 6)], ["America/New_York", Date.UTC(2027, 2, 14, 7)],
  ["Australia/Lord_Howe", Date.UTC(2026, 3, 4, 15)], ["Australia/Lord_Howe", Date.UTC(2026, 9, 3, 15, 30)], // by half an hour
];
const colours = new Proxy({}, { get: (_, name) => `colour of ${String(name)}` });
const own = process.env.TZ;

function live(zone) {
  process.env.TZ = zone;
}

afterEach(() => {
  process.env.TZ = own ?? "";
  if (own === undefined) delete process.env.TZ;
});

/** Return an instant's time of day as the zone's own rules say. */
function clockIn(timeZone, ms) {
  return new Date(ms).toLocaleTimeString("en-GB", { timeZone });
}

/** Return the axis of a span, and the instants of its labels. */
function axisOf(nowMs, parts = {}) {
  const view = { fromMs: nowMs - 15 * MINUTE, toMs: nowMs, nowMs, zone: "local", ...parts };
  const offsetMs = bus.format.zoneOffsetMs(view.nowMs, view.zone);
  const axis = bus.timeAxis.axis({ ...view, offsetMs });
  return { axis, instants: (axis.tickvals ?? []).map((time) => Date.parse(`${time}Z`) - offsetMs) };
}

test("where clocks change in view, ahead or back, each label is the time of its own instant", () => {
  for (const [timeZone, change] of CHANGES) {
    live(timeZone);
    for (let minutes = 0; minutes <= 15; minutes += 1) {
      const now = change + minutes * MINUTE + 1_234;
      const { axis, instants } = axisOf(now);
      assert.deepEqual(axis.ticktext, instants.map((ms) => clockIn(timeZone, ms)), `${timeZone}, ${minutes} min later`);
      const inView = instants.filter((ms) => ms >= now - 15 * MINUTE && ms <= now);
      assert.ok(inView.length >= 3 && inView.length <= 6, `${inView.length} labels`);
      assert.ok(inView.every((ms) => ms % (5 * MINUTE) === 0), "labels are of whole steps");
    }
  }
});

test("hours told twice and hours left out", () => {
  live("Europe/Berlin");
  const words = (now) => axisOf(now, { fromMs: now - 10 * MINUTE }).axis.ticktext.slice(5, 11);
  assert.deepEqual(words(BACK + 4 * MINUTE), ["02:54:00", "02:56:00", "02:58:00", "02:00:00", "02:02:00", "02:04:00"]);
  assert.deepEqual(words(AHEAD + 4 * MINUTE), ["01:54:00", "01:56:00", "01:58:00", "03:00:00", "03:02:00", "03:04:00"]);
});

test("Plotly makes the labels where nothing changes: at other times, in UTC, in a zone without summer time", () => {
  live("Europe/Berlin");
  for (const parts of [{ nowMs: BACK - 60 * MINUTE }, { nowMs: BACK + 60 * MINUTE }, { nowMs: BACK + MINUTE, zone: "utc" }]) {
    const { nowMs, ...view } = parts;
    assert.equal(axisOf(nowMs, view).axis.tickformat, "%H:%M:%S");
    assert.equal(axisOf(nowMs, view).axis.tickvals, undefined);
  }
  live("Asia/Kolkata");
  assert.equal(axisOf(BACK + MINUTE).axis.tickvals, undefined);
});

test("a zoom into what was before the change has its times, and labels for what a drag brings into view", () => {
  live("Europe/Berlin");
  const zoom = { fromMs: BACK - 7 * MINUTE, toMs: BACK - 5 * MINUTE };
  const { axis, instants } = axisOf(BACK + 3 * MINUTE, zoom);
  assert.deepEqual(axis.ticktext, instants.map((ms) => clockIn("Europe/Berlin", ms)));
  assert.ok(instants[0] <= zoom.fromMs - 1.5 * MINUTE && instants.at(-1) >= zoom.toMs + 1.5 * MINUTE);
  assert.ok(axis.ticktext.includes("02:53:30"));
});

test("labels have room on a phone, also where clocks change", () => {
  live("Europe/Berlin");
  const inView = axisOf(BACK + MINUTE, { widthPx: 235 }).instants.filter((ms) => ms >= BACK - 14 * MINUTE && ms <= BACK + MINUTE);
  assert.ok(inView.length >= 2 && inView.length <= 3, `${inView.length}`);
});

test("words at the pointer hold the time of their instant, and lines stay at one distance per second", () => {
  live("Europe/Berlin");
  const now = BACK + 30_000;
  const model = heard(bus, now, { a: Array(100).fill(40) });
  const view = { ids: ["a"], nowMs: now, windowMs: 100_000, unit: "C", zone: "local", colours, zoom: null };
  const { traces, ...chart } = bus.chartData.build(model, view);
  for (const trace of traces) {
    const { customdata, hovertemplate, x } = bus.timeAxis.worded(trace, { ...view, ...chart });
    assert.deepEqual(customdata, trace.x.map((ms) => clockIn("Europe/Berlin", ms - chart.offsetMs)));
    assert.ok(x.every((ms, at) => at === 0 || ms - x[at - 1] === 1_000));
    assert.match(hovertemplate, /<br>%\{customdata\}<extra>/);
    assert.equal(bus.timeAxis.worded(trace, { ...view, ...chart, zone: "utc", offsetMs: 0 }), trace);
  }
});

test("Plotly is given times that it shows as they are, in any zone and when clocks change", () => {
  const shown = (time) => (typeof time === "number" ? time - new Date(time).getTimezoneOffset() * 60_000
    : Date.parse(`${time}Z`));
  for (const zone of ["UTC", "Asia/Kolkata", "America/New_York", "Europe/Berlin"]) {
    live(zone);
    for (let from = BACK - 8 * 3_600_000; from < BACK + 8 * 3_600_000; from += 900_000) {
      const x = [from, from + 50_000, null, from + 100_000];
      const given = bus.timeAxis.plotTimes(x, from, from + 100_000);
      assert.deepEqual(given.map((time) => (time === null ? null : shown(time))), x, zone);
    }
  }
  assert.deepEqual(typeof bus.timeAxis.plotTimes([AHEAD - 86_400_000], AHEAD - 86_500_000, AHEAD - 86_400_000)[0], "number");
});
