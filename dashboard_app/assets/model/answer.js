// Makes an answer whole (docs/tick.md): the dashboard leaves out what says nothing. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const NO_ROWS = { steps: [], age_ms: [] };
  const NOTHING = {
    reset: false, skipped: 0, roster: null, readings: [], alerts: NO_ROWS, counts: NO_ROWS, overview: null, new: 0,
  };

  /** Return an answer with all its fields; the topics' ages by their names in the page's `config`. */
  function whole(told, config) {
    const { kafka, topics } = told.pipeline;
    return {
      ...NOTHING, ...told, devices: { previous: [], ...told.devices },
      pipeline: {
        ...told.pipeline, kafka: { since_ms: null, error: null, ...kafka, address: config.kafka },
        topics: Object.fromEntries(Object.keys(config.topics).map((name, place) => [name, topics[place]])),
      },
    };
  }

  bus.answer = { whole };
})();
