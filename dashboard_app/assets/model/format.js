// Numbers, units, times and ages as people read them. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const UNITS = ["C", "F", "K"];
  const SYMBOLS = { C: "°C", F: "°F", K: "K" };
  const NOTHING = "–";
  const MINUS = "−";

  /** Return °C in another unit. */
  function toUnit(celsius, unit) {
    if (unit === "F") return (celsius * 9) / 5 + 32;
    if (unit === "K") return celsius + 273.15;
    return celsius;
  }

  /** Return a value of a unit in °C. */
  function fromUnit(value, unit) {
    if (unit === "F") return ((value - 32) * 5) / 9;
    if (unit === "K") return value - 273.15;
    return value;
  }

  /** Return a difference of kelvins in another unit: 1 K is 1 °C is 1.8 °F. */
  function differenceToUnit(kelvin, unit) {
    return unit === "F" ? kelvin * 1.8 : kelvin;
  }

  /** Return the number the alert threshold is compared with: kelvin, 2 decimals, ties to even as in Python. */
  function kelvin(celsius) {
    const exact = celsius + 273.15;
    const eighths = exact * 8; // 2 decimals and a half are a binary number at odd eighths alone
    if (!Number.isInteger(eighths) || eighths % 2 === 0) return Number(exact.toFixed(2));
    const below = Math.floor(exact * 100);
    return (below + (below % 2)) / 100;
  }

  function fixed(value, decimals) {
    const text = Math.abs(value).toFixed(decimals);
    return value < 0 && Number(text) !== 0 ? MINUS + text : text;
  }

  /** Return "27.3 °C". */
  function temperature(celsius, unit, decimals = 1) {
    if (celsius === null || celsius === undefined) return NOTHING;
    return `${fixed(toUnit(celsius, unit), decimals)} ${SYMBOLS[unit]}`;
  }

  /** Return {arrow, text, word} of a change in kelvin; one that rounds to nothing has neither arrow nor sign. */
  function change(kelvins, unit) {
    if (kelvins === null || kelvins === undefined) return { arrow: "", text: "", word: "" };
    const text = fixed(Math.abs(differenceToUnit(kelvins, unit)), 1);
    if (Number(text) === 0) return { arrow: "", text: "±0.0", word: "unchanged" };
    return kelvins > 0
      ? { arrow: "▲", text: `+${text}`, word: "rising" }
      : { arrow: "▼", text: MINUS + text, word: "falling" };
  }

  /** Return "12 s", "3 min", "2 h", "4 d". */
  function duration(ms) {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    if (seconds < 120) return `${seconds} s`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  }

  /** Return "2 s ago", or how far a device's clock is ahead. */
  function age(ms) {
    if (ms < -2000) return `clock ${duration(-ms)} ahead`;
    return ms < 1000 ? "now" : `${duration(ms)} ago`;
  }

  /** Return "0.4 s" below ten seconds, then as `duration`. */
  function fineDuration(ms) {
    return ms < 9950 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : duration(ms);
  }

  /** Return 12345 as "12,345". */
  function count(number) {
    if (number === null) return NOTHING;
    const whole = Math.round(number);
    return Math.abs(whole) < 1_000 ? String(whole) : whole.toLocaleString("en-US"); // the slowest part of many a tick
  }

  /** Return a rate: one decimal below ten. */
  function rate(hz) {
    return hz > 0 && hz < 9.95 ? hz.toFixed(1) : count(hz);
  }

  /** Return "1 device", "2 devices". */
  function plural(number, word) {
    return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
  }

  /** Return what to add to UTC ms so that UTC fields read as the zone's ("local" or "utc"). */
  function zoneOffsetMs(ms, zone) {
    return zone === "utc" ? 0 : -new Date(ms).getTimezoneOffset() * 60_000;
  }

  /** Return "21:04:05" in the zone. */
  function clock(ms, zone) {
    return new Date(ms + zoneOffsetMs(ms, zone)).toISOString().slice(11, 19);
  }

  /** Return "last 100 s", "last 5 min". */
  function range(ms) {
    return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
  }

  bus.format = {
    UNITS, SYMBOLS, NOTHING,
    toUnit, fromUnit, differenceToUnit, kelvin, temperature, change, duration, age, fineDuration, count, rate, plural,
    zoneOffsetMs, clock, range,
  };
})();
