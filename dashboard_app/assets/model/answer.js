// Makes an answer whole (docs/tick.md): the dashboard leaves out what says nothing. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const NO_ROWS = { steps: [], age_ms: [] };
  const NOTHING = {
    reset: false, skipped: 0, roster: null, readings: [], counts: NO_ROWS, overview: null, new: 0,
  };

  /** Return columns with their temperatures in degrees. */
  function inDegrees({ lowest, hundredths, ...columns }) {
    return hundredths ? { ...columns, celsius: hundredths.map((value) => (lowest + value) / 100) } : columns;
  }

  /** Return an answer with all its fields; the topics' ages by their names in the page's `config`. */
  function whole(told, config) {
    const { kafka, topics } = told.pipeline;
    return {
      ...NOTHING, ...told,
      devices: { previous: [], ...inDegrees(told.devices) },
      alerts: inDegrees(told.alerts ?? NO_ROWS), averages: inDegrees(told.averages),
      pipeline: {
        behind: 0, dead_letters: 0, ...told.pipeline,
        kafka: { ok: true, since_ms: null, error: null, ...kafka, address: config.kafka },
        topics: Object.fromEntries(Object.keys(config.topics).map((name, place) => [name, topics[place]])),
      },
    };
  }

  bus.answer = { whole };
})();
