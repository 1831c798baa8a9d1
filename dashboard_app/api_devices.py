"""The devices as the API tells of them.

The numbers of the page's cards (assets/model), by the same rules.
Called from request threads; what is read under the store's lock is copied.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from dashboard_app.api_query import Query
from dashboard_app.api_time import time_text
from dashboard_app.delta import Pipeline
from dashboard_app.devices import NEVER_MS
from dashboard_app.held import Held
from dashboard_app.ring import Floats, Integers
from dashboard_app.states import are_high, column, heard_ms, state
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from sensorbus.contract.units import kelvin_from_celsius

#: What a job may take on top of what its windows take before it is called down (assets/model/diagnosis.js).
_PATIENCE_MS: Final = 8_000


class Heard(NamedTuple):
    """Devices and what was heard of each by `now_ms`, as columns of one length.

    NaN and `NEVER_MS` stand where there is nothing. `heard_ms` is when it last reported: event time, or append time
    for a device whose clock is ahead.
    """

    now_ms: int
    device_ids: list[str]
    heard_ms: Integers
    times_ms: Integers
    celsius: Floats
    previous: Floats
    ends_ms: Integers
    averages: Floats
    counts: Integers
    is_alert_job_down: bool


def heard(held: Held, settings: Settings, now_ms: int) -> Heard:
    """Return all devices that have a reading, in no order."""
    size = len(held.names.by_number)
    times_ms = column(held.newest.times_ms, size, NEVER_MS)
    known = np.flatnonzero(times_ms != NEVER_MS)
    return Heard(
        now_ms,
        [held.names.by_number[device] for device in known.tolist()],
        heard_ms(held, times_ms)[known],
        times_ms[known],
        column(held.newest.values, size, np.nan)[known],
        column(held.newest.previous, size, np.nan)[known],
        column(held.averages.times_ms, size, NEVER_MS)[known],
        column(held.averages.values, size, np.nan)[known],
        _counts(held, size, settings, now_ms)[known],
        _is_alert_job_down(held, settings, now_ms),
    )


def rows(found: Heard, query: Query, settings: Settings, pipeline: Pipeline) -> Iterator[dict[str, Any]]:
    """Yield the devices that the query names, by id, of its states."""
    trusted = _Trusted.of(found, settings, pipeline)
    for device_id, place in sorted(zip(found.device_ids, range(len(found.device_ids)), strict=True)):
        if query.devices and device_id not in query.devices:
            continue
        told = state(float(found.celsius[place]), found.now_ms - int(found.heard_ms[place]), settings)
        if not query.states or told in query.states:
            yield _row(found, place, told, trusted)


class _Trusted(NamedTuple):
    """Which numbers of now can be told: Kafka is there, and the job that makes them follows."""

    counts: bool
    averages: bool

    @classmethod
    def of(cls, found: Heard, settings: Settings, pipeline: Pipeline) -> "_Trusted":
        ages_ms, is_there = pipeline["topics"], pipeline["kafka"]["ok"]
        window_ms = settings.avg_temp_step_ms + settings.avg_temp_grace_ms + _PATIENCE_MS
        is_counted = not found.is_alert_job_down and _follows(ages_ms, ALERT_COUNT.name, ALERT.name, _PATIENCE_MS)
        is_averaged = ages_ms[AVG_TEMP.name] is None or _follows(ages_ms, AVG_TEMP.name, SENSOR.name, window_ms)
        return cls(is_there and is_counted, is_there and is_averaged)


def _follows(ages_ms: dict[str, int | None], topic: str, source: str, allowed_ms: int) -> bool:
    age_ms, source_ms = ages_ms[topic], ages_ms[source]
    if source_ms is None:
        return True
    return source_ms <= allowed_ms if age_ms is None else age_ms - source_ms <= allowed_ms


def _row(found: Heard, place: int, told: str, trusted: _Trusted) -> dict[str, Any]:
    celsius, previous = float(found.celsius[place]), float(found.previous[place])
    has_change = told in {"OK", "HIGH"} and not np.isnan(previous)
    has_average = trusted.averages and told != "OFFLINE" and found.ends_ms[place] != NEVER_MS
    return {
        "device_id": found.device_ids[place],
        "state": told,
        "timestamp": time_text(int(found.times_ms[place])),
        "celsius": celsius,
        "kelvin": kelvin_from_celsius(celsius),
        "change_kelvin": round(celsius - previous, 2) if has_change else None,
        "avg_celsius": float(found.averages[place]) if has_average else None,
        "avg_end": time_text(int(found.ends_ms[place])) if has_average else None,
        "alert_count": int(found.counts[place]) if trusted.counts else None,
    }


def _counts(held: Held, size: int, settings: Settings, now_ms: int) -> Integers:
    """Return each device's alerts in the window that ends at the current step; 0 without a result for it."""
    step_ms, ring = settings.alert_count_step_ms, held.rings[ALERT_COUNT.name]
    start_ms = now_ms // step_ms * step_ms - settings.alert_count_length_ms
    rows = np.flatnonzero(ring.held("time") == start_ms)
    counts = np.zeros(size, np.int64)
    counts[ring.held("device")[rows]] = ring.held("value")[rows]  # of several the last one, as they came
    return counts


def _is_alert_job_down(held: Held, settings: Settings, now_ms: int) -> bool:
    """Tell whether a device has been above the threshold for a while without one alert."""
    newest_ms, oldest_ms = now_ms - _PATIENCE_MS, now_ms - 3 * _PATIENCE_MS
    size = len(held.names.by_number)
    last_ms, alerted_ms = np.full(size, NEVER_MS), np.full(size, NEVER_MS)
    ring, alerts = held.rings[SENSOR.name], held.rings[ALERT.name]
    rows = ring.appended_since(oldest_ms)
    devices, times_ms, celsius = (ring.values_of(name, rows) for name in ("device", "time", "value"))
    is_old = (times_ms < newest_ms) & (times_ms >= oldest_ms)
    np.maximum.at(last_ms, devices[is_old], times_ms[is_old])
    is_high = is_old & (times_ms == last_ms[devices])
    is_high &= are_high(celsius, settings.alert_threshold_kelvin)
    rows = alerts.appended_since(oldest_ms)
    np.maximum.at(alerted_ms, alerts.values_of("device", rows), alerts.values_of("time", rows))
    return bool((alerted_ms[devices[is_high]] < times_ms[is_high]).any())
