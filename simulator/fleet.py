"""Which device reports when: a schedule that cannot drift.

Device `i` reports at `start + phase(i) + n * period` for n = 0, 1, 2, ...; the phases spread the fleet over the period.
Pure: the wall clock is the caller's.
"""

from typing import Final, NamedTuple

import numpy as np

from simulator.device import Floats, Integers, fractions, temperatures_celsius

_PHASE: Final = 100  # the purpose of the phases' hash; device.py uses the small numbers
_MIN_DIGITS: Final = 4
_NOBODY: Final = np.empty(0, np.int64)


class Readings(NamedTuple):
    """Readings in the order of their times: three arrays of one length."""

    devices: Integers
    times_ms: Integers
    celsius: Floats


class Fleet:
    """The devices `0 .. devices - 1` from `start_ms` on; frozen."""

    def __init__(self, devices: int, period_ms: int, seed: int, start_ms: int) -> None:
        """Compute the phases, in [0, period)."""
        self._seed, self._period_ms, self._start_ms = seed, period_ms, start_ms
        phases_ms = (period_ms * fractions(seed, _PHASE, np.arange(devices))).astype(np.int64)
        self._order = np.argsort(phases_ms, kind="stable")
        self._phases_ms = phases_ms[self._order]
        digits = max(_MIN_DIGITS, len(str(devices)))
        #: The devices' names, by index: `device-0001` and so on.
        self.names = [f"device-{number:0{digits}d}" for number in range(1, devices + 1)]

    def due(self, from_ms: int, to_ms: int) -> Readings:
        """Return the readings of `[from_ms, to_ms)`."""
        first_cycle = max(0, (from_ms - self._start_ms) // self._period_ms)
        last_cycle = (to_ms - 1 - self._start_ms) // self._period_ms
        devices, times = [], []
        for cycle in range(first_cycle, last_cycle + 1):
            cycle_ms = self._start_ms + cycle * self._period_ms
            first, last = np.searchsorted(self._phases_ms, (from_ms - cycle_ms, to_ms - cycle_ms))
            devices.append(self._order[first:last])
            times.append(cycle_ms + self._phases_ms[first:last])
        who, when = np.concatenate([_NOBODY, *devices]), np.concatenate([_NOBODY, *times])
        if not len(who):  # most turns of a small fleet
            return Readings(who, when, np.empty(0))
        return Readings(who, when, temperatures_celsius(self._seed, who, when))
