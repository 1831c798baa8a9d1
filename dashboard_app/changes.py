"""What is new for a browser since its cursor, out of what a worker holds.

Called under the store's lock. The cost follows what is new, not what is held.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from dashboard_app.devices import Newest, Roster
from dashboard_app.held import CURSOR_TOPICS, Held
from dashboard_app.ring import Floats, Integers
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR

_MAX_READINGS: Final = 100_000
_MAX_ALERTS: Final = 20_000

#: The next offset of each partition, by topic.
Cursor = Mapping[str, Mapping[int, int]]


class Question(NamedTuple):
    """What a browser wants: all that is new since `cursor` (None: everything), readings of the devices in `detail`.

    `roster` is the key of the roster that it holds.
    """

    cursor: Cursor | None
    detail: Sequence[str] | None
    history: Sequence[str]
    roster: str = ""


class Columns(NamedTuple):
    """The newest record of some devices: their ids as JSON in UTF-8, times and values.

    For a browser that holds the roster, `places` in it stand for the names, none at all for the whole roster.
    `previous` are the values before those as (row, value), where the browser has not seen them.
    """

    names: Sequence[bytes] | None = ()
    places: Integers | None = None
    times_ms: Integers = np.zeros(0, np.int64)
    values: Floats = np.zeros(0, np.float64)
    previous: Sequence[tuple[int, float]] = ()


class Changes(NamedTuple):
    """The answer's parts; rows are JSON arrays in UTF-8. No later write changes them.

    A reading in `devices` does not stand in `readings` again.
    """

    reset: bool = False
    cursor: Cursor = MappingProxyType({})
    skipped: int = 0
    devices: Columns = Columns()
    readings: Sequence[bytes] = ()
    alerts: Sequence[bytes] = ()
    counts: Sequence[bytes] = ()
    averages: Columns = Columns()
    roster: Roster | None = None


def changes(held: Held, question: Question, now_ms: int) -> Changes:
    """Return what is new; a cursor of which rows are gone asks for everything, as None does."""
    cursor = question.cursor
    if cursor is not None and not held.covers(cursor):
        cursor = None
    wanted = _wanted(held, SENSOR.name, cursor)
    devices = held.newest.since(wanted)
    roster = held.current_roster
    known = roster if roster and roster.key == question.roster else None
    if known:
        devices = devices[np.argsort(known.places[devices])]
    readings, skipped = _readings(held, question, cursor, devices, now_ms)
    alerts = _rows(held, ALERT.name, cursor, now_ms)[-_MAX_ALERTS:]
    names = held.names.by_number
    return Changes(
        cursor is None,
        _following(held, cursor),
        skipped,
        _columns(held, held.newest, devices, known)._replace(previous=held.newest.previous_since(devices, wanted)),
        held.rings[SENSOR.name].fragments(readings, names),
        held.rings[ALERT.name].fragments(alerts, names),
        held.rings[ALERT_COUNT.name].fragments(_counts(held, cursor, now_ms), names),
        _columns(held, held.averages, _averages_wanted(held, question, cursor), known),
        None if known else roster,
    )


def _wanted(held: Held, topic: str, cursor: Cursor | None) -> Integers | None:
    return None if cursor is None else held.offsets[topic].wanted(cursor[topic])


def _following(held: Held, cursor: Cursor | None) -> Cursor:
    """Return the next cursor; where another worker was ahead of this one, the browser's own offset stands."""
    following = {topic: held.offsets[topic].as_dict() for topic in CURSOR_TOPICS}
    for topic, offsets in (cursor or {}).items():
        for partition, offset in offsets.items():
            following[topic][partition] = max(offset, following[topic].get(partition, 0))
    return following


def _rows(held: Held, topic: str, cursor: Cursor | None, now_ms: int) -> Integers:
    ring = held.rings[topic]
    return ring.appended_since(now_ms - held.history_ms) if cursor is None else ring.since(cursor[topic])


def _readings(
    held: Held, question: Question, cursor: Cursor | None, told: Integers, now_ms: int
) -> tuple[Integers, int]:
    """Return the rows of readings and how many were left out; `told` are the devices whose newest is told apart."""
    ring, known = held.rings[SENSOR.name], held.names.known
    since_ms = now_ms - held.history_ms
    if question.detail is None:
        rows = np.zeros(0, np.int64) if held.is_large else _rows(held, SENSOR.name, cursor, now_ms)
    elif cursor is None:
        rows = ring.rows_of(known(question.detail), since_ms)
    else:
        rows = ring.since(cursor[SENSOR.name])
        rows = rows[np.isin(ring.values_of("device", rows), known(question.detail))]
    if question.history:
        rows = np.union1d(rows, ring.rows_of(known(question.history), since_ms))
    if len(rows):
        devices, partitions, offsets = (ring.values_of(name, rows) for name in ("device", "partition", "offset"))
        is_told = np.zeros(len(held.names.by_number), bool)  # np.isin costs ten times as much for a few rows
        is_told[told] = True
        rows = rows[~(is_told[devices] & held.newest.is_newest(devices, partitions, offsets))]
    skipped = max(0, len(rows) - _MAX_READINGS)
    return rows[skipped:], skipped


def _counts(held: Held, cursor: Cursor | None, now_ms: int) -> Integers:
    """Return the rows of the counts, of each window the last one."""
    ring, rows = held.rings[ALERT_COUNT.name], _rows(held, ALERT_COUNT.name, cursor, now_ms)
    if not len(rows):
        return rows
    devices, starts_ms = ring.values_of("device", rows), ring.values_of("time", rows)
    order = np.lexsort((starts_ms, devices))
    devices, starts_ms = devices[order], starts_ms[order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = (devices[1:] != devices[:-1]) | (starts_ms[1:] != starts_ms[:-1])
    return np.sort(rows[order[is_last]])


def _averages_wanted(held: Held, question: Question, cursor: Cursor | None) -> Integers:
    devices = held.averages.since(_wanted(held, AVG_TEMP.name, cursor))
    if not held.is_large:
        return devices
    seen = devices[np.isin(devices, held.names.known(question.detail or ()))]
    came = held.averages.since(None)
    return np.union1d(seen, came[np.isin(came, held.names.known(question.history))])


def _columns(held: Held, newest: Newest, devices: Integers, known: Roster | None) -> Columns:
    """Return the newest of these devices: by name or, where the browser knows the roster, by place and in its order."""
    if known is None:
        names = [held.names.encoded[device] for device in devices.tolist()]
        return Columns(names, None, newest.times_ms[devices], newest.values[devices])
    devices = devices[np.argsort(known.places[devices])]
    places = None if len(devices) == known.size else known.places[devices]
    return Columns(None, places, newest.times_ms[devices], newest.values[devices])
