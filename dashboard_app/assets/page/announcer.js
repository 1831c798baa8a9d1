// Says changes of state to screen readers: politely, at most once per 10 s, never ticking numbers.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const EVERY_MS = 10_000;
  const MOST_NAMED = 3;
  let before = new Map(); // id -> state, of those that were chosen
  const waiting = new Map(); // id -> state
  let saidMs = -Infinity;

  /** Return the sentence for changes [[id, state], ...]. */
  function sentence(changes) {
    const byState = new Map();
    for (const [id, state] of changes) {
      const group = byState.get(state) ?? { number: 0, names: [] };
      byState.set(state, group);
      group.number += 1;
      if (group.names.length < MOST_NAMED) group.names.push(id);
    }
    return [...byState].map(([state, { number, names }]) => {
      const more = number > names.length ? ` and ${bus.format.count(number - names.length)} more` : "";
      return `${state}: ${names.join(", ")}${more}.`;
    }).join(" ");
  }

  /** Look at the states of the chosen devices and say what changed. */
  function observe(model, ids, nowMs) {
    const now = new Map();
    for (const id of ids) {
      const state = bus.model.state(model, model.devices.get(id), nowMs);
      const was = before.get(id);
      now.set(id, state);
      if (was && was !== state) waiting.set(id, state);
    }
    before = now;
    if (waiting.size === 0 || nowMs - saidMs < EVERY_MS) return;
    saidMs = nowMs;
    dom.text(dom.by("announcer"), sentence(waiting));
    waiting.clear();
  }

  bus.announcer = { observe, sentence };
})();
