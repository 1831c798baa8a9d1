// How many devices were in alert, step by step: below the bands of a fleet whose lines are too many. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const MOST_BARS = 110;
  const BAR_PX = 7;
  const LEAST_TOP = 5; // one device alone does not fill the strip
  const TOPS = [1, 2, 5, 10];
  const HEIGHT = 0.13; // of the plot
  const BANDS_FROM = 0.22; // above the strip and its words
  const FONT_PX = 12;

  /**
   * Return {stepMs, bars: [{ms: its start, number: of devices}], total: devices in the span, most: in a step of it, top: of
   * the axis, knownFromMs: alerts of before were left out, or null}; null where alerts are not known.
   *
   * `view`: {ids, fromMs, toMs, nowMs, zoom, widthPx, alertsKnown}.
   */
  function count(model, view) {
    if (!view.alertsKnown) return null;
    const { fromMs, toMs } = view;
    const leastMs = Math.max((toMs - fromMs) / Math.min(MOST_BARS, (view.widthPx || Infinity) / BAR_PX), model.config.reading_period_ms);
    const stepMs = bus.timeAxis.step(leastMs); // steps of time itself, so that bars stay where they are
    const reachMs = view.zoom ? toMs - fromMs : 0; // a zoomed view has its surroundings
    const steps = [fromMs - reachMs, Math.min(toMs + reachMs, view.nowMs)].map((ms) => Math.floor(ms / stepMs));
    const { numbers, total } = perStep(episodesIn(model, view.ids, steps, stepMs), steps, stepMs, view);
    const bars = numbers.map((number, at) => ({ ms: (steps[0] + at) * stepMs, number })).filter(({ number }) => number > 0);
    const seen = bars.filter(({ ms }) => ms + stepMs > fromMs && ms <= toMs);
    const most = Math.max(0, ...seen.map(({ number }) => number));
    return { stepMs, bars, most, total, top: top(most), knownFromMs: knownFromMs(model.episodes) };
  }

  /** Return the episodes of these devices that reach into steps [first, last]. */
  function episodesIn({ episodes, order }, ids, [first, last], stepMs) {
    const inSteps = episodes.all.filter(({ startMs, endMs }) => endMs >= first * stepMs && startMs < (last + 1) * stepMs);
    if (ids.length >= order.length) return inSteps;
    const chosen = new Set(ids);
    return inSteps.filter(({ id }) => chosen.has(id));
  }

  /**
   * Return {numbers: how many devices each step has, total: of the span}; one of two episodes in a step is one device.
   *
   * Each episode of a device is before or behind those that stand before it here (episodes.js).
   */
  function perStep(episodes, [first, last], stepMs, { fromMs, toMs }) {
    if (last < first) return { numbers: [], total: 0 }; // zoomed to what is yet to come
    const changes = new Int32Array(last - first + 2);
    const counted = new Map(); // id -> the steps [from, to] between which its episodes are counted
    const inSpan = new Set();
    for (const { id, startMs, endMs } of episodes) {
      if (endMs >= fromMs && startMs <= toMs) inSpan.add(id);
      let from = Math.max(Math.floor(startMs / stepMs), first);
      let to = Math.min(Math.floor(endMs / stepMs), last);
      const held = counted.get(id);
      if (held && from >= held[0]) from = Math.max(from, held[1] + 1);
      else if (held) to = Math.min(to, held[0] - 1);
      if (to < from) continue;
      changes[from - first] += 1;
      changes[to - first + 1] -= 1;
      counted.set(id, held ? [Math.min(from, held[0]), Math.max(to, held[1])] : [from, to]);
    }
    let number = 0;
    return { numbers: Array.from(changes.subarray(0, -1), (change) => (number += change)), total: inSpan.size };
  }

  /** Return a round number that is no less than that. */
  function top(most) {
    const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
    return Math.max(LEAST_TOP, power * TOPS.find((times) => times * power >= most));
  }

  /** Return from when on episodes are whole. */
  function knownFromMs({ all, isCut, knownFromMs: told }) {
    return isCut ? all.reduce((least, { endMs }) => Math.min(least, endMs), Infinity) : told;
  }

  /** Return Plotly's trace, which painter.js draws as bars. */
  function trace({ bars, stepMs }, { offsetMs, zone, colours }) {
    return {
      type: "scatter", mode: "markers", name: "alerts", yaxis: "y2", bars: { widthMs: stepMs, color: colours.high },
      x: bars.map(({ ms }) => ms + stepMs / 2 + offsetMs), y: bars.map(({ number }) => number),
      text: bars.map(({ ms, number }) => `▲ ${bus.format.plural(number, "device")} in alert<br>` +
        [ms, ms + stepMs].map((end) => bus.format.clock(end, zone)).join(" to ")),
      hovertemplate: "%{text}<extra></extra>",
    };
  }

  /** Put the strip below the chart's temperatures, on an axis of its own. */
  function place(layout, strip, colours) {
    const highest = strip?.top ?? LEAST_TOP;
    Object.assign(layout.xaxis, { anchor: "y2", showline: true, linecolor: colours.line });
    layout.yaxis.domain = [BANDS_FROM, 1];
    layout.yaxis2 = {
      domain: [0, HEIGHT], range: [0, highest], fixedrange: true, anchor: "x", zeroline: false, automargin: true,
      tickvals: strip ? [0, highest] : [0], ticktext: ["0", bus.format.count(highest)], gridcolor: colours.grid, tickfont: layout.font,
    };
    layout.annotations.push({
      xref: "paper", x: 0.004, yref: "paper", y: HEIGHT, xanchor: "left", yanchor: "bottom", showarrow: false, borderpad: 0,
      text: strip ? `▲ devices in alert per ${bus.format.duration(strip.stepMs)}` : "▲ devices in alert: not known",
      font: { color: colours.high, size: FONT_PX },
    });
  }

  /** Return the sentences of the note below the chart. */
  function note(strip, { fromMs, zone }) {
    if (!strip) return " Alerts are not known: none come through.";
    const since = strip.knownFromMs > fromMs ? ` Alerts are known since ${bus.format.clock(strip.knownFromMs, zone)}.` : "";
    return ` ▲ counts the devices in alert per ${bus.format.duration(strip.stepMs)}.${since}`;
  }

  /** Return a sentence for those who do not see it. */
  function summary(strip) {
    if (!strip) return "Alerts are not known.";
    if (strip.total === 0) return "No device was in alert.";
    return `${bus.format.plural(strip.total, "device")} in alert, at most ${bus.format.count(strip.most)} within ${bus.format.duration(strip.stepMs)}.`;
  }

  bus.alertStrip = { count, trace, place, note, summary };
})();
