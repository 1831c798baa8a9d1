// Alerts of a device that follow each other, as one episode. Touches no page.
(() => {
  "use strict";
  const bus = (globalThis.sensorbus ??= {});
  const MOST = 20_000;
  const SPARE = 1_000; // beyond the most, so that not each new one has them sorted

  /**
   * Return an empty record; an alert within `gapMs` of the one before belongs to the same episode. `knownFromMs`: alerts
   * of before were left out. `isCut`: so were episodes, those that ended first.
   */
  function create(gapMs) {
    return { gapMs, all: [], newest: new Map(), knownFromMs: null, isCut: false };
  }

  /** Count an alert in. A repeat or a late one inside an episode changes no more than its bounds and peak. */
  function add(episodes, id, ms, celsius) {
    const episode = episodes.newest.get(id);
    if (episode && ms >= episode.startMs - episodes.gapMs && ms <= episode.endMs + episodes.gapMs) {
      episode.startMs = Math.min(episode.startMs, ms);
      episode.endMs = Math.max(episode.endMs, ms);
      if (celsius > episode.peakCelsius) episode.peakCelsius = celsius;
      return;
    }
    if (episode && ms < episode.startMs) return; // of an episode that is long over: its alert is on the chart
    const fresh = { id, startMs: ms, endMs: ms, peakCelsius: celsius };
    episodes.newest.set(id, fresh);
    episodes.all.push(fresh);
    if (episodes.all.length > MOST + SPARE) cut(episodes);
  }

  function cut(episodes) {
    episodes.isCut = true;
    episodes.all.sort((a, b) => b.endMs - a.endMs);
    for (const episode of episodes.all.splice(MOST)) {
      if (episodes.newest.get(episode.id) === episode) episodes.newest.delete(episode.id);
    }
  }

  /** Forget the episodes that ended before `ms`. */
  function trim(episodes, ms) {
    episodes.all = episodes.all.filter((episode) => episode.endMs >= ms);
    for (const [id, episode] of episodes.newest) if (episode.endMs < ms) episodes.newest.delete(id);
    if (episodes.knownFromMs < ms) episodes.knownFromMs = null;
    if (episodes.all.length < MOST) episodes.isCut = false;
  }

  /**
   * Return {newest: the newest `most` episodes of the devices that `wanted(id)` names, going on first, then by end;
   * total: how many they have}. One that `isOlder` began before alerts are known.
   */
  function recent(episodes, nowMs, wanted, most) {
    const goesOn = (episode) => nowMs - episode.endMs <= episodes.gapMs;
    const isOlder = ({ startMs }) => episodes.knownFromMs !== null && startMs <= episodes.knownFromMs + episodes.gapMs;
    const chosen = episodes.all.filter((episode) => wanted(episode.id));
    const ongoing = chosen.filter(goesOn).sort((a, b) => b.startMs - a.startMs).slice(0, most);
    const over = most > ongoing.length ? chosen.filter((episode) => !goesOn(episode)).sort((a, b) => b.endMs - a.endMs) : [];
    const newest = [...ongoing, ...over].slice(0, most).map((episode) => ({ ...episode, goesOn: goesOn(episode), isOlder: isOlder(episode) }));
    return { newest, total: chosen.length };
  }

  bus.episodes = { create, add, trim, recent };
})();
