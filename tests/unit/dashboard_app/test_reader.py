"""What the reader makes of messages and of librdkafka's words, without a Kafka."""

import math
import time
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from confluent_kafka import KafkaError, KafkaException

from dashboard_app.assignment import Assignment, Place
from dashboard_app.changes import Question
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.overview import Overview
from dashboard_app.reader import Reader
from dashboard_app.store import Store
from sensorbus.contract import messages
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import DEAD_LETTER, SENSOR
from sensorbus.runtime import access
from sensorbus.runtime.metrics import RING_AGE_SECONDS

NOW_MS = 1_769_860_800_000


@dataclass
class Received:
    """A message, or an event that stands in one, as confluent-kafka hands it over."""

    at: int
    raw: bytes | None = b""
    on: str | None = "p-sensor"
    of: KafkaError | None = None
    append_ms: int = NOW_MS

    def error(self) -> KafkaError | None:
        """Return the event."""
        return self.of

    def topic(self) -> str | None:
        """Return the topic with its prefix; of an event there may be none."""
        return self.on

    def partition(self) -> int:
        """Return the partition."""
        return 0

    def offset(self) -> int:
        """Return the offset."""
        return self.at

    def key(self) -> bytes:
        """Return the key."""
        return b"a"

    def value(self) -> bytes | None:
        """Return the value."""
        return self.raw

    def timestamp(self) -> tuple[int, int]:
        """Return kind and time."""
        return (2, self.append_ms)


def made() -> tuple[Reader, Store]:
    """Return a reader of empty topics with a prefix, and its store."""
    settings = Settings(topic_prefix="p-")
    store = Store(1_000, settings.dashboard_history_ms)
    reader = Reader(settings, store, Overview(store, settings), lambda: NOW_MS)
    reader._assignment = Assignment(epoch="e", places=frozenset({Place(SENSOR.name, 0)}), missing=())
    for topic in CURSOR_TOPICS:
        store.begin(topic, 0, 0)
    return reader, store


def reading(celsius: float) -> bytes:
    """Return a reading's value."""
    return messages.encode_reading("a", messages.iso_timestamp(NOW_MS), celsius)


def take(reader: Reader, *received: Any) -> None:
    """Give the reader a batch."""
    reader._take(list(received), Mock())


def fleet_of(reader: Reader) -> Any:
    """Return the answer's field `fleet`."""
    return orjson.loads(orjson.dumps(reader._overview.newest.fleet))


def test_a_batch_goes_to_its_topics_and_what_cannot_be_read_is_passed() -> None:
    """The next offset follows the last record, readable or not."""
    reader, store = made()
    take(reader, Received(0, reading(20.0)), Received(1, b"{"), Received(0, b"x", "p-dead-letter"), Received(2, None))
    changes = store.changes(Question(None, None, ()), NOW_MS)
    assert (changes.common.devices.names, changes.common.devices.values.tolist(), store.dead_letters) == (
        [b'"a"'],
        [20.0],
        1,
    )
    assert reader._progress.next == {Place(SENSOR.name, 0): 3, Place(DEAD_LETTER.name, 0): 1}


def test_the_end_of_a_partition_means_that_it_is_read() -> None:
    """Also when nothing stands in it."""
    reader, _ = made()
    take(reader, Received(5, of=KafkaError(KafkaError._PARTITION_EOF)))
    assert reader.health.kafka_ok
    assert reader._progress.next == {Place(SENSOR.name, 0): 5}
    reader._measure(None)  # what was read to its end is not asked about
    assert (reader.health.is_caught_up, reader.health.behind) == (True, 0)


class Ends:
    """Stands for the consumer's knowledge of how far a partition goes."""

    def get_watermark_offsets(self, _partition: object, *, cached: bool) -> tuple[int, int]:
        """Return the lowest offset and the end."""
        assert cached
        return 0, 100


def test_a_history_that_is_being_read_says_how_far_it_is_behind() -> None:
    """Old records do not count as read to the end."""
    reader, _ = made()
    take(reader, Received(9, reading(20.0), append_ms=NOW_MS - 60_000))
    reader._measure(Ends())
    assert (reader.health.is_caught_up, reader.health.behind) == (False, 90)
    take(reader, Received(99, reading(20.0), append_ms=NOW_MS - 10))
    reader._measure(Ends())
    assert (reader.health.is_caught_up, reader.health.behind) == (True, 0)


def test_who_sees_that_the_history_is_read_sees_the_whole_fleet() -> None:
    """The fleet is looked at once a second, and anew when the last of the history has come within that second."""
    reader, _ = made()
    take(reader, Received(49, reading(20.0), append_ms=NOW_MS - 60_000))
    fleets = []
    for received in (Received(50, reading(20.0), append_ms=NOW_MS - 60_000), Received(99, reading(20.0))):
        take(reader, received)
        reader._tidy(Ends())
        fleets.append((reader.health.is_caught_up, fleet_of(reader)["rate_hz"]))
    assert fleets == [(False, 0.0), (True, 0.2)]


def test_the_age_of_the_newest_reading_is_unknown_until_the_history_is_read() -> None:
    """A small age while it is read would tell Prometheus that a silence is over."""
    reader, _ = made()
    RING_AGE_SECONDS.set(0)  # whatever other tests left
    take(reader, Received(49, reading(20.0), append_ms=NOW_MS - 60_000))
    reader._tidy(Ends())
    assert math.isnan(RING_AGE_SECONDS._value.get())
    take(reader, Received(100, of=KafkaError(KafkaError._PARTITION_EOF)))
    reader._tidy(Ends())
    assert RING_AGE_SECONDS._value.get() == 60


