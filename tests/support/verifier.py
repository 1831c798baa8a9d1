"""What the jobs must have written, recomputed from `sensor`.

By plain code that shares nothing with them.
It keeps every reading of every window in a list and looks at all of them; slow, and hard to get wrong.
Readings come in the order of their partition; a device's time is the largest event time seen from it so far.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

Windows = dict[tuple[str, int], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Length, step and grace of hopping windows, in ms."""

    length_ms: int
    step_ms: int = 1_000
    grace_ms: int = 0


@dataclass(slots=True)
class Expected:
    """Alerts as (device, timestamp), counts and means by (device, start)."""

    alerts: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[tuple[str, int], int] = field(default_factory=dict)
    means: dict[tuple[str, int], float] = field(default_factory=dict)


def expected_from_readings(
    values: Iterable[bytes],
    *,
    counts: Shape = Shape(length_ms=5_000),  # frozen
    means: Shape = Shape(length_ms=10_000),  # frozen
    threshold_kelvin: float = 303.0,
) -> Expected:
    """Return what good readings lead to; `values` are those of `sensor` in the order of their partitions."""
    readings = [json.loads(value) for value in values]
    hot = [reading for reading in readings if round(reading["temperature"] + 273.15, 2) > threshold_kelvin]
    expected = Expected(alerts=[(reading["device_id"], reading["timestamp"]) for reading in hot])
    counted, _ = _windows(hot, counts)
    expected.counts = {place: len(inside) for place, inside in counted.items()}
    averaged, times_ms = _windows(readings, means)
    for (device_id, start_ms), inside in averaged.items():
        if start_ms + means.length_ms + means.grace_ms <= times_ms[device_id]:
            expected.means[device_id, start_ms] = fmean(inside)
    return expected


def _windows(readings: Sequence[dict[str, Any]], shape: Shape) -> tuple[Windows, dict[str, int]]:
    windows: Windows = defaultdict(list)
    times_ms: dict[str, int] = {}
    for reading in readings:
        device_id, moment_ms = reading["device_id"], _ms(reading["timestamp"])
        times_ms[device_id] = max(moment_ms, times_ms.get(device_id, moment_ms))
        newest_start_ms = moment_ms - moment_ms % shape.step_ms
        for start_ms in range(newest_start_ms, moment_ms - shape.length_ms, -shape.step_ms):
            if start_ms + shape.length_ms + shape.grace_ms > times_ms[device_id]:
                windows[device_id, start_ms].append(reading["temperature"])
    return windows, times_ms


def late(values: Iterable[bytes], shape: Shape = Shape(length_ms=10_000)) -> int:  # frozen
    """Return how many came when a window of theirs was closed already; `values` as of `expected_from_readings`."""
    times_ms: dict[str, int] = {}
    number = 0
    for reading in map(json.loads, values):
        device_id, moment_ms = reading["device_id"], _ms(reading["timestamp"])
        times_ms[device_id] = max(moment_ms, times_ms.get(device_id, moment_ms))
        first_end_ms = moment_ms - moment_ms % shape.step_ms + shape.step_ms
        number += first_end_ms + shape.grace_ms <= times_ms[device_id]
    return number


def _ms(timestamp: str) -> int:
    moment = datetime.fromisoformat(timestamp.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1_000)


def differences(
    expected: Expected, alerts: Iterable[bytes], counts: Iterable[bytes], means: Iterable[bytes], *, once: bool = True
) -> list[str]:
    """Return one line per wrong record, and per device whose results are in another order than the readings.

    With `once`, a repeated result is wrong too; all come in the order of their partitions.
    """
    wrong = _wrong_alerts(expected, [json.loads(value) for value in alerts], once=once)
    told: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for value in counts:
        count = json.loads(value)
        told[count["device_id"], count["start"]].append(count["alert_count"])
    wrong += _wrong_steps(told, once=once)
    wrong += _wrong_values("count", expected.counts, {place: numbers[-1] for place, numbers in told.items()})
    found: dict[tuple[str, int], float] = {}
    for value in means:
        mean = json.loads(value)
        place = (mean["device_id"], mean["start"])
        if place in found and (once or found[place] != mean["avg_temp"]):
            wrong.append(f"mean of {place} comes again: {found[place]}, {mean['avg_temp']}")
        found[place] = mean["avg_temp"]
    wrong += _wrong_order("means", sorted(found), found)
    return wrong + _wrong_values("mean", expected.means, found)


def _wrong_steps(told: dict[tuple[str, int], list[int]], *, once: bool) -> list[str]:
    """Each alert of a window makes its count one more; what is told again, where that may be, was told before."""
    wrong = []
    for place, numbers in told.items():
        first = numbers if once else list(dict.fromkeys(numbers))
        if first != list(range(1, len(first) + 1)):
            wrong.append(f"counts of {place} come as {numbers}")
    return wrong


def _wrong_alerts(expected: Expected, alerts: Sequence[dict[str, Any]], *, once: bool) -> list[str]:
    found = [(alert["device_id"], alert["timestamp"]) for alert in alerts]
    wanted = sorted(expected.alerts)
    wrong = []
    if not once:
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for place, alert in zip(found, alerts, strict=True):
            if first.setdefault(place, alert) != alert:
                wrong.append(f"alert of {place} comes again: {first[place]}, {alert}")
        wanted, found = sorted(set(wanted)), list(first)
    if sorted(found) != wanted:
        return [*wrong, f"alerts: {len(wanted)} expected, {len(found)} found", *_sample(wanted, found)]
    return wrong + _wrong_order("alerts", expected.alerts if once else dict.fromkeys(expected.alerts), found)


def _wrong_order(name: str, wanted: Iterable[tuple[str, Any]], found: Iterable[tuple[str, Any]]) -> list[str]:
    """Compare the order of each device's results; of those that are told again, where that may be, the first counts."""
    orders: list[defaultdict[str, list[Any]]] = [defaultdict(list), defaultdict(list)]
    for order, places in zip(orders, (wanted, found), strict=True):
        for device_id, place in places:
            order[device_id].append(place)
    want, have = orders
    return [
        f"{name} of {device_id} come as {have[device_id]}" for device_id in want if want[device_id] != have[device_id]
    ]


def _sample(wanted: Sequence[object], found: Sequence[object]) -> list[str]:
    missing = [f"missing {each}" for each in wanted if each not in found]
    extra = [f"not expected {each}" for each in found if each not in wanted]
    return missing[:5] + extra[:5]


def _wrong_values(name: str, wanted: dict[tuple[str, int], Any], found: dict[tuple[str, int], Any]) -> list[str]:
    wrong = []
    for place in sorted(set(wanted) | set(found)):
        want, have = wanted.get(place), found.get(place)
        if want is None or have is None or abs(want - have) > 1e-9 * max(1.0, abs(want)):  # float sums
            wrong.append(f"{name} of {place}: expected {want}, found {have}")
    return wrong
