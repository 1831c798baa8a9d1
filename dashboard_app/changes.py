"""What is new for a browser since its cursor, out of what a worker holds.

Called under the store's lock. The cost follows what is new, not what is held.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dashboard_app.choice import Choice
from dashboard_app.devices import Newest, Roster
from dashboard_app.held import CURSOR_TOPICS, TURN_DEVICES, Held
from dashboard_app.past import History, Past, ReadOn, Wanted
from dashboard_app.ring import Floats, Integers
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR

_MAX_READINGS: Final = 100_000
_NO_ROWS: Final = np.zeros(0, np.int64)
#: In one answer.
MOST_ALERTS: Final = 20_000

Mask = NDArray[np.bool_]
#: Names a moment at which equal questions have equal answers.
Moment = tuple[int, int]
#: The next offset of each partition, by topic.
Cursor = Mapping[str, Mapping[int, int]]


class Question(NamedTuple):
    """What a browser wants: all that is new since `cursor` (None: everything), readings of the devices in `detail`.

    `roster` is the key of the roster that it holds, `overview_ms` the newest second of the overview, 0 for none, `turn`
    the place in the roster from which on devices are told in turn (None: each with a new reading is told), `chosen` the
    devices of which it wants the overview (None: all).
    """

    cursor: Cursor | None
    detail: Sequence[str] | None
    history: Sequence[str]
    roster: str = ""
    overview_ms: int = 0
    turn: int | None = None
    chosen: Choice | None = None


class Columns(NamedTuple):
    """Records by device: the ids as JSON in UTF-8, times and values.

    For a browser that holds the roster, `places` in it stand for the names, none at all for the whole roster.
    `previous` are the values before those as (row, value), where the browser has not seen them.
    """

    names: Sequence[bytes] | None = ()
    places: Integers | None = None
    times_ms: Integers = np.zeros(0, np.int64)
    values: Floats = np.zeros(0, np.float64)
    previous: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Common:
    """What all browsers with the same cursor and roster are told at `now_ms`; equal to itself alone.

    No later write changes any of it; what `is_told`, `rest` and `averaged` name is held as long as nothing is written.
    """

    now_ms: int
    reset: bool = False
    cursor: Cursor = field(default_factory=dict)
    devices: Columns = field(default_factory=Columns)
    alerts: Columns = field(default_factory=Columns)
    #: The times are those of the windows' starts.
    counts: Columns = field(default_factory=Columns)
    #: The roster that the browser does not hold yet, and the one that it holds.
    roster: Roster | None = None
    known: Roster | None = None
    #: By number: the devices whose newest reading `devices` has.
    is_told: Mask = field(default_factory=lambda: np.zeros(0, bool))
    #: The rows of the other new readings; none on reset, when all that is held is new (past.py).
    rest: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    #: The devices with a new average.
    averaged: Integers = field(default_factory=lambda: np.zeros(0, np.int64))
    #: How many readings are new, to be told where devices are told in turn.
    new: int = 0


class Changes(NamedTuple):
    """The answer's parts: what a browser's question alone asks for, and what it shares with others.

    Readings are JSON arrays in UTF-8. A reading in `common.devices` does not stand in `readings` again, nor in
    `history`, which is yet to be read of `past` (`whole`).
    """

    common: Common
    skipped: int = 0
    readings: Sequence[bytes] = ()
    averages: Columns = Columns()
    past: Past | None = None
    history: History = History()

    def whole(self, read_on: ReadOn) -> "Changes":
        """Return them with the readings of the past; not under the store's lock."""
        if self.past is None:
            return self
        number, history = self.past.read(read_on)
        return self._replace(skipped=self.skipped + number - len(history.values), history=history, past=None)


class Shared:
    """Makes what browsers have in common once, as long as the moment stays the same."""

    def __init__(self) -> None:
        """Have made nothing."""
        self._moment: Moment | None = None
        self._made: dict[Hashable, Common] = {}

    def changes(self, held: Held, question: Question, moment: Moment, now_ms: int) -> Changes:
        """Return what is new; when something was written, it is another moment."""
        if moment != self._moment:
            self._made, self._moment = {}, moment
        cursor = question.cursor or {}
        key = (question.roster, question.turn, *((topic, *offsets.items()) for topic, offsets in cursor.items()))
        if key not in self._made:
            self._made[key] = common(held, question, now_ms)
        return changes(held, question, self._made[key])


