"""The rows of a topic that the API answers with, out of what a worker holds.

Rows are in the order of event time, then of partition and offset: the same on every worker. Called from request
threads; under the store's lock only masks and copies are made, which takes some ms of the largest ring.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from dashboard_app.api_cursor import RowPlace
from dashboard_app.api_problems import stale_cursor
from dashboard_app.held import Held
from dashboard_app.ring import Floats, Integers, Ring

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
    """Candidates, not sorted yet: the first rows are among them."""

    names: list[str]
    devices: Integers
    times_ms: Integers
    partitions: Integers
    offsets: Integers
    values: Floats


def rows_of(held: Held, topic: str, wanted: Wanted) -> Callable[[], Rows]:
    """Return a function that sorts what was found, to be called when the store's lock is free again."""
    ring = held.rings[topic]
    if wanted.after is not None:
        _check_held(ring, wanted.after)
    found = _first(ring, _matching(held, ring, wanted), wanted.limit + 1)
    rows = ring.statistics().dropped + found
    columns = (ring.values_of(name, rows) for name in ("device", "time", "partition", "offset", "value"))
    devices, *others = columns
    candidates = _Found([held.names.by_number[device] for device in devices.tolist()], devices, *others)
    return lambda: _sorted(candidates, wanted.limit)


def _check_held(ring: Ring, place: RowPlace) -> None:
    """Raise `ProblemError` when the record at a place is dropped: others after it may be dropped as well."""
    following = ring.offsets.as_dict()
    if place.partition not in following or not ring.covers(following | {place.partition: place.offset}):
        raise stale_cursor(_GONE)


def _matching(held: Held, ring: Ring, wanted: Wanted) -> Integers:
    """Return the indexes, among the rows held, of those that are wanted."""
    times_ms: Integers = ring.held("time")
    after = wanted.after
    since_ms = _FIRST_MS if wanted.since_ms is None else wanted.since_ms
    since_ms = max(since_ms, after.time_ms) if after else since_ms
    is_wanted = (times_ms >= since_ms) & (times_ms < (_LAST_MS if wanted.until_ms is None else wanted.until_ms))
    if wanted.devices is not None:
        is_wanted &= held.names.mask(wanted.devices)[ring.held("device")]
    found = np.flatnonzero(is_wanted)
    if after is None:
        return found
    partitions, offsets = ring.held("partition")[found], ring.held("offset")[found]
    is_told = (partitions < after.partition) | ((partitions == after.partition) & (offsets <= after.offset))
    is_told &= times_ms[found] == after.time_ms
    following: Integers = found[~is_told]
    return following


def _first(ring: Ring, found: Integers, number: int) -> Integers:
    """Return those that hold the first `number` by time, with all of the last one's time."""
    if len(found) <= number:
        return found
    times_ms: Integers = ring.held("time")[found]
    first: Integers = found[times_ms <= np.partition(times_ms, number - 1)[number - 1]]
    return first


def _sorted(found: _Found, limit: int) -> Rows:
    order = np.lexsort((found.offsets, found.partitions, found.times_ms))
    kept = order[:limit]
    last = None
    if len(order) > limit:
        columns = (found.times_ms, found.partitions, found.offsets)
        last = RowPlace(*(int(column[kept[-1]]) for column in columns))
    names = [found.names[place] for place in kept.tolist()]
    return Rows(names, found.times_ms[kept].tolist(), found.values[kept].tolist(), last)
