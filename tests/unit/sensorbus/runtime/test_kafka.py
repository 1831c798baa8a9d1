"""Kafka clients without a broker.

Their options, what is said of wrong ones, and waiting.
"""

import contextlib
from threading import Event
from typing import Any, Final

import pytest
from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    KafkaError,
    KafkaException,
)
from confluent_kafka.admin import ClusterMetadata

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError
from sensorbus.contract.settings import Settings, load
from sensorbus.contract.topics import DEAD_LETTER, SENSOR, TOPICS
from sensorbus.runtime import access, kafka

MARKER: Final = "marker-hunter2"
NOW_MS: Final = 1_769_860_800_000


class Waits(Event):
    """An event that writes down how long it was waited for, and is set after so many waits."""

    def __init__(self, until: int = 1_000) -> None:
        """Be set at the wait of that number."""
        super().__init__()
        self.waits_s: list[float] = []
        self._until = until

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for nothing."""
        self.waits_s.append(timeout or 0.0)
        if len(self.waits_s) >= self._until:
            self.set()
        return self.is_set()


def test_a_client_has_address_and_name_and_what_is_passed_through() -> None:
    """What the user sets wins over ours; a secret arrives as it is."""
    given, _ = load({"SENSORBUS_KAFKA_SASL_PASSWORD": MARKER, "SENSORBUS_KAFKA_CLIENT_ID": "mine"})
    options = kafka.client_options(given, "alert")
    assert options["bootstrap.servers"] == "localhost:9092"
    assert options["client.id"] == "mine"
    assert options["sasl.password"] == MARKER
    assert kafka.client_options(Settings(), "alert")["client.id"] == "sensorbus-alert"


@pytest.mark.parametrize("said", [False, True])
def test_the_embedded_broker_is_known_by_its_cluster_id(said: bool) -> None:
    """In another shell nobody says that it is the embedded one."""
    metadata = ClusterMetadata()
    metadata.cluster_id = "mockCluster7f0a"
    assert kafka.recognised(Settings(embedded_broker=said), metadata).embedded_broker is True


@pytest.mark.parametrize("cluster_id", ["5L6g3nShT-eMCtK--X86sw", None])
def test_a_real_kafka_is_not_taken_for_the_embedded_broker(cluster_id: str | None) -> None:
    """Who says that it is the embedded one is told which setting says so."""
    metadata = ClusterMetadata()
    metadata.cluster_id = cluster_id
    assert kafka.recognised(Settings(), metadata).embedded_broker is False
    mistaken = Settings(kafka_bootstrap_servers="a:1", embedded_broker=True)
    line = "^SENSORBUS_EMBEDDED_BROKER is true, but the broker at a:1 is not the embedded one; unset it"
    with pytest.raises(SettingsError, match=line):
        kafka.recognised(mistaken, metadata)


def test_a_broker_that_does_not_answer_is_one_line() -> None:
    """Address, the variable that gives it, and the client's reason."""
    error = KafkaException(KafkaError(KafkaError._TRANSPORT, "connection refused"))
    line = str(kafka.unavailable(Settings(kafka_bootstrap_servers="a:1,b:2"), error))
    assert line == "no Kafka broker at a:1,b:2 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS): connection refused"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("1ms in state CONNECT", "Failed to resolve 'nohost:9092': Name or service not known"),
        (
            "0ms in state CONNECT, 3 identical error(s) suppressed",
            "Connect to ipv4#10.0.0.1:1 failed: Connection refused",
        ),
    ],
)
def test_what_the_client_was_told_of_the_connection_is_the_reason(state: str, reason: str) -> None:
    """The call that failed says only that it did."""
    error = KafkaException(KafkaError(KafkaError._TRANSPORT, "transport failure"))
    settings = Settings(kafka_bootstrap_servers="a:7")
    note = kafka.cause_noted(settings)
    for said in ("an older one", f"a:7/bootstrap: {reason} (after {state})"):
        note(KafkaError(KafkaError._TRANSPORT, said))
    note(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    lines = []
    for _ in range(2):
        lines.append(str(kafka.unavailable(settings, error)))
        access.answered(settings)
    place = "no Kafka broker at a:7 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)"
    assert lines == [f"{place}: {reason}", f"{place}: transport failure"]  # nothing is kept once it answers


class BreaksOff:
    """A client whose connection breaks before so many answers, each `took_s` after the question."""

    def __init__(self, breaks: int, took_s: float, clock_s: list[float]) -> None:
        """Move the clock by itself."""
        self._breaks, self._took_s, self._clock_s = breaks, took_s, clock_s
        self.asked_s: list[float] = []

    def list_topics(self, timeout: float) -> ClusterMetadata:
        """Answer, or break off."""
        self.asked_s.append(timeout)
        self._clock_s[0] += self._took_s
        if len(self.asked_s) <= self._breaks:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "transport failure"))
        return ClusterMetadata()


