"""The fleet as a whole: size, rate, age, temperatures per second.

Computed by the consumer thread once a second, for all browsers of a worker; request threads read the newest result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from dashboard_app import states
from dashboard_app.held import TURN_DEVICES
from dashboard_app.ring import Floats, Integers
from dashboard_app.store import Store
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR

_EVERY_MS: Final = 1_000
_RATE_MS: Final = 5_000
SETTLED_MS: Final = 5_000  # a second that ended this long ago is not computed again
_RECENT_MS: Final = 12_000  # what is not settled, and some ticks
_LONGEST_MS: Final = 900_000  # that a page shows
_WHOLE: Final = 0.9  # of the readings of other seconds: where the ring begins, some lack those of whole partitions
_STEP_MS: Final = 1_000
_ARRIVED_MS: Final = 500  # a second is told so long after its end: before, some devices' readings are on their way
#: Name and percentile.
BANDS: Final = {"min": 0, "p10": 10, "median": 50, "p90": 90, "max": 100}


@dataclass(frozen=True, eq=False, slots=True)
class Newest:
    """The answer's fields `fleet` and `overview`, encoded; None: the fleet is small.

    `recent` has the overview's seconds from `recent_ms` on.
    """

    fleet: orjson.Fragment
    bands: orjson.Fragment | None = None
    recent: orjson.Fragment | None = None
    recent_ms: int = 0


class Overview:
    """Keeps the bands of the seconds that no reading changes any more."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Know nothing yet."""
        self._store, self._settings = store, settings
        self._updated_ms: int | None = None
        self._bands: dict[int, list[float]] = {}  # by the second's start
        self.newest = Newest(_encode({"devices": 0, "rate_hz": 0.0, "age_p95_ms": None}))

    def update(self, now_ms: int, *, is_behind: bool = False, has_caught_up: bool = False) -> None:
        """Compute what is new, unless that was within the last second; for the consumer thread.

        While the history is read (`is_behind`), a second has the readings of some partitions alone: no bands then, and
        all of them when it `has_caught_up`.
        """
        if not has_caught_up and self._updated_ms is not None and 0 <= now_ms - self._updated_ms < _EVERY_MS:
            return
        self._updated_ms = now_ms
        fleet, recent_ms = _encode(self._fleet(now_ms)), (now_ms - _RECENT_MS) // _STEP_MS * _STEP_MS
        if self._store.is_large:
            if not is_behind:
                self._update_bands(now_ms, is_anew=has_caught_up)
            self.newest = Newest(fleet, self._columns(0), self._columns(recent_ms), recent_ms)
        else:
            self._bands = {}
            self.newest = Newest(fleet)

    def clear(self) -> None:
        """Forget the bands: these are other topics now."""
        self._bands, self._updated_ms = {}, None

    def by_second(self, now_ms: int) -> Mapping[int, Sequence[float]]:
        """Return the bands of 15 min at most by the second's start, in °C, of a small fleet too; from any thread."""
        return self._bands if self._store.is_large else self._bands_since(self._oldest_ms(now_ms), now_ms)

    def _fleet(self, now_ms: int) -> dict[str, Any]:
        recent = self._store.recent(now_ms - _RATE_MS)
        newest_ms = np.zeros(int(recent.devices.max(initial=-1)) + 1, np.int64)
        np.maximum.at(newest_ms, recent.devices, recent.times_ms)
        ages_ms = now_ms - newest_ms[newest_ms > 0]
        fleet = {
            "devices": self._store.devices,
            "rate_hz": round(len(recent.devices) * 1000 / _RATE_MS, 1),
            "age_p95_ms": max(0, round(float(np.percentile(ages_ms, 95)))) if len(ages_ms) else None,
            "refused": self._store.refused_devices,
        }
        if self._store.devices <= TURN_DEVICES:
            return fleet
        return fleet | self._store.read(lambda held, _epoch: states.of_fleet(held, self._settings, now_ms))

    def _columns(self, from_ms: int) -> orjson.Fragment:
        seconds = sorted(second for second in self._bands if second >= from_ms)
        columns = {name: [self._bands[second][place] for second in seconds] for place, name in enumerate(BANDS)}
        return _encode({"step_ms": _STEP_MS, "t": seconds, **columns})

    def _update_bands(self, now_ms: int, *, is_anew: bool) -> None:
        oldest_ms = self._oldest_ms(now_ms)
        settled = [second for second in self._bands if second < now_ms - SETTLED_MS - _STEP_MS]
        from_ms = max([oldest_ms, *(second + _STEP_MS for second in settled if not is_anew)])
        found = self._bands_since(from_ms, now_ms, is_whole=is_anew and self._is_full())
        known = {second: band for second, band in self._bands.items() if oldest_ms <= second < from_ms or is_anew}
        self._bands = known | found  # a new one: request threads may hold the old one

    def _is_full(self) -> bool:
        readings = self._store.statistics()[SENSOR.name]
        return readings.held >= readings.capacity

    def _oldest_ms(self, now_ms: int) -> int:
        return (now_ms - min(self._settings.dashboard_history_ms, _LONGEST_MS)) // _STEP_MS * _STEP_MS

    def _bands_since(self, from_ms: int, now_ms: int, *, is_whole: bool = False) -> dict[int, list[float]]:
        """Return the bands from then on; `is_whole`: from the first second on that has nearly all its readings."""
        recent = self._store.recent(from_ms - SETTLED_MS)
        if is_whole:
            from_ms = max(from_ms, _whole_from_ms(recent.times_ms))
        wanted = (recent.times_ms >= from_ms) & (recent.times_ms < (now_ms - _ARRIVED_MS) // _STEP_MS * _STEP_MS)
        return bands(recent.times_ms[wanted], recent.values[wanted])


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


def _encode(value: object) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))
