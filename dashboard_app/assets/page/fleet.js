// The row above the chart: the selected devices in a few numbers.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const STATES = ["OK", "HIGH", "STALE", "OFFLINE"];
  let tiles = null;

  function make(config) {
    tiles = {};
    const box = dom.by("fleet");
    const tile = (name, label) => {
      const outer = dom.make("div", `tile tile-${name}`);
      const value = dom.make("div", "tile-value");
      const detail = dom.make("div", "tile-detail");
      outer.append(dom.make("div", "tile-label", label), value, detail);
      box.append(outer);
      tiles[name] = { outer, value, detail };
    };
    const states = dom.make("ul", "states", "", { "aria-label": "By state" });
    for (const state of STATES) {
      const item = dom.make("li", "count", "", { "data-state": state });
      const value = dom.make("strong");
      item.append(dom.icon(state), value, dom.make("span", "", state));
      states.append(item);
      tiles[state] = { value, outer: item };
    }
    box.append(states);
    tile("alerts", `Alerts, last ${bus.format.range(config.alert_count_length_ms)}`);
    tile("mean", "Average now");
    tile("hottest", "Hottest");
    tile("rate", "Readings");
    tile("age", "Data");
  }

  /** Draw. `view`: {model, ids, nowMs, clockMs, sinceAnswerMs, unit, trustCounts, connected, statesKnown}. */
  function draw(view) {
    const { model, unit } = view;
    if (!tiles) make(model.config);
    const now = bus.model.summary(model, view.ids, view.nowMs);
    const shown = view.paused ? bus.model.summary(view.frozen, view.ids, view.clockMs) : now;
    for (const state of STATES) {
      dom.text(tiles[state].value, bus.format.count(view.statesKnown ? shown[state] : null));
      tiles[state].outer.classList.toggle("none", !view.statesKnown || shown[state] === 0);
    }
    dom.text(tiles.alerts.value, bus.format.count(view.trustCounts ? now.alerts : null));
    tiles.alerts.outer.classList.toggle("some", view.trustCounts && now.alerts > 0);
    const live = view.statesKnown ? shown : { meanCelsius: null, hottest: null };
    dom.text(tiles.mean.value, bus.format.temperature(live.meanCelsius, unit));
    dom.text(tiles.mean.detail, meanDetail(live, view.connected));
    dom.text(tiles.hottest.value, bus.format.temperature(live.hottest?.celsius ?? null, unit));
    dom.text(tiles.hottest.detail, live.hottest?.id ?? "");
    const fleet = view.connected ? model.fleet : null;
    dom.text(tiles.rate.value, fleet ? `${bus.format.rate(fleet.rate_hz)}/s` : bus.format.NOTHING);
    dom.text(tiles.rate.detail, fleet ? `all ${bus.format.plural(fleet.devices, "device")}` : "");
    const ageMs = fleet?.age_p95_ms ?? null;
    dom.text(tiles.age.value, ageMs === null ? bus.format.NOTHING : `${bus.format.fineDuration(ageMs + view.sinceAnswerMs)} old`);
    dom.text(tiles.age.detail, !fleet ? "" : ageMs === null ? "none for 5 s" : "95 % are newer");
  }

  function meanDetail(live, isConnected) {
    if (live.meanCelsius !== null) return `of ${bus.format.count(live.OK + live.HIGH)} live`;
    return isConnected ? "no live device" : "";
  }

  bus.fleet = { draw };
})();
