"""What a worker holds of the topics, for all its requests.

One writer (the consumer thread) puts records in, many request threads take news out, each under one short lock:
nobody sees half a batch. A cursor is the next Kafka offset of every partition, never a place in the ring, so any
worker can go on where another one stopped.
"""

import bisect
import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import orjson

from dashboard_app.devices import MAX_DEVICES, NO_DEVICE, Names, Newest
from dashboard_app.ring import Floats, Integers, Offsets, Records, Ring, Statistics
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR

#: The topics of a cursor, in its order.
TOPICS: Final = (SENSOR.name, ALERT.name, ALERT_COUNT.name, AVG_TEMP.name)
#: Up to so many devices, every browser gets every reading.
ALL_DETAIL_DEVICES: Final = 100
_RESULT_ROWS: Final = 200_000
_MAX_DEAD_LETTERS: Final = 100_000
_MAX_READINGS: Final = 100_000
_MAX_ALERTS: Final = 20_000
_COUNTS_KEPT_MS: Final = 60_000  # the page shows the window that ends now

#: The next offset of each partition, by topic.
Cursor = Mapping[str, Mapping[int, int]]


class Question(NamedTuple):
    """What a browser wants: all that is new since `cursor` (None: everything), readings of the devices in `detail`."""

    cursor: Cursor | None
    detail: Sequence[str] | None
    history: Sequence[str]


class News(NamedTuple):
    """The answer's parts as lists of JSON arrays in UTF-8; no later write changes them."""

    reset: bool
    cursor: Cursor
    skipped: int
    devices: list[bytes]
    readings: list[bytes]
    alerts: list[bytes]
    counts: list[bytes]
    averages: list[bytes]


class Recent(NamedTuple):
    """Readings as columns of one length; a device is a number."""

    devices: Integers
    times_ms: Integers
    values: Floats


