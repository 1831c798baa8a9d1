// Whether the dashboard still answers: a state moved by answers and by time. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const RETRY_MS = [1_000, 2_000, 5_000, 10_000];
  const BAD_REQUEST = 400;
  const UNAUTHORIZED = 401;
  const TOO_MANY = 429;
  const HIDDEN_TICK_MS = 10_000;
  const BACK_SHOWN_MS = 5_000;
  /** No call of `pass` counts for more silence: between two the browser may have slept, or was busy itself. */
  const MOST_PER_PASS_MS = 1_000;
  /** A dashboard that was slow is given so many times what it took, not beyond the most, and less with each answer. */
  const SLOW = { times: 1.5, mostMs: 10_000, fades: 0.8 };
  /** Who answers something else meanwhile is alive: its tick is waited for on, `mostMs` more than a tick at most. */
  const ALIVE = { lookAfterMs: 500, everyMs: 1_000, waitMs: 1_500, mostMs: 5_000 };

  /** Return a fresh state; times are ms of a clock that never goes back. */
  function create(tickMs, nowMs) {
    return { tickMs, goodMs: nowMs, passedMs: nowMs, silentMs: 0, lost: false, offline: false, hidden: false, sinceMs: null,
      isSignedOut: false, attempts: 0, nextMs: 0, back: null, backMs: 0, askedMs: nowMs, tookMs: 0,
      lookedMs: -Infinity, aliveMs: 0, wasGood: false };
  }

  /** An answer is asked for now, not by the interval. */
  function asked(connection, nowMs) {
    connection.askedMs = nowMs;
  }

  /** A good answer came with so many new readings; null: it began anew with all that is held. */
  function good(connection, nowMs, readings) {
    const sinceTickMs = Math.max(0, connection.silentMs - connection.tickMs); // by the interval it was asked for then
    const tookMs = connection.hidden ? 0 : Math.min(sinceTickMs, nowMs - connection.askedMs);
    connection.tookMs = Math.max(tookMs, connection.tookMs * SLOW.fades);
    if (connection.lost && connection.wasGood) {
      connection.back = { readings };
      connection.backMs = nowMs;
    }
    Object.assign(connection, { goodMs: nowMs, passedMs: nowMs, silentMs: 0, lost: false, offline: false, sinceMs: null,
      attempts: 0, isSignedOut: false, aliveMs: 0, wasGood: true });
  }

  /** Something else than a tick was answered, with that HTTP status, null for none: is there someone who knows the visitor?
   *
   *  `asksWho`: the answer asks for a name and password. So does our 429 after wrong ones, and not a proxy's limit of
   *  requests. */
  function told(connection, status, asksWho = false) {
    const isUnknown = status === UNAUTHORIZED || (status === TOO_MANY && asksWho);
    connection.isSignedOut = connection.lost && isUnknown; // a good answer may have come since
    if (status !== null && status < BAD_REQUEST) connection.aliveMs = connection.silentMs;
  }

  /** Tell whether to ask for something else now: the tick is late. */
  function isLookDue(connection, nowMs) {
    const { hidden, lost, silentMs, tickMs, lookedMs } = connection;
    const isDue = !hidden && !lost && silentMs > tickMs + ALIVE.lookAfterMs && nowMs - lookedMs >= ALIVE.everyMs;
    if (isDue) connection.lookedMs = nowMs;
    return isDue;
  }

  /** The page was shown or hidden; a page that comes back gets the time to ask before it calls anything lost. */
  function visibility(connection, hidden, nowMs) {
    if (connection.hidden && !hidden && !connection.lost) {
      connection.silentMs = 0;
      connection.passedMs = nowMs;
    }
    connection.hidden = hidden;
  }

  /** Return how long an answer may take before the connection is lost: 3 s at a tick of 1 s, unless it is slow or was. */
  function patienceMs(connection) {
    if (connection.hidden) return HIDDEN_TICK_MS * 3;
    const slowMs = Math.min(SLOW.mostMs, connection.tickMs + connection.tookMs * SLOW.times);
    const aliveMs = connection.aliveMs && Math.min(connection.aliveMs + ALIVE.waitMs, connection.tickMs + ALIVE.mostMs);
    return Math.max(2_500, connection.tickMs + 1_500, slowMs, aliveMs);
  }

  /** Let time pass; return true when it is time to ask anew although the last request is not answered. */
  function pass(connection, nowMs, online) {
    connection.silentMs += Math.min(nowMs - connection.passedMs, MOST_PER_PASS_MS);
    connection.passedMs = nowMs;
    const patience = online ? patienceMs(connection) : Math.min(patienceMs(connection), connection.tickMs + 500);
    if (!connection.lost && connection.silentMs > patience) {
      Object.assign(connection, { lost: true, sinceMs: connection.goodMs, attempts: 0, back: null });
      connection.nextMs = nowMs + RETRY_MS[0];
    }
    connection.offline = connection.lost && !online; // a dashboard on this machine answers without a network
    if (connection.back && nowMs - connection.backMs > BACK_SHOWN_MS) connection.back = null;
    if (!connection.lost || nowMs < connection.nextMs) return false;
    connection.attempts += 1;
    connection.nextMs = nowMs + RETRY_MS[Math.min(connection.attempts, RETRY_MS.length - 1)];
    return true;
  }

  /** Return how often the interval should fire now. */
  function intervalMs(connection) {
    if (connection.lost) return 3_600_000; // `pass` says when to ask
    return connection.hidden ? Math.max(HIDDEN_TICK_MS, connection.tickMs) : connection.tickMs;
  }

  bus.connection = { RETRY_MS, create, asked, good, told, isLookDue, visibility, pass, intervalMs };
})();
