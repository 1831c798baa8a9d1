"""Looks at the broker and the topics and says what is wrong; changes nothing."""

import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import confluent_kafka
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, ConfigResource, ResourceType

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError, TopicError
from sensorbus.contract.partitioning import partition_of
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.contract.topics import SENSOR, TOPICS, Topic
from sensorbus.records import topic_state
from sensorbus.runtime import access, kafka
from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.logs import escape

_CLEANUP_POLICY: Final = "delete"
_COMPACTED: Final = "compact"
_PACKAGES: Final = ("sensorbus", "quixstreams", "confluent-kafka", "dash", "plotly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One row of the doctor's table; `failed` makes the exit code 1, `warning` does not."""

    subject: str
    state: Literal["ok", "warning", "failed"]
    detail: str


def examine(settings: Settings, now_ms: ClockMs) -> Iterator[Finding]:
    """Yield the findings: versions, the broker, each topic, and each changelog of the jobs that is there."""
    yield Finding(subject="versions", state="ok", detail=_versions())
    client = kafka.admin(settings, "doctor")
    try:
        metadata = kafka.cluster_metadata(settings, client)
        settings = kafka.recognised(settings, metadata)
    except (BrokerUnavailableError, SettingsError) as error:
        yield Finding(subject="broker", state="failed", detail=str(error))
        return
    kind = ", the embedded one" if settings.embedded_broker else ""
    detail = f"{len(metadata.brokers)} at {kafka.place(settings)}{kind}"
    yield Finding(subject="broker", state="ok", detail=detail)
    consumer = kafka.consumer(settings, "doctor", **{"enable.partition.eof": True})
    try:
        for topic in TOPICS:
            yield _topic(settings, consumer, client, topic, now_ms())
    finally:
        consumer.close()
    yield from _changelogs(settings, client, metadata)


def _topic(settings: Settings, consumer: Consumer, client: AdminClient, topic: Topic, now_ms: int) -> Finding:
    subject = f"topic {settings.topic_name(topic)}"
    try:
        state = topic_state(settings, consumer, topic)
        metadata = kafka.cluster_metadata(settings, client)
    except (TopicError, BrokerUnavailableError) as error:
        return Finding(subject=subject, state="failed", detail=str(error))
    age = "no record" if state.last_append_ms is None else f"last record {age_text(now_ms - state.last_append_ms)} ago"
    detail = f"{state.partitions} partitions, {age}"
    differences = [
        *partition_difference(settings, state.partitions),
        *replica_difference(settings, _replicas(metadata, settings.topic_name(topic)), len(metadata.brokers)),
        *_described_differences(settings, client, topic),
        *(placement_difference(state.last_keys, state.partitions) if topic == SENSOR else ()),
    ]
    if differences:
        return Finding(subject=subject, state="warning", detail=f"{detail}; {'; '.join(differences)}")
    return Finding(subject=subject, state="ok", detail=detail)


def _changelogs(settings: Settings, client: AdminClient, metadata: ClusterMetadata) -> Iterator[Finding]:
    """Yield a finding for each changelog: one that is not as its job makes it loses state, and the job cannot tell."""
    if settings.embedded_broker:  # it makes all topics alike
        return
    partitions = {name: len(topic.partitions) for name, topic in metadata.topics.items()}
    for name, source in changelog_sources(settings, partitions).items():
        subject, detail = f"topic {name}", f"{partitions[name]} partitions"
        try:
            differences = list(changelog_differences(partitions[name], partitions.get(source), _policies(client, name)))
        except TopicError as error:
            differences = [str(error)]
        if differences:
            yield Finding(subject=subject, state="warning", detail=f"{detail}; {'; '.join(differences)}")
        else:
            yield Finding(subject=subject, state="ok", detail=detail)


def changelog_sources(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Return our jobs' changelogs, each with its input; Quix calls them changelog__<group>--<input>--<store>."""
    begin, inputs = f"changelog__{settings.consumer_group('')}", [settings.topic_name(topic) for topic in TOPICS]
    return {
        name: source
        for name in sorted(names)
        for source in inputs
        if name.startswith(begin) and name[len(begin) :].partition("--")[2].startswith(f"{source}--")
    }


def changelog_differences(partitions: int, source: int | None, policies: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what loses state: another number of partitions than the input's, and records that go by their age."""
    if source is not None and partitions != source:
        yield f"not {source} partitions, as the job's input has, so the job does not start"
    cleanup = policies.get("cleanup.policy")
    if cleanup != _COMPACTED:
        yield f"cleanup.policy is {cleanup or 'nothing'}, not {_COMPACTED}, so a state that is read back lacks devices"


def partition_difference(settings: Settings, partitions: int) -> Iterator[str]:
    """Yield that a topic has another number of partitions than it would be made with."""
    if partitions != settings.topic_partitions and not settings.embedded_broker:
        yield f"not {settings.topic_partitions} partitions, as {variable_name('topic_partitions')} says"


def placement_difference(keys: Mapping[int, bytes | None], partitions: int) -> Iterator[str]:
    """Yield that a writer has put a key, the last one of its partition, where no client like Java's would."""
    for partition, key in keys.items():
        if key and (wanted := partition_of(key, partitions)) != partition:
            shown = escape(key[:64].decode(errors="replace"))
            yield (
                f"key {shown} stands in partition {partition}, not {wanted}, where murmur2 puts it and a replay would "
                "send it: set partitioner=murmur2_random where it is written"
            )
            return


def replica_difference(settings: Settings, replicas: int, brokers: int) -> Iterator[str]:
    """Yield that a topic has fewer replicas than it would be made with, or one where there could be more."""
    variable = variable_name("topic_replication_factor")
    if settings.embedded_broker:
        return
    if replicas < settings.topic_replication_factor:
        yield f"not {settings.topic_replication_factor} replicas, as {variable} says, but {replicas}"
    elif replicas == 1 and brokers > 1:
        yield f"1 replica on {brokers} brokers ({variable}), so what a broker holds goes with it"


def _replicas(metadata: ClusterMetadata, name: str) -> int:
    """Return how many copies there are of the partition that has the fewest; 0 without a topic."""
    there = metadata.topics.get(name)
    return min((len(partition.replicas) for partition in there.partitions.values()), default=0) if there else 0


def _described_differences(settings: Settings, client: AdminClient, topic: Topic) -> Iterator[str]:
    if settings.embedded_broker:  # it has no DescribeConfigs
        return
    try:
        policies = _policies(client, settings.topic_name(topic))
    except TopicError as error:
        yield str(error)
        return
    yield from policy_differences(settings, policies, topic)


def _policies(client: AdminClient, name: str) -> dict[str, str | None]:
    """Return a topic's policies by name; raises `TopicError` when they cannot be read."""
    resource = ConfigResource(ResourceType.TOPIC, name)
    try:
        described = client.describe_configs([resource], request_timeout=kafka.REQUEST_TIMEOUT_S)[resource].result()
    except KafkaException as error:
        lacks = access.missing_right(error.args[0], name, "DESCRIBE_CONFIGS")
        raise TopicError(f"its policies cannot be read: {lacks or error.args[0].str()}") from None
    return {policy: entry.value for policy, entry in described.items()}


def policy_differences(settings: Settings, policies: Mapping[str, str | None], topic: Topic) -> Iterator[str]:
    """Yield what a topic's policies on the cluster would do to its records, where they are not ours."""
    if policies.get("message.timestamp.type") != "LogAppendTime":
        yield "message.timestamp.type is not LogAppendTime, so old event times shorten retention"
    if int(policies.get("max.message.bytes") or 0) < topic.max_message_bytes:
        yield f"max.message.bytes is below {topic.max_message_bytes}, so large records are refused"
    cleanup = policies.get("cleanup.policy")
    if cleanup != _CLEANUP_POLICY:
        does = "only the last record of a device stays" if "compact" in (cleanup or "") else "old records stay for ever"
        yield f"cleanup.policy is {cleanup or 'nothing'}, not {_CLEANUP_POLICY}, so {does}"
    kept_ms, wanted_ms = int(policies.get("retention.ms") or 0), getattr(settings, topic.retention_setting)
    if 0 <= kept_ms < wanted_ms:  # below 0: for ever
        wanted = f"{wanted_ms} ({variable_name(topic.retention_setting)})"
        yield f"retention.ms is {kept_ms}, below {wanted}, so records go sooner"


def _versions() -> str:
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return f"Python {platform.python_version()}, {packages}, librdkafka {confluent_kafka.libversion()[0]}"


def age_text(age_ms: int) -> str:
    """Return an age in its largest unit of which there are two; a clock that is behind makes it 0."""
    seconds = max(0, age_ms) / 1000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"
