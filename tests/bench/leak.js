// Hours of ticks into the page's model, by a clock that runs as fast as it can: `node --expose-gc tests/bench/leak.js`.
import { answer, CONFIG, load } from "../js/support/load.js";

const [hours = "8", devices = "100"] = process.argv.slice(2);
const bus = load();
const model = bus.model.create(CONFIG);
const names = Array.from({ length: Number(devices) }, (_, number) => `device-${number}`);
const START = 1_769_860_800_000;

function tick(second) {
  const now = START + second * 1000;
  const rows = names.map((id, at) => [id, now - at, 25 + 5 * Math.sin(second / 60 + at)]);
  const high = rows.filter((row) => bus.model.isHigh(model, row[2]));
  bus.model.ingest(model, answer(now, {
    reset: second === 0, devices: rows, alerts: high, averages: rows,
    counts: high.map(([id]) => [id, now - 5_000, 1]), fleet: { devices: names.length, rate_hz: 1, age_p95_ms: 1 },
  }));
  bus.model.request(model, "c", []);
}

for (let hour = 0, second = 0; hour < Number(hours); hour += 1) {
  for (const end = second + 3_600; second < end; second += 1) tick(second);
  globalThis.gc();
  process.stdout.write(`after ${hour + 1} h: ${(process.memoryUsage().heapUsed / 1e6).toFixed(1)} MB, ${model.points} points\n`);
}
