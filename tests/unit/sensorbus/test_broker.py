"""How much the embedded broker holds.

It answers in tests/integration, where every test runs on it too.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorbus.broker import EmbeddedBroker, seconds_held

devices = st.integers(1, 1_000_000)
periods_s = st.floats(0.01, 3_600)


def test_the_history_that_it_holds_is_hours_of_a_few_devices() -> None:
    """Seconds of ten thousand: 4 partitions of 5 MB, some 105 bytes a reading."""
    assert seconds_held(20, 1.0) == pytest.approx(2.65 * 3_600, rel=0.01)
    assert seconds_held(10_000, 1.0) == pytest.approx(19, rel=0.01)


@given(devices, periods_s)
def test_it_is_a_number_of_readings(count: int, period_s: float) -> None:
    """Twice the devices, or half the period, is half the time."""
    assert seconds_held(2 * count, period_s) == pytest.approx(seconds_held(count, period_s) / 2)
    assert seconds_held(count, period_s / 2) == pytest.approx(seconds_held(count, period_s) / 2)


def test_a_broker_that_is_not_started_has_no_address() -> None:
    """Making one does nothing yet."""
    assert EmbeddedBroker(port=9092).address == ""
