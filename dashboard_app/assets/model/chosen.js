// Of whom the bands are: of all devices, or of the chosen ones where they are too many to draw. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const MOST_CHARACTERS = 3_000; // of a choice in an address; a server takes 4,094 for the whole line

  /** Take note of the chosen ids whose bands are wanted, null for all: the next request asks for them. */
  function want(model, ids) {
    const held = model.choice;
    const isPart = ids !== null && bus.chartData.mode(ids.length) === "overview" && ids.length < model.order.length;
    if (!isPart) model.choice = null;
    else if (!isSame(held?.ids, ids)) model.choice = { ids, number: (model.choices += 1), key: null, bits: null };
  }

  function isSame(some, others) {
    return some === others || (some?.length === others?.length && Boolean(some?.every((id, at) => id === others[at])));
  }

  /** Return {key of the roster, bits: its places of the chosen in base64url}; null while it does not hold all of them. */
  function places({ choice, roster }) {
    if (!choice || !roster.key) return null;
    if (choice.key !== roster.key) Object.assign(choice, { key: roster.key, bits: bits(choice.ids, roster.ids) });
    return choice.bits && { key: choice.key, bits: choice.bits };
  }

  function bits(ids, roster) {
    const left = new Set(ids);
    const bytes = new Uint8Array(Math.ceil(roster.length / 8));
    roster.forEach((id, place) => {
      if (left.delete(id)) bytes[place >> 3] |= 1 << (place & 7);
    });
    if (left.size > 0) return null;
    const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  /** Return the request's fields: which bands are wanted, and how far they are held. `isKnown`: the worker is told the roster. */
  function request(model, isKnown) {
    const told = isKnown ? places(model) : null;
    const of = told && model.choice.ids;
    const isHeld = isSame(model.overview?.of ?? null, of);
    return { overview: (isHeld && model.overview?.t.at(-1)) || 0, ...(told && { chosen: [model.choice.number, told.bits] }) };
  }

  /** Return the bands with an answer's put to them, with `of`: the ids that they are of, null for all devices. */
  function join(model, { chosen, overview: told }, fromMs) {
    const held = model.overview;
    if (chosen !== undefined && chosen !== model.choice?.number) return held; // of a choice of before
    const of = chosen === undefined ? null : model.choice.ids;
    const isHeld = held !== null && isSame(held.of, of);
    if (!told) return of !== null && isHeld ? held : null; // another worker has yet to make them
    return Object.assign(bus.bands.join(isHeld ? held : null, told, fromMs), { of });
  }

  /** Return the bands that may stand for these devices: theirs, or those of all, which the page says; else null. */
  function shown({ overview }, ids) {
    return overview && (!overview.of || isSame(overview.of, ids)) ? overview : null;
  }

  /** Return of whom the bands are, in words. */
  function words(bands, model) {
    if (bands.of) return `the ${bus.format.plural(bands.of.length, "chosen device")}`;
    return `all ${bus.format.plural(model.fleet?.devices ?? 0, "device")}`;
  }

  /** Return how the API's `chosen` names the devices whose bands are shown, null for all: docs/api.md. */
  function inAddress(model, bands) {
    const told = bands && !bands.of ? null : places(model);
    return told && told.bits.length <= MOST_CHARACTERS ? `${told.key}.${told.bits}` : null;
  }

  bus.chosen = { want, request, join, shown, words, inAddress };
})();
