// The chart's axis of time in the zone that is shown, also while its clocks change. Touches no page.
//
// The axis has one offset, that of now, so that no second is longer than another. Where the clocks change in view,
// labels and words at the pointer are told for each instant, here; else Plotly makes them, which costs less.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const FORMAT = "%H:%M:%S";
  const HOVER = `%{x|${FORMAT}}`;
  const LABEL_PX = 62; // of a time below the chart, with what sets it apart from the next
  const MOST_LABELS = 7;
  const SECOND_MS = 1_000;
  const STEPS = [1, 2, 5, 10, 15, 30]; // of seconds, minutes and hours

  /** Return a time as Plotly takes it to the letter: a number it would move into the browser's own zone. */
  function timeText(ms) {
    return new Date(ms).toISOString().slice(0, -1);
  }

  /** Tell whether the zone has one offset in the span and its surroundings, which a zoomed chart has drawn too. */
  function isSteady({ fromMs, toMs, nowMs, zone }) {
    const offsetMs = bus.format.zoneOffsetMs(nowMs, zone);
    const reachMs = toMs - fromMs;
    return [fromMs - reachMs, fromMs, toMs, toMs + reachMs].every((ms) => bus.format.zoneOffsetMs(ms, zone) === offsetMs);
  }

  /** Return the range and labels of Plotly's axis. `view`: {fromMs, toMs, nowMs, offsetMs: of the axis, zone, widthPx}. */
  function axis(view) {
    const { fromMs, toMs, offsetMs, widthPx } = view;
    const stepMs = step(Math.max(LABEL_PX / (widthPx || Infinity), 1 / MOST_LABELS) * (toMs - fromMs));
    const range = [fromMs, toMs].map((ms) => timeText(ms + offsetMs));
    return { range, ...(isSteady(view) ? { tickmode: "linear", dtick: stepMs, tickformat: FORMAT } : labels(view, stepMs)) };
  }

  /** Return labels for the span and for what a drag brings into view. */
  function labels({ fromMs, toMs, offsetMs, zone }, stepMs) {
    const reachMs = toMs - fromMs;
    const places = [];
    const endMs = toMs + reachMs + offsetMs;
    for (let ms = Math.ceil((fromMs - reachMs + offsetMs) / stepMs) * stepMs; ms <= endMs; ms += stepMs) places.push(ms);
    return {
      tickmode: "array", tickvals: places.map(timeText),
      ticktext: places.map((ms) => bus.format.clock(ms - offsetMs, zone)),
    };
  }

  /** Return the least step between labels that is no less than that. */
  function step(leastMs) {
    for (const unitMs of [SECOND_MS, 60 * SECOND_MS, 3600 * SECOND_MS]) {
      const found = STEPS.find((times) => times * unitMs >= leastMs);
      if (found) return found * unitMs;
    }
    return Math.ceil(leastMs / (3600 * SECOND_MS)) * 3600 * SECOND_MS;
  }

  /** Return a trace whose words at the pointer hold the time of each instant, where Plotly would tell one by its place. */
  function worded(trace, view) {
    if (!trace.hovertemplate || isSteady(view)) return trace;
    const customdata = trace.x.map((ms) => (ms === null ? null : bus.format.clock(ms - view.offsetMs, view.zone)));
    return { ...trace, customdata, hovertemplate: trace.hovertemplate.replace(HOVER, "%{customdata}") };
  }

  /**
   * Return times (nulls stay) as Plotly shows them to the letter; [fromMs, toMs] is the axis.
   *
   * They are numbers less what it will add, which it takes in half the time of texts; texts around a change of the clocks.
   */
  function plotTimes(x, fromMs, toMs) {
    const addedMs = (ms) => bus.format.zoneOffsetMs(ms, "local");
    const shiftMs = addedMs(toMs);
    const reachMs = toMs - fromMs; // a zoomed view has its surroundings
    const isSteadyHere = [fromMs - reachMs, toMs + reachMs].every((ms) => addedMs(ms - shiftMs) === shiftMs);
    return x.map((ms) => (ms === null ? null : isSteadyHere ? ms - shiftMs : timeText(ms)));
  }

  bus.timeAxis = { HOVER, axis, step, worded, plotTimes };
})();
