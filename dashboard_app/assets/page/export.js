// Saves what the chart shows as CSV: UTC, the unit in the header, as many rows as points in view.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const NAMES = { C: "celsius", F: "fahrenheit", K: "kelvin" };

  /** Return the table's rows, header first. `view`: {fromMs, toMs, unit}. */
  function rows(model, chart, view) {
    const unit = NAMES[view.unit];
    const value = (celsius) => (celsius === null ? "" : Number(bus.format.toUnit(celsius, view.unit).toFixed(2)));
    if (chart.mode === "overview" && model.overview) return overviewRows(model.overview, view, unit, value);
    const readings = [];
    for (const id of chart.drawn) {
      const { series } = model.devices.get(id);
      const end = bus.series.lowerBound(series, view.toMs + 1);
      for (let index = bus.series.lowerBound(series, view.fromMs); index < end; index += 1) {
        readings.push([series.tMs[index], id, series.celsius[index]]);
      }
    }
    readings.sort((a, b) => a[0] - b[0] || bus.model.byName(a[1], b[1]));
    return [
      ["time_utc", "device_id", `temperature_${unit}`, "above_threshold"],
      ...readings.map(([ms, id, celsius]) =>
        [new Date(ms).toISOString(), id, value(celsius), bus.model.isHigh(model, celsius) ? "yes" : "no"]),
    ];
  }

  function overviewRows(overview, view, unit, value) {
    const names = ["min", "p10", "median", "p90", "max"];
    const header = ["time_utc", ...names.map((name) => `${name}_${unit}`)];
    const inView = overview.t.map((ms, index) => [ms, index]).filter(([ms]) => ms >= view.fromMs && ms <= view.toMs);
    return [header, ...inView.map(([ms, index]) => [new Date(ms).toISOString(), ...names.map((name) => value(overview[name][index]))])];
  }

  /** Hand the file to the browser's download. */
  function save(model, chart, view) {
    const blob = new Blob([bus.csv.table(rows(model, chart, view))], { type: "text/csv;charset=utf-8" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `sensorbus-${new Date(view.toMs).toISOString().slice(0, 19).replaceAll(":", "")}Z.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  bus.exporter = { rows, save };
})();
