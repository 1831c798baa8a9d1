// The path of a card's small line: data in, SVG path out. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const DOT = "h1.5"; // of a reading that stands alone between gaps
  const LEAST_SPAN_K = 1; // a quiet device draws a quiet line

  /** Return {path, highs}: "M.. L.." in a box of width x height, broken at gaps, and a path of dots for alerts. */
  function draw(series, { fromMs, toMs, gapMs, width, height, isHigh }) {
    const picked = bus.series.pick(series, fromMs, toMs, width);
    let low = Infinity;
    let high = -Infinity;
    for (const index of picked) {
      low = Math.min(low, series.celsius[index]);
      high = Math.max(high, series.celsius[index]);
    }
    const span = Math.max(high - low, LEAST_SPAN_K);
    const floor = (low + high - span) / 2;
    let path = "";
    let highs = "";
    let beforeMs = -Infinity;
    let isAlone = false;
    for (const index of picked) {
      const ms = series.tMs[index];
      const x = (((ms - fromMs) / (toMs - fromMs)) * width).toFixed(1);
      const y = (height - 2 - ((series.celsius[index] - floor) / span) * (height - 4)).toFixed(1);
      const isAfterGap = ms - beforeMs > gapMs;
      if (isAfterGap && isAlone) path += DOT;
      path += `${isAfterGap ? "M" : "L"}${x} ${y}`;
      isAlone = isAfterGap;
      if (isHigh(series.celsius[index])) highs += `M${x} ${y}h0`;
      beforeMs = ms;
    }
    return { path: isAlone ? path + DOT : path, highs };
  }

  bus.sparkline = { draw };
})();
