// The multi-device filter: a button, a search field and a list that stays fast with 10,000 names.
//
// dcc.Dropdown hangs the page for half a minute once 10,000 of its options are chosen, and cannot tell "all" from
// "all of today"; so this follows the ARIA pattern of a combobox with a list of several choices.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const ROW_PX = 34;
  const LIST_PX = 306;
  const EXTRA_ROWS = 4;
  let parts = null;
  let order = []; // all known ids
  let chosen = null; // null: all
  let found = []; // ids that match the search
  let active = 0;
  let onChange = () => {};

  /** Build the control once; `change(devices)` is called with null (all) or a list. */
  function build(change) {
    onChange = change;
    const root = dom.by("filter");
    parts = {
      root,
      label: dom.make("label", "filter-label", "Devices", { for: "filter-button" }),
      button: dom.make("button", "button filter-button", "", {
        id: "filter-button", type: "button", "aria-haspopup": "dialog", "aria-expanded": "false",
        "aria-controls": "filter-panel", "aria-describedby": "filter-value",
      }),
      value: dom.make("span", "filter-value", "", { id: "filter-value" }),
      panel: dom.make("div", "filter-panel", "", { id: "filter-panel", role: "dialog", "aria-label": "Filter" }),
      search: dom.make("input", "filter-search", "", {
        type: "text", role: "combobox", placeholder: "Search by name", "aria-label": "Search by name",
        "aria-expanded": "true", "aria-controls": "filter-list", "aria-autocomplete": "list", autocomplete: "off",
        spellcheck: "false",
      }),
      all: dom.make("button", "button", "Select all", { type: "button" }),
      none: dom.make("button", "button", "Deselect all", { type: "button" }),
      list: dom.make("div", "filter-list", "", {
        id: "filter-list", role: "listbox", "aria-multiselectable": "true", "aria-label": "Names", tabindex: "-1",
      }),
      sizer: dom.make("div", "filter-sizer", "", { role: "presentation" }),
      note: dom.make("p", "filter-note"),
    };
    assemble();
    listen();
  }

  function assemble() {
    const { root, label, button, value, panel, search, all, none, list, sizer, note } = parts;
    button.append(value, dom.make("span", "caret", "", { "aria-hidden": "true" }));
    const buttons = dom.make("div", "filter-buttons");
    buttons.append(all, none);
    list.append(sizer);
    panel.append(search, buttons, list, note);
    panel.hidden = true;
    root.append(label, button, panel);
  }

  function listen() {
    const { root, button, search, all, none, list } = parts;
    button.addEventListener("click", () => (isOpen() ? close() : open()));
    search.addEventListener("input", () => find());
    search.addEventListener("keydown", onKey);
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !isOpen()) return;
      event.stopPropagation();
      close();
      button.focus();
    });
    all.addEventListener("click", () => switchAll(true));
    none.addEventListener("click", () => switchAll(false));
    list.addEventListener("scroll", drawList);
    list.addEventListener("mousedown", (event) => event.preventDefault()); // the search keeps the focus
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) toggle(Number(option.dataset.index));
    });
    document.addEventListener("pointerdown", (event) => {
      if (isOpen() && !root.contains(event.target)) close();
    });
    root.addEventListener("focusout", (event) => {
      if (isOpen() && event.relatedTarget && !root.contains(event.relatedTarget)) close();
    });
  }

  function isOpen() {
    return !parts.panel.hidden;
  }

  /** Open the list with the focus in the search. */
  function open() {
    parts.panel.hidden = false;
    dom.attribute(parts.button, "aria-expanded", "true");
    parts.search.value = "";
    find();
    parts.search.focus();
  }

  function close() {
    parts.panel.hidden = true;
    dom.attribute(parts.button, "aria-expanded", "false");
  }

  function onKey(event) {
    const page = Math.floor(LIST_PX / ROW_PX) - 1;
    const moves = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page };
    if (event.key in moves) move(moves[event.key]);
    else if (event.key === "Enter" && found.length) toggle(active);
    else return;
    event.preventDefault();
  }

  function move(to) {
    active = Math.min(Math.max(0, to), found.length - 1);
    const top = active * ROW_PX;
    const { list } = parts;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + ROW_PX > list.scrollTop + LIST_PX) list.scrollTop = top + ROW_PX - LIST_PX;
    drawList();
  }

  function find() {
    const words = parts.search.value.trim().toLowerCase();
    const missing = (chosen ?? []).filter((id) => !known.has(id));
    const every = missing.length ? [...missing, ...order] : order;
    found = words ? every.filter((id) => id.toLowerCase().includes(words)) : every;
    active = 0;
    parts.list.scrollTop = 0;
    drawList();
  }

  function toggle(index) {
    if (!(index in found)) return;
    active = index;
    onChange(bus.choices.toggle(chosen, order, found[index]));
  }

  function switchAll(on) {
    if (parts.search.value.trim()) onChange(bus.choices.switchAll(chosen, order, found, on));
    else onChange(on ? null : []);
  }

  /** Draw the rows in view; a row's place and words are of its index, so the page holds a dozen of them. */
  function drawList() {
    if (!isOpen()) return;
    const { list, sizer, search, note } = parts;
    sizer.style.height = `${found.length * ROW_PX}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - EXTRA_ROWS);
    const end = Math.min(found.length, first + Math.ceil(LIST_PX / ROW_PX) + EXTRA_ROWS * 2);
    while (sizer.children.length > end - first) sizer.lastChild.remove();
    while (sizer.children.length < end - first) sizer.append(makeOption());
    const names = chosen === null ? null : new Set(chosen);
    for (let index = first; index < end; index += 1) fillOption(sizer.children[index - first], index, names);
    dom.attribute(search, "aria-activedescendant", found.length ? `filter-option-${active}` : null);
    dom.text(note, found.length ? "" : order.length ? "No name holds this." : "No device yet.");
  }

  function makeOption() {
    const option = dom.make("div", "filter-option", "", { role: "option" });
    option.append(dom.make("span", "check", "", { "aria-hidden": "true" }), dom.make("span", "filter-name"));
    return option;
  }

  function fillOption(option, index, names) {
    const id = found[index];
    option.style.transform = `translateY(${index * ROW_PX}px)`;
    option.dataset.index = String(index);
    dom.attribute(option, "id", `filter-option-${index}`);
    dom.attribute(option, "aria-selected", String(names === null || names.has(id)));
    dom.attribute(option, "aria-setsize", String(found.length));
    dom.attribute(option, "aria-posinset", String(index + 1));
    option.classList.toggle("active", index === active);
    dom.text(option.lastChild, known.has(id) ? id : `${id} (unknown)`);
  }

  let known = new Map();

  /** Show the fleet and the choice as they are now. */
  function draw(model, devices) {
    const changed = model.order !== order || devices !== chosen;
    const joined = model.order !== order;
    order = model.order;
    known = model.devices;
    chosen = devices;
    dom.text(parts.value, words());
    if (!changed || !isOpen()) return;
    if (joined) {
      const [id, top] = [found[active], parts.list.scrollTop];
      find();
      active = Math.max(0, found.indexOf(id)); // the same name, wherever it stands now
      parts.list.scrollTop = top;
    }
    drawList();
  }

  /** Return "All 12", "3 of 12", "None of 12"; who was never heard is not counted. */
  function words() {
    const total = bus.format.count(order.length);
    if (chosen === null) return order.length ? `All ${total}` : "All";
    if (chosen.length === 0) return `None of ${total}`;
    return `${bus.format.count(chosen.filter((id) => known.has(id)).length)} of ${total}`;
  }

  bus.filter = { build, draw, open };
})();
