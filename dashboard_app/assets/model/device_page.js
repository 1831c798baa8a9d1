// The page of one device: its address, and what it says of the readings in range. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const PLACE = "device/";
  const DOTS = [".", ".."]; // a browser would take them out of a path

  /** Return the address of a device's page behind the prefix. */
  function href(prefix, id) {
    const name = encodeURIComponent(id);
    return DOTS.includes(id) ? `${prefix}${PLACE}?id=${name}` : `${prefix}${PLACE}${name}`;
  }

  /** Return the id that an address names, null where it is not of a device's page. */
  function idIn(pathname, search, prefix) {
    if (!pathname.startsWith(prefix + PLACE)) return null;
    const rest = pathname.slice(prefix.length + PLACE.length);
    if (rest === "") return new URLSearchParams(search).get("id");
    try {
      return decodeURIComponent(rest);
    } catch {
      return rest; // a broken escape: shown as it is, as a name that nobody has
    }
  }

  /** Return the address with a query such as "?unit=F". */
  function withQuery(address, query) {
    return address.includes("?") ? address + query.replace("?", "&") : address + query;
  }

  /** Return {number, min, max, mean, p95, high} of the readings in [fromMs, toMs]; temperatures null without any. */
  function statistics(series, fromMs, toMs, isHigh) {
    const first = bus.series.lowerBound(series, fromMs);
    const values = series.celsius.slice(first, bus.series.lowerBound(series, toMs + 1));
    const number = values.length;
    if (number === 0) return { number, min: null, max: null, mean: null, p95: null, high: 0 };
    let sum = 0;
    let high = 0;
    for (const celsius of values) {
      sum += celsius;
      high += Number(isHigh(celsius));
    }
    values.sort();
    const place = (number - 1) * 0.95;
    const below = Math.floor(place);
    const step = below + 1 < number ? values[below + 1] - values[below] : 0;
    return { number, min: values[0], max: values[number - 1], mean: sum / number, p95: values[below] + step * (place - below), high };
  }

  /** Return from when on readings are known, where that is well after `fromMs`; null where the whole range is known. */
  function knownFromMs(series, fromMs, gapMs) {
    const { first, end, tMs } = series;
    return first < end && tMs[first] - fromMs > gapMs ? tMs[first] : null;
  }

  /** Return the newest readings in [fromMs, toMs], the last one first: [[ms, celsius]], `most` at most. */
  function newest(series, fromMs, toMs, most) {
    const first = bus.series.lowerBound(series, fromMs);
    const rows = [];
    for (let index = bus.series.lowerBound(series, toMs + 1) - 1; index >= first && rows.length < most; index -= 1) {
      rows.push([series.tMs[index], series.celsius[index]]);
    }
    return rows;
  }

  bus.devicePage = { href, idIn, withQuery, statistics, knownFromMs, newest };
})();
