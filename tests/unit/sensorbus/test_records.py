"""Tests of how records are shown, and of the names that topics go by."""

import pytest

from sensorbus import records
from sensorbus.contract.errors import TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT


class Record:
    """A Kafka message's accessors over fixed parts."""

    def __init__(self, value: bytes | None, key: bytes | None, headers: list[tuple[str, bytes | None]] | None) -> None:
        """Hold the parts."""
        self._value, self._key, self._headers = value, key, headers

    def topic(self) -> str:
        """Return a topic."""
        return "sensor"

    def partition(self) -> int:
        """Return a partition."""
        return 3

    def offset(self) -> int:
        """Return an offset."""
        return 41

    def timestamp(self) -> tuple[int, int]:
        """Return an append time, ms."""
        return 2, 1_785_542_400_250

    def key(self) -> bytes | None:
        """Return the key."""
        return self._key

    def value(self) -> bytes | None:
        """Return the value."""
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the headers."""
        return self._headers


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (Record(b'{"a":1}', b"d1", None), 'd1 {"a":1}'),
        (Record(None, None, []), "null null"),
        (Record(b"\xff", b"d1", [("kind", b"encoding"), ("empty", None)]), "d1 \\xff kind=encoding empty=null"),
        (Record("Zürich".encode(), b"", None), " Zürich"),
    ],
)
def test_a_record_is_one_line(record: Record, expected: str) -> None:
    """Time and place come first, then key, value and headers, whatever bytes they are."""
    assert records.line(record) == f"2026-08-01T00:00:00.250Z sensor[3]@41 {expected}"


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x00", "\u2028", "\u202e"])
def test_nothing_in_a_record_breaks_its_line(character: str) -> None:
    """A terminal never sees a control character that a device has sent."""
    text = f"a{character}b".encode()
    assert character not in records.line(Record(text, text, [("h", text)]))


@pytest.mark.parametrize("name", ["alert", "site-1.alert"])
def test_a_topic_is_known_with_and_without_the_prefix(name: str) -> None:
    """People write what they see in either place."""
    assert records.topic_by_name(Settings(topic_prefix="site-1."), name) is ALERT


def test_an_unknown_topic_is_told_with_the_known_ones() -> None:
    """The error is the way out."""
    with pytest.raises(TopicError, match="alarm is not a topic of sensorbus; there are: sensor, alert"):
        records.topic_by_name(Settings(), "alarm")
