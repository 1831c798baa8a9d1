"""The fleet as a whole: its size, its rate, how old its data is, and its temperatures per second.

Computed at most once a second for all browsers of a worker.
"""

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime.clock import ClockMs

_VALID_MS: Final = 1_000
_RATE_MS: Final = 5_000
_WINDOW_MS: Final = 100_000
_SETTLED_MS: Final = 10_000  # a second that is this old is not computed again
_STEP_MS: Final = 1_000
_NAMES: Final = ("min", "p10", "median", "p90", "max")


class Overview:
    """Keeps the last result for a second, and the bands of the seconds that no reading changes any more."""

    def __init__(self, store: Store, now_ms: ClockMs) -> None:
        """Compute nothing yet."""
        self._store, self._now_ms = store, now_ms
        self._lock = threading.Lock()
        self._computed_ms = -_VALID_MS
        self._bands_computed_ms = -_VALID_MS
        self._fleet: dict[str, Any] = {}
        self._bands: dict[int, list[float]] = {}

    def get(self, *, with_bands: bool) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Return the answer's `fleet` and `overview`."""
        with self._lock:
            now_ms = self._now_ms()
            if now_ms - self._computed_ms >= _VALID_MS:
                self._fleet, self._computed_ms = self._measure(now_ms), now_ms
            if not with_bands:
                return self._fleet, None
            if now_ms - self._bands_computed_ms >= _VALID_MS:
                self._update_bands(now_ms)
                self._bands_computed_ms = now_ms
            seconds = sorted(self._bands)
            columns = {name: [self._bands[second][place] for second in seconds] for place, name in enumerate(_NAMES)}
            return self._fleet, {"step_ms": _STEP_MS, "t": seconds, **columns}

    def _measure(self, now_ms: int) -> dict[str, Any]:
        with self._store.lock:
            ring = self._store.rings[SENSOR.name]
            recent = ring.last_by_append(now_ms - _RATE_MS)
            delays_ms = ring.appends_ms(recent) - ring.rows(recent).starts_ms
            devices = self._store.devices
            refused = self._store.refused_devices
        age_ms = float(np.percentile(delays_ms, 95)) if len(delays_ms) else None
        return {
            "devices": devices,
            "rate_hz": round(len(delays_ms) * 1000 / _RATE_MS, 1),
            "age_p95_ms": None if age_ms is None else max(0, round(age_ms)),
            "refused_devices": refused,
        }

    def _update_bands(self, now_ms: int) -> None:
        # A worker that just started, or slept, has no settled seconds yet.
        settled_ms = max(self._bands, default=0) - _SETTLED_MS
        with self._store.lock:
            ring = self._store.rings[SENSOR.name]
            rows = ring.rows(ring.last_by_append(max(settled_ms, now_ms - _WINDOW_MS) - _SETTLED_MS))
        seconds = rows.starts_ms - rows.starts_ms % _STEP_MS
        changing = (seconds > max(settled_ms, now_ms - _WINDOW_MS - _STEP_MS)) & (seconds <= now_ms)
        order = np.argsort(seconds[changing], kind="stable")
        found, firsts = np.unique(seconds[changing][order], return_index=True)
        for second, values in zip(found.tolist(), np.split(rows.values[changing][order], firsts[1:]), strict=True):
            self._bands[second] = percentiles(values)
        for second in [second for second in self._bands if second < now_ms - _WINDOW_MS - _STEP_MS]:
            del self._bands[second]


def percentiles(values: NDArray[np.float64]) -> list[float]:
    """Return minimum, 10th percentile, median, 90th percentile and maximum, with 2 decimals."""
    return [round(value, 2) for value in np.percentile(values, (0, 10, 50, 90, 100)).tolist()]
