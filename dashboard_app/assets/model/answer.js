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

  /** Return readings by device as rows [id, ms, celsius]: each is told as what it differs in from the one before. */
  function past({ id, readings, ms: steps, hundredths, celsius }, nowMs) {
    const rows = [];
    let ms = nowMs;
    let sum = 0;
    id.forEach((name, device) => {
      for (const end = rows.length + readings[device]; rows.length < end;) {
        const at = rows.length;
        ms += steps[at];
        if (hundredths) sum += hundredths[at];
        rows.push([name, ms, hundredths ? sum / 100 : celsius[at]]);
      }
    });
    return rows;
  }

  /** Return an answer with all its fields; the topics' ages by their names in the page's `config`. */
  function whole({ history, ...told }, config) {
    const { kafka, topics } = told.pipeline;
    return {
      ...NOTHING, ...told,
      readings: [...(history ? past(history, told.now) : []), ...(told.readings ?? [])],
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
