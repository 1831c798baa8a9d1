// One device's readings by event time, in two growing columns. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const FIRST_CAPACITY = 128;

  /** Return an empty series; readings stand in [first, end) of both columns, oldest first. */
  function create() {
    return { tMs: new Float64Array(FIRST_CAPACITY), celsius: new Float64Array(FIRST_CAPACITY), first: 0, end: 0 };
  }

  /** Return the index of the first reading at or after `ms`. */
  function lowerBound(series, ms) {
    let low = series.first;
    let high = series.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (series.tMs[middle] < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function makeRoom(series) {
    if (series.end < series.tMs.length) return;
    const held = series.end - series.first;
    const capacity = held * 2 > series.tMs.length ? series.tMs.length * 2 : series.tMs.length;
    for (const column of ["tMs", "celsius"]) {
      const moved = new Float64Array(capacity);
      moved.set(series[column].subarray(series.first, series.end));
      series[column] = moved;
    }
    series.first = 0;
    series.end = held;
  }

  /** Put a reading in its place by time; false when it is already there, which makes a repeated answer harmless. */
  function add(series, ms, celsius) {
    let index = series.end;
    if (index > series.first && ms <= series.tMs[index - 1]) {
      index = lowerBound(series, ms);
      for (; index < series.end && series.tMs[index] === ms; index += 1) {
        if (series.celsius[index] === celsius) return false;
      }
    }
    const fromEnd = series.end - index;
    makeRoom(series);
    index = series.end - fromEnd;
    series.tMs.copyWithin(index + 1, index, series.end);
    series.celsius.copyWithin(index + 1, index, series.end);
    series.tMs[index] = ms;
    series.celsius[index] = celsius;
    series.end += 1;
    return true;
  }

  /** Forget what is older than `ms`. */
  function trim(series, ms) {
    series.first = lowerBound(series, ms);
  }

  /**
   * Return the indexes to draw of [fromMs, toMs]: all, or the lowest and the highest of each of `buckets` stretches,
   * so that no peak is lost.
   */
  function pick(series, fromMs, toMs, buckets) {
    const first = lowerBound(series, fromMs);
    const end = lowerBound(series, toMs + 1);
    const picked = [];
    if (end - first <= buckets * 2) {
      for (let index = first; index < end; index += 1) picked.push(index);
      return picked;
    }
    const bucketMs = (toMs - fromMs) / buckets;
    let index = first;
    while (index < end) {
      const untilMs = fromMs + (Math.floor((series.tMs[index] - fromMs) / bucketMs) + 1) * bucketMs;
      let low = index;
      let high = index;
      const start = index;
      for (; index < end && (series.tMs[index] < untilMs || index === start); index += 1) {
        if (series.celsius[index] < series.celsius[low]) low = index;
        if (series.celsius[index] > series.celsius[high]) high = index;
      }
      picked.push(Math.min(low, high));
      if (low !== high) picked.push(Math.max(low, high));
    }
    return picked;
  }

  bus.series = { create, add, trim, lowerBound, pick };
})();
