// Which addresses of the API hold what the chart shows, and their answers as one table. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const UNITS = { C: "celsius", F: "fahrenheit", K: "kelvin" };
  const MOST_NAMES = 100; // of a request: docs/api.md
  const MOST_CHARACTERS = 3_000; // of them; a server takes 4,094 for the whole line
  const LINE_END = "\r\n";

  /**
   * Return addresses to ask one after the other, relative to the host.
   *
   * `view`: {mode of the chart, devices: chosen ids or null for all, chosen: those of an overview as the API names
   * them (null: all), fromMs, toMs, unit}; both ends are in view.
   */
  function addresses(prefix, view) {
    const span = new URLSearchParams({
      since: new Date(Math.ceil(view.fromMs)).toISOString(), until: new Date(Math.floor(view.toMs) + 1).toISOString(),
      unit: UNITS[view.unit],
    });
    if (view.mode === "overview") {
      if (view.chosen) span.set("chosen", view.chosen);
      return [`${prefix}api/v1/overview.csv?${span}`];
    }
    const readings = `${prefix}api/v1/readings.csv?${span}`;
    if (view.devices === null) return [readings];
    return parts(view.devices).map((names) => readings + names.join(""));
  }

  /**
   * Return {is: can it be exported, words: to be said of it} of a chart: of a page that was paused for long it shows more
   * than the dashboard holds. Bands outlive the readings that they were made of. `now`: {nowMs, fleet, zone}.
   */
  function limit(model, chart, { nowMs, fleet, zone }) {
    const isOverview = chart.mode === "overview";
    const { history_ms: longestMs } = model.config;
    const historyMs = nowMs - (isOverview ? Math.min(longestMs, bus.model.SERIES_MS) : longestMs);
    const heldMs = fleet?.limit && !isOverview ? Math.max(historyMs, fleet.held_from_ms) : historyMs;
    if (heldMs - beginMs(model, chart) <= bus.chartData.LIMIT_SLACK_MS) return { is: true, words: "" };
    const since = `the dashboard holds none of before ${bus.format.clock(heldMs, zone)}`;
    return chart.toMs < heldMs ? { is: false, words: `Not exported: ${since}.` } : { is: true, words: `Exported in part: ${since}.` };
  }

  /** Return when the first of what a chart shows was; Infinity where it shows nothing. */
  function beginMs(model, { mode, bands, drawn, fromMs, toMs }) {
    const all = mode === "overview" ? [bands?.t ?? []] : drawn.map((id) => {
      const { series } = model.devices.get(id);
      return series.tMs.subarray(bus.series.lowerBound(series, fromMs), series.end);
    });
    return Math.min(...all.map((times) => times.find((ms) => ms >= fromMs && ms <= toMs) ?? Infinity));
  }

  /** Return the names as pieces of a query, in parts that fit into a request. */
  function parts(devices) {
    const found = [];
    let left = 0;
    for (const id of devices) {
      const piece = `&device=${encodeURIComponent(id)}`;
      if (left < piece.length || found.at(-1).length === MOST_NAMES) {
        found.push([]);
        left = MOST_CHARACTERS;
      }
      found.at(-1).push(piece);
      left -= piece.length;
    }
    return found;
  }

  /** Return the address that follows, of an answer's header `Link`; null when it names none. */
  function following(link) {
    return /<([^>]*)>; rel="next"/.exec(link ?? "")?.[1] ?? null;
  }

  /** Return answers as one table by time: each line begins with its time, and no cell holds the end of a line. */
  function merge(texts) {
    const [header] = texts[0].split(LINE_END, 1);
    const lines = texts.flatMap((text) => text.split(LINE_END).slice(1, -1));
    if (texts.length > 1) lines.sort((a, b) => (a < b ? -1 : Number(a > b)));
    return [header, ...lines, ""].join(LINE_END);
  }

  bus.export = { addresses, limit, following, merge };
})();
