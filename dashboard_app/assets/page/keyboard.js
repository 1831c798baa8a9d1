// Keyboard shortcuts; none while someone types or a dialog is open.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const KEYS = { " ": "pause", "/": "filter", t: "theme", u: "unit", "?": "help" };

  /** Return what a key asks for, or null. */
  function action(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return null;
    const target = event.target;
    if (target.closest?.("input, textarea, select, [contenteditable], dialog, [role=listbox]")) return null;
    if (event.key === " " && target.closest?.("button, a, summary")) return null; // presses that button
    return KEYS[event.key?.toLowerCase()] ?? null; // with Caps Lock too
  }

  /** Call `act(id)` for shortcuts from now on. */
  function listen(act) {
    document.addEventListener("keydown", (event) => {
      if (document.querySelector("dialog[open]")) return; // wherever the focus is: Tab leads out of it, to the browser
      const id = action(event);
      if (!id) return;
      event.preventDefault();
      if (!event.repeat) act(id); // a key that is held down is pressed once
    });
  }

  bus.keyboard = { action, listen };
})();
