"""After a kill a job's rows come from another client first.

Up to where its partitions end at an assignment; then from its own.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import Mock, call

import pytest
from confluent_kafka import TopicPartition
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import MessageContext, Row

from processors import careful
from processors.batches import UnreadableBatch
from processors.recovery import Bounds
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.runtime import stored_batches
from sensorbus.runtime.stored_batches import Fetched
from tests.support.raw_records import batch, record, zeros_in_gzip

_BROKEN = batch(b"no gzip", 3, attributes=1, first=5)


class Stored:
    """A partition as Kafka stores it, by the first offset of each batch."""

    def __init__(self, sensor: Mapping[int, bytes]) -> None:
        """Hold these batches of each partition of `sensor`."""
        self._held, self.is_away, self.is_closed, self.at_once = sensor, False, False, 9

    def fetch(self, _topic: str, _partition: int, offset: int) -> Fetched:
        """Return the batch that holds an offset, and those behind it."""
        if self.is_away:
            raise BrokerUnavailableError("no Kafka broker")
        begin = max(first for first in self._held if first <= offset)
        found = [held for first, held in self._held.items() if first >= begin]
        return Fetched(b"".join(found[: self.at_once]), [])

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def _one(first: int, *values: bytes, **options: int) -> bytes:
    parts = [record(value, b"key", number=number) for number, value in enumerate(values)]
    return batch(b"".join(parts), len(values), first=first, time_ms=1_000, **options)


@pytest.fixture
def consumer() -> Mock:
    """Give a consumer that has nothing."""
    told = {"poll_row.return_value": None, "committed.side_effect": lambda places, **_: places}
    return Mock(spec=InternalConsumer, **told)


def _own_row(offset: int, partition: int = 0) -> Row:
    return Row(b"own", None, 0, MessageContext("sensor", partition, offset, 3), [])


@pytest.fixture
def assigned(consumer: Mock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Mock]:
    """Give what assigns partitions of `sensor` to a careful reader of the consumer; it returns what Quix is given."""
    asked: Mock = consumer.assign

    def assign(raw: Stored, *ends: int, begin: int = -1001, is_due: Callable[[], bool] = lambda: False) -> Mock:
        topics = Mock(non_changelog_topics={"sensor": None})
        bounds = {TopicPartition("sensor", number): Bounds(3, end, end + 1) for number, end in enumerate(ends)}
        monkeypatch.setattr("processors.careful.recovery.bounds_of", lambda *_: bounds)
        careful.CarefulReader(raw, consumer, topics, is_due)
        consumer.assign([*(TopicPartition("sensor", number, begin) for number in range(len(ends))), _CHANGELOG])
        return asked

    return assign


_CHANGELOG = TopicPartition("changelog", 0)


def _rows(consumer: Mock, calls: int) -> list[tuple[int, Any]]:
    rows = [consumer.poll_row(timeout=0.1) for _ in range(calls)]
    return [(row.offset, row.value) for row in rows if row is not None]


def test_what_waits_is_given_from_the_other_client(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """From the first offset there is on, or from the committed one, within a batch too; the consumer begins behind."""
    raw = Stored(sensor={3: _one(3, b"3", b"4"), 5: _one(5, b"5"), 6: _one(6, b"come since")})
    asked = assigned(raw, 6)
    assert [(place.topic, place.offset) for place in asked.call_args.args[0]] == [("sensor", 6), ("changelog", -1001)]
    assert _rows(consumer, 8) == [(3, b"3"), (4, b"4"), (5, b"5")]
    assert raw.is_closed
    assert consumer.resume.call_args_list == [call([TopicPartition("sensor", 0)])]
    consumer.assign([TopicPartition("sensor", 0, 4)])
    assert _rows(consumer, 8) == [(4, b"4"), (5, b"5")]


def test_a_row_is_as_quix_would_make_it(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """With its key, its time and its headers."""
    assigned(Stored(sensor={3: batch(record(b"v", b"k", [(b"a", b"1")]), first=3, attributes=8, time_ms=1_000)}), 4)
    row = consumer.poll_row()
    assert (row.key, row.timestamp, row.headers, row.partition, row.topic) == (b"k", 1_000, [("a", b"1")], 0, "sensor")


def test_a_batch_that_is_too_large_is_one_row(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """At its last offset, as where librdkafka gives one up; what stands around it is read."""
    assigned(Stored(sensor={3: _one(3, b"3", b"4"), 5: _BROKEN, 8: _one(8, b"8")}), 9)
    rows = _rows(consumer, 9)
    assert [offset for offset, _ in rows] == [3, 4, 7, 8]
    value = rows[2][1]
    assert isinstance(value, UnreadableBatch)
    assert str(value.error()).startswith("the records 5 to 7 cannot be decompressed: ")


def test_gigabytes_are_not_decompressed(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """A thousand times less than they would be is taken of a batch that could be read."""
    bomb = batch(zeros_in_gzip(2 * stored_batches.LARGEST_BYTES), attributes=1, first=3)
    assigned(Stored(sensor={3: bomb}), 4)
    ((offset, value),) = _rows(consumer, 4)
    assert (offset, value.error().kind) == (3, "compression")


def test_the_consumers_own_rows_come_in_turn(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """Those of another partition; one that stands behind what waits is put back, and comes when all of that is read."""
    assigned(Stored(sensor={3: _one(3, b"3", b"4", b"5")}), 6, 2)
    own = consumer.poll_row.__self__._poll_row
    own.side_effect = [_own_row(9, 1), _own_row(6), _own_row(10, 1), None, _own_row(6)]
    assert [offset for offset, _ in _rows(consumer, 3)] == [3, 9, 4]
    assert consumer.seek.call_args_list == []
    assert [offset for offset, _ in _rows(consumer, 2)] == [5, 10]
    assert [place.args[0].offset for place in consumer.seek.call_args_list] == [6]
    assert consumer.pause.call_args_list == [call([TopicPartition("sensor", 0)])]
    assert [offset for offset, _ in _rows(consumer, 2)] == [6]


def test_nothing_is_given_before_the_state_is_recovered(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """Quix asks for rows of a consumer that it has paused in the moment of an assignment."""
    due = [True]
    assigned(Stored(sensor={3: _one(3, b"3")}), 4, is_due=lambda: due[0])
    assert _rows(consumer, 4) == []
    due[0] = False
    assert _rows(consumer, 4) == [(3, b"3")]


@pytest.mark.parametrize("how", ["on_revoke", "on_lost"])
def test_what_is_given_back_is_not_read_on(consumer: Mock, assigned: Callable[..., Mock], how: str) -> None:
    """It is another's; the application is told as ever."""
    subscribe, told = consumer.subscribe, Mock()
    assigned(Stored(sensor={3: _one(3, b"3", b"4")}), 5)
    consumer.subscribe(topics=["sensor"], on_assign=Mock(), on_revoke=told.on_revoke, on_lost=told.on_lost)
    assert _rows(consumer, 1) == [(3, b"3")]
    subscribe.call_args.kwargs[how](consumer, [TopicPartition("sensor", 0)])
    assert told.method_calls == [getattr(call, how)(consumer, [TopicPartition("sensor", 0)])]
    assert _rows(consumer, 4) == []


