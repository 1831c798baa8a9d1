"""The readings that are held, as JSON, for a browser that has none of them.

They are looked for some rows at a time under the store's lock: the writer and other browsers have it in between. From
the newest back, so that rows that go meanwhile are missing at the oldest end alone, as if it had been asked later.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dashboard_app.devices import Told
from dashboard_app.held import Held
from dashboard_app.ring import Integers
from sensorbus.contract.topics import SENSOR

#: So many rows are looked at before others may have the lock, and so many made to JSON: about 1 ms each.
ROWS_AT_A_TIME: Final = 65_536
ENCODED_AT_A_TIME: Final = 2_048

#: Calls `look(held, epoch)` under the store's lock.
ReadOn = Callable[[Callable[[Held, str], Any]], Any]


class Wanted(NamedTuple):
    """Readings of these devices by number (None: all), but for those that `told` names and the rows `without`."""

    devices: NDArray[np.bool_] | None
    told: Told
    since_append_ms: int
    without: Integers
    most: int


class Past:
    """What a ring held when it began: rows that come later are not found, the cursor stands before them."""

    def __init__(
        self, held: Held, wanted: Wanted, rows_at_a_time: int = ROWS_AT_A_TIME, encoded: int = ENCODED_AT_A_TIME
    ) -> None:
        """Begin; under the store's lock, as nothing else."""
        self._ring, self._names, self._wanted = held.rings[SENSOR.name], held.names.by_number, wanted
        self._rows_at_a_time, self._encoded = rows_at_a_time, encoded
        self._first, self._end = self._ring.bounds_since(wanted.since_append_ms)

    def read(self, read_on: ReadOn) -> tuple[int, list[bytes]]:
        """Return how many there are, and the newest of them, `most` at most, in the order of their rows."""
        end, number, parts = self._end, 0, list[list[bytes]]()
        while end > self._first:
            end, rows = read_on(partial(self._look, end))
            left = max(0, self._wanted.most - number)
            number += max(0, len(rows) - left)
            rows = rows[max(0, len(rows) - left) :]
            for until in range(len(rows), 0, -self._encoded):
                parts.append(read_on(partial(self._encode, rows[max(0, until - self._encoded) : until])))
                number += len(parts[-1])
        return number, list(chain.from_iterable(reversed(parts)))

    def _look(self, end: int, _held: Held, _epoch: str) -> tuple[int, Integers]:
        """Return the rows that are wanted of those before `end`, and the first that was looked at."""
        ring, wanted = self._ring, self._wanted
        self._first = max(self._first, ring.statistics().dropped)
        start = max(self._first, end - self._rows_at_a_time)
        if start >= end:
            return start, np.zeros(0, np.int64)
        if wanted.devices is None:
            rows = np.arange(start, end)
        else:
            rows = start + np.flatnonzero(wanted.devices[ring.column("device", start, end)])
        columns = (ring.values_of(name, rows) for name in ("append", "device", "partition", "offset"))
        appends_ms, devices, partitions, offsets = columns
        rows = rows[(appends_ms >= wanted.since_append_ms) & ~wanted.told.has(devices, partitions, offsets)]
        return start, rows[~np.isin(rows, wanted.without)] if len(wanted.without) else rows

    def _encode(self, rows: Integers, _held: Held, _epoch: str) -> list[bytes]:
        """Return rows as JSON; of those that are held still, for no other stands in their places then."""
        held = rows[int(np.searchsorted(rows, self._ring.statistics().dropped)) :]
        return self._ring.fragments(held, self._names)
