"""The readings of the last seconds or minutes, as columns.

They are copied some at a time under the store's lock: others have it in between.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from dashboard_app.held import Held
from dashboard_app.ring import Floats, Integers, Ring
from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR

ROWS_AT_A_TIME: Final = 131_072


class Recent(NamedTuple):
    """Readings as columns of one length; a device is a number."""

    devices: Integers
    times_ms: Integers
    values: Floats


def recent(store: Store, append_ms: int, rows_at_a_time: int = ROWS_AT_A_TIME) -> Recent:
    """Return the readings appended since then, of those that are held now; some that go meanwhile are left out."""

    def begin(held: Held, _epoch: str) -> tuple[Ring, int, int]:
        ring = held.rings[SENSOR.name]
        return ring, *ring.bounds_since(append_ms)

    ring, first, end = store.read(begin)
    columns: dict[str, Any] = {
        "device": np.empty(end - first, np.int32),
        "time": np.empty(end - first, np.int64),
        "value": np.empty(end - first, np.float64),
    }
    number = 0

    def copy(_held: Held, _epoch: str) -> None:
        nonlocal first, number
        start = max(first, ring.statistics().dropped)
        first = min(start + rows_at_a_time, max(start, end))
        is_wanted = ring.column("append", start, first) >= append_ms
        places = slice(None) if is_wanted.all() else is_wanted  # a plain copy costs half
        until = number + int(is_wanted.sum())
        for name, column in columns.items():
            column[number:until] = ring.column(name, start, first)[places]
        number = until

    while first < end:
        store.read_on(copy)
    return Recent(*(column[:number] for column in columns.values()))
