// The fleet's temperatures per second: lowest, 10 %, median, 90 %, highest. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const NAMES = ["min", "p10", "median", "p90", "max"];

  /** Return what is held with what is told put behind it; seconds told anew replace, those before `fromMs` go. */
  function join(held, told, fromMs) {
    if (!held || !told) return told;
    const end = bus.series.lowerBound({ tMs: held.t, first: 0, end: held.t.length }, told.t[0] ?? Infinity);
    const first = bus.series.lowerBound({ tMs: held.t, first: 0, end }, fromMs);
    const joined = { step_ms: told.step_ms };
    for (const name of ["t", ...NAMES]) joined[name] = [...held[name].slice(first, end), ...told[name]];
    return joined;
  }

  /** Return the bands with a null wherever a second is missing, so that no line goes over it. */
  function withGaps(bands) {
    const parted = Object.fromEntries(["t", ...NAMES].map((name) => [name, []]));
    bands.t.forEach((ms, index) => {
      if (index > 0 && ms - bands.t[index - 1] > bands.step_ms) {
        parted.t.push(ms);
        for (const name of NAMES) parted[name].push(null);
      }
      parted.t.push(ms);
      for (const name of NAMES) parted[name].push(bands[name][index]);
    });
    return parted;
  }

  /** Return {lowest, highest, median} of the seconds in [fromMs, toMs], the newest median; null without any. */
  function extremes(bands, fromMs, toMs) {
    let found = null;
    bands?.t.forEach((ms, index) => {
      if (ms < fromMs || ms > toMs) return;
      found = {
        lowest: Math.min(found?.lowest ?? Infinity, bands.min[index]),
        highest: Math.max(found?.highest ?? -Infinity, bands.max[index]), median: bands.median[index],
      };
    });
    return found;
  }

  bus.bands = { join, withGaps, extremes };
})();
