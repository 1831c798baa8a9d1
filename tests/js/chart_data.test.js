import assert from "node:assert/strict";
import { test } from "node:test";
import { heard, load } from "./support/load.js";

const bus = load();
const NOW = 1_795_554_000_000;
const colours = new Proxy({}, { get: (_, name) => `colour of ${String(name)}` });

function view(model, parts = {}) {
  return { ids: model.order, nowMs: NOW, windowMs: 100_000, unit: "C", zone: "utc", colours, zoom: null, alertsKnown: true, ...parts };
}

function fleetOf(number, values = [20, 21]) {
  return heard(bus, NOW, Object.fromEntries(Array.from({ length: number }, (_, index) => [`d${index}`, values])));
}

test("up to 10 devices are lines of their own, in the colours of their cards", () => {
  const model = fleetOf(10);
  const chart = bus.chartData.build(model, view(model));
  assert.equal(chart.traces.filter((trace) => trace.mode === "lines").length, 10);
  assert.deepEqual(chart.traces.slice(0, 10).map((trace) => [trace.name, trace.line.color, trace.line.dash]),
    model.order.map((id) => {
      const { token, dash } = bus.colours.look(model.devices.get(id));
      return [id, `colour of ${token}`, dash];
    }));
  assert.equal(new Set(chart.traces.slice(0, 10).map((trace) => trace.line.color + trace.line.dash)).size, 10);
});

test("up to 100 devices are one trace per colour, parted by gaps", () => {
  const model = fleetOf(100);
  const chart = bus.chartData.build(model, view(model));
  const lines = chart.traces.filter((trace) => trace.mode === "lines");
  assert.equal(lines.length, 7);
  assert.deepEqual(lines[0].y.slice(0, 4), [20, 21, null, 20]);
  assert.ok(lines.every((trace) => trace.text.length === trace.x.length && trace.x.length === trace.y.length));
});

test("beyond, the bands of the whole fleet and the hottest of the selection are drawn", () => {
  const model = fleetOf(101);
  const hot = [...model.devices.values()].slice(50, 55);
  hot.forEach((device, index) => (device.celsius = 40 + index));
  const line = [20, 21];
  model.overview = { t: [NOW - 1_000, NOW], min: line, p10: line, median: line, p90: line, max: line };
  const chart = bus.chartData.build(model, view(model));
  assert.equal(chart.mode, "overview");
  assert.deepEqual(chart.drawn, hot.map((device) => device.id));
  assert.deepEqual(chart.traces.slice(0, 5).map((trace) => trace.name), ["lowest", "highest", "10 %", "90 %", "median"]);
  assert.deepEqual(chart.traces.slice(10).map((trace) => [trace.name, trace.yaxis]), [["alerts", "y2"]]);
});

test("of the hottest, those without a reading in view are told apart: the legend shows no line of theirs", () => {
  const model = fleetOf(101);
  const hot = [...model.devices.values()].slice(50, 55);
  hot.forEach((device, index) => (device.celsius = 40 + index));
  hot[1].series = bus.series.create();
  const chart = bus.chartData.build(model, view(model));
  assert.deepEqual([...chart.withoutLine], [hot[1].id]);
  assert.equal(chart.drawn.length, 5);
  assert.equal(bus.chartData.build(model, view(model, { ids: [hot[1].id] })).withoutLine.size, 0); // one line, nothing to tell apart
});

test("the hottest stay shown until another is clearly hotter", () => {
  const model = fleetOf(101);
  [...model.devices.values()].slice(0, 6).forEach((device, index) => (device.celsius = 40 - index / 20));
  const drawn = (shown) => bus.chartData.build(model, view(model, { shown })).drawn;
  assert.deepEqual(drawn([]), ["d0", "d1", "d2", "d3", "d4"]);
  assert.deepEqual(drawn(["d1", "d2", "d3", "d4", "d5"]), ["d1", "d2", "d3", "d4", "d5"]);
  model.devices.get("d0").celsius = 45;
  assert.deepEqual(drawn(["d1", "d2", "d3", "d4", "d5"]), ["d0", "d1", "d2", "d3", "d4"]);
});

