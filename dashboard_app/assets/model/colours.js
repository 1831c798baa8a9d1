// Which colour and dash a device's line has: told from the names of the fleet alone. Touches no page.
//
// A slot is a number: dash by dash, in each all colours. Beyond as many devices as there are slots some are alike.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const COLOURS = 7; // series-0 and on of the theme
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const SLOTS = COLOURS * DASHES.length;
  const PRIME = 16_777_619; // FNV-1a's, as the number it begins with
  const BEGIN = 2_166_136_261;

  /** Return {token: index of the series token, dash} of a device. */
  function look({ slot }) {
    return { token: `series-${slot % COLOURS}`, dash: DASHES[Math.floor(slot / COLOURS)] };
  }

  /** Return the slot that a name asks for. Names that differ in their last number alone ask for slots in its order. */
  function wish(id) {
    let hash = BEGIN;
    let number = 0;
    let isNumber = false;
    const mix = (value) => { hash = Math.imul(hash ^ value, PRIME); };
    for (let at = 0; at < id.length; at += 1) {
      const digit = id.charCodeAt(at) - 48;
      const isDigit = digit >= 0 && digit <= 9;
      if (!isDigit) mix(digit + 48);
      else if (isNumber) number = (number * 10 + digit) % SLOTS;
      else {
        mix(number);
        number = digit;
      }
      isNumber = isDigit;
    }
    return ((hash >>> 0) + number) % SLOTS;
  }

  /**
   * Give each of `ids` (in the order of names) a slot that none in `slots` (id -> slot) has: each colour once before
   * any comes with the next dash, and who asks for a colour before who has to take another. Beyond SLOTS devices each
   * has the slot it asks for.
   */
  function give(ids, slots) {
    if (slots.size + ids.length > SLOTS) {
      for (const id of ids) slots.set(id, wish(id));
      return;
    }
    const taken = new Set(slots.values());
    let left = ids;
    for (let first = 0; left.length > 0 && first < SLOTS; first += COLOURS) {
      for (let step = 0; step < COLOURS; step += 1) left = left.filter((id) => !take(id, first, step));
    }

    function take(id, first, step) {
      const slot = first + ((wish(id) + step) % COLOURS);
      if (taken.has(slot)) return false;
      taken.add(slot);
      slots.set(id, slot);
      return true;
    }
  }

  /**
   * Return id -> look of devices that are drawn together: of those alike one keeps its look, by name, and the others have
   * dashes of their colour that are free.
   */
  function apart(devices) {
    const found = new Map();
    const taken = new Set();
    const put = ({ id }, slot) => {
      taken.add(slot);
      found.set(id, look({ slot }));
    };
    for (const device of devices) if (!taken.has(device.slot)) put(device, device.slot);
    for (const device of devices) {
      if (found.has(device.id)) continue;
      let { slot } = device;
      for (let step = 1; step < DASHES.length && taken.has(slot); step += 1) slot = (slot + COLOURS) % SLOTS;
      put(device, slot);
    }
    return found;
  }

  bus.colours = { look, apart, wish, give, COLOURS, DASHES, SLOTS };
})();
