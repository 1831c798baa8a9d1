// What this visitor chose, and its place in the address: URL, then this browser's store, then the default.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const RANGES_S = [30, 100, 300, 900];
  const ZONES = ["local", "utc"];
  const SORTS = ["name", "hottest", "silent"];
  const STORED = ["unit", "zone", "theme", "sort"];
  const LONGEST_DEVICES = 1_800;

  /** Return the defaults; `devices` null means all of them, those of tomorrow included. */
  function defaults() {
    return { devices: null, unit: "C", zone: "local", theme: "system", sort: "name", windowS: 100, paused: false,
      kiosk: false };
  }

  function known(list, value, otherwise) {
    return list.includes(value) ? value : otherwise;
  }

  function decode(text) {
    try {
      return decodeURIComponent(text.replaceAll("+", " "));
    } catch {
      return null; // a broken escape is no name
    }
  }

  /** Return the choices that the address's query and the browser's store make, else `base`; unknown values are ignored. */
  function read(search, stored, base = defaults()) {
    const given = new Map();
    for (const pair of search.replace(/^\?/, "").split("&")) {
      const at = pair.indexOf("=");
      if (at > 0) given.set(pair.slice(0, at), pair.slice(at + 1));
    }
    const pick = (name, list) => known(list, given.get(name), known(list, stored[name], base[name]));
    const devices = given.get("devices");
    return {
      ...base,
      devices: devices === undefined ? null : [...new Set(devices.split(",").map(decode))].filter(Boolean),
      unit: pick("unit", bus.format.UNITS),
      zone: pick("zone", ZONES),
      theme: pick("theme", ["system", "light", "dark"]),
      sort: pick("sort", SORTS),
      windowS: known(RANGES_S, Number(given.get("window")), base.windowS),
      paused: given.get("paused") === "1",
      kiosk: given.get("kiosk") === "1",
    };
  }

  /** Return the devices as the address has them. */
  function names(choices) {
    return choices.devices.map(encodeURIComponent).join(",");
  }

  /** Tell whether more devices are chosen than an address can name. */
  function areTooMany(choices) {
    return choices.devices !== null && names(choices).length > LONGEST_DEVICES;
  }

  /**
   * Return the query that reproduces the view, in a browser too whose store holds other choices; a list of names too
   * long for a link is left out.
   */
  function write(choices, base = defaults()) {
    const parts = STORED.map((name) => `${name}=${choices[name]}`);
    if (choices.devices !== null && !areTooMany(choices)) parts.unshift(`devices=${names(choices)}`);
    if (choices.windowS !== base.windowS) parts.push(`window=${choices.windowS}`);
    if (choices.paused) parts.push("paused=1");
    if (choices.kiosk) parts.push("kiosk=1");
    return `?${parts.join("&")}`;
  }

  /** Return the query of a link to another page of ours: how numbers are shown, not which. */
  function carried(choices) {
    const { windowS } = defaults();
    return write({ ...choices, devices: null, paused: false, windowS });
  }

  /** Return what this browser keeps after `changes`: not what a link has brought along. */
  function toStore(stored, changes) {
    return { ...stored, ...Object.fromEntries(Object.entries(changes).filter(([name]) => STORED.includes(name))) };
  }

  /** Return the value after `value` in a list, round and round. */
  function next(list, value) {
    return list[(list.indexOf(value) + 1) % list.length];
  }

  /** Return the chosen devices after one was switched; all of them chosen is `null` again. */
  function toggle(chosen, order, id) {
    const names = new Set(chosen ?? order);
    if (!names.delete(id)) names.add(id);
    return whole(names, order);
  }

  /** Return the chosen devices after `ids` were all switched on or off. */
  function switchAll(chosen, order, ids, on) {
    const names = new Set(chosen ?? order);
    for (const id of ids) {
      if (on) names.add(id);
      else names.delete(id);
    }
    return whole(names, order);
  }

  function whole(names, order) {
    return order.length > 0 && order.every((id) => names.has(id)) ? null : [...names];
  }

  bus.choices = { RANGES_S, ZONES, SORTS, defaults, read, write, areTooMany, carried, toStore, next, toggle, switchAll };
})();
