"""What Kafka has of a job's consumer group, to be asked and changed."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from sensorbus import records
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import Topic
from sensorbus.runtime import kafka
from tests.support.hostile_frames import text
from tests.support.waiting import wait_until

_GROUPS: Final = "__consumer_offsets"
#: The version of a key there under which a group's members are kept; lower ones are of offsets.
_A_GROUP: Final = struct.pack(">h", 2)
#: What a broker says of a group that was never there, until it has made the topic that keeps groups.
_COORDINATOR_IS_COMING: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


def partitions(settings: Settings, topic: Topic, *offsets: int) -> list[TopicPartition]:
    """Return a place in each partition of a topic; one offset is that of all of them."""
    count = settings.topic_partitions
    each = offsets * count if len(offsets) == 1 else offsets
    return [TopicPartition(settings.topic_name(topic), *place) for place in zip(range(count), each, strict=True)]


def committed(settings: Settings, job: str, topic: Topic) -> list[int]:
    """Return up to where the job's group has read each partition of a topic, -1 for not at all."""
    with _as_the_group(settings, job) as consumer:
        return [max(place.offset, -1) for place in consumer.committed(partitions(settings, topic, -1), timeout=10)]


def set_committed(settings: Settings, job: str, topic: Topic, offsets: Sequence[int]) -> None:
    """Have Kafka tell these offsets, one of each partition, when the group has no member."""
    _wait_until_empty(settings, job)
    with _as_the_group(settings, job) as consumer:
        told = consumer.commit(offsets=partitions(settings, topic, *offsets), asynchronous=False)
        assert not [place for place in told if place.error]


def forget(settings: Settings, job: str) -> None:
    """Have Kafka know nothing of the group, when it has no member."""
    _wait_until_empty(settings, job)
    admin, group = kafka.admin(settings, "test"), settings.consumer_group(job)
    admin.delete_consumer_groups([group])[group].result(10)


def sharing(settings: Settings, job: str) -> int:
    """Return how many members of the job's group have partitions; none where nobody keeps that group yet."""
    group, admin = settings.consumer_group(job), kafka.admin(settings, "test")
    try:
        told = admin.describe_consumer_groups([group])[group].result(10)
    except KafkaException as error:
        if error.args[0].code() not in _COORDINATOR_IS_COMING:
            raise
        return 0
    return sum(bool(member.assignment.topic_partitions) for member in told.members)


def generation(settings: Settings, job: str) -> int:
    """Return how often the job's group was shared out anew, by what Kafka keeps of it: no request tells that."""
    options = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    consumer = kafka.consumer(settings, "test", **options)
    try:
        places = kafka.cluster_metadata(settings, consumer).topics[_GROUPS].partitions
        starts = [TopicPartition(_GROUPS, place, OFFSET_BEGINNING) for place in places]
        held = list(records.read_to_end(settings, consumer, starts))
    finally:
        consumer.close()
    key = _A_GROUP + text(settings.consumer_group(job))
    of_group = [message.value() for message in held if message.key() == key and message.value()]
    return max(_generation_in(value) for value in of_group)


def _generation_in(value: bytes) -> int:
    """Return the generation in what Kafka keeps of a group: a version, the protocol's kind, then that."""
    (length,) = struct.unpack_from(">h", value, 2)
    return int(struct.unpack_from(">i", value, 4 + length)[0])


def _wait_until_empty(settings: Settings, job: str) -> None:
    wait_until(lambda: not sharing(settings, job), 30, f"the group of {job} to be empty")


@contextmanager
def _as_the_group(settings: Settings, job: str) -> Iterator[Consumer]:
    consumer = kafka.consumer(settings, "test", **{"group.id": settings.consumer_group(job)})
    try:
        yield consumer
    finally:
        consumer.close()