def test_a_bus_without_a_reading_is_as_old_as_the_history() -> None:
    """Nobody has sent anything, and that is to be told."""
    reader, _ = made()
    take(reader, Received(0, of=KafkaError(KafkaError._PARTITION_EOF)))
    reader._tidy(Ends())
    assert RING_AGE_SECONDS._value.get() == reader._settings.dashboard_history_ms / 1000


def test_a_quiet_partition_that_ends_in_a_transaction_marker_is_not_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes from its last offset; a partition that gives old records is behind."""
    clock_s = [1_000.0]
    monkeypatch.setattr("dashboard_app.reader.time.monotonic", lambda: clock_s[0])
    reader, _ = made()
    take(reader, Received(98, reading(20.0)))
    for now_s in (1_000.0, 1_010.0, 1_020.0):
        clock_s[0] = now_s
        reader._measure(Ends())
        assert (reader.health.is_caught_up, reader.health.behind) == (True, 0)
    take(reader, Received(49, reading(20.0), append_ms=NOW_MS - 60_000))
    reader._measure(Ends())
    assert reader.health.behind == 50


def test_an_outage_keeps_the_time_at_which_it_began_and_ends_with_a_record() -> None:
    """Librdkafka says it again and again; the page says since when."""
    reader, _ = made()
    reader._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    first = reader.health
    reader._now_ms = lambda: NOW_MS + 60_000
    reader._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert (first.kafka_ok, first.since_ms, reader.health.since_ms) == (False, NOW_MS, NOW_MS)
    assert "localhost:9092 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in (first.error or "")
    take(reader, Received(0, reading(20.0)))
    assert (reader.health.kafka_ok, reader.health.since_ms, reader.health.error) == (True, None, None)


def test_the_first_line_of_an_outage_says_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    """Librdkafka tells that brokers are down before it tells why: Kafka is asked, and nothing said until then."""
    reader, _ = made()
    access.answered(reader._settings)  # what other tests told of that address
    reader._asked_s, reader._is_settled = time.monotonic() - 1, True
    assert not reader._is_look_due(time.monotonic())
    reader._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    assert (reader.health.kafka_ok, caplog.messages) == (False, [])
    assert reader._is_look_due(time.monotonic())
    reader._on_error(KafkaError(KafkaError._TRANSPORT, "a:9/1: Connect to a:9 failed: Connection refused"))
    reader._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    access.answered(reader._settings)
    assert [text.endswith("failed: Connection refused; trying again") for text in caplog.messages] == [True]


def test_an_outage_that_is_told_late_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client says just after Kafka answered may be old: Kafka is asked; later it is an outage."""
    clock_s = [1_000.0]
    monkeypatch.setattr("dashboard_app.reader.time.monotonic", lambda: clock_s[0])
    reader, _ = made()
    take(reader, Received(0, reading(20.0)))
    reader._asked_s, reader._is_settled = clock_s[0], True
    clock_s[0] += 0.6
    assert not reader._is_look_due(clock_s[0])
    reader._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert (reader.health.kafka_ok, reader._is_look_due(clock_s[0])) == (True, True)
    clock_s[0] += 2.0
    reader._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert not reader.health.kafka_ok


def test_an_error_of_one_partition_is_looked_after_and_a_fatal_one_starts_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A topic may be gone for a moment; a client that is broken for good is made again."""
    reader, _ = made()
    take(reader, Received(0, of=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
    assert not reader.health.kafka_ok
    (record,) = caplog.records
    assert (vars(record)["topic"], vars(record)["partition"]) == ("p-sensor", 0)
    fatal = KafkaError(KafkaError._FATAL, "broken", True)  # fatal, in confluent-kafka's order
    with pytest.raises(KafkaException):
        take(reader, Received(0, of=fatal))


@pytest.mark.parametrize("back", [Received(0, reading(20.0)), Received(0, of=KafkaError(KafkaError._PARTITION_EOF))])
def test_a_topic_that_may_not_be_read_is_told_until_it_is_read(
    back: Received, caplog: pytest.LogCaptureFixture
) -> None:
    """Librdkafka says it once; with the topic, the right and where the rights are listed."""
    reader, _ = made()
    take(reader, Received(0, of=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)))
    for _ in range(2):
        reader._tell_rights()
        (line,) = reader.health.lacks
        assert line.startswith("this Kafka user lacks the right READ on topic p-sensor (")
        assert "docs/security.md" in line
    assert set(caplog.messages) == {f"not all can be shown: {line}"}
    take(reader, Received(0, on=None, of=KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)))
    assert caplog.messages[-1].startswith("reading topics: this Kafka user lacks a right on a group (")
    take(reader, back)
    reader._tell_rights()
    assert not reader.health.lacks


def test_a_single_connection_that_fails_is_no_outage() -> None:
    """Others may be up."""
    reader, _ = made()
    take(reader, Received(0, reading(20.0)))
    reader._on_error(KafkaError(KafkaError._TRANSPORT))
    assert reader.health.kafka_ok


def test_a_batch_that_cannot_be_decompressed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page goes on behind it; while its end cannot be found, it waits to be told again."""
    reader, _ = made()
    parts = {"topic": "p-sensor", "partition": 0, "offset": 5, "error": KafkaError(KafkaError._BAD_COMPRESSION)}
    told, consumer = Mock(**{f"{name}.return_value": part for name, part in parts.items()}), Mock()
    end = Mock(side_effect=[BrokerUnavailableError("away"), 8])
    monkeypatch.setattr("sensorbus.runtime.batches.end", end)
    reader._take([told], consumer)
    assert (consumer.seek.called, reader.health.error) == (False, "away")
    reader._take([told], consumer)
    assert consumer.seek.call_args.args[0].offset == 8
    assert reader._progress.next[Place(SENSOR.name, 0)] == 8
    assert reader.health.error is None
