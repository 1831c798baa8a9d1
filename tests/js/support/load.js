// Loads the page's scripts as a browser does, in the order of their folders, and returns what they make.
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const assets = fileURLToPath(new URL("../../../dashboard_app/assets/", import.meta.url));

/** Return the scripts' shared object; `folders` beside model/ are loaded for their parts that touch no page. */
export function load() {
  const files = readdirSync(`${assets}model`).map((name) => `model/${name}`);
  files.unshift("dom.js");
  files.push("page/announcer.js", "page/banner.js", "page/chart_table.js", "page/keyboard.js", "page/notice.js", "page/painter.js");
  for (const file of files) require(assets + file);
  return globalThis.sensorbus;
}

export const CONFIG = {
  threshold_kelvin: 303, alert_count_length_ms: 5_000, alert_count_step_ms: 1_000, avg_temp_length_ms: 10_000,
  avg_temp_step_ms: 1_000, avg_temp_grace_ms: 0, reading_period_ms: 1_000, history_ms: 900_000, tick_ms: 1_000, turn_devices: 1_000, most_alerts: 20_000,
  topics: { sensor: "x-sensor" },
};

/** Return rows [id, ms, celsius, previous (if it is told)] as the answer's columns. */
export function columns(now, rows) {
  const previous = rows.flatMap((row, place) => (row.length > 3 ? [[place, row[3]]] : []));
  return { ...events(now, rows, "celsius"), previous };
}

/** Return rows [id, ms, value] as columns without those before. */
function events(now, rows, name) {
  return { id: rows.map((row) => row[0]), age_ms: rows.map((row) => now - row[1]), [name]: rows.map((row) => row[2]) };
}

/** Return an answer of the dashboard (docs/tick.md); `parts` replace its empty ones, columns given as rows. */
export function answer(now, { devices = [], averages = [], alerts = [], counts = [], ...parts } = {}) {
  return {
    v: 7, now, cursor: "c", reset: false, skipped: 0, roster: null, readings: [], new: 0,
    alerts: events(now, alerts, "celsius"), counts: events(now, counts, "count"),
    devices: columns(now, devices), averages: columns(now, averages), fleet: { devices: 1, rate_hz: 1, age_p95_ms: 300 }, overview: null,
    pipeline: {
      kafka: { ok: true, since_ms: null, error: null, address: "broker:9092" }, behind: 0, dead_letters: 0,
      topics: { sensor: 300, alert: 400, "alert-count": 500, "avg-temp": 600, "dead-letter": null },
    },
    ...parts,
  };
}

/** Return a model that heard `celsius` of each device once per second up to `now`. */
export function heard(bus, now, byDevice) {
  const model = bus.model.create(CONFIG);
  const devices = [];
  const readings = [];
  for (const [id, values] of Object.entries(byDevice)) {
    const rows = values.map((celsius, index) => [id, now - (values.length - 1 - index) * 1000, celsius]);
    devices.push([...rows.pop(), ...values.slice(-2, -1)]);
    readings.push(...rows);
  }
  bus.model.ingest(model, answer(now, { reset: true, devices, readings, fleet: { devices: devices.length, rate_hz: 1, age_p95_ms: 1 } }));
  return model;
}
