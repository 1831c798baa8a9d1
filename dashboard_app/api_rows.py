"""The rows of a topic that the API answers with, out of what a worker holds.

Rows are in the order of event time, then of partition and offset: the same on every worker. Called from request
threads. The store's lock is taken for some rows at a time, so that the writer and all ticks go on in between.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dashboard_app.api_cursor import RowPlace
from dashboard_app.api_problems import stale_cursor
from dashboard_app.held import Held
from dashboard_app.ring import Floats, Integers, Ring
from dashboard_app.store import Store

#: So many rows are looked at before others may have the lock: about 1 ms.
ROWS_AT_A_TIME: Final = 65_536
_GONE: Final = "the row of this cursor is no longer held"
_FIRST_MS: Final = np.iinfo(np.int64).min
_LAST_MS: Final = np.iinfo(np.int64).max


class Wanted(NamedTuple):
    """Rows of these devices (None: all), in `[since_ms, until_ms)`, after a place; `limit` at most."""

    devices: tuple[str, ...] | None
    since_ms: int | None
    until_ms: int | None
    limit: int
    after: RowPlace | None = None


class Rows(NamedTuple):
    """Rows as columns of one length; `last` is the place of the last one, None when there are no more."""

    device_ids: list[str]
    times_ms: list[int]
    celsius: list[float]
    last: RowPlace | None


class _Found(NamedTuple):
    """Rows that are wanted as columns of one length, in no order."""

    devices: Integers
    times_ms: Integers
    partitions: Integers
    offsets: Integers
    values: Floats

    def at(self, places: Any) -> "_Found":
        return _Found._make(column[places] for column in self)

    def order(self) -> Integers:
        return np.lexsort((self.offsets, self.partitions, self.times_ms))


class Search:
    """A search in what a ring held when it began: rows that come later are not found.

    From the oldest row on: when some go that were not looked at yet, all that was found has gone as well, and the
    search begins again with what is held then.
    """

    def __init__(self, held: Held, topic: str, wanted: Wanted, rows_at_a_time: int = ROWS_AT_A_TIME) -> None:
        """Begin; under the store's lock, as nothing else. Raises `ProblemError` when the place's record is gone."""
        self._ring, self._wanted, self._at_a_time = held.rings[topic], wanted, rows_at_a_time
        self._names = held.names.by_number.copy()  # once a row is gone, its device's number may be another one's
        self._mask = None if wanted.devices is None else held.names.mask(wanted.devices)
        statistics = self._ring.statistics()
        self._end = statistics.dropped + statistics.held
        self._begin(statistics.dropped)

    def rows(self, store: Store) -> Rows:
        """Return what is found. Raises `ProblemError` when the place's record goes before it was looked at."""
        while self._next < self._end:
            found = store.read_on(lambda _held, _epoch: self._look())
            if len(found.times_ms):
                self._take(found)
        return self._sorted()

    def _begin(self, first: int) -> None:
        wanted, self._next = self._wanted, first
        if wanted.after is not None:
            _check_held(self._ring, wanted.after)
        since_ms = _FIRST_MS if wanted.since_ms is None else wanted.since_ms
        self._since_ms = max(since_ms, wanted.after.time_ms) if wanted.after else since_ms
        self._last_ms = _LAST_MS if wanted.until_ms is None else wanted.until_ms - 1
        self._found = _NOTHING

    def _look(self) -> _Found:
        """Return what is wanted of the next rows; under the store's lock."""
        ring, first = self._ring, self._ring.statistics().dropped
        if first > self._next:
            self._begin(first)
        start, self._next = self._next, max(self._next, min(self._next + self._at_a_time, self._end))
        times_ms = ring.column("time", start, self._next)
        is_wanted = (times_ms >= self._since_ms) & (times_ms <= self._last_ms)
        if self._mask is not None:
            is_wanted &= self._mask[ring.column("device", start, self._next)]
        rows = start + np.flatnonzero(is_wanted)
        return _Found._make(ring.values_of(name, rows) for name in ("device", "time", "partition", "offset", "value"))

    def _take(self, found: _Found) -> None:
        """Keep the first ones, one more than are told; what is later than those is not looked for any more."""
        if self._wanted.after is not None:
            found = found.at(~_are_told(found, self._wanted.after))
        number = self._wanted.limit + 1
        self._found = _first(_Found._make(map(np.concatenate, zip(self._found, found, strict=True))), number)
        if len(self._found.times_ms) == number:
            self._last_ms = int(self._found.times_ms.max())

    def _sorted(self) -> Rows:
        limit, found = self._wanted.limit, self._found.at(self._found.order())
        kept = found.at(slice(limit))
        last = None
        if len(found.times_ms) > limit:
            last = RowPlace(*(int(column[-1]) for column in (kept.times_ms, kept.partitions, kept.offsets)))
        names = [self._names[device] for device in kept.devices.tolist()]
        return Rows(names, kept.times_ms.tolist(), kept.values.tolist(), last)


_NONE: Final[Integers] = np.zeros(0, np.int64)
_NOTHING: Final = _Found(_NONE, _NONE, _NONE, _NONE, np.zeros(0, np.float64))


def _check_held(ring: Ring, place: RowPlace) -> None:
    """Raise `ProblemError` when the record at a place is dropped: others after it may be dropped as well."""
    following = ring.offsets.as_dict()
    if place.partition not in following or not ring.covers(following | {place.partition: place.offset}):
        raise stale_cursor(_GONE)


def _are_told(found: _Found, after: RowPlace) -> NDArray[np.bool_]:
    """Return which of these rows, none of an earlier time, are not after a place."""
    is_before = (found.partitions == after.partition) & (found.offsets <= after.offset)
    is_before |= found.partitions < after.partition
    are_told: NDArray[np.bool_] = is_before & (found.times_ms == after.time_ms)
    return are_told


def _first(found: _Found, number: int) -> _Found:
    """Return the first `number`."""
    if len(found.times_ms) <= number:
        return found
    last_ms = np.partition(found.times_ms, number - 1)[number - 1]
    before, tied = np.flatnonzero(found.times_ms < last_ms), np.flatnonzero(found.times_ms == last_ms)
    tied = tied[found.at(tied).order()]
    return found.at(np.concatenate((before, tied[: number - len(before)])))
