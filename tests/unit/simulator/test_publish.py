"""The publisher at its limits.

By a producer that has no broker at all: nothing leaves the process.
"""

from threading import Event

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

from sensorbus.contract.errors import TopicError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import access
from simulator.publish import Publisher, Totals, producer

QUEUE = 10


@pytest.fixture
def publisher() -> Publisher:
    """Give a publisher whose queue holds 10 records."""
    options = {"queue.buffering.max.messages": QUEUE, "message.max.bytes": 1_000, "delivery.report.only.error": True}
    return Publisher(Producer(options), "sensor", Settings(kafka_bootstrap_servers="a:9"), end_within_s=0)


@pytest.fixture
def stop() -> Event:
    """Give an event that is not set."""
    return Event()


def test_what_is_on_its_way_is_not_acknowledged(publisher: Publisher, stop: Event) -> None:
    """Seven records wait; none of them counts."""
    publisher.send([(b"key", b"value")] * 7, stop)
    assert publisher.acknowledged == 0
    assert publisher.readiness() == {"kafka": "no reading is acknowledged yet"}
    stop.set()
    assert publisher.finish(stop) == Totals(acknowledged=0, failed=0, undelivered=7)


def test_stopped_with_a_full_queue_it_says_how_many_are_lost(
    publisher: Publisher, stop: Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 25 records, 10 wait and 15 found no room; all are said not to be delivered."""
    stop.set()
    publisher.send([(b"key", b"value")] * 25, stop)
    assert publisher.finish(stop) == Totals(acknowledged=0, failed=0, undelivered=25)
    assert caplog.records[-1].getMessage() == "0 readings acknowledged, 0 failed, 25 not delivered"
    assert caplog.records[-1].levelname == "WARNING"


def test_stopped_it_counts_what_there_is_no_time_for(publisher: Publisher, stop: Event) -> None:
    """Of what is held back, nothing is sent when the time is over, though the queue has room."""
    stop.set()
    publisher.send_rest([(b"key", b"value")] * 5, stop)
    assert len(publisher._client) == 0
    assert publisher.finish(stop) == Totals(acknowledged=0, failed=0, undelivered=5)


def test_what_is_left_is_sent_while_there_is_time(publisher: Publisher, stop: Event) -> None:
    """Not stopped, all of it goes into the queue."""
    publisher.send_rest([(b"key", b"value")] * 5, stop)
    assert len(publisher._client) == 5


def test_a_failure_is_counted_and_said(publisher: Publisher, stop: Event, caplog: pytest.LogCaptureFixture) -> None:
    """Records that the client gives up are failed, not acknowledged."""
    publisher.send([(b"key", b"value")] * 4, stop)
    publisher._client.purge(in_flight=False)
    assert publisher.finish(stop) == Totals(acknowledged=0, failed=4, undelivered=0)
    failed = [record for record in caplog.records if "sensor did not take a reading" in record.getMessage()]
    assert {(vars(record)["device"], vars(record)["topic"]) for record in failed} == {("key", "sensor")}


def test_a_silent_kafka_is_one_line_with_its_address_and_the_cause(
    publisher: Publisher, stop: Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After more than 5 s; the client's own lines are not shown."""
    settings = publisher._settings
    publisher.send([(b"key", b"value")] * 3, stop)
    monkeypatch.setattr("simulator.publish.time.monotonic", lambda now_s=publisher._silence._began_s + 6: now_s)
    access.told(settings, "a:9/bootstrap: Connect to ipv4#10.0.0.1:9 failed: Connection refused (after 0ms in state X)")
    publisher._count()
    access.answered(settings)
    place = "Kafka at a:9 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)"
    cause = "Connect to ipv4#10.0.0.1:9 failed: Connection refused"
    assert caplog.messages == [f"{place} acknowledged nothing for 6 s; 3 readings wait: {cause}"]


def test_a_silent_kafka_is_said_every_10_s_and_its_end_once(
    publisher: Publisher, stop: Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the sixth second on, however often it is looked at."""
    caplog.set_level("INFO")
    began_s = publisher._silence._began_s
    publisher.send([(b"key", b"value")] * 3, stop)
    for tenths in range(200):
        monkeypatch.setattr("simulator.publish.time.monotonic", lambda now_s=began_s + tenths / 10: now_s)
        publisher._count()
    assert [text.split("; ")[0][-15:] for text in caplog.messages] == ["nothing for 5 s", "othing for 15 s"]
    publisher._taken += 2  # as if two more had been taken and acknowledged
    publisher._count()
    publisher._count()
    assert caplog.messages[2:] == ["Kafka acknowledges again, after 20 s"]


def test_a_record_that_is_refused_for_good_is_a_plain_error(publisher: Publisher, stop: Event) -> None:
    """The message names the topic and the reason."""
    with pytest.raises(TopicError, match=r"topic sensor takes no more readings from this process: .*[Mm]essage size"):
        publisher.send([(b"key", bytes(2_000))], stop)


def test_nothing_sent_is_nothing_lost(publisher: Publisher, stop: Event, caplog: pytest.LogCaptureFixture) -> None:
    """The totals of an empty run are no warning."""
    caplog.set_level("INFO")
    assert publisher.finish(stop) == Totals(0, 0, 0)
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_the_users_kafka_options_go_before_ours() -> None:
    """A queue of three records that the user asked for is full after three."""
    ours = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    theirs = ours.model_copy(update={"kafka_options": {"queue.buffering.max.messages": SecretStr("3")}})
    client = producer(theirs)
    for _ in range(3):
        client.produce("sensor", b"value")
    with pytest.raises(BufferError):
        client.produce("sensor", b"value")
    client.purge()
    client.flush(1)
