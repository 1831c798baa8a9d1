"""Temperatures per second of event time: lowest, 10 %, median, 90 %, highest.

Of all devices or of some. Computed by the consumer thread; request threads read the newest result.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from dashboard_app.recent import Recent, recent
from dashboard_app.ring import Floats, Integers
from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR

SETTLED_MS: Final = 5_000  # a second that ended this long ago is not computed again
_RECENT_MS: Final = 12_000  # what is not settled, and some ticks
_LONGEST_MS: Final = 900_000  # that a page shows
_WHOLE: Final = 0.9  # of the readings of other seconds: where the ring begins, some lack those of whole partitions
_STEP_MS: Final = 1_000
_ARRIVED_MS: Final = 500  # a second is told so long after its end: before, some devices' readings are on their way
#: Name and percentile.
BANDS: Final = {"min": 0, "p10": 10, "median": 50, "p90": 90, "max": 100}


class Told(NamedTuple):
    """The answer's field `overview`, encoded; `recent` has the seconds from `recent_ms` on."""

    bands: orjson.Fragment
    recent: orjson.Fragment
    recent_ms: int


class Bands:
    """Keeps the bands of the seconds that no reading changes any more; of the devices of these numbers (None: all)."""

    def __init__(self, store: Store, history_ms: int, devices: Integers | None = None) -> None:
        """Have computed nothing yet; `by_second` is replaced, never changed: request threads may hold the old one."""
        self._store, self._history_ms, self._devices = store, history_ms, devices
        self.by_second: Mapping[int, list[float]] = {}  # by the second's start

    def update(self, now_ms: int, *, is_anew: bool) -> None:
        """Compute the seconds that may have changed, or all of them."""
        oldest_ms = self._oldest_ms(now_ms)
        settled = [second for second in self.by_second if second < now_ms - SETTLED_MS - _STEP_MS]
        from_ms = max([oldest_ms, *(second + _STEP_MS for second in settled if not is_anew)])
        found = self._since(from_ms, now_ms, is_whole=is_anew and self._is_full())
        known = {second: band for second, band in self.by_second.items() if oldest_ms <= second < from_ms or is_anew}
        self.by_second = known | found

    def anew(self, now_ms: int) -> Mapping[int, list[float]]:
        """Return all of them out of the readings held, and keep none; from any thread."""
        return self._since(self._oldest_ms(now_ms), now_ms, is_whole=self._is_full())

    def told(self, now_ms: int) -> Told:
        """Return them as answers have them."""
        recent_ms = (now_ms - _RECENT_MS) // _STEP_MS * _STEP_MS
        return Told(self._columns(0), self._columns(recent_ms), recent_ms)

    def _is_full(self) -> bool:
        return self._store.statistics()[SENSOR.name].limit is not None

    def _oldest_ms(self, now_ms: int) -> int:
        return (now_ms - min(self._history_ms, _LONGEST_MS)) // _STEP_MS * _STEP_MS

    def _since(self, from_ms: int, now_ms: int, *, is_whole: bool = False) -> dict[int, list[float]]:
        """Return the bands from then on; `is_whole`: from the first second on that has nearly all its readings."""
        found = recent(self._store, from_ms - SETTLED_MS)
        if is_whole:
            from_ms = max(from_ms, _whole_from_ms(found.times_ms))
        wanted = (found.times_ms >= from_ms) & (found.times_ms < (now_ms - _ARRIVED_MS) // _STEP_MS * _STEP_MS)
        if self._devices is not None:
            wanted &= _is_of(found, self._devices)
        return bands(found.times_ms[wanted], found.values[wanted])

    def _columns(self, from_ms: int) -> orjson.Fragment:
        seconds = sorted(second for second in self.by_second if second >= from_ms)
        columns = {name: [self.by_second[second][place] for second in seconds] for place, name in enumerate(BANDS)}
        return orjson.Fragment(orjson.dumps({"step_ms": _STEP_MS, "t": seconds, **columns}))


def _is_of(readings: Recent, devices: Integers) -> NDArray[np.bool_]:
    mask = np.zeros(int(max(readings.devices.max(initial=-1), devices.max(initial=-1))) + 1, bool)
    mask[devices] = True
    found: NDArray[np.bool_] = mask[readings.devices]
    return found


def _whole_from_ms(times_ms: Integers) -> int:
    seconds, counts = np.unique(times_ms - times_ms % _STEP_MS, return_counts=True)
    whole = seconds[counts >= _WHOLE * np.median(counts)] if len(seconds) else seconds
    return int(whole.min(initial=np.iinfo(np.int64).max))


def bands(times_ms: Integers, celsius: Floats) -> dict[int, list[float]]:
    """Return minimum, 10th percentile, median, 90th percentile and maximum by the second's start, in °C."""
    seconds = times_ms - times_ms % _STEP_MS
    order = np.argsort(seconds, kind="stable")
    found, firsts = np.unique(seconds[order], return_index=True)
    groups = np.split(celsius[order], firsts[1:]) if len(found) else []
    percents = list(BANDS.values())
    return {
        second: np.percentile(group, percents).round(2).tolist()
        for second, group in zip(found.tolist(), groups, strict=True)
    }
