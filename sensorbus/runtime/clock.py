"""The wall clock, in one place so that tests can move it."""

import time
from collections.abc import Callable

#: What code that needs the time takes as an argument: a function returning ms since the epoch.
ClockMs = Callable[[], int]


def wall_clock_ms() -> int:
    """Return the time of this machine in ms since the epoch."""
    return time.time_ns() // 1_000_000
