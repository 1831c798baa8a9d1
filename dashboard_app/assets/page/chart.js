// Draws the chart in place; the plot is made once and lives as long as the page.
//
// Plotly draws the axes, zooms, and says what is under the pointer; painter.js draws the lines. Plotly is given the
// readings only while the pointer is on the chart: with 100 devices they are most of what a tick costs.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const PRINT = { ratio: 3, widthPx: 640 }; // pixels of paper per pixel of the page; what every paper has room for
  // Plotly leaves out an axis on which there is no trace.
  const NOTHING_ON_EACH_AXIS = ["y", "y2"].map((yaxis) => ({ type: "scatter", mode: "none", x: [null], y: [null], hoverinfo: "skip", yaxis }));
  let zoom = null; // {fromMs, toMs, y: in °C}
  let bound = null; // the plot whose events are listened to
  let drawing = false;
  let last = null; // what is drawn, for export and table
  let seen = null; // the view that it is drawn for
  let onZoom = () => {};
  let isPointed = false; // is the pointer on the chart?
  let isPaintDue = false;
  let isPrinting = false;
  let plottedLayout = null;
  let plottedKey = ""; // of all but the ranges, as Plotly was last given it

  function plot() {
    const graph = dom.by("chart")?.querySelector(".js-plotly-plot");
    return graph && globalThis.Plotly ? graph : null;
  }

  function bind(graph) {
    if (bound === graph) return;
    bound = graph;
    graph.on("plotly_relayout", (event) => {
      if (!drawing) takeZoom(graph, event);
    });
    graph.on("plotly_doubleclick", live);
    graph.on("plotly_relayouting", () => paintSoon(graph)); // an axis is dragged
    graph.on("plotly_afterplot", () => paintSoon(graph)); // the plot has another size
    graph.addEventListener("pointerenter", () => point(graph));
    // Plotly keeps a click to itself, and with it the focus.
    graph.addEventListener("pointerdown", () => dom.by("figure").focus({ preventScroll: true }));
    graph.addEventListener("pointerleave", (event) => {
      if (event.pointerType !== "touch") isPointed = false; // a finger leaves at once; what it asked for stays
    });
  }

  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  document.addEventListener("pointerdown", (event) => {
    if (!isPointed || bound.contains(event.target)) return;
    isPointed = false;
    globalThis.Plotly.Fx.unhover(bound);
  });

  function point(graph) {
    isPointed = true;
    plottedKey = ""; // the pointer may be gone before the next tick
    if (!graph._dragging) plotAll(graph);
  }

  /** Keep what the visitor zoomed to; the next ticks draw inside it. */
  function takeZoom(graph, event) {
    if (!Object.keys(event).some((key) => /^[xy]axis\.(range|autorange)/.test(key))) return;
    const { xaxis } = graph._fullLayout;
    const [fromMs, toMs] = xaxis.range.map((end) => xaxis.r2l(end) - last.offsetMs);
    const span = bus.span.within({ fromMs, toMs }, { ...seen, heldMs: bus.model.SERIES_MS }); // an axis can be dragged anywhere
    const yMoved = Object.keys(event).some((key) => key.startsWith("yaxis."));
    const celsius = () => graph.layout.yaxis.range.map((value) => bus.format.fromUnit(value, seen.unit));
    zoom = { ...span, y: yMoved ? celsius() : (zoom?.y ?? null) };
    onZoom();
  }

  /** Do what a key asks of the chart that has the focus; its caption, which tells the span, is read out. */
  function steer(event) {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey || !last) return;
    const { fromMs, toMs } = last;
    const span = bus.span.asked(event.key, { ...seen, fromMs, toMs, heldMs: bus.model.SERIES_MS });
    if (span === undefined) return;
    event.preventDefault();
    zoom = span && { ...span, y: zoom?.y ?? null };
    onZoom();
    dom.text(dom.by("announcer"), dom.by("caption").textContent);
  }

  /** Leave the zoom. */
  function live() {
    if (!zoom) return false;
    zoom = null;
    onZoom();
    return true;
  }

  /** Draw; false when Plotly is not loaded yet or the visitor is dragging. `view`: see chart_data.js. */
  function draw(model, view) {
    const graph = plot();
    last = bus.chartData.build(model, { ...view, zoom, widthPx: widthPx(graph), shown: last?.mode === "overview" ? last.drawn : [] });
    seen = view;
    drawAround();
    if (!graph || graph._dragging) return false;
    const { xaxis, yaxis, ...rest } = last.layout;
    const key = JSON.stringify([isPointed, rest, { ...xaxis, range: 0 }, { ...yaxis, range: 0 }]);
    // Dash draws its empty figure late and again: then the layout is no longer the one that was given here.
    if (isPointed || key !== plottedKey || graph.layout !== plottedLayout) plotAll(graph);
    else moveAxes(graph);
    plottedKey = key;
    paintSoon(graph);
    return true;
  }

  /** Return the width between the axes, before Plotly has drawn it that which it will have; undefined while there is none. */
  function widthPx(graph) {
    const { l, r } = bus.chartData.MARGIN;
    return graph?._fullLayout?.xaxis?._length ?? (Math.max(0, dom.by("chart").clientWidth - l - r) || undefined);
  }

  /** Give Plotly all of it; the readings as far as someone can point at them. */
  function plotAll(graph) {
    drawing = true;
    const silent = last.traces.map(unseen);
    globalThis.Plotly.react(graph, withAxes(isPointed ? silent.map(dated) : []), last.layout, bus.chart.CONFIG)
      .then(() => bind(graph))
      .finally(() => { drawing = false; });
    graph.data = withAxes(silent);
    plottedLayout = graph.layout;
  }

  /** Give Plotly other ranges alone, and only those that are others. */
  function moveAxes(graph) {
    graph.data = withAxes(last.traces.map(unseen));
    const changes = {};
    for (const axis of ["xaxis", "yaxis"]) {
      const { range } = last.layout[axis];
      if (graph.layout[axis].range.join() !== range.join()) changes[`${axis}.range`] = range;
    }
    if (Object.keys(changes).length === 0) return;
    drawing = true;
    // not relayout, of whose event dcc.Graph hears: it would draw its empty figure
    globalThis.Plotly.update(graph, {}, changes).finally(() => { drawing = false; });
  }

  /** Return traces, with one on each axis where there are two; Plotly sizes itself anew with these. */
  function withAxes(traces) {
    return last.layout.yaxis2 ? [...traces, ...NOTHING_ON_EACH_AXIS] : traces;
  }

  /** Return a trace that Plotly answers for but does not draw. */
  function unseen(trace) {
    return { ...trace, mode: "none", fill: "none" };
  }

  /** Return a trace with its times as Plotly takes and tells them. */
  function dated(trace) {
    const { fromMs, toMs, offsetMs } = last;
    const worded = bus.timeAxis.worded(trace, { ...seen, fromMs, toMs, offsetMs });
    return { ...worded, x: bus.timeAxis.plotTimes(trace.x, fromMs + offsetMs, toMs + offsetMs) };
  }

  /** Draw the lines with the next frame, once. */
  function paintSoon(graph) {
    if (isPaintDue) return;
    isPaintDue = true;
    requestAnimationFrame(() => {
      isPaintDue = false;
      paint(graph);
    });
  }

  /** Draw the lines between the plot's grid and its words. */
  function paint(graph) {
    const axes = graph._fullLayout;
    const box = graph.querySelector(".svg-container");
    if (!box || graph.layout !== plottedLayout || !axes.xaxis?._length) return;
    const canvas = canvasIn(box, axes.width, axes.height);
    const context = canvas.getContext("2d");
    context.setTransform(ratio(), 0, 0, ratio(), 0, 0);
    if (!isPrinting) context.clearRect(0, 0, axes.width, axes.height);
    const { xaxis } = axes;
    const ends = (axis) => axis.range.map((end) => axis.r2l(end));
    const area = (yaxis, name) => ({
      left: xaxis._offset, top: yaxis._offset, width: xaxis._length, height: yaxis._length, x: ends(xaxis), y: ends(yaxis), yaxis: name,
    });
    bus.painter.paint(context, last, area(axes.yaxis));
    if (axes.yaxis2) bus.painter.paint(context, last, area(axes.yaxis2, "y2"));
  }

  /** Draw at once for paper, or for the screen again; the theme, which hears of it first, has drawn its change by then. */
  function print(isOn) {
    isPrinting = isOn;
    const graph = plot();
    if (!graph || !last) return;
    if (isOn) Object.assign(last.layout, { autosize: false, width: PRINT.widthPx });
    plotAll(graph);
    plottedKey = "";
    paint(graph);
  }

  /** Return how many pixels of the canvas a pixel of the page has. */
  function ratio() {
    return isPrinting ? Math.max(PRINT.ratio, devicePixelRatio) : devicePixelRatio;
  }

  /** Return the canvas of that size; for paper an empty one, since Chromium prints clearRect as a white ground. */
  function canvasIn(box, width, height) {
    let canvas = box.querySelector("canvas");
    if (!canvas) {
      canvas = dom.make("canvas", "drawn-lines");
      box.querySelector(".gl-container").after(canvas);
    }
    const size = [width, height].map((length) => Math.round(length * ratio()));
    if (isPrinting || canvas.width !== size[0] || canvas.height !== size[1]) {
      [canvas.width, canvas.height] = size;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    return canvas;
  }

  function drawAround() {
    dom.text(dom.by("caption"), `Temperature, ${last.span}`);
    dom.text(dom.by("chart-note"), last.note);
    dom.show(dom.by("live"), zoom !== null);
    drawLegend();
  }

  let legendKey = "";
  function drawLegend() {
    const shown = last.looks.size ? last.drawn.map((id) => [id, last.looks.get(id), last.withoutLine.has(id)]) : [];
    const key = JSON.stringify(shown);
    if (key === legendKey) return;
    legendKey = key;
    dom.show(dom.by("legend"), shown.length > 0);
    dom.by("legend").replaceChildren(...shown.map(([id, look, isWithoutLine]) => {
      const item = dom.make("span", isWithoutLine ? "legend-item is-without-line" : "legend-item");
      item.append(swatch(look), dom.make("span", "", id, { title: id }));
      return item;
    }));
  }

  /** Return a short piece of a line of that look. */
  function swatch(look) {
    const box = dom.svg("svg", { viewBox: "0 0 24 8", "aria-hidden": "true" });
    const line = dom.svg("path", { d: "M1 4H23" });
    line.style.stroke = `var(--${look.token})`;
    box.append(line);
    setDash(box, look);
    return box;
  }

  function setDash(box, { dash }) {
    dom.attribute(box, "class", `swatch dash-${dash}`);
  }

  /** Return a device's colour and dash: that of its line where it is drawn. */
  function look(device) {
    return last?.looks.get(device.id) ?? bus.colours.look(device);
  }

  /** Make room anew, after the page's columns changed. */
  function resize() {
    const graph = plot();
    if (graph) globalThis.Plotly.Plots.resize(graph);
  }

  bus.chart = {
    CONFIG: { displayModeBar: false, displaylogo: false, doubleClick: false, responsive: true, showTips: false },
    draw, live, swatch, setDash, look, resize,
    drawn: () => last,
    listen: (handler) => {
      onZoom = handler;
      dom.by("figure").addEventListener("keydown", steer);
    },
  };
})();
