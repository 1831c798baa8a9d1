"""What a tick answers: everything that is new since a browser's cursor, as JSON (docs/tick.md).

Called from request threads. The cost follows what is new; what is the same for all browsers is computed once a second.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from dashboard_app.overview import Overview
from dashboard_app.store import Integers, Latest, Offsets, Ring, Store
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from sensorbus.runtime.clock import ClockMs

VERSION: Final = 1
#: Up to so many devices, every browser gets every reading.
ALL_DETAIL_DEVICES: Final = 100
_MAX_DETAIL: Final = 200
_MAX_HISTORY: Final = 50
_MAX_READINGS: Final = 100_000
_MAX_RESULTS: Final = 50_000
_MAX_CURSOR_CHARACTERS: Final = 20_000
_COUNTS_KEPT_MS: Final = 60_000  # a reset sends counts of windows that ended this long ago at most
TOPICS: Final = (SENSOR.name, ALERT.name, ALERT_COUNT.name, AVG_TEMP.name)

#: What the answer says of the pipeline, from the consumer thread.
Pipeline = Mapping[str, Any]


class Request(NamedTuple):
    """A browser's question; None as cursor asks for the whole window."""

    cursor: dict[str, dict[int, int]] | None
    detail: list[str] | None
    history: list[str]


def parse_request(body: object, cluster: str) -> Request:
    """Return the question in whatever a browser sent; what makes no sense asks for the whole window."""
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    detail = fields.get("detail")
    return Request(
        _parse_cursor(fields.get("cursor"), cluster),
        _names(detail, _MAX_DETAIL) if isinstance(detail, list) else None,
        _names(fields.get("history"), _MAX_HISTORY),
    )


def encode_cursor(cluster: str, offsets: Mapping[str, Offsets]) -> str:
    """Return the cursor's text: the cluster, then the next offsets by topic and partition."""
    return orjson.dumps([cluster, [list(offsets[topic].items()) for topic in TOPICS]]).decode()


def _parse_cursor(text: object, cluster: str) -> dict[str, dict[int, int]] | None:
    if not isinstance(text, str) or len(text) > _MAX_CURSOR_CHARACTERS:
        return None
    try:
        of, topics = orjson.loads(text)
        cursor = {
            topic: {_whole(partition): _whole(offset) for partition, offset in pairs}
            for topic, pairs in zip(TOPICS, topics, strict=True)
        }
    except (ValueError, TypeError):
        return None
    return cursor if of == cluster else None


def _whole(number: object) -> int:
    if type(number) is not int or not 0 <= number < 2**63:
        raise ValueError(number)
    return number


def _names(value: object, at_most: int) -> list[str]:
    return [name for name in value[:at_most] if isinstance(name, str)] if isinstance(value, list) else []


