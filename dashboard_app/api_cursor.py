"""The API's cursor: after which row, of which request, of which topics.

Opaque to clients and the same on every worker: it holds Kafka's own offset or a device id, never a place in a ring.
"""

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

import orjson

from dashboard_app.api_problems import stale_cursor

_VERSION: Final = 1
_MAX_CHARACTERS: Final = 2_000
_MAX_NUMBER: Final = 2**63 - 1
_FOREIGN: Final = "this cursor is not of this request, or not ours"


class RowPlace(NamedTuple):
    """After which record of a topic; the order is that of these three."""

    time_ms: int
    partition: int
    offset: int


#: After which row: a record's place, or a device id.
Place = RowPlace | str


class Cursor(NamedTuple):
    """A place, the epoch of the topics (store.py), and the start of the time asked for, which `last` must not move."""

    epoch: str
    place: Place
    since_ms: int | None = None


def request_key(*parts: object) -> str:
    """Return what tells one request from another: route and filters, not `limit` and `cursor`."""
    return hashlib.blake2s(repr(parts).encode(), digest_size=6).hexdigest()


def text_of(cursor: Cursor, key: str) -> str:
    """Return the cursor as text for an URL."""
    place = cursor.place if isinstance(cursor.place, str) else list(cursor.place)
    packed = orjson.dumps([_VERSION, key, cursor.epoch, place, cursor.since_ms])
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def cursor_in(text: str, key: str) -> Cursor:
    """Return the cursor in a text; raises `ProblemError` when it is none, or that of another request."""
    try:
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(len(text))
        packed = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
        version, told_key, epoch, place, since_ms = orjson.loads(packed)
        if (version, told_key) != (_VERSION, key) or not isinstance(epoch, str):
            raise ValueError(version)
        return Cursor(epoch, _place_in(place), None if since_ms is None else _number(since_ms))
    except (ValueError, TypeError, binascii.Error):
        raise stale_cursor(_FOREIGN) from None


def _place_in(value: object) -> Place:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise TypeError(value)
    time_ms, partition, offset = value
    return RowPlace(_number(time_ms, -_MAX_NUMBER), _number(partition), _number(offset))


def _number(value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= _MAX_NUMBER:
        raise ValueError(value)
    return value
