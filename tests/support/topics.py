"""Writes records to a topic and reads a topic whole, as lists."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, Message, TopicPartition

from sensorbus import records
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import Topic
from sensorbus.runtime import kafka

_FLUSH_S = 30.0
_HELD_AT_MOST = 50_000  # the client's queue holds twice as many


class Record(NamedTuple):
    """A record to write; `timestamp_ms` 0 is now."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = 0


def produce(settings: Settings, topic: Topic, wanted: Iterable[Record]) -> None:
    """Write records and wait until Kafka has them all; fails when it refuses one."""
    refused: list[KafkaError] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error)

    producer = kafka.producer(settings, "test")
    for record in wanted:
        producer.produce(
            settings.topic_name(topic),
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=record.timestamp_ms,
            on_delivery=on_delivery,
        )
        producer.poll(0.1 if len(producer) > _HELD_AT_MOST else 0)
    assert producer.flush(_FLUSH_S) == 0
    assert refused == []


def read_all(settings: Settings, topic: Topic) -> list[Message]:
    """Return what stands committed in a topic, partition by partition in their order."""
    options = {"enable.partition.eof": True, "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20}
    consumer = kafka.consumer(settings, "test", **options)
    try:
        places = records.partitions(settings, consumer, topic)
        starts = [TopicPartition(place.topic, place.partition, OFFSET_BEGINNING) for place in places]
        held = list(records.read_to_end(settings, consumer, starts))
    finally:
        consumer.close()
    return sorted(held, key=lambda message: (message.partition(), message.offset()))


def values(settings: Settings, topic: Topic) -> list[bytes]:
    """Return the values that stand committed in a topic, partition by partition in their order."""
    return [message.value() for message in read_all(settings, topic)]


def has_own_key(message: Message) -> bool:
    """Tell whether a reading or a result stands under its device's key."""
    return bool(message.key() == json.loads(message.value() or b"")["device_id"].encode())
