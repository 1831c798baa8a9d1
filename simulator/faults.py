"""Faults on request: what real devices and networks do to readings.

Each fault is a rate in [0, 1] and is decided by (seed, device, time) alone, so a run can be repeated: the same records
in the same order, however the time is cut into turns.
"""

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.device import Integers, fractions
from simulator.fleet import Readings

_DROPOUT, _DROPOUT_PHASE, _LATE, _LATE_BY, _SWAP, _TWICE, _INVALID, _SKEWED, _SKEWED_BY = range(200, 209)
_SKEW_MAX_MS: Final = 120_000
#: Values that no reader can take, at least one of each kind of error; `invalid` goes through them in turn.
INVALID_VALUES: Final = (
    b"",
    b"not json",
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temp',
    b"[1,2,3]",
    b"null",
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001"}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"","temperature":20.0}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temperature":NaN}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temperature":"20.0"}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temperature":-400.0}',
    b'{"timestamp":"yesterday","device_id":"device-0001","temperature":20.0}',
    b'{"timestamp":1767225600,"device_id":"device-0001","temperature":20.0}',
    b'{"timestamp":"9999-12-31T23:59:59Z","device_id":"device-0001","temperature":20.0}',
    b'\xff\xfe{"device_id"',
    None,
)


class Rates(NamedTuple):
    """How often each fault happens: a share of readings, of time (dropout) or of devices (skew)."""

    dropout: float = 0.0
    late: float = 0.0
    out_of_order: float = 0.0
    duplicate: float = 0.0
    invalid: float = 0.0
    skew: float = 0.0


class Record(NamedTuple):
    """What is sent for a reading; `invalid` is the index in INVALID_VALUES of the value sent instead."""

    device: int
    time_ms: int
    celsius: float
    invalid: int | None = None


class FaultyNetwork:
    """Turns readings that are due into records to send, in the order of sending; holds back what is to come late."""

    def __init__(self, rates: Rates, seed: int) -> None:
        """Hold nothing yet."""
        self._rates, self._seed = rates, seed
        self._swapped: dict[int, list[Record]] = {}  # by device: sent after the device's next reading
        self._late: list[tuple[int, int, list[Record]]] = []  # heap by the time of sending, then by order
        self._late_count = self._invalid_count = 0

    def records(self, readings: Readings, to_ms: int) -> Iterator[Record]:
        """Yield what is sent before `to_ms`: these readings with their faults, and late ones of before."""
        columns = (*readings, *self._decide(readings))
        for device, time_ms, celsius, silent, late_ms, swapped, twice, invalid, skew_ms in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            yield from self._due(time_ms)
            if silent:
                continue
            record = Record(device, time_ms + skew_ms, celsius, self._next_invalid() if invalid else None)
            copies = [record, record] if twice else [record]
            if late_ms:
                self._late_count += 1
                heapq.heappush(self._late, (time_ms + late_ms, self._late_count, copies))
            elif swapped and device not in self._swapped:
                self._swapped[device] = copies
            else:
                yield from copies
                yield from self._swapped.pop(device, ())
        yield from self._due(to_ms)

    def held_back(self) -> Iterator[Record]:
        """Yield what is still held back: nothing is lost when the simulator ends, but it comes early."""
        while self._late:
            yield from heapq.heappop(self._late)[2]
        for copies in self._swapped.values():
            yield from copies
        self._swapped.clear()

    def _due(self, before_ms: int) -> Iterator[Record]:
        while self._late and self._late[0][0] < before_ms:
            yield from heapq.heappop(self._late)[2]

    def _next_invalid(self) -> int:
        self._invalid_count += 1
        return self._invalid_count % len(INVALID_VALUES)

    def _decide(self, readings: Readings) -> "_Faults":
        devices, times_ms, _ = readings
        rates, seed = self._rates, self._seed
        is_late = fractions(seed, _LATE, devices, times_ms) < rates.late
        late_ms = (3_000 + 27_000 * fractions(seed, _LATE_BY, devices, times_ms)).astype(np.int64)
        is_skewed = fractions(seed, _SKEWED, devices) < rates.skew
        skew_ms = (_SKEW_MAX_MS * (2 * fractions(seed, _SKEWED_BY, devices) - 1)).astype(np.int64)
        return _Faults(
            silent=self._silent(devices, times_ms),
            late_ms=np.where(is_late, late_ms, 0),
            swapped=fractions(seed, _SWAP, devices, times_ms) < rates.out_of_order,
            twice=fractions(seed, _TWICE, devices, times_ms) < rates.duplicate,
            invalid=fractions(seed, _INVALID, devices, times_ms) < rates.invalid,
            skew_ms=np.where(is_skewed, skew_ms, 0),
        )

    def _silent(self, devices: Integers, times_ms: Integers) -> NDArray[np.bool_]:
        """Return who is silent: 15 to 60 s at a time, in all the wanted share of the time."""
        if not self._rates.dropout:
            return np.zeros(len(devices), np.bool_)
        silence_ms = 15_000 + 45_000 * fractions(self._seed, _DROPOUT, devices)
        slot_ms = silence_ms / max(self._rates.dropout, 1e-9)  # rarer is never
        phase_ms = slot_ms * fractions(self._seed, _DROPOUT_PHASE, devices)
        return np.asarray((times_ms + phase_ms) % slot_ms < silence_ms)


class _Faults(NamedTuple):
    """What happens to each reading: arrays of one length, in the order in which `records` takes them."""

    silent: NDArray[np.bool_]
    late_ms: Integers
    swapped: NDArray[np.bool_]
    twice: NDArray[np.bool_]
    invalid: NDArray[np.bool_]
    skew_ms: Integers
