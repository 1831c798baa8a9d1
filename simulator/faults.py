"""Faults on request: what real devices and networks do to readings.

Each fault is a rate in [0, 1] and is decided by (seed, device, time) alone, so a run can be repeated.
"""

import heapq
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from simulator.device import Integers, fractions
from simulator.fleet import Fleet, Readings

_DROPOUT, _DROPOUT_PHASE, _LATE, _LATE_BY, _SWAP, _TWICE, _INVALID, _SKEWED, _SKEWED_BY = range(200, 209)
_SKEW_MAX_MS: Final = 120_000
#: Values that no reader can take; `invalid` goes through them in turn.
INVALID_VALUES: Final = (
    b"",
    b"not json",
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temp',
    b"[1,2,3]",
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001"}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"","temperature":20.0}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temperature":NaN}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temperature":"20.0"}',
    b'{"timestamp":"2026-01-01T00:00:00Z","device_id":"device-0001","temperature":-400.0}',
    b'{"timestamp":"yesterday","device_id":"device-0001","temperature":20.0}',
    b'{"timestamp":1767225600,"device_id":"device-0001","temperature":20.0}',
    b'\xff\xfe{"device_id"',
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
    """What is sent: the device's index, its key's and value's ingredients; `invalid` stands for the value if set."""

    device: int
    time_ms: int
    celsius: float
    invalid: bytes | None = None


class FaultyNetwork:
    """Turns readings that are due into records to send, in the order of sending; holds back what is to come late."""

    def __init__(self, fleet: Fleet, rates: Rates, seed: int) -> None:
        """Hold nothing yet."""
        self._fleet, self._rates, self._seed = fleet, rates, seed
        self._swapped: dict[int, Record] = {}  # by device: sent after the device's next reading
        self._late: list[tuple[int, int, Record]] = []  # heap by the time of sending
        self._number = 0

    def records(self, readings: Readings, to_ms: int) -> Iterator[Record]:
        """Yield what is sent up to `to_ms`: these readings with their faults, and late ones of before."""
        faults = self._decide(readings)
        for index, (device, time_ms, celsius) in enumerate(zip(*(column.tolist() for column in readings), strict=True)):
            if faults.silent[index]:
                continue
            record = Record(device, time_ms + int(faults.skew_ms[index]), celsius)
            if faults.invalid[index]:
                self._number += 1
                record = record._replace(invalid=INVALID_VALUES[self._number % len(INVALID_VALUES)])
            yield from self._deliver(record, faults, index)
        while self._late and self._late[0][0] < to_ms:
            yield heapq.heappop(self._late)[2]

    def held_back(self) -> Iterator[Record]:
        """Yield what is still held back: nothing is lost when the simulator stops."""
        while self._late:
            yield heapq.heappop(self._late)[2]
        yield from self._swapped.values()
        self._swapped.clear()

    def _deliver(self, record: Record, faults: "_Faults", index: int) -> Iterator[Record]:
        swapped = self._swapped.pop(record.device, None)
        if faults.late_ms[index]:
            self._number += 1
            heapq.heappush(self._late, (record.time_ms + int(faults.late_ms[index]), self._number, record))
        elif faults.swapped[index] and swapped is None:
            self._swapped[record.device] = record
        else:
            yield record
            if faults.twice[index]:
                yield record
        if swapped is not None:
            yield swapped

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

    def _silent(self, devices: Integers, times_ms: Integers) -> np.typing.NDArray[np.bool_]:
        """Return who is silent: 15 to 60 s at a time, in all the wanted share of the time."""
        if not self._rates.dropout:
            return np.zeros(len(devices), np.bool_)
        silence_ms = 15_000 + 45_000 * fractions(self._seed, _DROPOUT, devices)
        slot_ms = silence_ms / self._rates.dropout
        phase_ms = slot_ms * fractions(self._seed, _DROPOUT_PHASE, devices)
        return np.asarray((times_ms + phase_ms) % slot_ms < silence_ms)


class _Faults(NamedTuple):
    """What happens to each reading: arrays of one length."""

    silent: np.typing.NDArray[np.bool_]
    late_ms: Integers
    swapped: np.typing.NDArray[np.bool_]
    twice: np.typing.NDArray[np.bool_]
    invalid: np.typing.NDArray[np.bool_]
    skew_ms: Integers
