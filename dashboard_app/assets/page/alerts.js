// The list of recent alert episodes of the chosen devices.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const MOST = 50;
  const HEADS = ["Device", "Start", "Lasted", "Peak", "End"];
  const rows = new Map(); // start and id of an episode -> its row
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
    line.firstChild.append(dom.make("a", "alert-device"));
    return line;
  }

  /** Draw. `view`: {model, chosen: Set or null, nowMs, unit, zone, query: of links, isKnown: whether job alert follows}. */
  function draw(view) {
    const box = dom.by("episodes");
    if (!body) make(box);
    const { model } = view;
    const wanted = (id) => view.chosen === null || view.chosen.has(id);
    const nowMs = Math.min(view.nowMs, model.nowMs ?? Infinity); // without answers, none is known to have ended
    const { newest, total } = bus.episodes.recent(model.episodes, nowMs, wanted, MOST);
    const keys = newest.map((episode) => `${episode.startMs} ${episode.id}`);
    place(keys);
    newest.forEach((episode, index) => fill(rows.get(keys[index]), episode, view));
    box.firstChild.hidden = total === 0;
    dom.text(box.lastChild, note(view, total, newest.length));
  }

  function note({ model, isKnown, zone }, total, shown) {
    const { knownFromMs, isCut } = model.episodes;
    const since = knownFromMs === null ? "" : `Alerts are known since ${bus.format.clock(knownFromMs, zone)}: there are more than one answer holds.`;
    const more = total > shown ? `The newest ${shown} of ${isCut ? "more than " : ""}${bus.format.count(total)}: choose devices to see theirs.` : "";
    if (total) return [more, since].filter(Boolean).join(" ");
    if (model.pipeline?.behind > 0) return "Not known yet: history is being read.";
    return isKnown ? "No alert in the last 15 min." : "Not known: no alerts come through.";
  }

  /** Give each episode a row: its own while someone is at one, else that of its place, for rows that move are twice as dear. */
  function place(keys) {
    if (!isUsed()) {
      const lines = [...body.rows];
      rows.clear();
      keys.forEach((key, index) => rows.set(key, lines[index] ?? row()));
      for (const line of lines.slice(keys.length)) line.remove();
    }
    const wanted = new Set(keys);
    for (const [key, line] of rows) {
      if (wanted.has(key)) continue;
      line.remove();
      rows.delete(key);
    }
    for (const key of keys) if (!rows.has(key)) rows.set(key, row());
    dom.order(body, keys.map((key) => rows.get(key)));
  }

  /** Tell whether the focus, a button that is pressed, or a selection is in a row. */
  function isUsed() {
    const selection = getSelection();
    return body.matches(":focus-within, :active") || (!selection.isCollapsed && selection.containsNode(body, true));
  }

  function fill(line, episode, view) {
    const { config } = view.model;
    const lasted = bus.format.duration(episode.endMs - episode.startMs + config.reading_period_ms);
    const start = bus.format.clock(episode.startMs, view.zone);
    const values = [
      episode.isOlder ? `<${start}` : start, episode.isOlder ? `>${lasted}` : lasted,
      bus.format.temperature(episode.peakCelsius, view.unit), episode.goesOn ? "now" : bus.format.clock(episode.endMs, view.zone),
    ];
    values.forEach((value, index) => dom.text(line.cells[index + 1], value));
    const link = line.querySelector("a");
    dom.text(link, episode.id);
    dom.attribute(link, "href", bus.devicePage.withQuery(bus.devicePage.href(config.prefix, episode.id), view.query));
    dom.attribute(line, "data-on", String(episode.goesOn));
    dom.attribute(line.cells[0], "title", episode.id);
    dom.attribute(line.cells[1], "title", episode.isOlder ? `before ${start}, from when on alerts are known` : "");
  }

  bus.alerts = { draw };
})();
