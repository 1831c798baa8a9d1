"""The fleet as a whole: size, rate, age, temperatures per second.

Computed by the consumer thread once a second, for all browsers of a worker; request threads read the newest result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from dashboard_app import states
from dashboard_app.bands import Bands
from dashboard_app.chosen import Choices
from dashboard_app.held import TURN_DEVICES
from dashboard_app.recent import recent
from dashboard_app.ring import Integers
from dashboard_app.store import Store
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR

_EVERY_MS: Final = 1_000
_RATE_MS: Final = 5_000


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
    """Keeps the fleet's numbers and bands, and the bands of what browsers have chosen."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Know nothing yet."""
        self._store, self._settings = store, settings
        self._updated_ms: int | None = None
        self._bands = Bands(store, settings.dashboard_history_ms)
        self.choices = Choices(store, settings.dashboard_history_ms)
        self.newest = Newest(_encode({"devices": 0, "rate_hz": 0.0, "age_p95_ms": None}))

    def update(self, now_ms: int, *, is_behind: bool = False, has_caught_up: bool = False) -> None:
        """Compute what is new, unless that was within the last second; for the consumer thread.

        While the history is read (`is_behind`), a second has the readings of some partitions alone: no bands then, and
        all of them when it `has_caught_up`.
        """
        if not has_caught_up and self._updated_ms is not None and 0 <= now_ms - self._updated_ms < _EVERY_MS:
            return
        self._updated_ms = now_ms
        fleet = _encode(self._fleet(now_ms))
        if self._store.is_large:
            if not is_behind:
                self._bands.update(now_ms, is_anew=has_caught_up)
                self.choices.update(now_ms, is_anew=has_caught_up)
            self.newest = Newest(fleet, *self._bands.told(now_ms))
        else:
            self._bands.by_second = {}
            self.choices.clear()
            self.newest = Newest(fleet)

    def clear(self) -> None:
        """Forget the bands: these are other topics now."""
        self._bands.by_second, self._updated_ms = {}, None
        self.choices.clear()

    def by_second(self, now_ms: int, devices: Integers | None = None) -> Mapping[int, Sequence[float]]:
        """Return the bands of 15 min at most by the second's start, in °C, of a small fleet too; from any thread."""
        if devices is None and self._store.is_large:
            return self._bands.by_second
        return Bands(self._store, self._settings.dashboard_history_ms, devices).anew(now_ms)

    def _fleet(self, now_ms: int) -> dict[str, Any]:
        readings = recent(self._store, now_ms - _RATE_MS)
        newest_ms = np.zeros(int(readings.devices.max(initial=-1)) + 1, np.int64)
        np.maximum.at(newest_ms, readings.devices, readings.times_ms)
        ages_ms = now_ms - newest_ms[newest_ms > 0]
        fleet = {
            "devices": self._store.devices,
            "rate_hz": round(len(readings.devices) * 1000 / _RATE_MS, 1),
            "age_p95_ms": max(0, round(float(np.percentile(ages_ms, 95)))) if len(ages_ms) else None,
            "refused": self._store.refused_devices,
        } | _limit(self._store)
        if self._store.devices <= TURN_DEVICES:
            return fleet
        return fleet | self._store.read(lambda held, _epoch: states.of_fleet(held, self._settings, now_ms))


def _limit(store: Store) -> dict[str, Any]:
    """Return the bound that made the oldest readings go before their age did, and from when on they are held."""
    statistics = store.statistics()[SENSOR.name]
    if statistics.limit is None:
        return {}
    return {"limit": statistics.limit, "held_from_ms": statistics.oldest_append_ms}


def _encode(value: object) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps(value))
