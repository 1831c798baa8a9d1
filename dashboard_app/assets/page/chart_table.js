// The chart in words and as a table, for those who do not see it.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const MOST_ROWS = 100;

  /** Return each drawn device's [id, newest, lowest, highest, alerts] over the range, temperatures in °C, null without a reading. */
  function rows(model, drawn, fromMs, toMs) {
    return drawn.slice(0, MOST_ROWS).map((id) => {
      const { series } = model.devices.get(id);
      let low = null;
      let high = null;
      let newest = null;
      let alerts = null; // not none, of a line whose readings are still to come
      const end = bus.series.lowerBound(series, toMs + 1);
      for (let index = bus.series.lowerBound(series, fromMs); index < end; index += 1) {
        newest = series.celsius[index];
        low = low === null ? newest : Math.min(low, newest);
        high = high === null ? newest : Math.max(high, newest);
        alerts = (alerts ?? 0) + Number(bus.model.isHigh(model, newest));
      }
      return [id, newest, low, high, alerts];
    });
  }

  /** Return one sentence about the chart. */
  function summary(table, unit, span) {
    const seen = table.filter((row) => row[1] !== null);
    if (seen.length === 0) return `No reading, ${span}.`;
    const lowest = seen.reduce((a, b) => (b[2] < a[2] ? b : a));
    const highest = seen.reduce((a, b) => (b[3] > a[3] ? b : a));
    const alerts = seen.reduce((sum, row) => sum + row[4], 0);
    return `${bus.format.plural(seen.length, "device")}, ${span}: from ${bus.format.temperature(lowest[2], unit)} ` +
      `(${lowest[0]}) to ${bus.format.temperature(highest[3], unit)} (${highest[0]}), ${bus.format.plural(alerts, "reading")} above the threshold.`;
  }

  /** Return one sentence about a chart of the whole fleet, of which the table has but the hottest lines. */
  function fleetSummary(model, { fromMs, toMs, span, bands, strip }, unit) {
    const found = bus.bands.extremes(bands, fromMs, toMs);
    if (!found) return `No reading, ${span}.`;
    const [lowest, highest, median] = [found.lowest, found.highest, found.median]
      .map((celsius) => bus.format.temperature(celsius, unit));
    return `${capital(bus.chosen.words(bands, model))}, ${span}: from ${lowest} to ${highest}, the median now ${median}. ${bus.alertStrip.summary(strip)}`;
  }

  function capital(words) {
    return words[0].toUpperCase() + words.slice(1);
  }

  /** Draw the summary, and the table while it is shown. `chart`: see chart_data.js. */
  function draw(model, chart, view, shown) {
    const table = rows(model, chart.drawn, chart.fromMs, chart.toMs);
    dom.text(dom.by("chart-summary"), chart.mode === "overview" ? fleetSummary(model, chart, view.unit)
      : summary(table, view.unit, chart.span));
    const box = dom.by("chart-table");
    dom.show(box, shown);
    if (shown) fill(box, table, view.unit);
  }

  function fill(box, table, unit) {
    if (!box.firstChild) {
      const made = dom.make("table");
      const head = made.createTHead().insertRow();
      for (const name of ["Device", "Newest", "Lowest", "Highest", "Above threshold"]) {
        head.append(dom.make("th", "", name, { scope: "col" }));
      }
      made.append(dom.make("tbody"));
      box.append(made);
    }
    const body = box.querySelector("tbody");
    while (body.rows.length > table.length) body.lastChild.remove();
    while (body.rows.length < table.length) {
      const line = body.insertRow();
      for (let index = 0; index < 5; index += 1) line.insertCell();
    }
    table.forEach((row, at) => {
      const texts = [row[0], ...row.slice(1, 4).map((celsius) => bus.format.temperature(celsius, unit)), bus.format.count(row[4])];
      texts.forEach((value, index) => dom.text(body.rows[at].cells[index], value));
    });
  }

  bus.chartTable = { rows, summary, fleetSummary, draw };
})();
