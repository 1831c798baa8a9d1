"""Records as a consumer thread hands them over, and a feed that has none."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from dashboard_app.changes import Changes
from dashboard_app.feed import Feed
from dashboard_app.held import CURSOR_TOPICS, Held
from dashboard_app.past import History
from dashboard_app.ring import Records
from dashboard_app.store import Store

NOW_MS: Final = 1_769_860_800_000
HISTORY_MS: Final = 900_000

T = TypeVar("T")


class StillFeed(Feed):
    """A feed that asks no Kafka and counts how often it was started."""

    starts = 0

    def start(self) -> None:
        """Start nothing."""
        self.starts += 1


class BusyStore(NamedTuple):
    """A store to which something is written whenever a reader lets go of it."""

    store: Store
    write: Callable[[], object]

    def read(self, look: Callable[[Held, str], T]) -> T:
        """Return what the reader makes of it; then write."""
        made = self.store.read(look)
        self.write()
        return made

    def read_on(self, look: Callable[[Held, str], T]) -> T:
        """As `read`."""
        return self.read(look)


def records(partition: int, first_offset: int, rows: Sequence[Sequence[Any]], append_ms: int = NOW_MS) -> Records:
    """Return rows `[device, time_ms, ..., value]` as records of one partition, one after the other."""
    count = len(rows)
    return Records(
        [partition] * count,
        list(range(first_offset, first_offset + count)),
        [append_ms] * count,
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[-1] for row in rows],
        [orjson.dumps(row) for row in rows],
    )


def told(changes: Changes) -> list[list[Any]]:
    """Return the readings of an answer, [device, time_ms, value], those of the past first."""
    return rows_of(changes.history) + [orjson.loads(fragment) for fragment in changes.readings]


def rows_of(history: History) -> list[list[Any]]:
    """Return readings by device as rows."""
    pairs = zip(history.names, history.numbers.tolist(), strict=True)
    names = [orjson.loads(name) for name, number in pairs for _ in range(number)]
    return [list(row) for row in zip(names, history.times_ms.tolist(), history.values.tolist(), strict=True)]


def held(ring_rows: int = 1_000, max_devices: int = 1_000, partitions: int = 4) -> Held:
    """Return what a worker holds that reads empty topics from their start: nothing."""
    made = Held(ring_rows, HISTORY_MS, max_devices)
    for topic in CURSOR_TOPICS:
        for partition in range(partitions):
            made.begin(topic, partition, 0)
    return made
