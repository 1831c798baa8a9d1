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

  /** Return an empty model for the page's `config` (docs/tick.md). */
  function create(config) {
    const model = { config, received: 0, skipped: 0, generation: 0 };
    clear(model);
    return model;
  }

  function clear(model) {
    Object.assign(model, {
      nowMs: null, devices: new Map(), order: [], counts: new Map(), averages: new Map(), joined: 0,
      episodes: bus.episodes.create(STALE_PERIODS * model.config.reading_period_ms),
      fleet: null, overview: null, pipeline: null, points: 0, trimmedAtMs: 0,
    });
    model.generation += 1;
  }

  /** Take an answer in; return the number of readings that were new. `keepFromMs`: a paused page still shows them. */
  function ingest(model, answer, keepFromMs = Infinity) {
    if (answer.reset) clear(model);
    model.nowMs = answer.now;
    const fresh = takeNewest(model, answer.devices);
    const drawn = takeReadings(model, answer.readings);
    for (const [id, ms, celsius] of answer.alerts) bus.episodes.add(model.episodes, id, ms, celsius);
    takeWindows(model, answer);
    model.fleet = answer.fleet;
    model.overview = answer.overview;
    model.pipeline = answer.pipeline;
    model.skipped += answer.skipped;
    if (model.nowMs - model.trimmedAtMs >= TRIM_EVERY_MS) trim(model, Math.min(model.nowMs - SERIES_MS, keepFromMs));
    const received = answer.reset ? 0 : Math.max(fresh, drawn + answer.skipped);
    model.received += received;
    return received;
  }

  function takeNewest(model, rows) {
    let joined = [];
    let fresh = 0;
    for (const [id, ms, celsius, previousCelsius] of rows) {
      let device = model.devices.get(id);
      if (!device) {
        device = { id, tMs: -Infinity, series: bus.series.create(), asked: false };
        model.devices.set(id, device);
        joined.push(id);
      }
      if (ms < device.tMs) continue;
      if (ms > device.tMs) fresh += 1;
      Object.assign(device, { tMs: ms, celsius, previousCelsius, heardMs: Math.min(ms, model.nowMs) });
    }
    if (joined.length === 0) return fresh;
    joined = joined.sort(byName);
    for (const id of joined) model.devices.get(id).colour = model.joined++;
    model.order = model.order.concat(joined).sort(byName);
    return fresh;
  }

  function takeReadings(model, rows) {
    let drawn = 0;
    for (const [id, ms, celsius] of rows) {
      const device = model.devices.get(id);
      if (device && bus.series.add(device.series, ms, celsius)) drawn += 1;
    }
    model.points += drawn;
    return drawn;
  }

  function takeWindows(model, answer) {
    for (const [id, , endMs, count] of answer.counts) {
      let ends = model.counts.get(id);
      if (!ends) model.counts.set(id, (ends = new Map()));
      ends.set(endMs, count);
    }
    for (const [id, startMs, endMs, celsius] of answer.averages) {
      const held = model.averages.get(id);
      if (!held || endMs >= held.endMs) model.averages.set(id, { startMs, endMs, celsius });
    }
  }

  /** Forget readings older than `fromMs`, windows that are over, devices unheard of for the whole history. */
  function trim(model, fromMs) {
    model.trimmedAtMs = model.nowMs;
    let points = 0;
    const gone = new Set();
    for (const [id, device] of model.devices) {
      bus.series.trim(device.series, fromMs);
      points += device.series.end - device.series.first;
      if (model.nowMs - device.heardMs > model.config.history_ms) gone.add(id);
    }
    forget(model, gone);
    if (points > MOST_POINTS && fromMs < model.nowMs) {
      return trim(model, fromMs + (model.nowMs - fromMs) / 4); // paused for hours: the oldest go all the same
    }
    for (const [id, ends] of model.counts) {
      for (const endMs of ends.keys()) if (endMs < model.nowMs - COUNTS_KEPT_MS) ends.delete(endMs);
      if (ends.size === 0) model.counts.delete(id);
    }
    bus.episodes.trim(model.episodes, model.nowMs - SERIES_MS);
    model.points = points;
  }

  function forget(model, gone) {
    if (gone.size === 0) return;
    for (const id of gone) {
      model.devices.delete(id);
      model.averages.delete(id);
    }
    model.order = model.order.filter((id) => !gone.has(id));
  }

  /** Return -1, 0, 1 by name, numbers inside it by their value. */
  const collator = new Intl.Collator("en", { numeric: true });
  function byName(a, b) {
    return collator.compare(a, b) || (a < b ? -1 : Number(a > b));
  }

  /** Tell whether a reading is an alert, by the rule of job alert. */
  function isHigh(model, celsius) {
    return bus.format.kelvin(celsius) > model.config.threshold_kelvin;
  }

  /** Return OK, HIGH, STALE or OFFLINE. */
  function state(model, device, nowMs) {
    const periods = (nowMs - device.heardMs) / model.config.reading_period_ms;
    if (periods > OFFLINE_PERIODS) return "OFFLINE";
    if (periods > STALE_PERIODS) return "STALE";
    return isHigh(model, device.celsius) ? "HIGH" : "OK";
  }

  /** Return the alerts of the window that ends at the current step; 0 without a result for it. */
  function alertsNow(model, id, nowMs) {
    const stepMs = model.config.alert_count_step_ms;
    return model.counts.get(id)?.get(Math.floor(nowMs / stepMs) * stepMs) ?? 0;
  }

  /** Return the newest average {celsius, endMs}, or null; a device that is offline has no live one. */
  function average(model, device, nowMs) {
    const newest = model.averages.get(device.id);
    return newest && state(model, device, nowMs) !== "OFFLINE" ? newest : null;
  }

  /** Return the fleet row's numbers over these devices. */
  function summary(model, selected, nowMs) {
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

  /**
   * Return the next request. Small fleets come whole; of larger ones only what is `wanted`, with the history of
   * what came into view, and what left it is forgotten.
   */
  function request(model, cursor, wanted) {
    if ((model.fleet?.devices ?? 0) <= FLEET_WITHOUT_DETAIL) return { cursor, detail: null, history: [] };
    const detail = [...new Set(wanted)].slice(0, 200);
    const inDetail = new Set(detail);
    for (const [id, device] of model.devices) {
      if (inDetail.has(id) || device.series.end === device.series.first) continue;
      device.series = bus.series.create();
    }
    const history = detail.filter((id) => model.devices.get(id) && !model.devices.get(id).asked).slice(0, 50);
    for (const id of history) model.devices.get(id).asked = true;
    for (const [id, device] of model.devices) if (!inDetail.has(id)) device.asked = false;
    return { cursor, detail, history };
  }

  bus.model = {
    create, ingest, state, isHigh, alertsNow, average, summary, selected, request, byName,
    STALE_PERIODS, FLEET_WITHOUT_DETAIL,
  };
})();
