// The list of recent alert episodes of the chosen devices.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const MOST = 50;
  const HEADS = ["Device", "Start", "Lasted", "Peak", "State"];
  let body = null;

  function make(box) {
    const table = dom.make("table", "alerts-table");
    const head = dom.make("tr");
    for (const name of HEADS) head.append(dom.make("th", "", name, { scope: "col" }));
    const top = dom.make("thead");
    top.append(head);
    body = dom.make("tbody");
    table.append(top, body);
    box.append(table, dom.make("p", "empty"));
  }

  function row() {
    const line = dom.make("tr");
    for (let index = 0; index < HEADS.length; index += 1) line.append(dom.make("td"));
    return line;
  }

  /** Draw. `view`: {model, chosen: Set or null, nowMs, unit, zone}. */
  function draw(view) {
    const box = dom.by("episodes");
    if (!body) make(box);
    const { model } = view;
    const wanted = (id) => view.chosen === null || view.chosen.has(id);
    const recent = bus.episodes.recent(model.episodes, view.nowMs, wanted, MOST);
    while (body.rows.length > recent.length) body.lastChild.remove();
    while (body.rows.length < recent.length) body.append(row());
    recent.forEach((episode, index) => fill(body.rows[index], episode, view));
    box.firstChild.hidden = recent.length === 0;
    dom.text(box.lastChild, recent.length ? "" : "No alert in the last 15 min.");
  }

  function fill(line, episode, view) {
    const lasted = episode.endMs - episode.startMs + view.model.config.reading_period_ms;
    const values = [
      episode.id, bus.format.clock(episode.startMs, view.zone), bus.format.duration(lasted),
      bus.format.temperature(episode.peakCelsius, view.unit), episode.goesOn ? "HIGH" : "over",
    ];
    values.forEach((value, index) => dom.text(line.cells[index], value));
    dom.attribute(line, "data-on", String(episode.goesOn));
    dom.attribute(line.cells[0], "title", episode.id);
  }

  bus.alerts = { draw };
})();
