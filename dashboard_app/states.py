"""The states of devices: of one, and of a fleet in numbers.

By the rules of the page's cards (assets/model/model.js).
Called under the store's lock; nothing of what is held is kept.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dashboard_app.devices import NEVER_MS
from dashboard_app.held import Held
from dashboard_app.ring import Floats, Integers
from sensorbus.contract.messages import is_alert
from sensorbus.contract.settings import Settings
from sensorbus.contract.units import ABSOLUTE_ZERO_CELSIUS

_STALE_PERIODS: Final = 3
_OFFLINE_PERIODS: Final = 10
_ROUNDING_REACH_KELVIN: Final = 0.02  # further off, rounding to 2 decimals decides nothing


def state(celsius: float, silent_ms: int, settings: Settings) -> str:
    """Return OK, HIGH, STALE or OFFLINE."""
    if silent_ms > _OFFLINE_PERIODS * settings.reading_period_ms:
        return "OFFLINE"
    if silent_ms > _STALE_PERIODS * settings.reading_period_ms:
        return "STALE"
    return "HIGH" if is_alert(celsius, settings.alert_threshold_kelvin) else "OK"


def are_high(celsius: Floats, threshold_kelvin: float) -> NDArray[np.bool_]:
    """Tell which temperatures are alerts, by the rule of job alert; numpy's rounding is another one at ties."""
    above_kelvin = celsius - ABSOLUTE_ZERO_CELSIUS - threshold_kelvin
    found: NDArray[np.bool_] = above_kelvin > 0
    near = np.flatnonzero(np.abs(above_kelvin) < _ROUNDING_REACH_KELVIN)
    found[near] = [is_alert(value, threshold_kelvin) for value in celsius[near].tolist()]
    return found


def column(values: Any, size: int, nothing: float) -> Any:
    """Return a copy of a column by device number, of this size."""
    padding = np.full(max(0, size - len(values)), nothing, values.dtype)
    return np.concatenate((values[:size], padding))


def heard_ms(held: Held, times_ms: Integers) -> Integers:
    """Return when each device last reported: event time, or append time for one whose clock is ahead."""
    came_ms: Integers = column(held.heard_ms, len(times_ms), NEVER_MS)
    return np.minimum(times_ms, came_ms)


def of_fleet(held: Held, settings: Settings, now_ms: int) -> dict[str, Any]:
    """Return the fields `states`, `states_ms`, `mean` and `hottest` of an answer's `fleet` (docs/tick.md)."""
    times_ms = column(held.newest.times_ms, len(held.names.by_number), NEVER_MS)
    known = np.flatnonzero(times_ms != NEVER_MS)
    silent_ms, celsius = now_ms - heard_ms(held, times_ms)[known], held.newest.values[known]
    is_offline = silent_ms > _OFFLINE_PERIODS * settings.reading_period_ms
    is_live = silent_ms <= _STALE_PERIODS * settings.reading_period_ms
    live, high = np.flatnonzero(is_live), int(are_high(celsius[is_live], settings.alert_threshold_kelvin).sum())
    stale = len(known) - len(live) - int(is_offline.sum())
    told: dict[str, Any] = {"states": [len(live) - high, high, stale, int(is_offline.sum())], "states_ms": now_ms}
    if len(live):
        hottest = live[np.argmax(celsius[live])]
        told["mean"] = round(float(celsius[live].mean()), 3)
        told["hottest"] = [held.names.by_number[known[hottest]], float(celsius[hottest])]
    return told