def common(held: Held, question: Question, now_ms: int) -> Common:
    """Return what does not depend on the devices that a browser shows.

    A cursor of which rows are gone asks for everything, as None does.
    """
    cursor = question.cursor
    if cursor is not None and not held.covers(cursor):
        cursor = None
    roster = held.current_roster
    known = roster if roster and roster.key == question.roster else None
    wanted = _wanted(held, SENSOR.name, cursor)
    devices = _told(held, question.turn, wanted, known)
    is_told = np.zeros(len(held.names.by_number), bool)
    is_told[devices] = True
    rest = _NO_ROWS if cursor is None else _rows(held, SENSOR.name, cursor, now_ms)
    alerts = _rows(held, ALERT.name, cursor, now_ms)[-MOST_ALERTS:]
    return Common(
        now_ms=now_ms,
        reset=cursor is None,
        cursor=_following(held, cursor),
        devices=_columns(held.newest, devices, held, known)._replace(
            previous=held.newest.previous_since(devices, wanted)
        ),
        alerts=_events(held, ALERT.name, alerts, known),
        counts=_events(held, ALERT_COUNT.name, _counts(held, cursor, now_ms), known),
        roster=None if known else roster,
        known=known,
        is_told=is_told,
        rest=_untold(held, rest, is_told),
        averaged=held.averages.since(_wanted(held, AVG_TEMP.name, cursor)),
        new=0 if question.turn is None else len(rest),
    )


def changes(held: Held, question: Question, shared: Common) -> Changes:
    """Return what is new; nothing may have been written since `shared` was made of the same question."""
    readings = _readings(held, question, shared)
    skipped = max(0, len(readings) - _MAX_READINGS)
    return Changes(
        shared,
        skipped,
        held.rings[SENSOR.name].fragments(readings[skipped:], held.names.by_number),
        _columns(held.averages, _averages_wanted(held, question, shared), held, shared.known),
        _past(held, question, shared, readings),
    )


def _told(held: Held, turn: int | None, wanted: Integers | None, known: Roster | None) -> Integers:
    """Return the devices whose newest reading is told: those with a new one, or those whose turn it is.

    A browser that does not hold the roster, and cannot say whose turn it is, is told all of them.
    """
    if turn is None or wanted is None:
        return _ordered(held.newest.since(wanted), known)
    devices = held.newest.since(None)
    if known:
        from_turn = known.places[devices] - turn
        devices = devices[(from_turn >= 0) & (from_turn < TURN_DEVICES)]
    return _ordered(devices, known)


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


def _readings(held: Held, question: Question, shared: Common) -> Integers:
    """Return the rows of new readings; on reset there are none beside the past."""
    if question.detail is None:
        return _NO_ROWS if held.is_large else shared.rest
    devices = held.rings[SENSOR.name].values_of("device", shared.rest)
    rows: Integers = shared.rest[held.names.mask(question.detail)[devices]]
    return rows


def _past(held: Held, question: Question, shared: Common, readings: Integers) -> Past | None:
    """Return what is to be read of the past: of devices that came into view, on reset of all in view."""
    is_of_all = shared.reset and question.detail is None and not held.is_large
    device_ids = [*question.history, *((question.detail or ()) if shared.reset else ())]
    if not is_of_all and not device_ids:
        return None
    devices = None if is_of_all else held.names.mask(device_ids)
    told, since_ms = held.newest.told(shared.is_told), shared.now_ms - held.history_ms
    return Past(held, Wanted(devices, told, since_ms, readings, max(0, _MAX_READINGS - len(readings))))


def _untold(held: Held, rows: Integers, is_told: Mask) -> Integers:
    """Return the rows of readings that are not the newest ones of these devices."""
    ring = held.rings[SENSOR.name]
    devices, partitions, offsets = (ring.values_of(name, rows) for name in ("device", "partition", "offset"))
    untold: Integers = rows[~(is_told[devices] & held.newest.is_newest(devices, partitions, offsets))]
    return untold


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


def _averages_wanted(held: Held, question: Question, shared: Common) -> Integers:
    wanted = shared.averaged
    if held.is_large:
        wanted = wanted[held.names.mask(question.detail or ())[wanted]]
        if question.history:
            came = held.averages.since(None)
            wanted = np.union1d(wanted, came[held.names.mask(question.history)[came]])
    return _ordered(wanted, shared.known)


def _ordered(devices: Integers, known: Roster | None) -> Integers:
    """Return the devices in the order of the roster that the browser holds."""
    return devices[np.argsort(known.places[devices])] if known else devices


def _columns(newest: Newest, devices: Integers, held: Held, known: Roster | None) -> Columns:
    """Return the newest of these ordered devices; places say nothing where they are the whole roster."""
    columns = _by_device(held, known, devices, newest.times_ms[devices], newest.values[devices])
    return columns._replace(places=None) if known and len(devices) == known.size else columns


def _events(held: Held, topic: str, rows: Integers, known: Roster | None) -> Columns:
    """Return these rows of a topic by device and time: several of a device, none of most."""
    ring = held.rings[topic]
    devices, times_ms, values = (ring.values_of(name, rows) for name in ("device", "time", "value"))
    order = np.lexsort((times_ms, known.places[devices] if known else devices))
    return _by_device(held, known, devices[order], times_ms[order], values[order])


def _by_device(held: Held, known: Roster | None, devices: Integers, times_ms: Integers, values: Floats) -> Columns:
    """Return columns by name or, where the browser knows the roster, by place."""
    if known:
        return Columns(None, known.places[devices], times_ms, values)
    return Columns([held.names.encoded[device] for device in devices.tolist()], None, times_ms, values)
