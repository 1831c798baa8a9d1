// The part of a device's page that the fleet's page has not: numbers of the range and the readings themselves.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const MOST_ROWS = 100;
  const NAMES = { C: "celsius", F: "fahrenheit", K: "kelvin" };
  const TILES = [
    ["now", "Now"], ["min", "Lowest"], ["max", "Highest"], ["mean", "Mean"], ["p95", "95 % are below"],
    ["high", "Above threshold"], ["average", ""], ["alerts", ""],
  ];
  let parts = null;

  /** Turn the page into that of one device. */
  function begin(id, config) {
    document.documentElement.dataset.page = "device";
    document.title = `${id} - Sensorbus`;
    const skip = document.querySelector(".skip");
    dom.attribute(skip, "href", "#device");
    dom.text(skip, "Skip to the device");
    dom.show(dom.by("device"), true);
    dom.show(dom.by("device-readings"), true);
    make(id, config);
  }

  function make(id, config) {
    parts = { tiles: {}, icon: dom.icon("OK"), word: dom.make("span", "word") };
    const head = dom.make("div", "device-head");
    parts.state = dom.make("span", "state");
    parts.state.append(parts.icon, parts.word);
    parts.back = dom.make("a", "back", "All devices");
    head.append(parts.back,
      dom.make("h2", "device-name", id), parts.state);
    const box = dom.make("div", "device-tiles");
    for (const [name, label] of TILES) box.append(tile(name, label));
    dom.text(parts.tiles.average.label, `Average, ${bus.format.range(config.avg_temp_length_ms)}`);
    dom.text(parts.tiles.alerts.label, `Alerts, last ${bus.format.range(config.alert_count_length_ms)}`);
    dom.by("device").append(head, box);
    makeTable(id, config);
  }

  function tile(name, label) {
    const outer = dom.make("div", `tile tile-${name}`);
    const of = { outer, label: dom.make("div", "tile-label", label), value: dom.make("div", "tile-value"),
      detail: dom.make("div", "tile-detail") };
    outer.append(of.label, of.value, of.detail);
    parts.tiles[name] = of;
    return outer;
  }

  function makeTable(id, config) {
    const table = dom.make("table", "readings-table", "", { "aria-labelledby": "device-readings-title" });
    const line = table.createTHead().insertRow();
    parts.heads = ["Time", "Temperature", "Above threshold"].map((name) => dom.make("th", "", name, { scope: "col" }));
    line.append(...parts.heads);
    parts.body = dom.make("tbody");
    table.append(parts.body);
    const place = `${config.prefix}api/v1/readings`;
    const query = `?device=${encodeURIComponent(id)}`;
    parts.note = dom.make("span", "quiet");
    parts.csv = dom.make("a", "button link", "CSV", { download: "" });
    parts.csvHref = `${place}.csv${query}`;
    const json = dom.make("a", "button link", "JSON", { href: place + query });
    const links = dom.make("span", "readings-links"); // in a line of their own together, if at all
    links.append(parts.csv, json);
    dom.by("device-readings-head").append(parts.note, links);
    dom.by("device-rows").append(table, dom.make("p", "empty"));
  }

  /** Draw. `view`: {model, query, id, fromMs, toMs, windowMs, clockMs, nowMs, unit, zone, latest, frozen, statesKnown, trustCounts, trustAverages}. */
  function draw(view) {
    const { model, id } = view;
    const device = model.devices.get(id);
    dom.show(parts.state, Boolean(device));
    dom.attribute(parts.back, "href", model.config.prefix + view.query);
    dom.attribute(parts.csv, "href", `${parts.csvHref}&unit=${NAMES[view.unit]}`);
    const series = device?.series ?? bus.series.create();
    const isHigh = (celsius) => bus.model.isHigh(model, celsius);
    drawNow(device, view);
    drawRange(bus.devicePage.statistics(series, view.fromMs, view.toMs, isHigh), rangeText(series, view), view);
    drawRows(bus.devicePage.newest(series, view.fromMs, view.toMs, MOST_ROWS), view, isHigh);
  }

  function drawNow(device, view) {
    const { tiles } = parts;
    const shown = device ? view.latest(device) : null;
    dom.text(tiles.now.value, bus.format.temperature(shown?.celsius ?? null, view.unit));
    dom.text(tiles.now.detail, shown ? bus.format.age(view.clockMs - shown.tMs) : "");
    const state = shown ? bus.diagnosis.state(view.frozen ?? view.model, shown, view.clockMs, view.statesKnown) : null;
    if (state) {
      dom.attribute(parts.state, "data-state", state);
      dom.attribute(tiles.now.outer, "data-state", state);
      dom.setIcon(parts.icon, state);
      dom.text(parts.word, state);
    }
    const average = shown && view.trustAverages ? bus.model.average(view.frozen ?? view.model, shown, view.clockMs) : null;
    dom.text(tiles.average.value, bus.format.temperature(average?.celsius ?? null, view.unit));
    dom.text(tiles.average.detail, average ? `ended ${bus.format.age(view.clockMs - average.endMs)}` : "");
    const alerts = shown && view.trustCounts ? bus.model.alertsNow(view.model, view.id, view.nowMs) : null;
    dom.text(tiles.alerts.value, bus.format.count(alerts));
    tiles.alerts.outer.classList.toggle("some", alerts > 0);
  }

  /** Return the range in words; a device that joined, or of whom the worker holds less, is known since later. */
  function rangeText(series, view) {
    const gapMs = bus.model.STALE_PERIODS * view.model.config.reading_period_ms;
    const sinceMs = bus.devicePage.knownFromMs(series, view.fromMs, gapMs);
    return sinceMs === null ? `last ${bus.format.range(view.windowMs)}` : `since ${bus.format.clock(sinceMs, view.zone)}`;
  }

  function drawRange(statistics, range, view) {
    const { tiles } = parts;
    for (const name of ["min", "max", "mean", "p95"]) {
      dom.text(tiles[name].value, bus.format.temperature(statistics[name], view.unit, name === "mean" ? 2 : 1));
      dom.text(tiles[name].detail, range);
    }
    dom.text(tiles.high.value, bus.format.count(statistics.number ? statistics.high : null));
    dom.text(tiles.high.detail, `of ${bus.format.plural(statistics.number, "reading")}`);
    tiles.high.outer.classList.toggle("some", statistics.high > 0);
    const more = statistics.number > MOST_ROWS ? `newest ${MOST_ROWS} of ${bus.format.count(statistics.number)}, ` : "";
    dom.text(parts.note, more + range);
    dom.text(dom.by("device-rows").lastChild, statistics.number ? "" : `No reading in the last ${bus.format.range(view.windowMs)}.`);
  }

  function drawRows(rows, view, isHigh) {
    const { body, heads } = parts;
    dom.text(heads[0], `Time, ${view.zone === "utc" ? "UTC" : "local"}`);
    while (body.rows.length > rows.length) body.lastChild.remove();
    while (body.rows.length < rows.length) {
      const line = body.insertRow();
      for (let index = 0; index < heads.length; index += 1) line.insertCell();
    }
    rows.forEach(([ms, celsius], at) => {
      const { cells } = body.rows[at];
      dom.text(cells[0], bus.format.clock(ms, view.zone));
      dom.text(cells[1], bus.format.temperature(celsius, view.unit, 2));
      dom.text(cells[2], isHigh(celsius) ? "yes" : "no");
    });
    dom.show(body.parentNode, rows.length > 0);
  }

  bus.device = { begin, draw };
})();
