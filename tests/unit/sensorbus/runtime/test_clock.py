"""The wall clock: ms since the epoch, and nothing else."""

import time

import pytest

from sensorbus.runtime import clock


def test_the_time_is_in_whole_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is below a millisecond is cut off, as in the timestamps of readings."""
    monkeypatch.setattr(time, "time_ns", lambda: 1_769_860_800_123_999_999)
    assert clock.wall_clock_ms() == 1_769_860_800_123
