// What the chart shows: model and choices in, Plotly's traces and layout out. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const MOST_LINES = 10;
  const MOST_GROUPED = 100;
  const HOTTEST_SHOWN = 5;
  const HOTTER_BY_K = 0.5; // what the hottest must be beaten by: of thousands, five others lead in every second
  const POINTS_PER_LINE = 400;
  const MOST_MARKERS = 500;
  const MARKERS_PER_LINE = { lines: 110, grouped: 40 }; // over the whole span: more would be a hatching
  const MARKER_PX = 7;
  const THRESHOLD_REACH_K = 10;
  const MARGIN = { l: 56, r: 14, t: 8, b: 30 };
  const LIMIT_SLACK_MS = 5_000; // an oldest reading that is about to go is no limit

  /** Return text that Plotly shows as it is: it would read tags and entities. */
  function escape(text) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }

  /** Return how many devices are drawn how: "lines", "grouped" or "overview". */
  function mode(number) {
    if (number <= MOST_LINES) return "lines";
    return number <= MOST_GROUPED ? "grouped" : "overview";
  }

  /** Return the ids whose readings the chart needs; `shown`: the hottest that it has shown so far. */
  function wanted(model, ids, shown = []) {
    return mode(ids.length) === "overview" ? hottest(model, ids, new Set(shown)) : ids;
  }

  /** Return the hottest by name; one that is shown stays until others are clearly hotter, so that lines can be read. */
  function hottest(model, ids, shown) {
    const best = [];
    for (const id of ids) {
      const device = model.devices.get(id);
      const heat = device.celsius + (shown.has(id) ? HOTTER_BY_K : 0);
      if (best.length === HOTTEST_SHOWN && heat <= best.at(-1).heat) continue;
      if (bus.turns.silentMs(model, device, model.nowMs) > bus.model.STALE_PERIODS * model.config.reading_period_ms) continue;
      best.push({ id, heat });
      best.sort((a, b) => b.heat - a.heat);
      best.length = Math.min(best.length, HOTTEST_SHOWN);
    }
    return best.map((one) => one.id).sort(bus.model.byName);
  }

  /**
   * Return {mode, fromMs, toMs, offsetMs: of the axis, span: in words, traces, shapes, layout, drawn: [id],
   * withoutLine: Set of those of the hottest without a reading in view, looks: id -> look, points, note, bands, strip: see alert_strip.js};
   * traces and shapes are Plotly's but painter.js draws them.
   *
   * `view`: {ids, nowMs, windowMs, unit, zone, colours, zoom: {fromMs, toMs, y: [low, high] in °C or null} or null,
   * shown: the hottest so far, widthPx: of the plot, if it is known, alertsKnown: do they come through?}.
   */
  function build(model, view) {
    const chart = { mode: mode(view.ids.length), traces: [], drawn: wanted(model, view.ids, view.shown), withoutLine: new Set(), points: 0,
      low: Infinity, high: -Infinity };
    chart.looks = chart.mode === "grouped" ? new Map() : bus.colours.apart(chart.drawn.map((id) => model.devices.get(id)));
    const span = { fromMs: view.zoom?.fromMs ?? view.nowMs - view.windowMs, toMs: view.zoom?.toMs ?? view.nowMs };
    const context = { ...view, ...span, offsetMs: bus.format.zoneOffsetMs(view.nowMs, view.zone) };
    chart.bands = chart.mode === "overview" ? bus.chosen.shown(model, view.ids) : null;
    if (chart.bands) addBands(chart, chart.bands, context);
    if (chart.mode === "grouped") addGroups(chart, model, context);
    else for (const id of chart.drawn) addLine(chart, model, id, context);
    if (chart.mode === "overview") addStrip(chart, model, context);
    else addMarkers(chart, model, context);
    Object.assign(chart, span, { offsetMs: context.offsetMs }, layout(chart, model, context));
    if (chart.mode === "overview") bus.alertStrip.place(chart.layout, chart.strip, context.colours);
    chart.span = bus.span.words(view);
    chart.note = note(chart, model, context) + limit(model.fleet, context);
    return chart;
  }

  /** Push a device's points onto x and y, None where readings are missing. */
  function addPoints(chart, model, id, context, x, y) {
    const { series } = model.devices.get(id);
    const gapMs = bus.model.STALE_PERIODS * model.config.reading_period_ms;
    const reachMs = context.toMs - context.fromMs; // a zoomed view has its surroundings, so a pan shows no hole
    const fromMs = context.zoom ? context.fromMs - reachMs : context.fromMs - gapMs;
    const toMs = context.zoom ? Math.min(context.nowMs, context.toMs + reachMs) : context.toMs;
    const bucketMs = (toMs - fromMs) / POINTS_PER_LINE;
    let beforeMs = null;
    for (const index of bus.series.pick(series, fromMs, toMs, POINTS_PER_LINE)) {
      const ms = series.tMs[index];
      if (beforeMs !== null && ms - beforeMs > Math.max(gapMs, bucketMs * 2)) {
        x.push(ms + context.offsetMs);
        y.push(null);
      }
      x.push(ms + context.offsetMs);
      y.push(reach(chart, series.celsius[index], context.unit));
      beforeMs = ms;
    }
  }

  /** Return a value in the unit, and widen what the axis must hold. */
  function reach(chart, celsius, unit) {
    chart.low = Math.min(chart.low, celsius);
    chart.high = Math.max(chart.high, celsius);
    chart.points += 1;
    return hundredths(bus.format.toUnit(celsius, unit));
  }

  function hundredths(value) {
    return Math.round(value * 100) / 100;
  }

  function addLine(chart, model, id, context) {
    const x = [];
    const y = [];
    addPoints(chart, model, id, context, x, y);
    if (chart.mode === "overview" && x.length === 0) chart.withoutLine.add(id);
    const { token, dash } = chart.looks.get(id);
    chart.traces.push({
      type: "scatter", mode: "lines", x, y, name: escape(id), connectgaps: false,
      line: { color: context.colours[token], dash, width: 1.75 }, hovertemplate: hover(context.unit),
    });
  }

  /** One trace per colour, its devices parted by gaps: a tenth of what a trace per device costs. */
  function addGroups(chart, model, context) {
    const groups = new Map();
    for (const id of chart.drawn) {
      const { token } = bus.colours.look(model.devices.get(id));
      if (!groups.has(token)) groups.set(token, { x: [], y: [], text: [] });
      const { x, y, text } = groups.get(token);
      addPoints(chart, model, id, context, x, y);
      x.push(x.at(-1) ?? null);
      y.push(null);
      const name = escape(id);
      while (text.length < x.length) text.push(name);
    }
    for (const [token, { x, y, text }] of groups) {
      chart.traces.push({
        type: "scatter", mode: "lines", x, y, text, name: "", connectgaps: false, opacity: 0.85,
        line: { color: context.colours[token], width: 1.25 },
        hovertemplate: `%{text}<br>%{y:.2f} ${bus.format.SYMBOLS[context.unit]}<br>${bus.timeAxis.HOVER}<extra></extra>`,
      });
    }
  }

  function hover(unit) {
    return `%{fullData.name}<br>%{y:.2f} ${bus.format.SYMBOLS[unit]}<br>${bus.timeAxis.HOVER}<extra></extra>`;
  }

  /** Add the fleet's lowest, 10 %, median, 90 % and highest per second. */
  function addBands(chart, held, context) {
    const overview = bus.bands.withGaps(held);
    const x = overview.t.map((ms) => ms + context.offsetMs);
    const line = (values, width, fill, colour, name, edge = colour) => ({
      type: "scatter", mode: "lines", x, name, line: { width, color: edge }, fill, fillcolor: colour, hoverinfo: "skip",
      y: values.map((celsius) => (celsius === null ? null : reach(chart, celsius, context.unit))),
    });
    const { band, "band-core": core, text } = context.colours;
    chart.traces.push(
      line(overview.min, 1, "none", band, "lowest", context.colours["series-0"]),
      line(overview.max, 1, "tonexty", band, "highest", context.colours["series-0"]),
      line(overview.p10, 0, "none", core, "10 %"),
      line(overview.p90, 0, "tonexty", core, "90 %"),
      { ...line(overview.median, 2, "none", text, "median"), hoverinfo: "all", hovertemplate: hover(context.unit) },
    );
  }

  function addStrip(chart, model, context) {
    chart.strip = bus.alertStrip.count(model, context);
    if (chart.strip) chart.traces.push(bus.alertStrip.trace(chart.strip, context));
  }

  /** Mark alerts by shape, so that they are told apart without colour. */
  function addMarkers(chart, model, context) {
    const rows = [];
    const most = Math.min(MARKERS_PER_LINE[chart.mode], (context.widthPx || Infinity) / MARKER_PX);
    const stepMs = (context.toMs - context.fromMs) / most;
    for (const id of chart.drawn) {
      const { series } = model.devices.get(id);
      let marked = null; // by steps of time itself, so that marks stay where they are while the span moves on
      for (const index of bus.series.pick(series, context.fromMs, context.toMs, POINTS_PER_LINE)) {
        const step = Math.floor(series.tMs[index] / stepMs);
        if (step === marked || !bus.model.isHigh(model, series.celsius[index])) continue;
        rows.push([series.tMs[index], series.celsius[index], id]);
        marked = step;
      }
    }
    rows.sort((a, b) => a[0] - b[0]);
    const shown = rows.slice(-MOST_MARKERS);
    chart.marks = rows.length > MOST_MARKERS ? `▲ marks the newest ${MOST_MARKERS} alerts` : "▲ marks alerts";
    chart.traces.push({
      type: "scatter", mode: "markers", name: "alert", text: shown.map((row) => escape(row[2])),
      x: shown.map((row) => row[0] + context.offsetMs),
      y: shown.map((row) => hundredths(bus.format.toUnit(row[1], context.unit))),
      marker: { symbol: "triangle-up", size: 7, color: context.colours.high,
        line: { color: context.colours.surface, width: 1 } },
      hovertemplate: `%{text}, alert<br>%{y:.2f} ${bus.format.SYMBOLS[context.unit]}<br>${bus.timeAxis.HOVER}<extra></extra>`,
    });
  }

  /** Return the axis' bounds in the unit: whole steps, so that it does not creep with every reading. */
  function bounds(chart, thresholdCelsius, unit) {
    if (chart.low > chart.high) return [thresholdCelsius - 10, thresholdCelsius + 5].map((c) => bus.format.toUnit(c, unit));
    let { low, high } = chart;
    const near = Math.max(THRESHOLD_REACH_K, high - low);
    if (thresholdCelsius > high && thresholdCelsius - high <= near) high = thresholdCelsius;
    if (thresholdCelsius < low && low - thresholdCelsius <= near) low = thresholdCelsius;
    const step = high - low > 50 ? 10 : high - low > 20 ? 5 : 2;
    const steps = [Math.floor((low - step * 0.15) / step) * step, Math.ceil((high + step * 0.15) / step) * step];
    return steps.map((celsius) => bus.format.toUnit(celsius, unit));
  }

  /** Return {layout, shapes}. */
  function layout(chart, model, context) {
    const { colours, unit } = context;
    const thresholdCelsius = model.config.threshold_kelvin - 273.15;
    const font = { color: colours["text-quiet"], size: 12, family: "system-ui, sans-serif" };
    const { shapes, annotations } = threshold(bus.format.toUnit(thresholdCelsius, unit), unit, colours);
    const layout = {
      autosize: true, showlegend: false, hovermode: "closest", dragmode: "zoom", uirevision: "sensorbus",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { ...MARGIN },
      font,
      hoverlabel: { bgcolor: colours["surface-raised"], bordercolor: colours.line, font: { ...font, color: colours.text } },
      xaxis: {
        type: "date", ...bus.timeAxis.axis(context),
        tickangle: 0, // turned where they would not fit side by side, times would be cut off below
        gridcolor: colours.grid, zeroline: false, automargin: false, tickfont: font,
        fixedrange: false,
        ticklabelstandoff: 5, // clear of the lowest temperature, on a phone
      },
      yaxis: {
        range: context.zoom?.y?.map((celsius) => bus.format.toUnit(celsius, unit)) ?? bounds(chart, thresholdCelsius, unit),
        ticksuffix: ` ${bus.format.SYMBOLS[unit]}`,
        nticks: 7, gridcolor: colours.grid, zeroline: false, automargin: true, tickfont: font, fixedrange: false,
        ticklabelstandoff: 4, // clear of the lines, which begin there
      },
      annotations,
    };
    return { layout, shapes };
  }

  /** Return the line's shape and its words, on a ground of their own so that lines behind do not strike them out. */
  function threshold(value, unit, colours) {
    const line = { color: colours.high, width: 1.25, dash: "dash" };
    return {
      shapes: [{ y0: value, line }],
      annotations: [{
        xref: "paper", x: 0.004, y: value, xanchor: "left", yanchor: "bottom", yshift: 2, showarrow: false, borderpad: 2,
        text: `alert above ${value.toFixed(2)} ${bus.format.SYMBOLS[unit]}`, bgcolor: colours.surface, opacity: 0.9,
        font: { color: colours.high, size: 12 },
      }],
    };
  }

  function note(chart, model, view) {
    const number = bus.format.plural(view.ids.length, "device");
    if (chart.mode === "lines") return `One line per device; ${chart.marks}.`;
    if (chart.mode === "grouped") return `${number} in the colours of their cards; ${chart.marks}. Choose up to ${MOST_LINES} for a line style each.`;
    const { length } = chart.drawn;
    const hottest = length ? `the ${length === 1 ? "line of the hottest" : `lines of the ${length} hottest`}` : "";
    const strip = bus.alertStrip.note(chart.strip, view);
    if (!chart.bands) return `${hottest ? `T${hottest.slice(1)} of ` : ""}${number}; their lowest, highest and median come in a moment.${strip}`;
    const areSome = view.ids.length < model.order.length;
    const isOfAll = !chart.bands.of && areSome;
    return `Lowest to highest, 10 % to 90 % and median of ${bus.chosen.words(chart.bands, model)} per second` +
      `${isOfAll ? ", not of the chosen alone" : ""}${hottest && `, with ${hottest}${areSome ? " chosen" : ""}`}.${strip}${begin(chart.bands, view)}`;
  }

  /** Return the sentence that says where bands begin, if that is in view: the dashboard tells those of the last 100 s. */
  function begin(overview, view) {
    if (!overview?.t.length || overview.t[0] - view.fromMs < 5 * overview.step_ms) return "";
    return ` Known from ${bus.format.clock(overview.t[0], view.zone)} on.`;
  }

  /** Return the sentence that says where readings begin, and which bound is why, if that is in view. */
  function limit(fleet, view) {
    if (!fleet?.limit || fleet.held_from_ms - view.fromMs < LIMIT_SLACK_MS) return "";
    const why = fleet.limit === "rows" ? "the dashboard holds no more" : "long device ids fill the dashboard's memory";
    return ` Readings go back to ${bus.format.clock(fleet.held_from_ms, view.zone)}: ${why} (SENSORBUS_DASHBOARD_RING_ROWS).`;
  }

  bus.chartData = { build, wanted, escape, mode, bounds, LIMIT_SLACK_MS, MARGIN };
})();
