// Draws the chart in place; the plot is made once and lives as long as the page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  let zoom = null; // {fromMs, toMs, y, unit}
  let bound = null; // the plot whose events are listened to
  let drawing = false;
  let last = null; // what is drawn, for export and table
  let offsetMs = 0;
  let onZoom = () => {};

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
  }

  /** Keep what the visitor zoomed to; the next ticks draw inside it. */
  function takeZoom(graph, event) {
    if (!Object.keys(event).some((key) => /^[xy]axis\.(range|autorange)/.test(key))) return;
    const toMs = (value) => (typeof value === "number" ? value : Date.parse(`${String(value).replace(" ", "T")}Z`)) - offsetMs;
    const [from, to] = graph.layout.xaxis.range;
    const yMoved = Object.keys(event).some((key) => key.startsWith("yaxis."));
    zoom = { fromMs: toMs(from), toMs: toMs(to), y: yMoved ? [...graph.layout.yaxis.range] : (zoom?.y ?? null) };
    onZoom();
  }

  /** Leave the zoom. */
  function live() {
    if (!zoom) return false;
    zoom = null;
    onZoom();
    return true;
  }

  /** Forget a zoom of the temperature axis, whose numbers have another unit now. */
  function unitChanged() {
    if (zoom) zoom.y = null;
  }

  /** Draw; false when Plotly is not loaded yet or the visitor is dragging. `view`: see chart_data.js. */
  function draw(model, view) {
    last = bus.chartData.build(model, { ...view, zoom });
    offsetMs = bus.format.zoneOffsetMs(view.nowMs, view.zone);
    drawAround(model, view);
    const graph = plot();
    if (!graph || graph._dragging) return false;
    drawing = true;
    globalThis.Plotly.react(graph, last.traces, last.layout, bus.chart.CONFIG).then(() => {
      drawing = false;
      bind(graph);
    });
    return true;
  }

  function drawAround(model, view) {
    const range = bus.format.range(view.windowMs);
    dom.text(dom.by("caption"), `Temperature, last ${range}`);
    dom.text(dom.by("chart-note"), last.note);
    dom.show(dom.by("live"), zoom !== null);
    drawLegend(model);
  }

  let legendKey = "";
  function drawLegend(model) {
    const shown = last.mode === "grouped" ? [] : last.drawn;
    const key = JSON.stringify([last.mode, shown]);
    if (key === legendKey) return;
    legendKey = key;
    dom.show(dom.by("legend"), shown.length > 0);
    dom.by("legend").replaceChildren(...shown.map((id) => {
      const item = dom.make("span", "legend-item");
      item.append(swatch(model.devices.get(id)), dom.make("span", "", id, { title: id }));
      return item;
    }));
  }

  /** Return a short piece of a device's line, in its colour and dash. */
  function swatch(device) {
    const { token, dash } = bus.chartData.style(device);
    const box = dom.svg("svg", { viewBox: "0 0 24 8", class: `swatch dash-${dash}`, "aria-hidden": "true" });
    const line = dom.svg("path", { d: "M1 4H23" });
    line.style.stroke = `var(--${token})`;
    box.append(line);
    return box;
  }

  /** Make room anew, after the page's columns changed. */
  function resize() {
    const graph = plot();
    if (graph) globalThis.Plotly.Plots.resize(graph);
  }

  bus.chart = {
    CONFIG: { displayModeBar: false, displaylogo: false, doubleClick: false, responsive: true, showTips: false },
    draw, live, unitChanged, swatch, resize,
    drawn: () => last,
    zoomed: () => zoom,
    listen: (handler) => { onZoom = handler; },
  };
})();
