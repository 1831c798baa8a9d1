// Joins the parts of the page: answers come in, choices come in, everything is drawn from both.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const { dom } = bus;
  const VERSION = 7; // of docs/tick.md
  const DRAW_EVERY_MS = 1_000;
  const WATCH_EVERY_MS = 250;
  const LOOK_WITHIN_MS = 5_000;
  const SORT_EVERY_MS = 5_000;
  const SORT_WORDS = { name: "by name", hottest: "hottest first", silent: "silent first" };
  const RANGE_PREFIX = "range-";
  const DEVICE_WINDOW_S = 900;
  const page = {
    model: null, choices: null, connection: null, cursor: null, interval: null, answeredMs: 0, drawnMs: 0,
    device: null, // the id, on the page of one device
    pausedAtMs: null, pausedReceived: 0, frozen: null, tableShown: false, sorted: [], sortedMs: -Infinity, sortKey: "",
  };

  /** Take an answer (JSON text, or null before the first) in; return the next request for the CURSOR store. */
  function tick(text, config) {
    begin(config);
    if (text === null || text === undefined) return globalThis.dash_clientside.no_update;
    const told = JSON.parse(text);
    if (told.v !== VERSION) return reload();
    const answer = bus.answer.whole(told, config);
    const received = bus.model.ingest(page.model, answer, page.pausedAtMs === null ? Infinity : page.pausedAtMs - bus.model.SERIES_MS);
    if (page.frozen) takeAverages();
    page.cursor = answer.cursor;
    page.answeredMs = performance.now();
    bus.connection.good(page.connection, page.answeredMs, received);
    if (!(answer.pipeline.behind > 0)) settlePause(); // a link to a paused page shows it with its whole history
    draw();
    bus.chosen.want(page.model, page.choices.devices && bus.model.selected(page.model, page.choices.devices));
    return bus.model.request(page.model, page.cursor, wanted());
  }

  function reload() {
    location.reload(); // the dashboard was updated: its page understands its answers
    return globalThis.dash_clientside.no_update;
  }

  /** Show the page, before it has an answer too. */
  function begin(config) {
    if (!page.model) start(config);
  }

  function start(config) {
    page.model = bus.model.create(config);
    page.connection = bus.connection.create(config.tick_ms, performance.now());
    page.interval = config.tick_ms;
    page.device = bus.devicePage.idIn(location.pathname, location.search, config.prefix);
    if (page.device !== null) bus.device.begin(page.device, config);
    adopt(bus.choices.read(location.search, bus.theme.stored(), base()));
    history.replaceState(null, "", address()); // a link holds the view, and Back finds it
    bus.filter.build((devices) => change({ devices }));
    bus.keyboard.listen((id) => (id === "filter" ? openFilter() : act(id)));
    bus.chart.listen(draw);
    bus.theme.onSystemChange = draw;
    listen();
    setInterval(watch, WATCH_EVERY_MS);
    draw();
  }

  function listen() {
    addEventListener("popstate", () => {
      adopt(bus.choices.read(location.search, bus.theme.stored(), base()));
      settlePause();
      draw();
    });
    document.addEventListener("visibilitychange", () => {
      bus.connection.visibility(page.connection, document.hidden, performance.now());
      setInterval_(bus.connection.intervalMs(page.connection));
      if (!document.hidden) ask();
    });
    addEventListener("scroll", () => requestAnimationFrame(drawCards), { passive: true });
    addEventListener("resize", () => requestAnimationFrame(drawCards));
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.target.closest?.("dialog")) bus.chart.live();
    });
    addEventListener("offline", watch);
    addEventListener("online", () => ask());
  }

  function openFilter() {
    if (page.device === null && !page.choices.kiosk) bus.filter.open(); // there it is not seen
  }

  /** Return the defaults; on the page of one device, its history as far as there is one. */
  function base() {
    return page.device === null ? bus.choices.defaults() : { ...bus.choices.defaults(), windowS: DEVICE_WINDOW_S };
  }

  /** Return the address of the view. */
  function address() {
    if (page.device === null) return location.pathname + bus.choices.write(page.choices);
    const query = bus.choices.write({ ...page.choices, devices: null }, base());
    return bus.devicePage.withQuery(bus.devicePage.href(page.model.config.prefix, page.device), query);
  }

  function adopt(choices) {
    page.choices = page.device === null ? choices : { ...choices, devices: [page.device] };
    bus.theme.choose(choices.theme);
    document.documentElement.toggleAttribute("data-kiosk", choices.kiosk);
  }

  /** Change choices: kept in the address and in this browser, drawn at once. */
  function change(changes) {
    page.choices = { ...page.choices, ...changes };
    bus.theme.choose(page.choices.theme);
    history.pushState(null, "", address());
    try {
      localStorage.setItem(bus.theme.KEY, JSON.stringify(bus.choices.toStore(bus.theme.stored(), changes)));
    } catch {
      // storage is switched off: the address still holds the view
    }
    settlePause();
    draw();
  }

  /** Do what a control asks for; `id` is the control's. */
  function act(id) {
    if (!page.model || !id) return;
    const { choices } = page;
    const step = (name, list) => change({ [name]: bus.choices.next(list, choices[name]) });
    if (id.startsWith(RANGE_PREFIX)) {
      bus.chart.live(); // a zoomed chart shows another range
      change({ windowS: Number(id.slice(RANGE_PREFIX.length)) });
    }
    else if (id === "pause") change({ paused: !choices.paused });
    else if (id === "unit") step("unit", bus.format.UNITS);
    else if (id === "zone") step("zone", bus.choices.ZONES);
    else if (id === "theme") step("theme", bus.theme.CHOICES);
    else if (id === "sort") step("sort", bus.choices.SORTS);
    else if (id === "export") save();
    else if (id === "help") dom.by("help-dialog").showModal();
    else if (id === "live") bus.chart.live();
    else if (id === "table") {
      page.tableShown = !page.tableShown;
      draw();
    }
  }

  function save() {
    const chart = bus.chart.drawn();
    if (!chart) return;
    const { model, choices } = page;
    const isOverview = chart.mode === "overview";
    const chosen = isOverview ? bus.chosen.inAddress(model, chart.bands) : null;
    const isOfAll = isOverview && choices.devices !== null && chosen === null;
    bus.exporter.save(model.config.prefix, {
      chosen, words: isOfAll ? `Exported: bands of all ${bus.format.plural(model.order.length, "device")}, not of the chosen alone.` : "",
      mode: chart.mode, devices: choices.devices && chosenIds(), unit: choices.unit, fromMs: chart.fromMs, toMs: chart.toMs,
      limit: bus.export.limit(shownModel(), chart, { nowMs: liveMs(), fleet: model.fleet, zone: choices.zone }),
    });
  }

  function settlePause() {
    if (page.choices.paused) {
      if (page.pausedAtMs === null && page.model.nowMs !== null) freeze();
    } else {
      page.pausedAtMs = null;
      page.frozen = null;
    }
  }

  /** Keep the newest readings and the bands as they are; what lines need is held by the series anyway. */
  function freeze() {
    page.pausedAtMs = liveMs();
    page.pausedReceived = page.model.received;
    const devices = new Map([...page.model.devices].map(([id, device]) => {
      // Its history may come yet, also in an answer that begins anew.
      const series = { enumerable: true, get: () => (page.model.devices.get(id) ?? device).series };
      return [id, Object.defineProperty({ ...device }, "series", series)];
    }));
    const episodes = { ...page.model.episodes, all: page.model.episodes.all.map((episode) => ({ ...episode })) };
    const alertsKnown = bus.diagnosis.trusted(links(), "alert");
    page.frozen = { ...page.model, devices, episodes, averages: new Map(page.model.averages), alertsKnown };
  }

  /** Take in, of a page that is paused, the averages of before that came since. */
  function takeAverages() {
    const { averages } = page.frozen;
    for (const [id, average] of page.model.averages) {
      if (!averages.has(id) && average.endMs <= page.pausedAtMs) averages.set(id, average);
    }
  }

  /** Return the server's clock, carried on by ours since its last answer. */
  function liveMs() {
    return page.model.nowMs === null ? Date.now() : page.model.nowMs + sinceAnswerMs();
  }

  /** Return the links from the browser to the topics, as they are now. */
  function links() {
    return bus.diagnosis.links(page.model, page.connection, sinceAnswerMs());
  }

  function sinceAnswerMs() {
    return page.model.nowMs === null ? 0 : performance.now() - page.answeredMs;
  }

  function clockMs() {
    return page.pausedAtMs ?? liveMs();
  }

  function chosenIds() {
    const ids = bus.model.selected(page.model, page.choices.devices);
    return page.frozen ? ids.filter((id) => page.frozen.devices.has(id)) : ids;
  }

  /** Return the model as it was when the page was paused, else as it is. */
  function shownModel() {
    return page.frozen ?? page.model;
  }

  /** Return the ids in the order of the cards; other than by name they move at most once per 5 s, not under a focus that could leave the view. */
  function cardOrder(ids) {
    const { sort } = page.choices;
    if (sort === "name") return ids;
    const model = shownModel();
    const key = `${sort} ${model.generation} ${model.order.length} ${page.choices.devices?.join() ?? ""}`;
    const isHeld = performance.now() - page.sortedMs < SORT_EVERY_MS || bus.cards.mustStay(ids.length);
    if (key === page.sortKey && isHeld) return page.sorted;
    const ranks = new Map(ids.map((id) => [id, bus.model.rank(model, model.devices.get(id), clockMs(), sort)]));
    page.sorted = [...ids].sort((a, b) => ranks.get(b) - ranks.get(a) || bus.model.byName(a, b));
    page.sortedMs = performance.now();
    page.sortKey = key;
    return page.sorted;
  }

  function wanted() {
    const drawn = bus.chart.drawn()?.drawn ?? [];
    return [...drawn, ...bus.cards.inPage()];
  }

  function ask() {
    bus.connection.asked(page.connection, performance.now());
    globalThis.dash_clientside.set_props("tick", { n_intervals: Math.floor(performance.now()), disabled: false });
  }

  function setInterval_(ms) {
    if (ms === page.interval) return;
    page.interval = ms;
    globalThis.dash_clientside.set_props("tick", { interval: ms });
  }

  /** Look at the time: is an answer overdue, are ages to be drawn anew? */
  function watch() {
    const nowMs = performance.now();
    const wasLost = page.connection.lost;
    const isDue = bus.connection.pass(page.connection, nowMs, navigator.onLine);
    if (isDue) ask();
    if (isDue || (page.connection.lost && !wasLost) || bus.connection.isLookDue(page.connection, nowMs)) look();
    setInterval_(bus.connection.intervalMs(page.connection));
    const late = nowMs - page.drawnMs >= DRAW_EVERY_MS + WATCH_EVERY_MS;
    if (page.connection.lost !== wasLost || (late && !document.hidden)) draw();
    else drawConnection();
  }

  /** Ask for something small: Dash's renderer does not say why a tick was not answered. */
  function look() {
    const signal = AbortSignal.timeout(LOOK_WITHIN_MS);
    fetch(`${page.model.config.prefix}_favicon.ico`, { method: "HEAD", cache: "no-store", signal }).then(
      ({ status, headers }) => bus.connection.told(page.connection, status, headers.has("WWW-Authenticate")),
      () => bus.connection.told(page.connection, null),
    );
  }

  function drawConnection() {
    const { connection } = page;
    const lostSinceMs = connection.sinceMs === null ? null : liveMs() - (performance.now() - connection.sinceMs);
    bus.banner.draw(connection, page.model, lostSinceMs, page.choices.zone, connection.nextMs - performance.now());
    const { pipeline } = page.model;
    document.documentElement.toggleAttribute("data-lost", connection.lost || pipeline?.kafka.ok === false);
  }

  function chartView() {
    const { choices } = page;
    return { ids: chosenIds(), nowMs: clockMs(), windowMs: choices.windowS * 1000, unit: choices.unit,
      zone: choices.zone, colours: bus.theme.colours(), alertsKnown: (page.frozen ?? page.trust).alertsKnown };
  }

  /** Draw everything from the model and the choices; the cards first, while what they measure is laid out. */
  function draw() {
    page.drawnMs = performance.now();
    const now = links();
    const alertsKnown = bus.diagnosis.trusted(now, "alert");
    page.trust = {
      alertsKnown,
      trustCounts: bus.diagnosis.trusted(now, "alert-count") && alertsKnown,
      connected: bus.diagnosis.trusted(now, "Kafka"),
      trustAverages: bus.diagnosis.trusted(now, "avg-temp"),
    };
    page.trust.statesKnown = bus.diagnosis.areStatesKnown(page.model, page.trust.connected);
    const view = chartView();
    bus.notice.draw(page.model, page.choices, view.ids, page.connection);
    bus.cards.draw(cardsView(cardOrder(view.ids)));
    drawConnection();
    drawControls();
    bus.pipeline.draw(now, page.model.pipeline);
    bus.filter.draw(page.model, page.choices.devices);
    bus.fleet.draw({ ...cardsView(view.ids), sinceAnswerMs: sinceAnswerMs() });
    bus.chart.draw(shownModel(), view);
    bus.chartTable.draw(shownModel(), bus.chart.drawn(), view, page.tableShown);
    if (page.device !== null) bus.device.draw(deviceView(view));
    const chosen = page.choices.devices === null ? null : new Set(page.choices.devices);
    bus.alerts.draw({ model: page.model, chosen, nowMs: liveMs(), unit: view.unit, zone: view.zone,
      query: bus.choices.carried(page.choices), isKnown: page.trust.alertsKnown });
    if (page.trust.connected) bus.announcer.observe(page.model, view.ids, liveMs());
  }

  function drawCards() {
    if (page.trust) bus.cards.draw(cardsView(cardOrder(chosenIds())));
  }

  function cardsView(ids) {
    return {
      model: page.model, query: bus.choices.carried(page.choices), ids, clockMs: clockMs(), nowMs: liveMs(),
      unit: page.choices.unit, paused: page.pausedAtMs !== null, frozen: page.frozen, ...page.trust,
      latest: (device) => page.frozen?.devices.get(device.id) ?? device,
    };
  }

  function deviceView(view) {
    return { ...cardsView(view.ids), id: page.device, fromMs: view.nowMs - view.windowMs, toMs: view.nowMs,
      windowMs: view.windowMs, zone: view.zone };
  }

  function drawControls() {
    const { choices } = page;
    dom.text(dom.by("pause-word"), choices.paused ? "Resume" : "Pause");
    dom.text(dom.by("unit-value"), bus.format.SYMBOLS[choices.unit]);
    dom.text(dom.by("zone-value"), choices.zone === "utc" ? "UTC" : "local");
    dom.text(dom.by("theme-value"), choices.theme);
    dom.text(dom.by("sort-value"), SORT_WORDS[choices.sort]);
    for (const seconds of bus.choices.RANGES_S) {
      dom.attribute(dom.by(RANGE_PREFIX + seconds), "aria-pressed", String(seconds === choices.windowS));
    }
    dom.text(dom.by("table"), page.tableShown ? "Hide table" : "Show as table");
    dom.attribute(dom.by("table"), "aria-expanded", String(page.tableShown));
    if (page.pausedAtMs === null) return dom.text(dom.by("pause-note"), "");
    const held = bus.model.heldBack(page.model, choices.devices && chosenIds(), page);
    dom.text(dom.by("pause-note"), `paused ${bus.format.duration(liveMs() - page.pausedAtMs)}, ${bus.format.plural(held, "new reading")}`);
  }

  bus.page = { begin, tick, act };
})();
