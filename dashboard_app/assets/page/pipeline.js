// The strip that names each link from browser to topics, with ages, and what is broken.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const WORDS = { ok: "", quiet: "", broken: "broken", unknown: "" };
  const made = new Map();
  let fault = null;

  function make(link) {
    const parts = {
      box: dom.make("span", link.topic ? "link topic" : "link"),
      text: dom.make("span", "link-text"),
      word: dom.make("strong", "link-word"),
    };
    parts.box.append(dom.make("span", "dot", "", { "aria-hidden": "true" }), dom.make("span", "link-name", link.name),
      parts.text, parts.word);
    return parts;
  }

  /** Draw the links that diagnosis.js found; return the first fault as a sentence, or null. */
  function draw(links, pipeline) {
    const strip = dom.by("pipeline");
    for (const link of links) {
      let parts = made.get(link.name);
      if (!parts) {
        parts = make(link);
        made.set(link.name, parts);
        strip.append(parts.box);
      }
      dom.attribute(parts.box, "data-link", link.state);
      dom.text(parts.text, link.text);
      dom.text(parts.word, WORDS[link.state]);
    }
    if (!fault) strip.append((fault = dom.make("span", "link-fault")));
    const broken = links.find((link) => link.state === "broken");
    const sentence = broken ? describe(broken, pipeline) : "";
    dom.text(fault, sentence);
    return sentence || null;
  }

  function describe(link, pipeline) {
    if (link.fault) return link.fault;
    if (link.name === "Kafka") return `Kafka at ${pipeline.kafka.address} cannot be reached`;
    if (link.name === "Browser") return "This browser is offline";
    return "The dashboard does not answer";
  }

  bus.pipeline = { draw };
})();
