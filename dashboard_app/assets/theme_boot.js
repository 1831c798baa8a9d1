// The theme: chosen before the first paint, followed when the system changes.
// It stands in the page's head, before the bundle of the others.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});

  const CHOICES = ["system", "light", "dark"];
  const KEY = "sensorbus";
  const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
  const forced = globalThis.matchMedia?.("(forced-colors: active)"); // then the ground is the system's, whatever is chosen
  let choice = "system";
  let isPrinting = false;
  let tokens = null;

  function stored() {
    try {
      return JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
    } catch {
      return {}; // storage is switched off or holds something else: the defaults serve
    }
  }

  function resolved() {
    if (isPrinting) return "light"; // as paper is
    return choice === "system" || forced?.matches ? (dark?.matches ? "dark" : "light") : choice;
  }

  /** Show the theme of that name; an unknown one is the system's. */
  function choose(name) {
    choice = CHOICES.includes(name) ? name : "system";
    document.documentElement.dataset.theme = resolved();
    tokens = null;
  }

  /** Return the colours in force: {text, grid, high, "series-0", ...}. */
  function colours() {
    if (tokens) return tokens;
    const style = getComputedStyle(document.documentElement);
    const names = ["text", "text-quiet", "grid", "line", "surface", "surface-raised", "high", "band", "band-core"];
    for (let index = 0; index < 7; index += 1) names.push(`series-${index}`);
    tokens = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    return tokens;
  }

  bus.theme = { CHOICES, KEY, choose, colours, stored, onSystemChange: () => {} };
  if (typeof document === "undefined") return;
  const query = new URLSearchParams(location.search);
  choose(CHOICES.includes(query.get("theme")) ? query.get("theme") : stored().theme);
  if (query.get("kiosk") === "1") document.documentElement.dataset.kiosk = "1";
  const changed = () => {
    choose(choice);
    bus.theme.onSystemChange();
  };
  for (const query of [dark, forced]) query?.addEventListener("change", changed);
  for (const moment of ["beforeprint", "afterprint"]) {
    addEventListener(moment, () => {
      isPrinting = moment === "beforeprint";
      changed();
    });
  }
})();
