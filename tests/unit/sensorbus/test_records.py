"""Tests of how records are shown, and of the names that topics go by."""

from collections.abc import Mapping
from concurrent.futures import Future
from threading import Event
from typing import Any, Final, cast
from unittest.mock import Mock

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AclOperation, ClusterMetadata, TopicMetadata

from sensorbus import records
from sensorbus.contract.errors import BrokerUnavailableError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, SENSOR, TOPICS, Topic
from sensorbus.runtime import kafka


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
        (Record("👩\u200d!".encode(), "👩\u200d💻".encode(), None), "👩\u200d💻 👩\\u200d!"),
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


def test_what_is_long_is_cut_and_says_so() -> None:
    """8 MB of garbage would bury what was looked for; the rest of the line stays."""
    record = Record(b"x" * 1_001, b"k" * 1_000, [("h", b"\xff" * 500)])
    line = records.line(record)
    assert f" {'k' * 1_000} {'x' * 1_000}... and 1 characters more h=" in line
    assert line.endswith(r"\xff... and 1,000 characters more")
    assert records.line(record, None).endswith(f"{'k' * 1_000} {'x' * 1_001} h={chr(92)}xff" + r"\xff" * 499)


def test_a_record_of_many_headers_shows_the_first_of_them() -> None:
    """And their number."""
    record = Record(None, None, [(f"h{number}", b"1") for number in range(22)])
    assert records.line(record).endswith(" h18=1 h19=1 ... and 2 headers more")
    assert records.line(record, None).endswith(" h20=1 h21=1")


@pytest.mark.parametrize(
    ("topics", "line"),
    [
        ([ALERT], "topic p-alert does not exist; `sensorbus topics create` makes it"),
        ([ALERT, SENSOR], "topics p-alert, p-sensor do not exist; `sensorbus topics create` makes them"),
    ],
)
def test_topics_that_are_missing_are_named_at_once(topics: list[Topic], line: str) -> None:
    """One line for all of them, with the command that makes them."""
    assert str(records.missing_error(Settings(topic_prefix="p-"), topics)) == line


class Topics:
    """Stands for the client that is asked for topics by name."""

    def __init__(self, codes: Mapping[str, int | None]) -> None:
        """Give each topic an error of Kafka's, or none."""
        self._codes = codes

    def describe_topics(
        self, names: Any, *, include_authorized_operations: bool, request_timeout: float
    ) -> dict[str, Future[Mock]]:
        """Answer for each of these topics; those without an error may be described."""
        assert (sorted(self._codes), request_timeout) == (sorted(names.topic_names), 5.0)
        assert include_authorized_operations
        answers: dict[str, Future[Mock]] = {}
        for name, code in self._codes.items():
            answers[name] = Future()
            if code is None:
                answers[name].set_result(Mock(authorized_operations=[AclOperation.DESCRIBE]))
            else:
                answers[name].set_exception(KafkaException(KafkaError(code)))
        return answers