test("missing readings are a gap, not a line", () => {
  const model = heard(bus, NOW, { a: [20] });
  bus.series.add(model.devices.get("a").series, NOW - 10_000, 25);
  const [trace] = bus.chartData.build(model, view(model)).traces;
  assert.deepEqual(trace.y, [25, null, 20]);
  assert.equal(trace.connectgaps, false);
});

test("alerts are marked by shape", () => {
  const model = heard(bus, NOW, { a: [20, 30, 20] });
  const markers = bus.chartData.build(model, view(model)).traces.at(-1);
  assert.deepEqual([markers.y, markers.marker.symbol], [[30], "triangle-up"]);
});

test("the range moves with time even when nothing came, and a zoom stays", () => {
  const model = heard(bus, NOW, { a: [20] });
  const range = (parts) => bus.chartData.build(model, view(model, parts)).layout.xaxis.range
    .map((end) => Date.parse(`${end}Z`));
  assert.deepEqual(range({}), [NOW - 100_000, NOW]);
  assert.deepEqual(range({ nowMs: NOW + 5_000 }), [NOW - 95_000, NOW + 5_000]);
  const zoom = { fromMs: NOW - 50_000, toMs: NOW - 40_000, y: [1, 2] };
  assert.deepEqual(range({ nowMs: NOW + 5_000, zoom }), [NOW - 50_000, NOW - 40_000]);
  const temperatures = (unit) => bus.chartData.build(model, view(model, { zoom, unit })).layout.yaxis.range;
  assert.deepEqual([temperatures("C"), temperatures("K"), temperatures("F")], [[1, 2], [274.15, 275.15], [33.8, 35.6]]);
});

test("the times below the chart stand at round steps, never so far apart that fewer than two are seen", () => {
  const model = heard(bus, NOW, { a: [20] });
  const step = (parts) => bus.chartData.build(model, view(model, parts)).layout.xaxis.dtick;
  for (const widthPx of [236, 300, 740, 1_500]) {
    for (const windowMs of [5_000, 30_000, 50_000, 100_000, 300_000, 900_000]) {
      const dtick = step({ widthPx, windowMs });
      assert.ok(windowMs >= 2 * dtick, `${windowMs} ms on ${widthPx} px: two of every ${dtick} ms are always in view`);
      assert.ok((dtick / windowMs) * widthPx >= 60, `${windowMs} ms on ${widthPx} px: room for a time every ${dtick} ms`);
      assert.ok(windowMs / dtick <= 7, `${windowMs} ms on ${widthPx} px: few times every ${dtick} ms`);
    }
  }
  assert.equal(step({ widthPx: 236 }), 30_000);
});

test("a paused chart shows nothing younger than the pause", () => {
  const model = heard(bus, NOW, { a: [20, 21, 22] });
  const [trace] = bus.chartData.build(model, view(model, { nowMs: NOW - 1_000 })).traces;
  assert.deepEqual(trace.y, [20, 21]);
});

test("the unit reaches every number, the axis and the threshold's label", () => {
  const model = heard(bus, NOW, { a: [20, 30] });
  const { traces, layout, shapes } = bus.chartData.build(model, view(model, { unit: "F" }));
  assert.deepEqual(traces[0].y, [68, 86]);
  assert.equal(layout.annotations[0].text, "alert above 85.73 °F");
  assert.ok(Math.abs(shapes[0].y0 - 85.73) < 0.001);
  assert.equal(layout.yaxis.ticksuffix, " °F");
});

test("the axis holds the threshold when it is near and leaves it out when it is far", () => {
  const bounds = (low, high) => bus.chartData.bounds({ low, high }, 29.85, "C");
  assert.ok(bounds(20, 25)[1] > 29.85);
  assert.ok(bounds(-40, -38)[1] < 0);
  assert.deepEqual(bounds(Infinity, -Infinity), [19.85, 34.85]);
});