class Answers:
    """Answers ticks from one store."""

    def __init__(self, store: Store, history_ms: int, now_ms: ClockMs) -> None:
        """`history_ms` is how far back a whole window goes."""
        self._store, self._history_ms, self._now_ms = store, history_ms, now_ms
        self._overview = Overview(store, now_ms)

    def delta(self, request: Request, cluster: str, pipeline: Pipeline) -> bytes:
        """Return the answer: JSON in UTF-8."""
        now_ms, store = self._now_ms(), self._store
        with store.lock:
            rings = store.rings
            cursor = request.cursor
            if cursor is not None and not all(rings[topic].covers(cursor[topic]) for topic in TOPICS):
                cursor = None
            since = {topic: rings[topic].since(cursor[topic] if cursor else None) for topic in TOPICS}
            if cursor is None:
                since = {topic: self._within(rings[topic], since[topic], now_ms) for topic in TOPICS}
            many = store.devices > ALL_DETAIL_DEVICES
            latest = self._latest(since[SENSOR.name], whole=cursor is None)
            readings, skipped = self._readings(request, since[SENSOR.name], many=many)
            answer = {
                "v": VERSION,
                "now": now_ms,
                "cursor": encode_cursor(cluster, self._next(cursor)),
                "reset": cursor is None,
                "skipped": skipped,
                "devices": _latest_rows(store.names, latest),
                "readings": _rows(store.names, rings[SENSOR.name], readings, ends=False),
                "alerts": _rows(store.names, rings[ALERT.name], since[ALERT.name][-_MAX_RESULTS:], ends=False),
                "counts": self._counts(since[ALERT_COUNT.name], now_ms),
                "averages": self._averages(since[AVG_TEMP.name]),
            }
        answer["fleet"], answer["overview"] = self._overview.get(with_bands=many)
        answer["pipeline"] = pipeline
        return orjson.dumps(answer)

    def _within(self, ring: Ring, numbers: Integers, now_ms: int) -> Integers:
        return numbers[ring.appends_ms(numbers) >= now_ms - self._history_ms]

    def _next(self, cursor: Mapping[str, Offsets] | None) -> dict[str, dict[int, int]]:
        """Return the next cursor; where another worker was ahead of this one, the browser's own offset stands."""
        following = {}
        for topic in TOPICS:
            following[topic] = self._store.rings[topic].offsets
            for partition, offset in (cursor or {}).get(topic, {}).items():
                following[topic][partition] = max(offset, following[topic].get(partition, 0))
        return following

    def _latest(self, numbers: Integers, *, whole: bool) -> Latest:
        if whole:
            return self._store.latest(None)
        return self._store.latest(np.unique(self._store.rings[SENSOR.name].rows(numbers).devices))

    def _readings(self, request: Request, numbers: Integers, *, many: bool) -> tuple[Integers, int]:
        store, ring = self._store, self._store.rings[SENSOR.name]
        if request.detail is None:
            wanted = numbers[:0] if many else numbers
        else:
            wanted = numbers[np.isin(ring.rows(numbers).devices, store.numbers(request.detail))]
        if request.history:
            held = ring.since(None)
            old = held[np.isin(ring.rows(held).devices, store.numbers(request.history))]
            wanted = np.union1d(wanted, old)
        skipped = max(0, len(wanted) - _MAX_READINGS)
        return wanted[skipped:], skipped

    def _counts(self, numbers: Integers, now_ms: int) -> list[list[Any]]:
        ring = self._store.rings[ALERT_COUNT.name]
        recent = numbers[ring.rows(numbers).ends_ms >= now_ms - _COUNTS_KEPT_MS]
        return _rows(self._store.names, ring, recent[-_MAX_RESULTS:], ends=True, whole_numbers=True)

    def _averages(self, numbers: Integers) -> list[list[Any]]:
        """Return the newest of each device alone."""
        ring = self._store.rings[AVG_TEMP.name]
        rows = ring.rows(numbers)
        order = np.lexsort((rows.starts_ms, rows.devices))
        is_last = np.append(np.diff(rows.devices[order]) != 0, [True] if len(order) else [])
        return _rows(self._store.names, ring, numbers[order[is_last.astype(bool)]], ends=True)


def _rows(
    names: Sequence[str], ring: Ring, numbers: Integers, *, ends: bool, whole_numbers: bool = False
) -> list[list[Any]]:
    devices, starts_ms, ends_ms, values = ring.rows(numbers)
    shown = (values.astype(np.int64) if whole_numbers else values).tolist()
    who = [names[device] for device in devices.tolist()]
    if ends:
        return [list(row) for row in zip(who, starts_ms.tolist(), ends_ms.tolist(), shown, strict=True)]
    return [list(row) for row in zip(who, starts_ms.tolist(), shown, strict=True)]


def _latest_rows(names: Sequence[str], latest: Latest) -> list[list[Any]]:
    columns = (latest.devices.tolist(), latest.times_ms.tolist(), latest.celsius.tolist(), latest.previous.tolist())
    return [
        [names[device], time_ms, celsius, None if math.isnan(previous) else previous]
        for device, time_ms, celsius, previous in zip(*columns, strict=True)
    ]
