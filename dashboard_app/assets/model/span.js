// The span of time that the chart shows: in words, and which one a key asks for. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const LEAST_MS = 5_000;
  const STEP = 1 / 4; // of the span
  const MOVES = { ArrowLeft: -STEP, ArrowRight: STEP };
  const ZOOMS = { "+": 1 / 2, "=": 1 / 2, "-": 2 }; // = is + without Shift
  const LIVE = "0";

  /**
   * Return the span {fromMs, toMs} that a key asks for, null for live, undefined for a key that asks for nothing.
   *
   * `view`: {fromMs, toMs: what is shown, nowMs, windowMs: what live shows, heldMs: how far back readings go}.
   */
  function asked(key, view) {
    if (key === LIVE) return null;
    const spanMs = view.toMs - view.fromMs;
    if (Object.hasOwn(MOVES, key)) return placed(view.toMs + spanMs * MOVES[key], spanMs, view);
    if (!Object.hasOwn(ZOOMS, key)) return undefined;
    const wantedMs = Math.min(Math.max(spanMs * ZOOMS[key], Math.min(LEAST_MS, spanMs)), view.heldMs);
    const ahead = isNewest(view.toMs, spanMs, view.nowMs) ? 0 : (wantedMs - spanMs) / 2; // else around the middle
    return placed(view.toMs + ahead, wantedMs, view);
  }

  /** Tell whether what is newest is in view, or was when the last key was pressed. */
  function isNewest(toMs, spanMs, nowMs) {
    return nowMs - toMs < spanMs * STEP;
  }

  /** Return a span that ends there, moved into what is held; null when it is what live shows. */
  function placed(toMs, spanMs, view) {
    const span = within({ fromMs: toMs - spanMs, toMs }, view);
    if (isNewest(span.toMs, spanMs, view.nowMs) && Math.round(spanMs) === view.windowMs) return null;
    return span;
  }

  /** Return a span moved into what is held, and cut to it: no reading is later than now, or older. */
  function within({ fromMs, toMs }, { nowMs, heldMs }) {
    const spanMs = Math.min(toMs - fromMs, heldMs);
    const endMs = Math.max(Math.min(toMs, nowMs), nowMs - heldMs + spanMs);
    return { fromMs: endMs - spanMs, toMs: endMs };
  }

  /** Return the span in words: "last 100 s", or "12:00:05 to 12:00:35" of a zoom. `view`: see chart_data.js. */
  function words({ zoom, windowMs, zone }) {
    if (!zoom) return `last ${bus.format.range(windowMs)}`;
    return [zoom.fromMs, zoom.toMs].map((ms) => bus.format.clock(ms, zone)).join(" to ");
  }

  bus.span = { asked, within, words };
})();
