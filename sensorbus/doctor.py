"""Looks at the broker and the topics and says what is wrong; changes nothing."""

import importlib.metadata
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import confluent_kafka
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from sensorbus.contract.errors import BrokerUnavailableError, TopicError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.contract.topics import TOPICS, Topic
from sensorbus.records import topic_state
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import ClockMs

_PACKAGES: Final = ("sensorbus", "quixstreams", "confluent-kafka", "dash", "plotly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the doctor's table; `failed` makes the exit code 1, `warning` does not."""

    subject: str
    state: Literal["ok", "warning", "failed"]
    detail: str


def examine(settings: Settings, now_ms: ClockMs) -> Iterator[Finding]:
    """Yield the findings: versions, the broker, each topic."""
    yield Finding(subject="versions", state="ok", detail=_versions())
    client = kafka.admin(settings, "doctor")
    try:
        brokers = kafka.cluster_metadata(settings, client).brokers
    except BrokerUnavailableError as error:
        yield Finding(subject="broker", state="failed", detail=str(error))
        return
    settings = kafka.recognised(settings, client)
    kind = ", the embedded one" if settings.embedded_broker else ""
    detail = f"{len(brokers)} at {settings.bootstrap_servers} ({variable_name('kafka_bootstrap_servers')}){kind}"
    yield Finding(subject="broker", state="ok", detail=detail)
    consumer = kafka.consumer(settings, "doctor", **{"enable.partition.eof": True})
    try:
        for topic in TOPICS:
            yield _topic(settings, consumer, client, topic, now_ms())
    finally:
        consumer.close()


def _topic(settings: Settings, consumer: Consumer, client: AdminClient, topic: Topic, now_ms: int) -> Finding:
    subject = f"topic {settings.topic_name(topic)}"
    try:
        state = topic_state(settings, consumer, topic)
    except (TopicError, BrokerUnavailableError) as error:
        return Finding(subject=subject, state="failed", detail=str(error))
    age = "no record" if state.last_append_ms is None else f"last record {_age(now_ms - state.last_append_ms)} ago"
    detail = f"{state.partitions} partitions, {age}"
    differences = [*_partition_difference(settings, state.partitions), *_policy_differences(settings, client, topic)]
    if differences:
        return Finding(subject=subject, state="warning", detail=f"{detail}; {'; '.join(differences)}")
    return Finding(subject=subject, state="ok", detail=detail)


def _partition_difference(settings: Settings, partitions: int) -> Iterator[str]:
    if partitions != settings.topic_partitions and not settings.embedded_broker:
        yield f"not {settings.topic_partitions} partitions, as {variable_name('topic_partitions')} says"


def _policy_differences(settings: Settings, client: AdminClient, topic: Topic) -> Iterator[str]:
    if settings.embedded_broker:  # it has no DescribeConfigs
        return
    resource = ConfigResource(ResourceType.TOPIC, settings.topic_name(topic))
    try:
        described = client.describe_configs([resource], request_timeout=kafka.REQUEST_TIMEOUT_S)[resource].result()
    except KafkaException as error:
        yield f"its policies cannot be read: {error.args[0].str()}"
        return
    policies = {name: entry.value for name, entry in described.items()}
    if policies.get("message.timestamp.type") != "LogAppendTime":
        yield "message.timestamp.type is not LogAppendTime, so old event times shorten retention"
    if int(policies.get("max.message.bytes") or 0) < topic.max_message_bytes:
        yield f"max.message.bytes is below {topic.max_message_bytes}, so large records are refused"


def _versions() -> str:
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}, librdkafka {confluent_kafka.libversion()[0]}"


def _age(age_ms: int) -> str:
    seconds = max(0, age_ms) / 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
