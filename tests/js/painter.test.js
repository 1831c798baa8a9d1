import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support/load.js";

const bus = load();
const AREA = { left: 10, top: 20, width: 100, height: 50, x: [1_000, 2_000], y: [0, 10] };

/** Return a canvas' context that notes what it is told, and its notes; a stroke and a fill with the colour they use. */
function recorder() {
  const notes = [];
  const colours = { stroke: "strokeStyle", fill: "fillStyle" };
  const context = new Proxy({}, {
    get: (held, name) => (name in held ? held[name] : (...given) => {
      if (name === "stroke") notes.push([name, held.strokeStyle, held.lineWidth, held.globalAlpha]);
      else notes.push(name in colours ? [name, held[colours[name]]] : [name, ...given]);
    }),
  });
  return { context, notes };
}

function painted(traces, shapes = []) {
  const { context, notes } = recorder();
  bus.painter.paint(context, { traces, shapes }, AREA);
  return notes;
}

const line = { color: "blue", width: 2, dash: "solid" };

test("a point stands where the axes have it, upwards for more", () => {
  const at = bus.painter.scale(AREA);
  assert.deepEqual([at.x(1_000), at.x(2_000), at.y(0), at.y(10)], [10, 110, 70, 20]);
});

test("nothing is drawn outside the plot", () => {
  const notes = painted([{ mode: "lines", x: [1_000, 2_000], y: [0, 10], line }]);
  const names = notes.map(([name]) => name);
  assert.deepEqual(notes.find(([name]) => name === "rect"), ["rect", 10, 20, 100, 50]);
  assert.ok(names.indexOf("clip") < names.indexOf("stroke"));
});

test("a missing value breaks the line", () => {
  const notes = painted([{ mode: "lines", x: [1_000, 1_250, 1_500, 1_750, 2_000], y: [0, 5, null, 5, 10], line, opacity: 0.5 }]);
  assert.deepEqual(notes.filter(([name]) => name === "moveTo" || name === "lineTo"), [
    ["moveTo", 10, 70], ["lineTo", 35, 45], ["moveTo", 85, 45], ["lineTo", 110, 20],
  ]);
  assert.deepEqual(notes.filter(([name]) => name === "stroke"), Array(2).fill(["stroke", "blue", 2, 0.5]));
});

test("a value between gaps is a dot", () => {
  const notes = painted([{ mode: "lines", x: [1_000, 1_250, 1_500], y: [null, 5, null], line, opacity: 0.5 }]);
  assert.deepEqual(notes.find(([name]) => name === "arc").slice(1, 4), [35, 45, 2.5]);
  assert.deepEqual(notes.filter(([name]) => name === "fill" || name === "stroke"), [["fill", "blue"]]);
});

test("each dash is in line widths, of at least 3 px", () => {
  const dashes = bus.colours.DASHES.map((dash) => {
    const notes = painted([{ mode: "lines", x: [1_000, 2_000], y: [0, 10], line: { ...line, dash } }]);
    return notes.find(([name]) => name === "setLineDash")[1];
  });
  assert.deepEqual(dashes, [[], [9], [3], [9, 3, 3, 3], [15]]);
});

test("bands lie below all lines and end where values are missing", () => {
  const x = [1_000, 1_250, 1_500, 1_750];
  const notes = painted([
    { mode: "lines", x, y: [1, 1, null, 1], line, fill: "none" },
    { mode: "lines", x, y: [9, 9, null, 9], line: { ...line, width: 0 }, fill: "tonexty", fillcolor: "grey" },
  ]);
  const names = notes.map(([name]) => name);
  assert.equal(names.filter((name) => name === "closePath").length, 2);
  assert.deepEqual(notes.filter(([name]) => name === "fill"), [["fill", "grey"], ["fill", "blue"]]); // and a lone value
  assert.ok(names.indexOf("fill") < names.indexOf("stroke"));
});

test("alerts are triangles with the point up", () => {
  const marker = { symbol: "triangle-up", size: 6, color: "red", line: { color: "white", width: 1 } };
  const notes = painted([{ mode: "markers", x: [1_500], y: [5], marker }]);
  const points = notes.filter(([name]) => name === "moveTo" || name === "lineTo").map(([, x, y]) => [x, y]);
  assert.equal(points.length, 3);
  assert.deepEqual(points[2], [60, 42]);
  assert.ok(points[0][1] === points[1][1] && points[0][1] > 45 && points[0][0] < 60 && points[1][0] > 60);
  assert.deepEqual(notes.filter(([name]) => name === "fill"), [["fill", "red"]]);
});

test("the threshold goes over the whole width, above the lines", () => {
  const notes = painted([{ mode: "lines", x: [1_000, 2_000], y: [0, 10], line }], [{ y0: 5, line: { ...line, color: "red" } }]);
  assert.deepEqual(notes.filter(([name]) => name === "moveTo").at(-1), ["moveTo", 10, 45]);
  assert.deepEqual(notes.filter(([name]) => name === "lineTo").at(-1), ["lineTo", 110, 45]);
  assert.equal(notes.filter(([name]) => name === "stroke").at(-1)[1], "red");
});

test("bars stand on their own axis, around their times, and one of next to nothing is seen", () => {
  const bars = { yaxis: "y2", mode: "markers", bars: { widthMs: 100, color: "red" }, x: [1_050, 1_150], y: [5, 0.1] };
  assert.ok(!painted([bars]).some(([name]) => name === "fillRect"));
  const { context, notes } = recorder();
  bus.painter.paint(context, { traces: [{ mode: "lines", x: [1_000, 2_000], y: [0, 10], line }, bars], shapes: [{ y0: 5, line }] }, { ...AREA, yaxis: "y2" });
  assert.deepEqual(notes.filter(([name]) => name === "fillRect"), [["fillRect", 10, 45, 8.5, 25], ["fillRect", 20, 67, 8.5, 3]]);
  assert.ok(!notes.some(([name]) => name === "stroke"));
});
