// Which link of the pipeline is broken, told from the ages of its topics. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  /** What a job may take on top of what its windows take: joins, commits, a restart. */
  const PATIENCE_MS = 8_000;

  /**
   * Return the links from browser to topics: [{name, state: "ok" | "quiet" | "broken" | "unknown", text}].
   *
   * `connection` is connection.js's state; `ages` are ms since each topic's newest record, as of now.
   */
  function links(model, connection, sinceAnswerMs) {
    const pipeline = model.pipeline;
    const connected = !connection.lost;
    const result = [
      { name: "Browser", state: connection.offline ? "broken" : "ok", text: connection.offline ? "offline" : "online" },
      { name: "Dashboard", ...dashboard(connection, pipeline) },
      { name: "Kafka", ...kafka(pipeline, connected) },
    ];
    for (const topic of ["sensor", "alert", "alert-count", "avg-temp", "dead-letter"]) {
      result.push({ name: topic, topic: true, ...topicLink(model, topic, connected, sinceAnswerMs) });
    }
    return result;
  }

  function dashboard(connection, pipeline) {
    if (connection.offline) return { state: "unknown", text: "unknown" };
    if (connection.lost && connection.isSignedOut) return { state: "broken", text: "signed out", fault: "You are signed out" };
    if (connection.lost) return { state: "broken", text: "no answer" };
    if (!pipeline) return { state: "unknown", text: "asking" };
    if (pipeline.behind > 0) return { state: "quiet", text: `${bus.format.count(pipeline.behind)} behind` };
    return { state: "ok", text: "answers" };
  }

  function kafka(pipeline, connected) {
    if (!pipeline || !connected) return { state: "unknown", text: "unknown" };
    return pipeline.kafka.ok ? { state: "ok", text: "connected" } : { state: "broken", text: "unreachable" };
  }

  function topicLink(model, topic, connected, sinceAnswerMs) {
    const pipeline = model.pipeline;
    if (!pipeline || !connected || !pipeline.kafka.ok) return { state: "unknown", text: "unknown" };
    if (topic === "dead-letter") {
      const number = pipeline.dead_letters;
      const age = pipeline.topics[topic];
      if (!number) return { state: "ok", text: "none" };
      return { state: "quiet", text: `${bus.format.count(number)}${ageText(age, sinceAnswerMs, ", ")}` };
    }
    const age = pipeline.topics[topic] ?? null;
    const broken = fault(model, topic, age);
    const text = age === null ? "nothing yet" : bus.format.fineDuration(age + sinceAnswerMs);
    if (broken) return { state: "broken", text, fault: broken };
    const quietMs = bus.model.STALE_PERIODS * model.config.reading_period_ms;
    return { state: age === null || (topic === "sensor" && age > quietMs) ? "quiet" : "ok", text };
  }

  function ageText(age, sinceAnswerMs, before) {
    return age === null || age === undefined ? "" : `${before}${bus.format.duration(age + sinceAnswerMs)} ago`;
  }

  /** Return what is broken at a topic, or null; while history is read a topic may be further than its source. */
  function fault(model, topic, age) {
    if (model.pipeline.behind > 0) return null;
    return age === null ? silent(model, topic) : late(model, topic);
  }

  /** Return the fault of a topic that has not followed its source for too long, or null. */
  function late(model, topic) {
    const { topics } = model.pipeline;
    const { config } = model;
    if (topic === "alert-count" && topics.alert !== null) {
      return topics[topic] - topics.alert > PATIENCE_MS ? "job alert-count does not follow alert" : null;
    }
    if (topic === "avg-temp" && topics.sensor !== null) {
      const allowedMs = config.avg_temp_step_ms + config.avg_temp_grace_ms + PATIENCE_MS;
      return topics[topic] - topics.sensor > allowedMs ? "job avg-temp does not follow sensor" : null;
    }
    if (topic === "alert") return highUnanswered(model) ? "job alert does not follow sensor" : null;
    return null;
  }

  function silent(model, topic) {
    const { topics } = model.pipeline;
    const { config } = model;
    const heldMs = oldestHeldMs(model);
    if (topic === "alert-count") return topics.alert > PATIENCE_MS ? "job alert-count does not follow alert" : null;
    if (topic === "avg-temp") {
      const allowedMs = config.avg_temp_length_ms + config.avg_temp_grace_ms + PATIENCE_MS;
      return heldMs > allowedMs ? "job avg-temp does not follow sensor" : null;
    }
    if (topic === "alert") return highUnanswered(model) ? "job alert does not follow sensor" : null;
    return null;
  }

  function oldestHeldMs(model) {
    let oldestMs = model.overview?.t[0] ?? model.nowMs;
    for (const { series } of model.devices.values()) {
      if (series.end > series.first) oldestMs = Math.min(oldestMs, series.tMs[series.first]);
    }
    return model.nowMs - oldestMs;
  }

  /** Tell whether a device has been above the threshold for a while without one alert. */
  function highUnanswered(model) {
    const longestMs = 3 * PATIENCE_MS + bus.turns.roundMs(model);
    for (const [id, device] of model.devices) {
      const ms = highMs(model, device);
      if (ms === null || model.nowMs - ms > longestMs) continue;
      const newest = model.episodes.newest.get(id);
      if (!newest || newest.endMs < ms) return true;
    }
    return false;
  }

  /** Return when a device was above the threshold, long enough ago that there is an alert of it; null when it was not. */
  function highMs(model, { series, highBeforeMs }) {
    const at = bus.series.lowerBound(series, model.nowMs - PATIENCE_MS) - 1;
    if (at < series.first) return highBeforeMs;
    return bus.model.isHigh(model, series.celsius[at]) ? series.tMs[at] : null;
  }

  /** Tell whether numbers of now can be trusted: connected, history read, Kafka there, the job that makes them following. */
  function trusted(all, topic) {
    return ["Browser", "Dashboard", "Kafka", topic].every((name) => {
      const { state } = all.find((one) => one.name === name);
      return state === "ok" || (state === "quiet" && name !== "Dashboard");
    });
  }

  /** Tell whether states can be counted: of devices that were heard, unless newer readings of them are still to be read. */
  function areStatesKnown(model, isConnected) {
    return isConnected || (model.order.length > 0 && !(model.pipeline.behind > 0));
  }

  /** Return a device's state, LOADING where it cannot be told yet. */
  function state(model, device, nowMs, areKnown) {
    return areKnown ? bus.model.state(model, device, nowMs) : "LOADING";
  }

  bus.diagnosis = { links, trusted, areStatesKnown, state, PATIENCE_MS };
})();
