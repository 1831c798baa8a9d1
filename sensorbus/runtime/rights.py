"""Which rights on topics a Kafka user has: Kafka's own errors often name no topic."""

from collections.abc import Collection, Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from sensorbus.runtime import access

_TIMEOUT_S: Final = 5.0


def lacking(client: AdminClient, needed: Mapping[str, Collection[str]]) -> str | None:
    """Ask Kafka and return the line for a right that is missing, with all topics that lack the same; None: none is.

    `needed` are the rights by topic, e.g. `READ`. What Kafka does not tell, or a topic that is not there, is passed
    over. Not for the embedded broker, which has no rights and cannot describe topics.
    """
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    topics: dict[str, list[str]] = {}
    asked = client.describe_topics(
        TopicCollection(list(needed)), include_authorized_operations=True, request_timeout=_TIMEOUT_S
    )
    for name, future in asked.items():
        try:
            operations = future.result().authorized_operations
        except KafkaException as error:  # who may not see a topic is told nothing else of it
            operations = [] if error.args[0].code() == denied.code() else None
        if operations is None:
            continue
        if lacks := sorted(set(needed[name]) - {operation.name for operation in operations}):
            topics.setdefault(", ".join(lacks), []).append(name)
    for lacks_said, names in topics.items():
        return access.missing_right(denied, ", ".join(names), lacks_said, of="topic")
    return None
