// The device cards, filled in place; beyond a screenful only what is in view is in the page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const MOST_IN_PAGE = 50;
  const CARD_HEIGHT_PX = 158;
  const GAP_PX = 10;
  const LEAST_WIDTH_PX = 220;
  const SPARK_MS = 100_000;
  const SPARK = { width: 180, height: 34 };
  const made = new Map(); // id -> parts
  let inPage = []; // ids, in order
  let columns = 0;

  function make(device, config) {
    const card = dom.make("article", "card", "", { "aria-label": device.id });
    const parts = { card };
    const part = (name, tag, content = "") => (parts[name] = dom.make(tag, name, content));
    const head = dom.make("div", "card-head");
    const state = dom.make("span", "state");
    parts.icon = dom.icon("OK");
    state.append(parts.icon, part("word", "span"));
    const name = dom.make("h3", "name", "", { title: device.id });
    parts.link = dom.make("a", "", device.id);
    name.append(parts.link);
    parts.swatch = bus.chart.swatch(bus.chart.look(device));
    head.append(parts.swatch, name, " ", state); // the spaces are for those who read or copy the text
    const now = dom.make("div", "reading");
    parts.arrow = dom.make("span", "arrow", "", { "aria-hidden": "true" });
    const change = dom.make("span", "change-box");
    change.append(parts.arrow, part("change", "span"), (parts.trend = dom.make("span", "visually-hidden")));
    now.append(" ", part("temperature", "span"), " ", change, " ");
    parts.spark = dom.svg("svg", {
      viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", class: "spark", "aria-hidden": "true",
    });
    parts.line = dom.svg("path", { class: "spark-line" });
    parts.line.style.stroke = `var(--${bus.colours.look(device).token})`;
    parts.highs = dom.svg("path", { class: "spark-highs" });
    parts.spark.append(parts.line, parts.highs);
    const list = dom.make("dl", "windows");
    for (const [name, label] of [
      ["average", `avg ${bus.format.range(config.avg_temp_length_ms)}`],
      ["alerts", `alerts ${bus.format.range(config.alert_count_length_ms)}`],
    ]) {
      const pair = dom.make("div");
      pair.append(dom.make("dt", "", label), " ", part(name, "dd"), " ");
      list.append(pair);
    }
    card.append(head, now, parts.spark, list, part("age", "div"));
    return parts;
  }

  /** Fill one card. `view`: {model, query, ids, clockMs, nowMs, unit, paused, frozen, statesKnown, trustCounts, trustAverages, latest(device)}. */
  function fill(parts, device, view) {
    drawAlerts(parts, device, view);
    bus.chart.setDash(parts.swatch, bus.chart.look(device));
    if (parts.query !== view.query) {
      parts.query = view.query;
      const href = bus.devicePage.href(view.model.config.prefix, device.id);
      dom.attribute(parts.link, "href", bus.devicePage.withQuery(href, view.query));
    }
    const { model, clockMs, unit } = view;
    const shown = view.latest(device);
    const state = bus.diagnosis.state(view.frozen ?? model, shown, clockMs, view.statesKnown);
    dom.attribute(parts.card, "data-state", state);
    dom.setIcon(parts.icon, state);
    dom.text(parts.word, state);
    dom.text(parts.temperature, bus.format.temperature(shown.celsius, unit));
    const live = state === "OK" || state === "HIGH";
    const known = live && shown.previousCelsius !== null;
    const change = bus.format.change(known ? shown.celsius - shown.previousCelsius : null, unit);
    dom.text(parts.arrow, change.arrow);
    dom.text(parts.change, change.text);
    dom.text(parts.trend, change.word && ` ${change.word}`);
    const lateMs = drawAverage(parts, shown, view);
    dom.text(parts.age, bus.format.age(clockMs - shown.tMs) + (lateMs ? `, average ${bus.format.age(lateMs)}` : ""));
    const { path, highs } = bus.sparkline.draw(device.series, {
      ...SPARK, fromMs: clockMs - SPARK_MS, toMs: clockMs,
      gapMs: bus.model.STALE_PERIODS * model.config.reading_period_ms,
      isHigh: (celsius) => bus.model.isHigh(model, celsius),
    });
    dom.attribute(parts.line, "d", path);
    dom.attribute(parts.highs, "d", highs);
  }

  /** Draw the average; return its age where that is to be told: 0 while it is of now. */
  function drawAverage(parts, device, view) {
    const { config } = view.model;
    const average = view.trustAverages ? bus.model.average(view.frozen ?? view.model, device, view.clockMs) : null;
    const ageMs = average ? view.clockMs - average.endMs : 0;
    const late = ageMs > config.avg_temp_length_ms;
    dom.text(parts.average, bus.format.temperature(average?.celsius ?? null, view.unit));
    dom.attribute(parts.average, "title", average ? `window ended ${bus.format.age(ageMs)}` : null);
    parts.average.classList.toggle("late", late);
    return late ? ageMs : 0;
  }

  function drawAlerts(parts, device, view) {
    const number = view.trustCounts ? bus.model.alertsNow(view.model, device.id, view.nowMs) : null;
    dom.text(parts.alerts, bus.format.count(number));
    parts.alerts.classList.toggle("some", number > 0);
  }

  /** Return the stretch of the order that is in view: {first, end, before, after} in cards and pixels. */
  function stretch(box, number) {
    columns = Math.max(1, Math.floor((box.clientWidth + GAP_PX) / (LEAST_WIDTH_PX + GAP_PX)));
    box.style.setProperty("--columns", String(columns));
    if (number <= MOST_IN_PAGE) return { first: 0, end: number, before: 0, after: 0 };
    const row = CARD_HEIGHT_PX + GAP_PX;
    const rows = Math.ceil(number / columns);
    const top = -box.getBoundingClientRect().top;
    const firstRow = Math.min(Math.max(0, Math.floor(top / row) - 1), Math.max(0, rows - 1));
    const endRow = Math.min(rows, Math.max(firstRow + 1, Math.ceil((top + innerHeight) / row) + 1));
    return {
      first: firstRow * columns, end: Math.min(number, endRow * columns),
      before: firstRow * row, after: (rows - endRow) * row,
    };
  }

  /** Draw the cards of `view.ids`, in their order. */
  function draw(view) {
    const box = dom.by("cards");
    const { first, end, before, after } = stretch(box, view.ids.length);
    const ids = view.ids.slice(first, end);
    const hadFocus = box.contains(document.activeElement);
    const focused = hadFocus ? ids.find((id) => made.get(id)?.card.contains(document.activeElement)) : undefined;
    place(box, ids, view);
    box.style.paddingTop = `${before}px`;
    box.style.paddingBottom = `${after}px`;
    for (const id of ids) fill(made.get(id), view.model.devices.get(id), view);
    if (hadFocus && !box.contains(document.activeElement)) { // its card was made anew, or has left the view
      (made.get(focused)?.link ?? box).focus({ preventScroll: true });
    }
    inPage = ids;
  }

  /** Put the right cards into the box in the right order. */
  function place(box, ids, view) {
    const wanted = new Set(ids);
    for (const [id, parts] of made) {
      if (wanted.has(id) && parts.generation === view.model.generation) continue;
      parts.card.remove();
      made.delete(id);
    }
    for (const id of ids) {
      if (made.has(id)) continue;
      const parts = make(view.model.devices.get(id), view.model.config);
      parts.generation = view.model.generation;
      made.set(id, parts);
    }
    dom.order(box, ids.map((id) => made.get(id).card));
  }

  /** Tell whether a card of that many has the focus and could be moved out of view, and so out of the page. */
  function mustStay(number) {
    return number > MOST_IN_PAGE && dom.by("cards").contains(document.activeElement);
  }

  bus.cards = { draw, mustStay, inPage: () => inPage, CARD_HEIGHT_PX, MOST_IN_PAGE };
})();
