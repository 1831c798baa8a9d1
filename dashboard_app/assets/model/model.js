// What the browser knows of the fleet: takes answers in, answers questions. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const STALE_PERIODS = 3;
  const OFFLINE_PERIODS = 10;
  const SERIES_MS = 15 * 60_000;
  const MOST_POINTS = 1_000_000;
  const TRIM_EVERY_MS = 5_000;
  const COUNTS_KEPT_MS = 60_000;
  const FLEET_WITHOUT_DETAIL = 100;
  const FIRST_ROWS = 10;
  const SETTLE_MS = 5_000; // as long nobody has learnt who has which colour

  /** Return an empty model for the page's `config` (docs/tick.md). */
  function create(config) {
    const model = { config, received: 0, generation: 0, detail: null, roster: { key: "", ids: [] },
      turn: null, nextTurn: 0, roundBeganMs: null, choice: null, choices: 0, devices: new Map(), worn: new Map(), settledMs: Infinity };
    clear(model);
    return model;
  }

  function clear(model) {
    for (const [id, { slot }] of model.devices) model.worn.set(id, slot); // they come again in their colours
    Object.assign(model, {
      nowMs: null, devices: new Map(), order: [], counts: new Map(), averages: new Map(), wornUntilMs: Infinity,
      episodes: bus.episodes.create(STALE_PERIODS * model.config.reading_period_ms),
      fleet: null, overview: null, pipeline: null, points: 0, trimmedAtMs: 0, skipped: 0, skippedMs: -Infinity, inAnswer: [],
    });
    model.generation += 1;
  }

  /** Take an answer in; return how many readings were new, null after a reset. `keepFromMs`: a paused page shows them still. */
  function ingest(model, answer, keepFromMs = Infinity) {
    if (answer.reset) clear(model);
    model.beforeMs = model.nowMs;
    model.nowMs = answer.now;
    if (answer.roster) model.roster = { key: answer.roster[0], ids: answer.roster[1] };
    model.pipeline = answer.pipeline;
    const newest = rows(model, answer.devices);
    join(model, newest, keepFromMs !== Infinity);
    const isTurn = model.turn !== null && !answer.reset;
    const fresh = takeNewest(model, newest, bus.turns.isFollowed, new Map(answer.devices.previous));
    const drawn = takeReadings(model, answer.readings, newest);
    const alerts = rows(model, answer.alerts);
    if (answer.reset && alerts.length >= model.config.most_alerts) model.episodes.knownFromMs = beginMs(alerts);
    alerts.sort((a, b) => a[1] - b[1]);
    if (isTurn) takeNewest(model, [...answer.readings, ...alerts], (_, device) => device.asked);
    const isNobodys = isTurn && answer.devices.id?.length === 0; // a worker that knows nothing yet
    if (!isNobodys) bus.turns.note(model, isTurn && !answer.devices.id ? newest : null);
    for (const [id, ms, celsius] of alerts) bus.episodes.add(model.episodes, id, ms, celsius);
    takeWindows(model, answer);
    model.fleet = answer.fleet;
    model.overview = bus.chosen.join(model, answer, Math.min(model.nowMs - SERIES_MS, keepFromMs));
    if (answer.skipped > 0) model.skippedMs = model.nowMs;
    model.skipped += answer.skipped;
    if (model.pipeline.behind > 0) for (const id of model.inAnswer) askAgain(model.devices.get(id)); // its worker is loading
    if (model.nowMs - model.trimmedAtMs >= TRIM_EVERY_MS) trim(model, Math.min(model.nowMs - SERIES_MS, keepFromMs));
    if (answer.reset) return null;
    const received = isTurn ? answer.new : Math.max(fresh, drawn + answer.skipped);
    model.received += received;
    return received;
  }

  /** Return when the first of these rows were; a single clock may be behind. */
  function beginMs(told) {
    return Math.max(...told.slice(0, FIRST_ROWS).map(([, ms]) => ms));
  }

  function askAgain(device) {
    if (device) device.asked = false;
  }

  /** Return columns as rows [id, ms, value]; ids that are not told are so many steps on in the roster, or all of it. */
  function rows(model, { id, steps, age_ms: agesMs, celsius, count: values = celsius }) {
    const { ids } = model.roster;
    let place = 0;
    const told = id ?? steps?.map((step) => ids[(place += step)]) ?? ids;
    return agesMs.map((ageMs, row) => [told[row], model.nowMs - ageMs, values[row]]);
  }

  /** Make a device of each that was not heard before. */
  function join(model, newest, isPaused) {
    const joined = [];
    for (const [id] of newest) {
      if (model.devices.has(id)) continue;
      model.devices.set(id, {
        id, tMs: -Infinity, celsius: null, previousCelsius: null, series: bus.series.create(), asked: false, slot: null,
        highMs: null, highBeforeMs: null, toldMs: model.nowMs,
      });
      joined.push(id);
    }
    if (joined.length === 0) return;
    model.order = model.order.concat(joined).sort(byName);
    dress(model, isPaused);
  }

  /** Give those that joined their colours. In the first seconds all choose anew, as they will after a reload. */
  function dress(model, isPaused) {
    const { devices, worn, nowMs } = model;
    const isSettled = isPaused || nowMs >= model.settledMs;
    const isFirst = model.settledMs === Infinity;
    if (isFirst || (!isSettled && model.pipeline.behind > 0)) model.settledMs = nowMs + SETTLE_MS;
    if (model.wornUntilMs === Infinity || model.pipeline.behind > 0) model.wornUntilMs = nowMs + SETTLE_MS;
    if (!isSettled || nowMs >= model.wornUntilMs) worn.clear();
    const slots = new Map(worn);
    for (const [id, { slot }] of isSettled ? devices : []) if (slot !== null) slots.set(id, slot);
    bus.colours.give(model.order.filter((id) => !slots.has(id)), slots);
    let isOther = false;
    for (const [id, device] of devices) {
      isOther ||= device.slot !== null && device.slot !== slots.get(id);
      device.slot = slots.get(id);
      worn.delete(id);
    }
    if (isOther) model.generation += 1;
  }

  /**
   * Take the newest readings; a previous value that is not told (by row) is the one that was newest here, of a device of
   * which `isFollowed(model, device)` says that no reading was left out.
   */
  function takeNewest(model, newest, isFollowed, previous = new Map()) {
    let fresh = 0;
    newest.forEach(([id, ms, celsius], row) => {
      const device = model.devices.get(id);
      if (!device || ms < device.tMs) return;
      if (ms > device.tMs) {
        fresh += 1;
        device.previousCelsius = isFollowed(model, device) ? device.celsius : null;
        device.heardMs = Math.min(ms, model.nowMs); // the same one again is not heard again
      }
      if (previous.has(row)) device.previousCelsius = previous.get(row);
      Object.assign(device, { tMs: ms, celsius });
      if (isHigh(model, celsius)) noteHigh(device, ms);
    });
    return fresh;
  }

  /** Keep two times of alerts, the older one old enough to be answered by now: what is not in detail has no series. */
  function noteHigh(device, ms) {
    if (ms - (device.highMs ?? -Infinity) < bus.diagnosis.PATIENCE_MS) return;
    device.highBeforeMs = device.highMs;
    device.highMs = ms;
  }

  /** Put readings into the series of what is in detail: those told one by one, then the newest of each device. */
  function takeReadings(model, readings, newest) {
    let drawn = 0;
    const add = ([id, ms, celsius]) => {
      const device = model.devices.get(id);
      if (device && bus.series.add(device.series, ms, celsius)) drawn += 1;
    };
    readings.forEach(add);
    newest.filter(([id]) => model.detail?.has(id) ?? isSmall(model)).forEach(add);
    model.points += drawn;
    return drawn;
  }

  function takeWindows(model, answer) {
    for (const [id, startMs, count] of rows(model, answer.counts)) {
      const endMs = startMs + model.config.alert_count_length_ms;
      let window = model.counts.get(endMs);
      if (!window) model.counts.set(endMs, (window = new Map()));
      window.set(id, count);
    }
    for (const [id, endMs, celsius] of rows(model, answer.averages)) {
      const held = model.averages.get(id);
      if (!held || endMs >= held.endMs) model.averages.set(id, { endMs, celsius });
    }
  }

  /** Forget readings older than `fromMs`, windows that are over, devices unheard of for the whole history, here and there. */
  function trim(model, fromMs) {
    model.trimmedAtMs = model.nowMs;
    let points = 0;
    const unheard = [];
    for (const [id, device] of model.devices) {
      bus.series.trim(device.series, fromMs);
      points += device.series.end - device.series.first;
      if (model.nowMs - device.heardMs > model.config.history_ms) unheard.push(id);
    }
    forget(model, unheard);
    if (points > MOST_POINTS && fromMs < model.nowMs) {
      return trim(model, fromMs + (model.nowMs - fromMs) / 4); // paused for hours: the oldest go all the same
    }
    for (const endMs of model.counts.keys()) if (endMs < model.nowMs - COUNTS_KEPT_MS) model.counts.delete(endMs);
    bus.episodes.trim(model.episodes, model.nowMs - SERIES_MS);
    if (model.skippedMs < model.nowMs - SERIES_MS) model.skipped = 0; // no chart goes back so far
    model.points = points;
  }

  /** Forget those of these devices that the worker does not hear either: of one whose clock is behind, it does. */
  function forget(model, unheard) {
    if (unheard.length === 0) return;
    const roster = new Set(model.roster.ids);
    const gone = new Set(unheard.filter((id) => !roster.has(id)));
    if (gone.size === 0) return;
    for (const id of gone) {
      model.devices.delete(id);
      model.averages.delete(id);
    }
    model.order = model.order.filter((id) => !gone.has(id));
  }

  /** Tell whether a worker that is asked for everything sends every reading. */
  function isSmall(model) {
    return model.devices.size <= FLEET_WITHOUT_DETAIL;
  }

  /** Return -1, 0, 1 by name, numbers inside it by their value. */
  const collator = new Intl.Collator("en", { numeric: true });
  function byName(a, b) {
    return collator.compare(a, b) || (a < b ? -1 : Number(a > b));
  }

  /** Tell whether a reading is an alert, by the rule of job alert, whose rounding matters near the threshold alone. */
  function isHigh({ config }, celsius) {
    const above = celsius + 273.15 - config.threshold_kelvin;
    return Math.abs(above) > 0.01 ? above > 0 : bus.format.kelvin(celsius) > config.threshold_kelvin;
  }

  /** Return OK, HIGH, STALE or OFFLINE: numbers grow old by the clock, a device is silent when an answer says so. */
  function state(model, device, nowMs) {
    const periodMs = model.config.reading_period_ms;
    if (bus.turns.silentMs(model, device, Math.min(nowMs, model.nowMs)) > OFFLINE_PERIODS * periodMs) return "OFFLINE";
    if (bus.turns.silentMs(model, device, nowMs) > STALE_PERIODS * periodMs) return "STALE";
    return isHigh(model, device.celsius) ? "HIGH" : "OK";
  }

  /** Return what an order other than by name goes by, the highest first; who has no part in it is -Infinity. */
  function rank(model, device, nowMs, sort) {
    const word = state(model, device, nowMs);
    if (sort === "silent") return word === "STALE" || word === "OFFLINE" ? nowMs - device.heardMs : -Infinity;
    return word === "OFFLINE" ? -Infinity : device.celsius; // an answer that is late shuffles no cards
  }

  /** Return the alerts by device of the window that ends at the current step. */
  function countsNow(model, nowMs) {
    const stepMs = model.config.alert_count_step_ms;
    return model.counts.get(Math.floor(nowMs / stepMs) * stepMs) ?? new Map();
  }

  /** Return a device's alerts of that window; 0 without a result for it. */
  function alertsNow(model, id, nowMs) {
    return countsNow(model, nowMs).get(id) ?? 0;
  }

  /** Return the newest average {celsius, endMs}, or null; a device that is offline has no live one. */
  function average(model, device, nowMs) {
    const newest = model.averages.get(device.id);
    return newest && state(model, device, nowMs) !== "OFFLINE" ? newest : null;
  }

  /** Return the fleet row's numbers over these devices: the worker's where it tells them, ours are as old as a turn. */
  function summary(model, selected, nowMs) {
    const told = selected.length === model.order.length ? bus.turns.sums(model, nowMs) : null;
    if (told) return { ...told, alerts: [...countsNow(model, nowMs).values()].reduce((sum, count) => sum + count, 0) };
    const result = { OK: 0, HIGH: 0, STALE: 0, OFFLINE: 0, alerts: 0, meanCelsius: null, hottest: null };
    let sum = 0;
    let live = 0;
    for (const id of selected) {
      const device = model.devices.get(id);
      if (!device) continue;
      const word = state(model, device, nowMs);
      result[word] += 1;
      result.alerts += alertsNow(model, id, nowMs);
      if (word !== "OK" && word !== "HIGH") continue;
      sum += device.celsius;
      live += 1;
      if (!result.hottest || device.celsius > result.hottest.celsius) result.hottest = device;
    }
    if (live > 0) result.meanCelsius = sum / live;
    return result;
  }

  /** Return the known devices of a choice (null: all), in order of name. */
  function selected(model, chosen) {
    if (chosen === null) return model.order;
    return chosen.filter((id) => model.devices.has(id)).sort(byName);
  }

  /** Return how many readings of these devices (null: of all) a pause holds back; of all, too, where they are too many to draw. */
  function heldBack(model, ids, { pausedAtMs, pausedReceived }) {
    if (ids === null || bus.chartData.mode(ids.length) === "overview") return model.received - pausedReceived;
    return ids.reduce((sum, id) => {
      const { series } = model.devices.get(id);
      return sum + series.end - bus.series.lowerBound(series, pausedAtMs + 1);
    }, 0);
  }

  /**
   * Return the next request. Small fleets come whole; of larger ones only what is `wanted`, with the history of
   * what came into view, and what left it is forgotten; of the largest the others are told in turn.
   */
  function request(model, cursor, wanted) {
    const roster = bus.turns.isBehind(model) ? "" : model.roster.key; // who holds none is told of all devices
    const bands = bus.chosen.request(model, roster !== "");
    model.detail = model.turn = null;
    model.inAnswer = [];
    if ((model.fleet?.devices ?? 0) <= FLEET_WITHOUT_DETAIL) return { cursor, detail: null, history: [], roster, ...bands };
    model.turn = bus.turns.next(model);
    const detail = [...new Set(wanted)].slice(0, 200);
    const inDetail = new Set(detail);
    model.detail = inDetail;
    for (const [id, device] of model.devices) {
      if (inDetail.has(id) || device.series.end === device.series.first) continue;
      device.series = bus.series.create();
    }
    const history = detail.filter((id) => model.devices.get(id) && !model.devices.get(id).asked).slice(0, 50);
    for (const id of history) model.devices.get(id).asked = true;
    model.inAnswer = history;
    for (const [id, device] of model.devices) if (!inDetail.has(id)) device.asked = false;
    return { cursor, detail, history, roster, ...bands, ...(model.turn !== null && { turn: model.turn }) };
  }

  bus.model = {
    create, ingest, state, rank, isHigh, alertsNow, average, summary, selected, heldBack, request, byName,
    STALE_PERIODS, SERIES_MS, FLEET_WITHOUT_DETAIL,
  };
})();
