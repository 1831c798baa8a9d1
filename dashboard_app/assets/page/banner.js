// Says that a connection is lost, since when, and that it is back.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  let shown = "";

  /** Return {kind, text, link: its words (to this page) if there is one} for the worst of what is wrong, or null. `sinceMs` is by the server's clock. */
  function message(connection, model, lostSinceMs, zone) {
    const since = (ms) => (ms === null ? "" : ` since ${bus.format.clock(ms, zone)}`);
    if (connection.offline) return { kind: "lost", text: `This browser is offline${since(lostSinceMs)}.` };
    if (connection.lost && connection.isSignedOut) {
      return { kind: "lost", text: `Signed out${since(lostSinceMs)}.`, link: "Sign in again" };
    }
    if (connection.lost) return { kind: "lost", text: `Connection to the dashboard lost${since(lostSinceMs)}.` };
    const kafka = model?.pipeline?.kafka;
    if (kafka && !kafka.ok) {
      return { kind: "lost", text: `Kafka at ${kafka.address} cannot be reached${since(kafka.since_ms)}.` };
    }
    if (connection.back) {
      const { readings } = connection.back;
      const what = readings === null ? "all that is held" : bus.format.plural(readings, "reading");
      return { kind: "back", text: `Back, caught up ${what}.` };
    }
    return null;
  }

  /** Draw; only the sentence is announced, not the seconds that tick beside it. */
  function draw(connection, model, lostSinceMs, zone, retryInMs) {
    const box = dom.by("banner");
    const now = message(connection, model, lostSinceMs, zone);
    const key = now ? now.kind + now.text : "";
    if (key !== shown) {
      shown = key;
      box.replaceChildren();
      box.className = `banner banner-${now?.kind ?? "none"}`;
      dom.attribute(box, "role", now?.kind === "lost" ? "alert" : null);
      dom.show(box, now !== null);
      if (now) box.append(dom.make("span", "", now.text));
      if (now?.link) box.append(dom.make("a", "", now.link, { href: "" })); // the address as it is when it is followed
      if (now) box.append(dom.make("span", "retry", "", { "aria-hidden": "true" }));
    }
    const retry = box.querySelector(".retry");
    if (!retry) return;
    const again = connection.lost && !connection.offline ? ` Asking again in ${Math.max(0, Math.ceil(retryInMs / 1000))} s.` : "";
    const asOf = model?.order.length ? "What you see is as of then." : "";
    dom.text(retry, now.kind === "lost" ? asOf + again : "");
  }

  bus.banner = { draw, message };
})();
