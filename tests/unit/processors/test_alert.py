"""Tests of job `alert`: which reading is one, and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alert import handler
from sensorbus.contract.messages import Reading, is_alert
from sensorbus.contract.settings import Settings
from tests.support.job_parts import bus_of, plain

NOON = "2026-01-31T12:00:00Z"
NOON_MS = 1_769_860_800_000


def reading(celsius: float) -> Reading:
    """Return a reading at noon."""
    return Reading("oven", NOON, NOON_MS, celsius)


def test_a_reading_above_the_threshold_becomes_an_alert() -> None:
    """The alert has all three units, the device's own timestamp, and the device as key."""
    outputs = handler(bus_of())(reading(30.0), None, ())
    assert plain(outputs) == [
        (
            "alert",
            b"oven",
            {"celsius": 30.0, "fahrenheit": 86.0, "kelvin": 303.15, "device_id": "oven", "timestamp": NOON},
        )
    ]


@pytest.mark.parametrize(
    ("celsius", "is_one"), [(29.84, False), (29.85, False), (29.854, False), (29.86, True), (-273.15, False)]
)
def test_the_threshold_itself_is_none(celsius: float, is_one: bool) -> None:
    """Kelvin is rounded to 2 decimals first: 303.00 is no alert, 303.01 is one."""
    assert bool(handler(bus_of())(reading(celsius), None, ())) is is_one


def test_the_threshold_is_a_setting() -> None:
    """Another threshold gives other alerts."""
    at_freezing = handler(bus_of(Settings(alert_threshold_kelvin=273.15)))
    assert [bool(at_freezing(reading(celsius), None, ())) for celsius in (0.0, 0.01)] == [False, True]


@given(threshold=st.floats(250, 350), away=st.floats(-0.05, 0.05), decimals=st.integers(0, 6))
def test_what_is_passed_over_as_cold_is_no_alert(threshold: float, away: float, decimals: int) -> None:
    """Near any threshold the short way says what the contract says."""
    celsius = round(threshold - 273.15 + away, decimals)
    is_one = bool(handler(bus_of(Settings(alert_threshold_kelvin=threshold)))(reading(celsius), None, ()))
    assert is_one == is_alert(celsius, threshold)


def test_the_topic_has_the_buss_prefix() -> None:
    """Results go to the bus's own topics."""
    outputs = handler(bus_of(Settings(topic_prefix="site-a.")))(reading(50.0), None, ())
    assert [output.topic for output in outputs] == ["site-a.alert"]
