// What stands in place of cards and chart when there is nothing to show, and why.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const MOST_NAMED = 3;
  let emptySinceMs = null;

  /** Return the sentence, or "" when there is nothing to say. */
  function sentence(model, choices, shown, connection, waitedMs) {
    const { pipeline, order } = model;
    if (model.nowMs === null) return connection.lost ? "No answer from the dashboard yet." : "Loading.";
    if (order.length === 0) {
      if (pipeline.behind > 0) return `Loading history, ${bus.format.plural(pipeline.behind, "record")} to go.`;
      if (!pipeline.kafka.ok) return `Waiting for Kafka at ${pipeline.kafka.address}, ${bus.format.duration(waitedMs)}`;
      return `Waiting for the first reading on topic ${model.config.topics.sensor} at ${pipeline.kafka.address}, ${bus.format.duration(waitedMs)}`;
    }
    if (choices.devices !== null && choices.devices.length === 0) return "No device is selected. Choose some in the filter.";
    const missing = (choices.devices ?? []).filter((id) => !model.devices.has(id));
    const parts = [];
    if (missing.length) parts.push(unknown(missing));
    if (shown === 0 && missing.length === 0) parts.push("No device to show.");
    if (model.fleet?.refused > 0) parts.push(`Left out: ${bus.format.plural(model.fleet.refused, "record")} of devices beyond the dashboard's limit.`);
    if (model.skipped > 0) parts.push(`Left out of the charts: ${bus.format.plural(model.skipped, "reading")}, more than one answer holds.`);
    if (bus.choices.areTooMany(choices)) parts.push("More devices are chosen than the address can name: a reload or a link shows all.");
    if (pipeline.behind > 0) parts.push(`Loading history, ${bus.format.plural(pipeline.behind, "record")} to go.`);
    return parts.join(" ");
  }

  function unknown(missing) {
    const names = missing.slice(0, MOST_NAMED).join(", ");
    const more = missing.length > MOST_NAMED ? ` and ${missing.length - MOST_NAMED} more` : "";
    return `Not heard of: ${names}${more}. Shown as soon as a reading comes.`;
  }

  /** Draw it. */
  function draw(model, choices, ids, connection) {
    const nowMs = performance.now();
    if (model.order.length > 0) emptySinceMs = null;
    else emptySinceMs ??= nowMs;
    const words = sentence(model, choices, ids.length, connection, emptySinceMs === null ? 0 : nowMs - emptySinceMs);
    const box = dom.by("notice");
    dom.text(box, words);
    dom.show(box, words !== "");
    dom.by("page").classList.toggle("is-empty", ids.length === 0);
    const total = bus.format.count(model.order.length);
    const number = ids.length === model.order.length ? total : `${bus.format.count(ids.length)} of ${total}`;
    dom.text(dom.by("cards-note"), number + outOfView(ids.length > bus.cards.MOST_IN_PAGE ? bus.turns.roundMs(model) : 0));
  }

  /** Return what is to be known of cards out of view: of a large fleet they are told in turn. */
  function outOfView(roundMs) {
    return roundMs ? `; those out of view are updated every ${bus.format.duration(roundMs)}` : "";
  }

  bus.notice = { draw, sentence, outOfView };
})();
