"""The readings that are held, for a browser that has none of them.

They are looked for some rows at a time under the store's lock: the writer and other browsers have it in between. From
the newest back, so that rows that go meanwhile are missing at the oldest end alone, as if it had been asked later.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dashboard_app.devices import Told
from dashboard_app.held import Held
from dashboard_app.ring import Floats, Integers
from sensorbus.contract.topics import SENSOR

#: So many rows are looked at before others may have the lock: about 1 ms.
ROWS_AT_A_TIME: Final = 32_768
_NO_NUMBERS: Final = np.zeros(0, np.int64)
_NO_VALUES: Final = np.zeros(0, np.float64)

#: Device, time and value of readings.
Columns = tuple[Integers, Integers, Floats]
_NOTHING: Final[Columns] = (_NO_NUMBERS, _NO_NUMBERS, _NO_VALUES)
#: Calls `look(held, epoch)` under the store's lock.
ReadOn = Callable[[Callable[[Held, str], Any]], Any]


class Wanted(NamedTuple):
    """Readings of these devices by number (None: all), but for those that `told` names and the rows `without`."""

    devices: NDArray[np.bool_] | None
    told: Told
    since_append_ms: int
    without: Integers
    most: int


class History(NamedTuple):
    """Readings by device, of each in the order of its rows: the ids as JSON, how many each has, times and values."""

    names: Sequence[bytes] = ()
    numbers: Integers = _NO_NUMBERS
    times_ms: Integers = _NO_NUMBERS
    values: Floats = _NO_VALUES


class Past:
    """What a ring held when it began: rows that come later are not found, the cursor stands before them."""

    def __init__(self, held: Held, wanted: Wanted, rows_at_a_time: int = ROWS_AT_A_TIME) -> None:
        """Begin; under the store's lock, as nothing else."""
        self._ring, self._wanted, self._rows_at_a_time = held.rings[SENSOR.name], wanted, rows_at_a_time
        self._names = held.names.encoded.copy()  # a number may be another device's soon
        self._first, self._end = self._ring.bounds_since(wanted.since_append_ms)

    def read(self, read_on: ReadOn) -> tuple[int, History]:
        """Return how many there are, and the newest of them, `most` at most."""
        end, number, left = self._end, 0, self._wanted.most
        parts = [_NOTHING]
        while end > self._first:
            end, found, columns = read_on(partial(self._look, end, left))
            parts.append(columns)
            number, left = number + found, left - len(columns[0])
        devices, times_ms, values = (np.concatenate(column) for column in zip(*reversed(parts), strict=True))
        order = np.argsort(devices, kind="stable")
        told, numbers = np.unique(devices[order], return_counts=True)
        names = [self._names[device] for device in told.tolist()]
        return number, History(names, numbers, times_ms[order], values[order])

    def _look(self, end: int, most: int, _held: Held, _epoch: str) -> tuple[int, int, Columns]:
        """Return the first row that was looked at, how many before `end` are wanted, and the newest of these."""
        ring, wanted = self._ring, self._wanted
        self._first = max(self._first, ring.statistics().dropped)
        start = max(self._first, end - self._rows_at_a_time)
        if start >= end:
            return start, 0, _NOTHING
        if wanted.devices is None:
            rows = np.arange(start, end)
        else:
            rows = start + np.flatnonzero(wanted.devices[ring.column("device", start, end)])
        keys = (ring.values_of(name, rows) for name in ("append", "device", "partition", "offset"))
        appends_ms, devices, partitions, offsets = keys
        rows = rows[(appends_ms >= wanted.since_append_ms) & ~wanted.told.has(devices, partitions, offsets)]
        rows = rows[~np.isin(rows, wanted.without)] if len(wanted.without) else rows
        told = rows[max(0, len(rows) - most) :]
        columns = (ring.values_of("device", told), ring.values_of("time", told), ring.values_of("value", told))
        return start, len(rows), columns
