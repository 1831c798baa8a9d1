// Draws the chart's traces on a canvas, for a fraction of what Plotly's SVG costs. Makes nothing, keeps nothing.
//
// Plotly keeps what it is good at: axes, grid, zoom, hover. Widths, dashes and marks are as Plotly draws them.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const DASHES = { solid: [], dot: [1], dash: [3], longdash: [5], dashdot: [3, 1, 1, 1] }; // in line widths
  const LEAST_DASH_PX = 3;
  const DOT_RADIUS = 1.25; // in line widths
  const LEAST_BAR_PX = 3;
  const BAR_GAP_PX = 1.5;
  const MARK_FLAT = 2 / Math.sqrt(3); // half a triangle's side, in radii

  /** Return {x(ms), y(value)} in pixels of the canvas. `area`: {left, top, width, height, x: [from, to], y: [low, high]}. */
  function scale({ left, top, width, height, x, y }) {
    const xPx = width / (x[1] - x[0]);
    const yPx = height / (y[1] - y[0]);
    return { x: (ms) => left + (ms - x[0]) * xPx, y: (value) => top + (y[1] - value) * yPx };
  }

  /**
   * Draw traces and shapes (those of chart_data.js) inside `area`: bands below lines, else in their order. An area with a
   * `yaxis` has the traces of that one, no shapes.
   */
  function paint(context, { traces: all, shapes }, area) {
    const traces = all.filter((trace) => trace.yaxis === area.yaxis);
    const at = scale(area);
    context.save();
    context.beginPath();
    context.rect(area.left, area.top, area.width, area.height);
    context.clip();
    context.lineJoin = "miter";
    context.miterLimit = 2;
    traces.forEach((trace, index) => {
      if (trace.fill === "tonexty") fillBetween(context, traces[index - 1], trace, at);
    });
    for (const trace of traces) {
      if (trace.bars) drawBars(context, trace, at);
      else if (trace.mode === "markers") drawMarks(context, trace, at);
      else drawLine(context, trace, at);
    }
    if (!area.yaxis) for (const shape of shapes) drawLevel(context, shape, at, area);
    context.restore();
  }

  function stroke(context, { color, width, dash = "solid" }, opacity = 1) {
    context.globalAlpha = opacity;
    context.strokeStyle = color;
    context.lineWidth = width;
    context.setLineDash(DASHES[dash].map((times) => times * Math.max(width, LEAST_DASH_PX)));
    context.stroke();
    context.globalAlpha = 1;
  }

  /** Draw a line that is broken where a value is missing; stroke by stroke, since one long path costs several times more. */
  function drawLine(context, { x, y, line, opacity }, at) {
    if (line.width === 0) return;
    for (const [first, end] of stretches(y, y)) {
      context.beginPath();
      if (end - first === 1) {
        drawDot(context, at.x(x[first]), at.y(y[first]), line, opacity);
        continue;
      }
      context.moveTo(at.x(x[first]), at.y(y[first]));
      for (let index = first + 1; index < end; index += 1) context.lineTo(at.x(x[index]), at.y(y[index]));
      stroke(context, line, opacity);
    }
  }

  /** Draw a value that stands alone between gaps: it has no line. */
  function drawDot(context, x, y, { color, width }, opacity = 1) {
    context.globalAlpha = opacity;
    context.fillStyle = color;
    context.arc(x, y, width * DOT_RADIUS, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
  }

  /** Fill what lies between two lines over the same times, stretch by stretch. */
  function fillBetween(context, lower, upper, at) {
    context.beginPath();
    for (const [first, end] of stretches(lower.y, upper.y)) {
      context.moveTo(at.x(upper.x[first]), at.y(upper.y[first]));
      for (let index = first + 1; index < end; index += 1) context.lineTo(at.x(upper.x[index]), at.y(upper.y[index]));
      for (let index = end - 1; index >= first; index -= 1) context.lineTo(at.x(lower.x[index]), at.y(lower.y[index]));
      context.closePath();
    }
    context.fillStyle = upper.fillcolor;
    context.fill();
  }

  /** Return the [first, end) in which both columns have values. */
  function stretches(one, other) {
    const found = [];
    let first = null;
    for (let index = 0; index <= one.length; index += 1) {
      const isThere = index < one.length && one[index] !== null && other[index] !== null;
      if (isThere && first === null) first = index;
      if (isThere || first === null) continue;
      found.push([first, index]);
      first = null;
    }
    return found;
  }

  /** Draw triangles that point up, each over the one before. */
  function drawMarks(context, { x, y, marker }, at) {
    const radius = marker.size / 2;
    const flat = radius * MARK_FLAT;
    context.fillStyle = marker.color;
    for (let index = 0; index < x.length; index += 1) {
      const centre = at.x(x[index]);
      const middle = at.y(y[index]);
      context.beginPath();
      context.moveTo(centre - flat, middle + radius / 2);
      context.lineTo(centre + flat, middle + radius / 2);
      context.lineTo(centre, middle - radius);
      context.closePath();
      context.fill();
      stroke(context, marker.line);
    }
  }

  /** Draw bars around their times, with a gap between neighbours; the least is seen too. */
  function drawBars(context, { x, y, bars }, at) {
    context.fillStyle = bars.color;
    const floor = at.y(0);
    const width = at.x(bars.widthMs) - at.x(0);
    x.forEach((ms, index) => {
      const height = Math.max(LEAST_BAR_PX, floor - at.y(y[index]));
      context.fillRect(at.x(ms) - width / 2, floor - height, Math.max(1, width - BAR_GAP_PX), height);
    });
  }

  /** Draw a level line over the whole width. */
  function drawLevel(context, { y0, line }, at, { left, width }) {
    context.beginPath();
    context.moveTo(left, at.y(y0));
    context.lineTo(left + width, at.y(y0));
    stroke(context, line);
  }

  bus.painter = { paint, scale, stretches };
})();
