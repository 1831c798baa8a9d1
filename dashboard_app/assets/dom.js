// Makes and fills elements; whatever comes from outside goes in as text.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const SVG = "http://www.w3.org/2000/svg";
  const ICONS = {
    OK: "M3 8.5l3.2 3.2L13 4.8",
    HIGH: "M8 2.5L14.5 13.5H1.5ZM8 6.5v3.5M8 12h0",
    STALE: "M8 2a6 6 0 1 0 0 12a6 6 0 0 0 0-12M8 4.8V8l2.4 1.6",
    OFFLINE: "M3.5 3.5l9 9M12.5 3.5l-9 9",
    LOADING: "M3.5 8h0M8 8h0M12.5 8h0",
  };

  /** Return the element of that id. */
  function by(id) {
    return document.getElementById(id);
  }

  /** Return a new element with class, text and attributes. */
  function make(tag, className = "", content = "", attributes = {}) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (content) element.textContent = content;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  /** Return a new SVG element with attributes. */
  function svg(tag, attributes = {}) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  /** Return a state's icon, which the word beside it names. */
  function icon(state) {
    const box = svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" });
    box.append(svg("path", { d: ICONS[state] }));
    return box;
  }

  /** Set an icon's shape. */
  function setIcon(box, state) {
    attribute(box.firstChild, "d", ICONS[state]);
  }

  /** Set text, only when it differs: what stands costs nothing and keeps a selection. */
  function text(element, value) {
    if (element.textContent !== value) element.textContent = value;
  }

  /** Set an attribute, only when it differs; null takes it away. */
  function attribute(element, name, value) {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }

  /** Show or hide an element. */
  function show(element, shown) {
    if (element.hidden === shown) element.hidden = !shown;
  }

  /** Put elements into a box in this order, those that are there too; the one with the focus stays, others move around it. */
  function order(box, elements) {
    const focused = box.contains(document.activeElement) ? elements.find((one) => one.contains(document.activeElement)) : null;
    let at = box.firstChild;
    for (const element of elements) {
      while (element === focused && at !== element) {
        const next = at.nextSibling;
        box.append(at); // it is put into its place below
        at = next;
      }
      if (element === at) at = at.nextSibling;
      else box.insertBefore(element, at);
    }
  }

  bus.dom = { by, make, svg, icon, setIcon, text, attribute, show, order };
})();
