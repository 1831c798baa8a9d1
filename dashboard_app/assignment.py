"""What to read: partitions, first offsets, and if they still hold.

A topic may have become another one, or have more partitions.
For the consumer thread. Everything here asks Kafka and raises `BrokerUnavailableError` when it does not answer.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from dashboard_app.held import SHOWN
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import BY_NAME, DEAD_LETTER
from sensorbus.runtime import kafka, topic_changes
from sensorbus.runtime.access import missing_right

_TIMEOUT_S: Final = 3.0


class Place(NamedTuple):
    """One partition; the topic's name is without prefix."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What there is to read; `epoch` changes when the cluster or a topic is another one than before."""

    epoch: str
    places: frozenset[Place]
    missing: tuple[str, ...]
    lacks: tuple[str, ...] = ()  # a line for each topic that this user may not see, whether it is there or not


def look(settings: Settings, consumer: Consumer, admin: AdminClient) -> Assignment:
    """Return the assignment as of now; topics that are not there yet are named in `missing`."""
    places: set[Place] = set()
    missing: list[str] = []
    lacks: list[str] = []
    cluster_id = ""
    for topic in SHOWN:
        name = settings.topic_name(topic)
        try:
            metadata = consumer.list_topics(name, timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise _unavailable(settings, error) from None
        cluster_id = metadata.cluster_id or ""
        found = metadata.topics.get(name)
        if found is not None and found.error is not None and (line := missing_right(found.error, name, "DESCRIBE")):
            lacks.append(line)
            continue
        if found is None or found.error is not None or not found.partitions:
            missing.append(name)
            continue
        places.update(Place(topic.name, partition) for partition in found.partitions)
    ids = {} if settings.embedded_broker else _topic_ids(settings, admin)
    identity = repr((cluster_id, sorted(ids.items()))).encode()
    epoch = hashlib.blake2s(identity, digest_size=8).hexdigest()
    return Assignment(epoch=epoch, places=frozenset(places), missing=tuple(missing), lacks=tuple(lacks))


def starts(
    settings: Settings, consumer: Consumer, admin: AdminClient, places: Iterable[Place], since_ms: int
) -> dict[Place, int]:
    """Return the offset of each place's first record appended since then, or its end when there is none."""
    partitions = {place: TopicPartition(settings.topic_name(BY_NAME[place.topic]), place.partition) for place in places}
    if settings.embedded_broker:  # it cannot look offsets up by time
        return {place: _lowest(settings, consumer, partition) for place, partition in partitions.items()}
    # The ends come first: what is appended in between is then found by time or stands behind the end.
    ends = _offsets(settings, admin, partitions, OffsetSpec.latest())
    found = _offsets(settings, admin, partitions, OffsetSpec.for_timestamp(since_ms))
    return {place: offset if offset >= 0 else ends[place] for place, offset in found.items()}


def _offsets(
    settings: Settings, admin: AdminClient, partitions: Mapping[Place, TopicPartition], spec: OffsetSpec
) -> dict[Place, int]:
    if not partitions:
        return {}
    try:
        futures = admin.list_offsets(dict.fromkeys(partitions.values(), spec), request_timeout=_TIMEOUT_S)
        return {place: futures[partition].result().offset for place, partition in partitions.items()}
    except KafkaException as error:
        raise _unavailable(settings, error) from None


def _lowest(settings: Settings, consumer: Consumer, partition: TopicPartition) -> int:
    try:
        return int(consumer.get_watermark_offsets(partition, timeout=_TIMEOUT_S)[0])
    except KafkaException as error:
        raise _unavailable(settings, error) from None


def _topic_ids(settings: Settings, admin: AdminClient) -> dict[str, str]:
    """Return the ids that Kafka gave the topics of a cursor when it made them; "" where it has none to tell."""
    names = [settings.topic_name(topic) for topic in SHOWN if topic is not DEAD_LETTER]
    ids = {}
    for name, answer in topic_changes.ask(admin, names, _TIMEOUT_S):
        try:
            ids[name] = topic_changes.identity(answer).topic_id
        except KafkaException as error:
            code = error.args[0].code()
            if code not in {*topic_changes.NOT_THERE, KafkaError.TOPIC_AUTHORIZATION_FAILED}:
                raise _unavailable(settings, error) from None
            ids[name] = ""
    return ids


def _unavailable(settings: Settings, error: KafkaException) -> BrokerUnavailableError:
    reason = error.args[0]
    if reason.code() < 0:  # librdkafka's own codes: it did not get through
        return kafka.unavailable(settings, error)
    return BrokerUnavailableError(f"Kafka at {settings.bootstrap_servers} is not ready: {reason.str()}")
