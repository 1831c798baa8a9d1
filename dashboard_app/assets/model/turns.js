// Fleets of which an answer tells a part: whose turn it is, and how old what is known of the others is. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const LATE_ROUNDS = 3; // a round that takes as long has ticks that are slow, or none for a while

  /** Return the place in the roster whose turn is next, null while each answer tells of all devices. */
  function next({ roster, nextTurn, config }) {
    const { length } = roster.ids;
    if (length <= config.turn_devices) return null;
    return nextTurn < length ? nextTurn : 0;
  }

  /** Tell whether the answer before this one had a device's newest reading too. */
  function isFollowed(model, device) {
    return model.turn === null || (device.asked && device.toldMs === model.beforeMs);
  }

  /** Note of which devices the newest reading is known by now: of all, or of `rows` (whose turn it was) and who is followed. */
  function note(model, rows) {
    for (const [id] of rows ?? []) model.devices.get(id).toldMs = model.nowMs;
    for (const device of model.devices.values()) if (!rows || device.asked) device.toldMs = model.nowMs;
    if (!rows || model.turn === 0) model.roundBeganMs = model.nowMs;
    if (rows) model.nextTurn = model.turn + model.config.turn_devices;
  }

  /** Tell whether the round takes far too long: what became of most devices is not known. */
  function isBehind(model) {
    return next(model) !== null && model.nowMs - model.roundBeganMs > LATE_ROUNDS * roundMs(model);
  }

  /** Return for how long a device had been silent by `nowMs`, as far as is known: nobody hears of it between its turns. */
  function silentMs(model, device, nowMs) {
    const untoldMs = Math.max(0, Math.min(nowMs, model.nowMs) - Math.max(device.toldMs, device.heardMs));
    return nowMs - untoldMs - device.heardMs;
  }

  /** Return every how many ms it is a device's turn; 0 while each answer tells of all devices. */
  function roundMs({ roster, config }) {
    const { length } = roster.ids;
    return length <= config.turn_devices ? 0 : Math.ceil(length / config.turn_devices) * config.tick_ms;
  }

  /** Return the worker's numbers of the whole fleet where they are of now, as summary's; else null. */
  function sums({ fleet, nowMs, config }, atMs) {
    const ageMs = fleet?.states ? atMs - Math.min(nowMs, fleet.states_ms) : Infinity;
    if (ageMs > bus.model.STALE_PERIODS * config.reading_period_ms) return null;
    const [OK, HIGH, STALE, OFFLINE] = fleet.states;
    const [id, celsius] = fleet.hottest ?? [];
    return { OK, HIGH, STALE, OFFLINE, meanCelsius: fleet.mean ?? null, hottest: fleet.hottest ? { id, celsius } : null };
  }

  bus.turns = { next, isFollowed, note, isBehind, silentMs, roundMs, sums };
})();
