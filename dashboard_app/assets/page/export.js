// Saves what the chart shows as CSV: asks the API for it and hands it to the browser's download.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const SLOW_AFTER_MS = 500;
  const NOTE_SHOWN_MS = 10_000;
  const KEPT_MS = 10_000;
  let saving = false;
  let noteTimer = null;

  /** Save; says why when that fails. `view`: see model/export.js, `limit` and other `words` to say at the end. */
  async function save(prefix, view) {
    if (saving) return;
    const addresses = bus.export.addresses(prefix, view);
    if (addresses.length === 0) return note("Nothing to export: no device is shown.");
    if (!view.limit.is) return note(view.limit.words);
    saving = true;
    const slow = setTimeout(() => note("Exporting."), SLOW_AFTER_MS);
    try {
      download(bus.export.merge(await ask(addresses)), view.toMs);
      note(`${view.words} ${view.limit.words}`.trim());
    } catch (error) {
      note(`Not exported: ${error.message}.`);
    } finally {
      clearTimeout(slow);
      saving = false;
    }
  }

  async function ask(addresses) {
    const texts = [];
    for (let address of addresses) {
      while (address) {
        const answer = await fetch(address).catch(() => { throw new Error("the dashboard does not answer"); });
        if (!answer.ok) throw new Error(await reason(answer));
        texts.push(await answer.text());
        address = bus.export.following(answer.headers.get("Link"));
      }
    }
    return texts;
  }

  /** Return the API's own words, if these are. */
  async function reason(answer) {
    const problem = await answer.json().catch(() => null);
    return problem?.detail ?? problem?.error ?? `the dashboard answers ${answer.status}`;
  }

  function download(text, toMs) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = `sensorbus-${new Date(toMs).toISOString().slice(0, 19).replaceAll(":", "")}Z.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
  }

  /** Say something for a while. */
  function note(words) {
    clearTimeout(noteTimer);
    dom.text(dom.by("export-note"), words);
    if (words) noteTimer = setTimeout(() => dom.text(dom.by("export-note"), ""), NOTE_SHOWN_MS);
  }

  bus.exporter = { save };
})();
