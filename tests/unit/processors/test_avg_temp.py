"""Tests of job `avg-temp`: which means it tells, and when."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.avg_temp import handler
from processors.outputs import Output
from sensorbus.contract.messages import Reading, parse_avg_temp
from sensorbus.contract.settings import Settings
from sensorbus.contract.units import ABSOLUTE_ZERO_CELSIUS, MAX_CELSIUS
from tests.support.job_parts import JsonState, at, bus_of, plain, seen

START_MS = 1_769_860_800_000


def feed(job: Any, state: JsonState, *readings: tuple[float, float]) -> list[Output]:
    """Return the outputs of readings, each at so many seconds and so many °C; all stand at `sensor[3]@42`."""
    outputs: list[Output] = []
    for second, celsius in readings:
        reading = Reading("oven", f"t+{second}", START_MS + round(second * 1_000), celsius)
        outputs += at("sensor", 3, 42, partial(job, reading, state, ()))
    return outputs


def test_a_closed_window_gives_its_mean() -> None:
    """The reading that passes a window's end gives the window's mean, without that reading."""
    #   0       4       8   10
    #   20      23      29  |      [0, 10): 24
    job, state = handler(bus_of(Settings(avg_temp_step_ms=10_000))), JsonState()
    assert feed(job, state, (0, 20.0), (4, 23.0), (8, 29.0)) == []
    assert plain(feed(job, state, (10, 90.0))) == [
        ("avg-temp", b"oven", {"device_id": "oven", "start": START_MS, "end": START_MS + 10_000, "avg_temp": 24.0})
    ]


@given(st.sampled_from([ABSOLUTE_ZERO_CELSIUS, MAX_CELSIUS]), st.integers(1, 12))
def test_the_mean_of_extremes_can_be_read(celsius: float, readings: int) -> None:
    """Six times the limit divided by six is a little beyond it; what the job writes, everybody reads."""
    job, state = handler(bus_of(Settings(avg_temp_step_ms=10_000))), JsonState()
    rows = [(second * 0.5, celsius) for second in range(readings)]
    (output,) = feed(job, state, *rows, (10, 20.0))
    assert parse_avg_temp(output.value).avg_celsius == pytest.approx(celsius)


def test_each_second_closes_one_window() -> None:
    """At one reading per second, every further reading closes one window that slides by a second."""
    job, state = handler(bus_of()), JsonState()
    outputs = feed(job, state, *((second, float(second)) for second in range(15)))
    starts = [(value["start"] - START_MS) // 1_000 for _, _, value in plain(outputs)]
    assert starts == list(range(-9, 5))


def test_nothing_is_told_twice_after_a_gap() -> None:
    """Each window comes once, whatever the gaps."""
    job, state = handler(bus_of()), JsonState()
    outputs = feed(job, state, (0, 1.0), (3, 1.0), (200, 1.0), (200.5, 1.0), (260, 1.0))
    starts = [value["start"] for _, _, value in plain(outputs)]
    assert len(starts) == len(set(starts)) == 13 + 10


def test_a_late_reading_is_counted_and_changes_no_closed_window() -> None:
    """What comes after its window was closed is metered; its open windows take it."""
    bus = bus_of()
    job, state = handler(bus), JsonState()
    feed(job, state, (0, 20.0), (11, 20.0), (5, 80.0))
    assert seen(bus) == ["late"]
    means = {
        (value["start"] - START_MS) // 1_000: value["avg_temp"] for _, _, value in plain(feed(job, state, (30, 1.0)))
    }
    assert means[2] == 50.0
    assert 0 not in means


def test_a_late_reading_is_logged_with_its_device_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """As fields, for machines."""
    feed(handler(bus_of()), JsonState(), (11, 20.0), (5, 80.0))
    (record,) = caplog.records
    assert record.getMessage() == "a reading of oven, t+5, came after a window of it was closed"
    fields = vars(record)
    assert [fields[name] for name in ("device", "topic", "partition", "offset")] == ["oven", "sensor", 3, 42]


def test_grace_waits_for_the_late() -> None:
    """With a grace of 3 s, a reading 2 s late is in its window."""
    bus = bus_of(Settings(avg_temp_grace_ms=3_000, avg_temp_step_ms=10_000))
    job, state = handler(bus), JsonState()
    outputs = feed(job, state, (0, 20.0), (12, 99.0), (9, 40.0), (13, 99.0))
    assert [value["avg_temp"] for _, _, value in plain(outputs)] == [30.0]
    assert seen(bus) == []


def copy(job: Any, state: JsonState, second: float, celsius: float, original: bytes) -> list[Output]:
    """Return the outputs of a copy of the reading that stands at a place."""
    reading = Reading("oven", f"t+{second}", START_MS + round(second * 1_000), celsius)
    return list(at("sensor", 3, 42, partial(job, reading, state, [("rekeyed.from", original)])))


@pytest.mark.parametrize(("guarantee", "mean"), [("at-least-once", 30.0), ("exactly-once", 32.0)])
def test_a_second_copy_counts_once_where_there_may_be_one(guarantee: str, mean: float) -> None:
    """At least once; exactly once there is none, and two are two readings."""
    bus = bus_of(Settings(avg_temp_step_ms=10_000, processing_guarantee=guarantee))
    job, state = handler(bus), JsonState()
    assert feed(job, state, (0, 20.0)) == []
    for original in (b"sensor[0]@7", b"sensor[0]@8", b"sensor[0]@7", b"sensor[0]@8"):
        assert copy(job, state, 5, 30.0 if original.endswith(b"7") else 40.0, original) == []
    (output,) = feed(job, state, (10, 99.0))
    assert parse_avg_temp(output.value).avg_celsius == pytest.approx(mean)


def test_a_second_copy_that_comes_late_is_not_told_as_late() -> None:
    """Nor is it added to the windows that are open."""
    bus = bus_of(Settings(processing_guarantee="at-least-once"))
    job, state = handler(bus), JsonState()
    copy(job, state, 5, 30.0, b"sensor[0]@7")
    feed(job, state, (11, 20.0))
    assert copy(job, state, 5, 30.0, b"sensor[0]@7") == []
    assert seen(bus) == []
