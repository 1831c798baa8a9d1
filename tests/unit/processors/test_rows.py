"""A record as a row: its bytes, its place, when Kafka appended it."""

from typing import Any, Final
from unittest.mock import MagicMock

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from processors import rows

NOW_MS: Final = 1_769_860_800_000
PARTS: Final = {
    "topic": "sensor",
    "partition": 2,
    "offset": 40,
    "leader_epoch": 3,
    "key": b"k",
    "value": b"v",
    "timestamp": (TIMESTAMP_LOG_APPEND_TIME, NOW_MS),
    "headers": [("a", b"1")],
    "__len__": 7,
}


def message(**parts: Any) -> MagicMock:
    """Return a message of the client's: of these parts and the usual ones."""
    return MagicMock(**{f"{name}.return_value": part for name, part in (PARTS | parts).items()})


def test_a_row_is_the_record_as_it_came() -> None:
    """With its headers, its place and the time of the broker's."""
    row = rows.of(message())
    assert (row.topic, row.partition, row.offset, row.size, row.leader_epoch) == ("sensor", 2, 40, 7, 3)
    assert (row.key, row.value, row.timestamp, row.headers) == (b"k", b"v", NOW_MS, [("a", b"1")])


def test_null_is_not_empty() -> None:
    """Neither of the key nor of the value; a record without headers has an empty list of them."""
    row = rows.of(message(key=None, value=b"", headers=None))
    assert (row.key, row.value, list(row.headers or ())) == (None, b"", [])
    row = rows.of(message(key=b"", value=None))
    assert (row.key, row.value) == (b"", None)


def test_a_message_is_asked_once_for_headers_that_cannot_be_read() -> None:
    """All else of it is there."""
    broken = message()
    broken.headers.side_effect = SystemError
    row = rows.of(broken)
    assert (row.value, row.size, list(row.headers or ())) == (b"v", 7, [])
    assert broken.headers.call_count == 1