DENIED: Final = KafkaError.TOPIC_AUTHORIZATION_FAILED
UNKNOWN: Final = KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.mark.parametrize(
    ("codes", "line"),
    [
        ([DENIED, UNKNOWN, None], "this Kafka user lacks the right DESCRIBE on topic p-sensor ("),
        ([DENIED, None, DENIED], "this Kafka user lacks the right DESCRIBE on topic p-sensor, p-avg-temp ("),
        ([UNKNOWN] * 3, "topics p-sensor, p-alert, p-avg-temp do not exist; `sensorbus topics create` makes them"),
        ([KafkaError._TIMED_OUT] * 3, "topics p-sensor, p-alert, p-avg-temp do not exist; "),
    ],
)
def test_a_topic_that_one_may_not_see_is_not_called_missing(
    codes: list[int | None], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's list leaves both out; asked by name it says which it is."""
    topics = [SENSOR, ALERT, AVG_TEMP]
    client = Topics(dict(zip([f"p-{topic.name}" for topic in topics], codes, strict=True)))
    monkeypatch.setattr("sensorbus.records.kafka.admin", lambda *_: client)
    assert str(records.not_seen_error(Settings(topic_prefix="p-"), topics)).startswith(line)


@pytest.mark.parametrize(
    ("topic", "code", "line"),
    [
        ("sensor", DENIED, "topic sensor[3] cannot be read: this Kafka user lacks the right READ on topic sensor ("),
        (
            None,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
            "topics cannot be read: this Kafka user lacks a right on a group (",
        ),
    ],
)
def test_a_right_to_read_that_is_missing_is_named(
    topic: str | None, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That on the topic, or that on the consumer's group, of which no topic is named."""
    record = Record(None, None, None)
    monkeypatch.setattr(record, "topic", lambda: topic)
    assert str(records._unreadable(cast("Message", record), KafkaError(code))).startswith(line)


def test_the_embedded_broker_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked: it would make the topics."""
    monkeypatch.setattr("sensorbus.records.kafka.admin", None)
    assert "does not exist" in str(records.not_seen_error(Settings(embedded_broker=True), [ALERT]))


def test_a_topic_is_missing_when_the_cluster_does_not_list_it_whole() -> None:
    """Not listed, listed with an error, or with no partition yet."""
    metadata = ClusterMetadata()
    for topic, partitions, error in ((SENSOR, {0: None}, None), (ALERT, {}, None), (AVG_TEMP, {0: None}, "error")):
        described = TopicMetadata()
        described.partitions, described.error = partitions, error
        metadata.topics[f"p-{topic.name}"] = described
    expected = [topic for topic in TOPICS if topic is not SENSOR]
    assert records.missing(Settings(topic_prefix="p-"), metadata, TOPICS) == expected


@pytest.mark.parametrize("name", ["alert", "site-1.alert"])
def test_a_topic_is_known_with_and_without_the_prefix(name: str) -> None:
    """People write what they see in either place."""
    assert records.topic_by_name(Settings(topic_prefix="site-1."), name) is ALERT


def test_an_unknown_topic_is_told_with_the_known_ones() -> None:
    """The error is the way out."""
    with pytest.raises(TopicError, match="alarm is not a topic of sensorbus; there are: sensor, alert"):
        records.topic_by_name(Settings(), "alarm")


class Held:
    """Stands for a consumer of topic `sensor`: what its partitions hold, up to where, and what is told besides."""

    def __init__(self, *offsets: int, low: int = 0, high: int, says_the_end: bool = True) -> None:
        """Hold records at these offsets of partition 0."""
        self._offsets, self._low, self._high = offsets, low, high
        self._says_the_end = says_the_end
        self._left: list[Any] = []
        self.assigned: list[list[int]] = []

    def list_topics(self, *, timeout: float) -> ClusterMetadata:
        """Return the topic and its partition."""
        assert timeout > 0
        metadata, described = ClusterMetadata(), TopicMetadata()
        described.partitions, described.error = {0: None}, None
        metadata.topics["sensor"] = described
        return metadata

    def get_watermark_offsets(self, _place: object, *, timeout: float) -> tuple[int, int]:
        """Return the first offset and the one after the last."""
        assert timeout > 0
        return self._low, self._high

    def assign(self, places: list[TopicPartition]) -> None:
        """Begin anew."""
        self.assigned.append([place.offset for place in places])
        first = places[0].offset if places else 0
        self._left = [_message(offset) for offset in self._offsets if places and offset >= first]
        if self._says_the_end:
            self._left.append(_message(self._high, KafkaError(KafkaError._PARTITION_EOF)))

    def unassign(self) -> None:
        """Hold what is left."""

    def poll(self, _timeout_s: float) -> Any:
        """Return the next."""
        return self._left.pop(0) if self._left else pytest.fail("it reads beyond the end")


def _message(offset: int, error: KafkaError | None = None) -> Any:
    parts = {"topic": "sensor", "partition": 0, "offset": offset, "error": error, "timestamp": (2, 1_000 + offset)}
    return Mock(**{f"{name}.return_value": part for name, part in parts.items()})


@pytest.mark.parametrize(
    ("start", "known_end", "says_the_end", "wanted"),
    [
        (0, 7, True, [3, 4, 6]),
        (0, 7, False, [3, 4, 6]),
        (4, 7, False, [4, 6]),
        (0, 5, False, [3, 4]),  # it has grown since
        (0, 6, False, [3, 4]),  # at 5 is a marker; the next record tells that the end is passed
        (0, 9, True, [3, 4, 6]),  # at 7 and 8 are markers; the client says that the end is reached
        (7, None, False, []),  # nothing is asked for
        (8, None, False, []),
    ],
)
def test_what_stands_there_is_read_to_its_end_and_no_further(
    start: int, known_end: int | None, says_the_end: bool, wanted: list[int]
) -> None:
    """Of records 3, 4 and 6, from a start on; who is told no end sees it by the records."""
    held: Any = Held(3, 4, 6, low=3, high=7, says_the_end=says_the_end)
    known = None if known_end is None else {("sensor", 0): known_end}
    found = records.read_to_end(Settings(), held, [TopicPartition("sensor", 0, start)], known)
    assert [message.offset() for message in found] == wanted


@pytest.mark.parametrize(
    ("read_to", "low", "line"),
    [
        (5, 9, r"^sensor\[0\] cannot be read to its end: its oldest records go before they are read; "),
        (OFFSET_INVALID, 9, r"^sensor\[0\] cannot be read to its end: its oldest records go before they are read; "),
        (5, 5, "^no Kafka broker at .*Timed out"),
    ],
    ids=["overtaken", "overtaken at once", "silent"],
)
def test_a_topic_that_is_cut_faster_than_it_is_read_is_not_a_broker_that_is_away(
    monkeypatch: pytest.MonkeyPatch, read_to: int, low: int, line: str
) -> None:
    """Nothing comes of both; the one says that its beginning is behind what is to be read next."""
    monkeypatch.setattr(kafka, "REQUEST_TIMEOUT_S", 0.01)
    held = Mock()
    held.poll.return_value = None
    held.position.return_value = [TopicPartition("sensor", 0, read_to)]
    held.get_watermark_offsets.return_value = (low, 99)
    with pytest.raises((TopicError, BrokerUnavailableError), match=line):
        list(records.read_to_end(Settings(), held, [TopicPartition("sensor", 0, 3)]))


@pytest.mark.parametrize(("last", "wanted"), [(None, [3, 4, 6]), (0, []), (1, [6]), (2, [4, 6]), (9, [3, 4, 6])])
def test_the_last_records_are_shown(last: int | None, wanted: list[int]) -> None:
    """Oldest first."""
    held: Any = Held(3, 4, 6, low=3, high=7)
    shown = records.tail(Settings(), held, SENSOR, last=last, follow=False, stop=Event())
    assert [message.offset() for message in shown] == wanted


def test_who_follows_sees_each_record_once() -> None:
    """New ones are read from behind the last that was shown."""
    held: Any = Held(3, 4, 6, low=3, high=7)
    stop = Event()
    shown = records.tail(Settings(), held, SENSOR, last=1, follow=True, stop=stop)
    assert next(shown).offset() == 6
    held._offsets = (3, 4, 6, 7)
    assert next(shown).offset() == 7
    assert held.assigned[-1] == [7]