test("a device's name is text to Plotly", () => {
  const model = heard(bus, NOW, { "<a href='x'>&amp;</a>": [20, 30] });
  const { traces } = bus.chartData.build(model, view(model));
  assert.equal(traces[0].name, "&lt;a href='x'&gt;&amp;amp;&lt;/a&gt;");
  assert.equal(traces[1].text[0], traces[0].name);
});

test("a long range is drawn with a bounded number of points", () => {
  const model = heard(bus, NOW, { a: Array.from({ length: 900 }, (_, index) => 20 + (index % 7)) });
  const [trace] = bus.chartData.build(model, view(model, { windowMs: 900_000 })).traces;
  assert.ok(trace.x.length <= 810, `${trace.x.length} points`);
  assert.ok(!trace.y.includes(null));
});

test("times are moved into the chosen zone", () => {
  const model = heard(bus, NOW, { a: [20] });
  const [trace] = bus.chartData.build(model, view(model, { zone: "local" })).traces;
  assert.equal(trace.x[0], NOW - new Date(NOW).getTimezoneOffset() * 60_000);
});

test("the axis is told its times as texts: numbers Plotly would move into the browser's zone once more", () => {
  const model = heard(bus, NOW, { a: [20] });
  assert.deepEqual(bus.chartData.build(model, view(model)).layout.xaxis.range,
    [NOW - 100_000, NOW].map((ms) => new Date(ms).toISOString().replace("Z", "")));
});

test("bands are parted where seconds are missing, and the note says from when on there are some", () => {
  const model = fleetOf(101);
  const t = [NOW - 99_000, NOW - 98_000, NOW - 40_000, NOW - 39_000];
  const values = [1, 2, 3, 4];
  model.overview = { step_ms: 1_000, t, min: values, p10: values, median: values, p90: values, max: values };
  const { traces, note } = bus.chartData.build(model, view(model));
  assert.deepEqual(traces[0].y, [1, 2, null, 3, 4]);
  assert.doesNotMatch(note, /Known from/);
  const known = ` Known from ${bus.format.clock(t[0], "utc")} on.`;
  assert.ok(bus.chartData.build(model, view(model, { windowMs: 300_000 })).note.endsWith(known));
});

test("which limit makes readings go is said where their begin is in view", () => {
  const model = fleetOf(2);
  const noteAt = (windowMs) => bus.chartData.build(model, view(model, { windowMs })).note;
  const before = noteAt(900_000);
  model.fleet = { ...model.fleet, limit: "rows", held_from_ms: NOW - 400_000 };
  const begin = ` Readings go back to ${bus.format.clock(NOW - 400_000, "utc")}:`;
  assert.equal(noteAt(900_000), `${before}${begin} the dashboard holds no more (SENSORBUS_DASHBOARD_RING_ROWS).`);
  assert.equal(noteAt(300_000), before);
  model.fleet.limit = "bytes";
  assert.equal(noteAt(900_000), `${before}${begin} long device ids fill the dashboard's memory (SENSORBUS_DASHBOARD_RING_ROWS).`);
});

test("marks of alerts leave room for each other, and stay where they are when the span moves on", () => {
  const many = fleetOf(20, Array(100).fill(40));
  const marks = (model, nowMs, widthPx) => bus.chartData.build(model, view(model, { nowMs, widthPx })).traces.at(-1);
  const number = marks(many, NOW).x.length;
  assert.ok(number > 20 * 30 / 2 && number <= 500, `${number}`);
  assert.match(bus.chartData.build(many, view(many)).note, /; ▲ marks the newest 500 alerts\.|; ▲ marks alerts\./);
  const few = fleetOf(11, Array(100).fill(40));
  const before = marks(few, NOW).x.filter((ms) => ms > NOW - 90_000);
  assert.deepEqual(marks(few, NOW + 7_000).x.filter((ms) => ms > NOW - 90_000), before);
  assert.ok(before.length < 11 * 40);
  const one = fleetOf(1, Array(90).fill(40));
  assert.equal(marks(one, NOW).x.length, 90);
  assert.ok(marks(one, NOW, 235).x.length <= 34); // a phone
});