class Store:
    """The rings by topic, the devices, the newest reading and average of each."""

    def __init__(self, ring_rows: int, history_ms: int, max_devices: int = MAX_DEVICES) -> None:
        """Hold `ring_rows` readings at most, of the last `history_ms` by append time."""
        self._lock = threading.Lock()
        self._ring_rows, self._history_ms, self._max_devices = ring_rows, history_ms, max_devices
        self.epoch = ""
        self._newest_average_ms: int | None = None
        self._forget_all()

    def begin(self, topic: str, partition: int, offset: int) -> int:
        """Tell where reading a new partition would begin; return where it begins: a known one goes on."""
        with self._lock:
            offsets = self._offsets[topic]
            if offsets.begin(partition, offset) and topic in self._rings:
                self._rings[topic].begin(partition, offset)
            return int(offsets.next[partition])

    def append(self, topic: str, records: Records) -> None:
        """Put records of a topic in; what was put in before is left out."""
        if not records.offsets:
            return
        with self._lock:
            fresh = self._offsets[topic].fresh(records)
            devices = self._names.take(fresh.device_ids)
            if NO_DEVICE in devices:
                places = [place for place, device in enumerate(devices) if device != NO_DEVICE]
                fresh, devices = fresh.only(places), [devices[place] for place in places]
            if not devices:
                return
            self._note_heard(fresh, devices)
            if topic == AVG_TEMP.name:
                for device, place in self._averages.take(fresh, devices):
                    self._averages.fragments[device] = fresh.fragments[place]
                self._newest_average_ms = max(self._newest_average_ms or 0, *fresh.appends_ms, 0)
                return
            self._rings[topic].append(fresh, devices)
            if topic == SENSOR.name:
                self._note_newest(fresh, devices)

    def append_dead_letters(self, records: Records) -> None:
        """Count dead letters; only when they came is held."""
        with self._lock:
            came_ms = self._dead_letters
            came_ms.extend(self._offsets[DEAD_LETTER.name].fresh(records).appends_ms)
            came_ms.sort()
            del came_ms[:-_MAX_DEAD_LETTERS]

    def drop_old(self, now_ms: int) -> None:
        """Drop what is older than the history, and devices of which nothing is left."""
        before_ms = now_ms - self._history_ms
        with self._lock:
            self._rings[SENSOR.name].drop_before(before_ms)
            self._rings[ALERT.name].drop_before(before_ms)
            self._rings[ALERT_COUNT.name].drop_before(now_ms - _COUNTS_KEPT_MS)
            del self._dead_letters[: bisect.bisect_left(self._dead_letters, before_ms)]
            self._forget_unheard(before_ms)

    def clear(self, epoch: str) -> None:
        """Forget everything: these are other topics now."""
        with self._lock:
            self.epoch = epoch
            self._forget_all()

    # For readers.

    def news(self, question: Question, now_ms: int) -> News:
        """Return what is new; the cost follows what is new, not what is held."""
        with self._lock:
            cursor = question.cursor
            if cursor is not None and not self._covers(cursor):
                cursor = None
            readings, skipped = self._readings(question, cursor, now_ms)
            alerts = self._rows(ALERT.name, cursor, now_ms)[-_MAX_ALERTS:]
            names = self._names.by_number
            return News(
                cursor is None,
                self._following(cursor),
                skipped,
                _fragments(self._newest, self._newest.since(self._wanted(SENSOR.name, cursor))),
                self._rings[SENSOR.name].fragments(readings, names),
                self._rings[ALERT.name].fragments(alerts, names),
                self._rings[ALERT_COUNT.name].fragments(self._counts(cursor, now_ms), names),
                _fragments(self._averages, self._averages_wanted(question, cursor)),
            )

    def recent(self, append_ms: int) -> Recent:
        """Return the readings appended since then."""
        with self._lock:
            ring = self._rings[SENSOR.name]
            rows = ring.appended_since(append_ms)
            return Recent(*(ring.values_of(name, rows) for name in ("device", "time", "value")))

    def newest_append_ms(self) -> dict[str, int | None]:
        """Return the append time of the newest record of each topic, None before the first."""
        with self._lock:
            newest = {topic: ring.statistics().newest_append_ms for topic, ring in self._rings.items()}
            newest[AVG_TEMP.name] = self._newest_average_ms
            newest[DEAD_LETTER.name] = self._dead_letters[-1] if self._dead_letters else None
            return newest

    def statistics(self) -> dict[str, Statistics]:
        """Return how full the ring of each topic is."""
        with self._lock:
            return {topic: ring.statistics() for topic, ring in self._rings.items()}

    @property
    def devices(self) -> int:
        """How many devices are known."""
        return len(self._names)

    @property
    def refused_devices(self) -> int:
        """How many records were left out because their device was one too many."""
        return self._names.refused

    @property
    def dead_letters(self) -> int:
        """How many dead letters came within the history."""
        return len(self._dead_letters)

    @property
    def is_large(self) -> bool:
        """Tell whether there are too many devices to send every reading to every browser."""
        return self.devices > ALL_DETAIL_DEVICES

    # Under the lock.

    def _forget_all(self) -> None:
        self._offsets = {topic: Offsets() for topic in (*TOPICS, DEAD_LETTER.name)}
        rows = {
            SENSOR.name: self._ring_rows,
            ALERT.name: min(self._ring_rows, _RESULT_ROWS),
            ALERT_COUNT.name: min(self._ring_rows, _RESULT_ROWS),
        }
        self._rings = {topic: Ring(self._offsets[topic], capacity) for topic, capacity in rows.items()}
        self._names = Names(self._max_devices)
        self._newest, self._averages = Newest(), Newest()
        self._heard_ms = np.zeros(0, np.int64)
        self._newest_average_ms = None
        self._dead_letters: list[int] = []  # append times, in order

    def _note_heard(self, records: Records, devices: Sequence[int]) -> None:
        if max(devices) >= len(self._heard_ms):
            added = 2 * (max(devices) + 1) - len(self._heard_ms)
            self._heard_ms = np.concatenate((self._heard_ms, np.zeros(added, np.int64)))
        np.maximum.at(self._heard_ms, devices, records.appends_ms)

    def _note_newest(self, records: Records, devices: Sequence[int]) -> None:
        newest = self._newest
        for device, place in newest.take(records, devices):
            previous = orjson.dumps(float(newest.previous[device]))  # NaN becomes null
            newest.fragments[device] = b"%b,%b]" % (records.fragments[place][:-1], previous)

    def _forget_unheard(self, before_ms: int) -> None:
        unheard = np.flatnonzero(self._heard_ms[: len(self._names.by_number)] < before_ms).tolist()
        unheard = [device for device in unheard if self._names.by_number[device]]
        if not unheard:
            return
        in_use = np.zeros(len(self._names.by_number), bool)
        for ring in self._rings.values():
            in_use[ring.held("device")] = True
        for device in unheard:
            if not in_use[device]:  # a row in a ring must not become another device's
                self._names.forget(device)
                self._newest.forget(device)
                self._averages.forget(device)

    def _covers(self, cursor: Cursor) -> bool:
        return all(self._rings[topic].covers(cursor[topic]) for topic in (SENSOR.name, ALERT.name))

    def _wanted(self, topic: str, cursor: Cursor | None) -> Integers | None:
        return None if cursor is None else self._offsets[topic].wanted(cursor[topic])

    def _following(self, cursor: Cursor | None) -> Cursor:
        """Return the next cursor; where another worker was ahead of this one, the browser's own offset stands."""
        following = {topic: self._offsets[topic].as_dict() for topic in TOPICS}
        for topic, offsets in (cursor or {}).items():
            for partition, offset in offsets.items():
                following[topic][partition] = max(offset, following[topic].get(partition, 0))
        return following

    def _rows(self, topic: str, cursor: Cursor | None, now_ms: int) -> Integers:
        ring = self._rings[topic]
        return ring.appended_since(now_ms - self._history_ms) if cursor is None else ring.since(cursor[topic])

    def _readings(self, question: Question, cursor: Cursor | None, now_ms: int) -> tuple[Integers, int]:
        ring, known = self._rings[SENSOR.name], self._names.known
        since_ms = now_ms - self._history_ms
        if question.detail is None:
            rows = np.zeros(0, np.int64) if self.is_large else self._rows(SENSOR.name, cursor, now_ms)
        elif cursor is None:
            rows = ring.rows_of(known(question.detail), since_ms)
        else:
            rows = ring.since(cursor[SENSOR.name])
            rows = rows[np.isin(ring.values_of("device", rows), known(question.detail))]
        if question.history:
            rows = np.union1d(rows, ring.rows_of(known(question.history), since_ms))
        skipped = max(0, len(rows) - _MAX_READINGS)
        return rows[skipped:], skipped

    def _counts(self, cursor: Cursor | None, now_ms: int) -> Integers:
        """Return the rows of the counts, of each window the last one."""
        ring, rows = self._rings[ALERT_COUNT.name], self._rows(ALERT_COUNT.name, cursor, now_ms)
        devices, starts_ms = ring.values_of("device", rows), ring.values_of("time", rows)
        order = np.lexsort((starts_ms, devices))
        devices, starts_ms = devices[order], starts_ms[order]
        is_last = np.ones(len(order), bool)
        is_last[:-1] = (devices[1:] != devices[:-1]) | (starts_ms[1:] != starts_ms[:-1])
        return np.sort(rows[order[is_last]])

    def _averages_wanted(self, question: Question, cursor: Cursor | None) -> Integers:
        devices = self._averages.since(self._wanted(AVG_TEMP.name, cursor))
        if not self.is_large:
            return devices
        seen = devices[np.isin(devices, self._names.known(question.detail or ()))]
        came = self._averages.since(None)
        return np.union1d(seen, came[np.isin(came, self._names.known(question.history))])


def _fragments(newest: Newest, devices: Integers) -> list[bytes]:
    return [newest.fragments[device] for device in devices.tolist()]