@pytest.mark.parametrize(("breaks", "took_s", "asked"), [(2, 0.5, 3), (9, 2.0, 3), (1, 5.0, 1)])
def test_a_connection_that_breaks_off_is_asked_again_within_5_s(
    breaks: int, took_s: float, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice in a second is no outage; what never answers is one, after the time that one question may take."""
    clock_s = [100.0]
    monkeypatch.setattr("sensorbus.runtime.kafka.time.monotonic", lambda: clock_s[0])
    monkeypatch.setattr("sensorbus.runtime.kafka.time.sleep", lambda _s: None)
    client: Any = BreaksOff(breaks, took_s, clock_s)
    with contextlib.nullcontext() if breaks < asked else pytest.raises(BrokerUnavailableError):
        kafka.cluster_metadata(Settings(kafka_bootstrap_servers="a:8"), client)
    assert len(client.asked_s) == asked
    assert client.asked_s[0] == kafka.REQUEST_TIMEOUT_S


def test_waiting_backs_off_to_5_s_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """0.5, 1, 2, 4, 5, 5 s, with a warning each (the log folds them) and a line when it is over."""
    answers: list[Exception | None] = [BrokerUnavailableError("no Kafka broker at a:1")] * 6 + [None]
    stop = Waits()

    def ask() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    with caplog.at_level("INFO"):
        assert kafka.retry(ask, stop) is True
    assert stop.waits_s == [0.5, 1, 2, 4, 5, 5]
    assert [line.getMessage() for line in caplog.records] == [
        *["no Kafka broker at a:1; trying again"] * 6,
        "Kafka answers at last",
    ]


def test_waiting_says_nothing_when_the_broker_is_there(caplog: pytest.LogCaptureFixture) -> None:
    """The usual start is silent and waits for nothing."""
    stop = Waits()
    with caplog.at_level("DEBUG"):
        assert kafka.retry(lambda: None, stop) is True
    assert (stop.waits_s, caplog.records) == ([], [])


def test_waiting_ends_when_the_process_is_told_to_stop() -> None:
    """False: the caller leaves without the broker."""

    def fail() -> None:
        raise BrokerUnavailableError("away")

    stop = Waits(until=3)
    assert kafka.retry(fail, stop) is False
    assert len(stop.waits_s) == 3
    assert kafka.retry(lambda: pytest.fail("asked after the stop"), stop) is False


def test_waiting_is_for_a_missing_broker_only() -> None:
    """Another error is not repeated."""

    def fail() -> None:
        raise SettingsError("wrong")

    with pytest.raises(SettingsError):
        kafka.retry(fail, Waits())


def test_a_new_topic_stamps_records_when_they_arrive() -> None:
    """Prefix, partitions, replicas, retention and limit come from the settings and the table."""
    settings = Settings(topic_prefix="p-", topic_partitions=16, topic_replication_factor=3, topic_retention_ms=5)
    made = {topic.name: kafka._new_topic(settings, topic) for topic in TOPICS}
    sensor: Any = made[SENSOR.name]
    assert (sensor.topic, sensor.num_partitions, sensor.replication_factor) == ("p-sensor", 16, 3)
    assert sensor.config == {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": "5",
        "max.message.bytes": str(SENSOR.max_message_bytes),
    }
    assert made[DEAD_LETTER.name].config["retention.ms"] == "604800000"


def test_the_brokers_time_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """LogAppendTime is the broker's own, even ahead of our clock."""
    monkeypatch.setattr("sensorbus.runtime.kafka.wall_clock_ms", lambda: NOW_MS)
    assert kafka.append_time_ms(TIMESTAMP_LOG_APPEND_TIME, NOW_MS + 5_000) == NOW_MS + 5_000


@pytest.mark.parametrize("kind", [TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE])
@pytest.mark.parametrize(
    ("said_ms", "believed_ms"), [(NOW_MS - 5_000, NOW_MS - 5_000), (NOW_MS + 5_000, NOW_MS), (-1, NOW_MS), (0, NOW_MS)]
)
def test_a_producers_time_is_not_believed_ahead(
    said_ms: int, believed_ms: int, kind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a topic of CreateTime a record's time is the producer's word, or none."""
    monkeypatch.setattr("sensorbus.runtime.kafka.wall_clock_ms", lambda: NOW_MS)
    assert kafka.append_time_ms(kind, said_ms) == believed_ms


@pytest.mark.parametrize(
    ("kind", "said_ms", "taken_ms"),
    [(2, 5_000, 5_000), (1, 900, 900), (1, 1_000, 1_000), (1, 1_001, 1_000), (1, 0, 1_000), (0, -1, 1_000)],
)
def test_an_append_time_is_the_brokers_or_now_at_most(
    kind: int, said_ms: int, taken_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LogAppendTime is believed; a sender's own is not where it is ahead."""
    monkeypatch.setattr("sensorbus.runtime.kafka.wall_clock_ms", lambda: 1_000)
    assert kafka.append_time_ms(kind, said_ms) == taken_ms
