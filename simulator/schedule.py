"""Decides which span of event time is sent next.

By absolute times, so that nothing drifts.
Each turn takes what became due since the last one, so being behind means catching up, and leaves nothing out. The one
exception is a suspended process or machine: time that neither work nor waiting for Kafka explains. A suspended device
takes no readings, so the schedule then goes on with the present instead of sending minutes of old readings in a burst.
"""

import logging
from collections.abc import Callable
from typing import Final

from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.metrics import SIMULATOR_BEHIND_SECONDS

#: The pause between turns; also how long a reading may wait for its turn.
TURN_MS: Final = 25
_LONGEST_TURN_MS: Final = 1_000
_READINGS_PER_TURN: Final = 100_000  # a turn ends within a second, whatever the fleet, to look at the stop event
_SUSPENDED_MS: Final = 10_000
_SAY_BEHIND_MS: Final = 2_000

_log = logging.getLogger(__name__)


class Schedule:
    """Goes from turn to turn, `[from_ms, to_ms)` in event time, never ahead of the clock."""

    def __init__(self, start_ms: int, end_ms: int | None, now_ms: ClockMs, busy_s: Callable[[], float]) -> None:
        """Begin at `start_ms`; in the past, it is a replay until the present is reached.

        `busy_s` returns the seconds of CPU that this process has used.
        """
        self._next_ms, self._end_ms = start_ms, end_ms
        self._now_ms, self._busy_s = now_ms, busy_s
        self._last_ms, self._last_busy_s = now_ms(), busy_s()
        self._replays = start_ms < self._last_ms - _SUSPENDED_MS
        self._started = False
        self.longest_turn_ms = _LONGEST_TURN_MS
        #: How far the schedule is behind the clock, in seconds; a replay is not.
        self.behind_s = 0.0

    def limit_turns(self, readings_per_s: float) -> None:
        """Make turns so short that one holds about 100,000 readings of such a fleet."""
        self.longest_turn_ms = max(1, min(_LONGEST_TURN_MS, int(1000 * _READINGS_PER_TURN / readings_per_s)))

    def turn(self, waited_s: float) -> tuple[int, int] | None:
        """Return the next `[from_ms, to_ms)`, empty when nothing is due, or None after the end.

        `waited_s` is how long the last turn waited for room in the queue to Kafka.
        """
        now_ms = self._now_ms()
        if self._end_ms is not None and self._next_ms >= self._end_ms:
            return None
        self._look_at_the_clock(now_ms, waited_s)
        from_ms = self._next_ms
        to_ms = max(from_ms, min(now_ms, from_ms + self.longest_turn_ms))
        if self._end_ms is not None:
            to_ms = max(from_ms, min(to_ms, self._end_ms))
        self._next_ms = to_ms
        return from_ms, to_ms

    def _look_at_the_clock(self, now_ms: int, waited_s: float) -> None:
        """Skip a suspension, say a delay."""
        busy_s = self._busy_s()
        unexplained_ms = now_ms - self._last_ms - 1000 * (waited_s + busy_s - self._last_busy_s)
        self._last_ms, self._last_busy_s = now_ms, busy_s
        behind_ms = now_ms - self._next_ms
        self._started |= behind_ms >= 0
        self._replays &= behind_ms > self.longest_turn_ms
        if self._started and not self._replays:
            if min(unexplained_ms, behind_ms) > _SUSPENDED_MS:
                _log.warning("suspended for %.0f s; going on with the present", unexplained_ms / 1000)
                self._next_ms, behind_ms = now_ms - TURN_MS, TURN_MS
            elif behind_ms < -_SUSPENDED_MS:
                _log.warning("the clock was put back by %.0f s; going on with its present", -behind_ms / 1000)
                self._next_ms, behind_ms = now_ms, 0
            elif behind_ms > _SAY_BEHIND_MS:
                _log.warning("behind schedule by %.1f s; catching up", behind_ms / 1000)
        self.behind_s = 0.0 if self._replays else max(0, behind_ms) / 1000
        SIMULATOR_BEHIND_SECONDS.set(self.behind_s)