def test_an_outage_is_waited_out_for_a_minute(
    consumer: Mock, assigned: Callable[..., Mock], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the consumer reads as always, from where the other client had come."""
    now_s = [0.0]
    monkeypatch.setattr("processors.careful.time.monotonic", lambda: now_s[0])
    raw = Stored(sensor={3: _one(3, b"3"), 4: _one(4, b"4"), 5: _one(5, b"5")})
    raw.at_once = 1
    assigned(raw, 6)
    assert _rows(consumer, 1) == [(3, b"3")]
    raw.is_away = True
    assert _rows(consumer, 4) == []
    raw.is_away, now_s[0] = False, 59.0
    assert _rows(consumer, 1) == [(4, b"4")]
    raw.is_away = True
    assert _rows(consumer, 4) == []
    now_s[0] = 120.0
    with caplog.at_level(logging.WARNING):
        assert _rows(consumer, 4) == []
    assert caplog.messages == ["sensor[0] is read as always from 5 on: no Kafka broker"]
    assert [place.args[0].offset for place in consumer.seek.call_args_list] == [5]


def test_partitions_that_wait_behind_another_are_given_up_with_it(
    consumer: Mock, assigned: Callable[..., Mock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is not let in would hold up each of them for a minute of its own."""
    now_s = [0.0]
    monkeypatch.setattr("processors.careful.time.monotonic", lambda: now_s[0])
    raw = Stored(sensor={3: _one(3, b"3")})
    raw.is_away = True
    assigned(raw, 4, 4, 4)
    assert _rows(consumer, 2) == []
    assert consumer.seek.call_args_list == []
    now_s[0] = 61.0
    assert _rows(consumer, 1) == []
    assert len(consumer.seek.call_args_list) == 1, "nothing was committed meanwhile"
    assert _rows(consumer, 3) == []
    assert [(place.args[0].partition, place.args[0].offset) for place in consumer.seek.call_args_list] == [
        (0, 3),
        (1, 3),
        (2, 3),
    ]
    assert raw.is_closed


def test_a_broker_that_is_away_is_not_asked_without_a_pause(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """The consumer waits for its own rows meanwhile: without that a core was busy for as long."""
    own = consumer.poll_row
    raw = Stored(sensor={3: _one(3, b"3")})
    raw.is_away = True
    assigned(raw, 4)
    assert _rows(consumer, 8) == []
    waited_s = [asked.kwargs["timeout"] for asked in own.call_args_list]
    assert (len(waited_s), sum(waited_s)) == (8, pytest.approx(0.4))


def test_rows_that_wait_come_without_a_gap(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """None is what ends a turn of the job's loop, of many records."""
    assigned(Stored(sensor={3: _one(3, b"3", b"4", b"5")}), 6)
    assert _rows(consumer, 3) == [(3, b"3"), (4, b"4"), (5, b"5")]


def test_what_the_group_has_committed_is_not_read_again(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """Of a topic without an id nobody else asks for it, and librdkafka does so by itself."""
    consumer.committed.side_effect = lambda places, **_: [
        TopicPartition(place.topic, place.partition, 5) for place in places
    ]
    assigned(Stored(sensor={3: _one(3, b"3", b"4"), 5: _one(5, b"5")}), 6)
    assert _rows(consumer, 4) == [(5, b"5")]


def test_no_record_behind_the_end_is_given(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """Even of a batch that another leader has put around it: the consumer gives it."""
    assigned(Stored(sensor={3: _one(3, b"3", b"4", b"5")}), 5)
    assert _rows(consumer, 4) == [(3, b"3"), (4, b"4")]


def test_it_tells_how_much_waits(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """The consumer stands behind that, and would tell of no lag."""
    assigned(Stored(sensor={3: _one(3, b"3", b"4")}), 5, 4)
    careful_reader = consumer.poll_row.__self__
    assert careful_reader.left() == {("sensor", "0"): 2, ("sensor", "1"): 1}
    _rows(consumer, 1)
    assert careful_reader.left() == {("sensor", "0"): 1, ("sensor", "1"): 1}
    _rows(consumer, 3)
    assert careful_reader.left() == {}


def test_batches_of_an_old_format_are_left_to_the_consumer(consumer: Mock, assigned: Callable[..., Mock]) -> None:
    """At once."""
    old = bytearray(_one(3, b"3"))
    old[16] = 0
    assigned(Stored(sensor={3: bytes(old)}), 4)
    assert _rows(consumer, 3) == []
    assert [place.args[0].offset for place in consumer.seek.call_args_list] == [3]
