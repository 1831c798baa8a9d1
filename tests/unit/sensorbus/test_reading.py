"""How far a reading of several topics is, as it is told."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from sensorbus import reading, records
from sensorbus.contract.settings import Settings
from sensorbus.reading import Reader
from tests.support.results import Record

#: Each topic has one partition, held from offset 5 to 15, with records at these offsets and markers between.
OFFSETS = (5, 6, 9, 12)
STARTS = [TopicPartition("a", 0, 5)]
Told = list[tuple[str, int, int | None]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Give the list of what is told, over topics that are lists."""

    def read(_settings: object, _consumer: object, starts: list[TopicPartition], _ends: object) -> Iterator[Record]:
        return iter([Record(b"", place=(0, offset), topic_name=one.topic) for one in starts for offset in OFFSETS])

    def held(_settings: object, _consumer: object, starts: list[TopicPartition]) -> records.Held:
        return {(one.topic, 0): range(5, 15) for one in starts}

    monkeypatch.setattr(records, "read_to_end", read)
    monkeypatch.setattr(records, "held_offsets", held)
    monkeypatch.setattr(reading, "_TOLD_EVERY", 1)
    return []


def reader_to(told: Told) -> Reader:
    """Return a reader that tells the list."""
    consumer: Any = None
    return Reader(Settings(), consumer, lambda *said: told.append(said))


def test_one_whole_covers_all_topics_and_is_reached(told: Told) -> None:
    """Offsets are told, of which a record takes those of the markers before it, and the end those behind it."""
    reader = reader_to(told)
    reader.begin("reads")
    reader.plan([{("a", 0): range(5, 15)}, {("b", 0): range(5, 15)}])
    for topic in ("a", "b"):
        assert len(list(reader.read([TopicPartition(topic, 0, 5)]))) == len(OFFSETS)
    assert told[0] == ("reads", 0, None)
    assert [done for _, done, _ in told[1:]] == [0, 1, 2, 5, 8, 10, 11, 12, 15, 18, 20]
    assert {total for _, _, total in told[1:]} == {20}


def test_what_was_read_before_the_whole_was_known_is_done(told: Told) -> None:
    """It is told as it goes on, without a whole, and belongs to it afterwards."""
    reader = reader_to(told)
    list(reader.read(STARTS))
    reader.plan([{("b", 0): range(5, 15)}])
    assert told[-2:] == [("", 10, None), ("", 10, 20)]


def test_what_is_read_beyond_the_whole_makes_it_larger(told: Told) -> None:
    """Who watches sees it end, and never go back."""
    reader = reader_to(told)
    reader.plan([{("a", 0): range(5, 15)}])
    for _ in range(2):
        list(reader.read(STARTS))
    assert told[-1] == ("", 20, 20)
    shares = [done / total for _, done, total in told if total]
    assert shares == sorted(shares)


def test_of_a_topic_without_records_nothing_is_read(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    """Kafka is not asked for it: a partition without a record tells no end."""
    asked: list[records.Ends] = []

    def read(_settings: object, _consumer: object, _starts: object, ends: records.Ends) -> Iterator[Record]:
        asked.append(ends)
        return iter(())

    monkeypatch.setattr(records, "read_to_end", read)
    assert list(reader_to(told).read(STARTS, {("a", 0): range(5, 5)})) == []
    assert asked == [{}]
