"""Tests of what leaves a job's chain."""

from typing import Any
from unittest.mock import Mock, call

import pytest
from confluent_kafka import KafkaError
from quixstreams.internal_producer import InternalProducer
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.state.recovery import ChangelogProducer

from processors import device_state
from processors.outputs import Output, hand_on_changes, write
from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT
from sensorbus.runtime import kafka
from tests.support.job_parts import Frame
from tests.support.topics import read_all, values
from tests.support.waiting import wait_until


@pytest.fixture
def frame() -> Any:
    """Give an empty dataframe; `Any`, because it is not Quix's."""
    return Frame()


def test_every_output_is_produced_as_it_is(frame: Any) -> None:
    """Topic, key, value and headers, null and empty ones too, at the reading's append time; each is counted."""
    counted: list[str] = []
    outputs = [Output("alert", b"k", b"v"), Output("dead-letter", None, None, (("a", None), ("a", b"")))]
    write(frame, lambda *_: outputs, counted.append, stateful=False)
    frame.run(b"in", b"key", 1_234, None)
    assert frame.produced == [
        ("alert", b"v", b"k", None, 1_234),
        ("dead-letter", None, None, [("a", None), ("a", b"")], 1_234),
    ]
    assert counted == ["alert", "dead-letter"]


@pytest.mark.parametrize("stateful", [True, False])
def test_the_step_gets_the_record_and_the_state(stateful: bool, frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value, key, time and headers as Quix hands them over, and the state under the key where there is one."""
    give_store = Mock(side_effect=lambda of_frame: lambda key: (of_frame, key))
    monkeypatch.setattr(device_state, "of", give_store)
    seen: list[tuple[Any, ...]] = []
    write(frame, lambda *record: seen.append(record) or (), lambda _: None, stateful=stateful)  # type: ignore[func-returns-value]  # append gives None
    frame.run(b"in", b"key", 5, [("h", b"1")])
    assert seen == [(b"in", b"key", 5, [("h", b"1")], (frame, b"key") if stateful else None)]
    assert give_store.called == stateful


def test_a_full_queue_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is lost where the client has room for one record."""
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True)
        kafka.ensure_topics(settings, "test")
        producer = InternalProducer(broker.address, extra_config={"queue.buffering.max.messages": 1})
        frame: Any = Frame(producer)
        write(frame, lambda value, *_: [Output(ALERT.name, b"key", value)], lambda _: None, stateful=False)
        for number in range(20):
            frame.run(b"%d" % number, b"key", 1_234, None)
        assert producer.flush(10) == 0
        assert values(settings, ALERT) == [b"%d" % number for number in range(20)]
    assert caplog.messages == []


def test_a_record_that_was_not_delivered_is_quix_to_raise() -> None:
    """As one of its own: with the next flush, so that the checkpoint does not end well."""
    producer = InternalProducer("127.0.0.1:1", extra_config={"message.timeout.ms": 20, "log_level": 0})
    frame: Any = Frame(producer)
    write(frame, lambda *_: [Output("alert", b"key", b"lost")], lambda _: None, stateful=False)
    frame.run(b"in", b"key", 1_234, None)
    with pytest.raises(KafkaProducerDeliveryError) as raised:
        producer.flush(10)
    assert raised.value.args[0].code() == KafkaError._MSG_TIMED_OUT


def test_changes_of_the_state_are_written_as_quix_writes_them() -> None:
    """Key, value, headers, partition and the offset that is noted, a removal too; where the queue is full as well."""
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True)
        kafka.ensure_topics(settings, "test")
        written = []
        for change in (lambda _: None, hand_on_changes):
            producer = InternalProducer(broker.address, extra_config={"queue.buffering.max.messages": 1})
            change(producer)
            changes = ChangelogProducer(ALERT.name, 2, producer)
            for number in range(10):
                changes.produce(key=b"k%d" % number, value=b"v" if number else None, headers={"cf": "default"})
            assert producer.flush(10) == 0
            written.append(producer.offsets)
        rows = [(one.partition(), one.key(), one.value(), one.headers()) for one in read_all(settings, ALERT)]
    assert len(rows) == 20
    assert rows[:10] == rows[10:]
    assert written == [{(ALERT.name, 2): 9}, {(ALERT.name, 2): 19}]


def test_a_change_of_the_state_that_was_not_delivered_is_quix_to_raise() -> None:
    """With the next change or flush: the checkpoint does not end well."""
    producer = InternalProducer("127.0.0.1:1", extra_config={"message.timeout.ms": 20, "log_level": 0})
    hand_on_changes(producer)
    changes = ChangelogProducer("changelog", 0, producer)
    changes.produce(key=b"k", value=b"lost")
    wait_until(lambda: producer.poll() or producer._error, 5, "a delivery that failed")
    with pytest.raises(KafkaProducerDeliveryError) as raised:
        changes.produce(key=b"k", value=b"v")
    assert raised.value.args[0].code() == KafkaError._MSG_TIMED_OUT
    assert producer.offsets == {}


def test_no_offset_is_noted_after_a_delivery_that_failed() -> None:
    """As by Quix: what came after a gap is not what the state holds."""
    producer = InternalProducer("127.0.0.1:1", extra_config={"log_level": 0})
    client = Mock()
    producer._producer._inner_producer = client
    hand_on_changes(producer)
    ChangelogProducer("changelog", 0, producer).produce(key=b"k", value=b"v")
    told = client.produce.call_args.args[4]
    delivered = Mock(**{"topic.return_value": "changelog", "partition.return_value": 0, "offset.return_value": 5})
    told(None, delivered)
    assert producer.offsets == {("changelog", 0): 5}
    told(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), delivered)
    delivered.offset.return_value = 6
    told(None, delivered)
    assert producer.offsets == {("changelog", 0): 5}


def test_what_is_no_change_of_the_state_is_left_to_quix() -> None:
    """A record without a partition, or of which somebody wants to be told, with all its options."""
    producer = InternalProducer("127.0.0.1:1", extra_config={"log_level": 0})
    asked = Mock()
    producer.produce = asked  # type: ignore[method-assign]  # to see its calls
    hand_on_changes(producer)
    producer.produce("alert", b"v", b"k", timestamp=5)
    producer.produce("changelog", b"v", b"k", partition=1, on_delivery=print)
    assert asked.call_args_list == [
        call("alert", b"v", b"k", None, None, on_delivery=None, timestamp=5),
        call("changelog", b"v", b"k", None, 1, on_delivery=print),
    ]
