"""Kafka clients: their configuration, waiting for a broker, topics.

Every message about the connection names the address and the setting that gives it. Called from any thread.
"""

import logging
import operator
import time
from collections.abc import Callable, Collection, Mapping
from threading import Event
from typing import Any, Final, TypeVar

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, ClusterMetadata, TopicMetadata
from confluent_kafka.cimpl import NewTopic

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError, TopicError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.contract.sizes import Headers
from sensorbus.contract.topics import TOPICS, Topic
from sensorbus.runtime import access, option_errors, rights
from sensorbus.runtime.clock import wall_clock_ms

#: What every topic of the embedded broker has; it is bounded by itself. Quix derives its changelog topics from these.
EMBEDDED_PARTITIONS: Final = 4
EMBEDDED_TOPIC_CONFIG: Final = {
    "cleanup.policy": "delete",
    "message.timestamp.type": "CreateTime",
    "retention.bytes": "-1",
    "retention.ms": "86400000",
}
REQUEST_TIMEOUT_S: Final = 5.0
_LEADERS_TIMEOUT_S: Final = 15.0
_PAUSE_S: Final = 0.05
_RETRY_FIRST_S: Final = 0.5
_RETRY_LAST_S: Final = 5.0

#: What a broker answers about a partition whose leader is new and does not know it yet; ask again after the pause.
NEW_LEADER: Final = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
NEW_LEADER_PAUSE_S: Final = 0.1

#: Options of every producer. A partition that gets its leader between two requests refuses the first and takes the
#: second, and librdkafka then reports the records of both as delivered (docs/faults.md).
ORDERLY: Final = {"max.in.flight": 1}

#: Asks a message for its headers; raises `SystemError` where a name is not UTF-8. confluent-kafka returns a broken list
#: then, with an error behind it, which Python itself does not look for once it has seen the call some times.
ask_for_headers: Final[Callable[[Any], Headers | None]] = operator.methodcaller("headers")

_log = logging.getLogger(__name__)
_rdkafka_log = logging.getLogger("rdkafka")
#: For clients whose failures we say ourselves.
silent_log = logging.getLogger("rdkafka.silent")
_Client = TypeVar("_Client", Producer, Consumer, AdminClient)


def client_options(settings: Settings, part: str) -> dict[str, Any]:
    """Return the librdkafka options that every client of a part has: address, name and what the user passes through."""
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": f"sensorbus-{part}",
        "log.connection.close": False,  # idle connections are closed by the broker; that is no news
        **{option: value.get_secret_value() for option, value in settings.kafka_options.items()},
    }


def producer(settings: Settings, part: str, **options: Any) -> Producer:
    """Return an idempotent producer that keys partitions as Java's clients do, and says nothing by itself."""
    return _create(
        Producer,
        {
            "enable.idempotence": True,
            **ORDERLY,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
            "allow.auto.create.topics": False,  # a deleted topic came back with one partition and the broker's defaults
            **_silence(settings),
            **client_options(settings, part),
            **options,
        },
        settings,
    )


def consumer(settings: Settings, part: str, **options: Any) -> Consumer:
    """Return a consumer without group management: it assigns partitions itself and commits nothing."""
    return _create(
        Consumer,
        {
            "group.id": f"sensorbus-{part}",  # librdkafka wants one; without subscribe and commit nobody joins it
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": False,
            "fetch.message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
            **client_options(settings, part),
            **options,
        },
        settings,
    )


def admin(settings: Settings, part: str) -> AdminClient:
    """Return an admin client."""
    return _create(AdminClient, {**_silence(settings), **client_options(settings, part)}, settings)


def _silence(settings: Settings) -> dict[str, Any]:
    return {"logger": silent_log, "error_cb": cause_noted(settings)}


def cause_noted(settings: Settings) -> Callable[[KafkaError], None]:
    """Return the `error_cb` of a client that remembers what it is told of its connections: a failed call says nothing.

    Called from the client's `poll` or `consume`.
    """

    def note(error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # its public name; it comes by the dozen
            access.told(settings, error.str())

    return note


def cluster_metadata(settings: Settings, client: Producer | Consumer | AdminClient) -> ClusterMetadata:
    """Return brokers, topics and partitions, or raise `BrokerUnavailableError`.

    A connection that breaks between question and answer is no outage: it is asked again, within the same 5 s.
    """
    deadline_s = time.monotonic() + REQUEST_TIMEOUT_S
    while True:
        try:
            metadata: ClusterMetadata = client.list_topics(timeout=max(_PAUSE_S, deadline_s - time.monotonic()))
        except KafkaException as error:
            _take_causes(client)
            is_early = time.monotonic() < deadline_s - _PAUSE_S
            if error.args[0].code() != KafkaError._TRANSPORT or not is_early:  # noqa: SLF001  # its public name
                access.ask_listener(settings)
                raise unavailable(settings, error) from None
            time.sleep(_PAUSE_S)
        else:
            _take_causes(client)
            access.answered(settings)
            return metadata


def _take_causes(client: Producer | Consumer | AdminClient) -> None:
    """Let a client say what it was told of its connections; polling a consumer would take a record."""
    if isinstance(client, AdminClient):
        client.poll(0)


def answers(settings: Settings, client: AdminClient) -> bool:
    """Tell whether the broker answers within 5 s."""
    try:
        cluster_metadata(settings, client)
    except BrokerUnavailableError:
        return False
    return True


def recognised(settings: Settings, metadata: ClusterMetadata) -> Settings:
    """Return the settings as they fit the broker: in another shell nobody says that it is the embedded one.

    Raises `SettingsError` where somebody says so of another: topics would be made with that broker's defaults, and
    exactly-once would be off.
    """
    is_embedded = (metadata.cluster_id or "").startswith("mockCluster")
    if settings.embedded_broker and not is_embedded:
        raise SettingsError(
            f"{variable_name('embedded_broker')} is true, but the broker at {settings.bootstrap_servers} is not the "
            "embedded one; unset it, `sensorbus up` alone sets it"
        )
    return settings.model_copy(update={"embedded_broker": is_embedded})


def place(settings: Settings) -> str:
    """Return the brokers' address with the setting that gives it, `localhost:9092 (SENSORBUS_...)`."""
    return f"{settings.bootstrap_servers} ({variable_name('kafka_bootstrap_servers')})"


def unavailable(settings: Settings, error: KafkaException) -> BrokerUnavailableError:
    """Return the one line for a broker that does not answer, or does not let us in; what was said before says why."""
    code = error.args[0] if error.args else None
    if isinstance(code, KafkaError) and (lacks := access.missing_right(code)):
        return BrokerUnavailableError(f"Kafka at {place(settings)}: {lacks}")
    reason = code.str() if isinstance(code, KafkaError) else str(error)
    if refused := access.refusal(settings, reason):
        return BrokerUnavailableError(refused)
    reason = access.cause(settings) or reason
    if "Invalid response size" in reason:  # librdkafka advises to read larger answers
        reason = "what answers there does not speak Kafka's protocol"
    return BrokerUnavailableError(f"no Kafka broker at {place(settings)}: {reason}")


def headers(message: Message) -> Headers:
    """Return a message's headers: none where a name is not UTF-8, which the client cannot read.

    Such a message must not be asked again: the second answer ends the process.
    """
    try:
        return ask_for_headers(message) or ()
    except SystemError:
        return ()


def lacking_rights(settings: Settings, part: str, needed: Mapping[str, Collection[str]]) -> str | None:
    """Ask Kafka and return the line for a right on a topic that is missing (`rights.lacking`), None if none is."""
    if settings.embedded_broker:  # it has no rights, and cannot describe topics
        return None
    return rights.lacking(admin(settings, part), needed)


def append_time_ms(kind: int, timestamp_ms: int) -> int:
    """Return the time at which Kafka appended a record, of what its message says of its timestamp.

    On a topic of CreateTime (the embedded broker's, a foreign one) the producer says it, or -1: nothing in the future
    is believed, so a device's clock cannot vouch for itself.
    """
    if kind == TIMESTAMP_LOG_APPEND_TIME:
        return timestamp_ms
    now_ms = wall_clock_ms()
    return timestamp_ms if 0 < timestamp_ms < now_ms else now_ms


def offsets_held(settings: Settings, whose: str) -> BrokerUnavailableError:
    """Return the one line for a Kafka that answers, and does not tell in time what a group has committed."""
    return BrokerUnavailableError(
        f"Kafka at {place(settings)} answers, but does not tell what {whose} has committed: it is slow, or the "
        "offsets wait for a transaction to end (docs/operations.md: A transaction without an end)"
    )


def wait_for_broker(settings: Settings, part: str, stop: Event) -> bool:
    """Return True once the broker answers, False when `stop` was set first; says every 10 s that it waits."""
    client = admin(settings, part)
    return retry(lambda: cluster_metadata(settings, client), stop)


def retry(action: Callable[[], object], stop: Event) -> bool:
    """Call `action` until it does not raise `BrokerUnavailableError`, with back-off; False when stopped first."""
    pause_s, waited = _RETRY_FIRST_S, False
    while not stop.is_set():
        try:
            action()
        except BrokerUnavailableError as error:
            waited = True
            _log.warning("%s; trying again", error)  # the log folds repeats to one per 10 s
            stop.wait(pause_s)
            pause_s = min(pause_s * 2, _RETRY_LAST_S)
        else:
            if waited:
                _log.info("Kafka answers at last")
            return True
    return False


def ensure_topics(settings: Settings, part: str, topics: tuple[Topic, ...] = TOPICS) -> list[str]:
    """Create the topics that are missing and return their names; topics that exist are left as they are.

    Raises `TopicError` naming the topic, `BrokerUnavailableError` naming the address, `SettingsError` as `recognised`.
    """
    client = admin(settings, part)
    metadata = cluster_metadata(settings, client)
    settings, existing = recognised(settings, metadata), metadata.topics
    if settings.embedded_broker:  # it has no CreateTopics: asking for a topic creates it, with 4 partitions
        for topic in topics:
            client.list_topics(settings.topic_name(topic), timeout=REQUEST_TIMEOUT_S)
        return []
    missing = [topic for topic in topics if settings.topic_name(topic) not in existing]
    if not missing:
        return []
    futures = client.create_topics([_new_topic(settings, topic) for topic in missing], request_timeout=30.0)
    created = []
    for name, future in futures.items():
        try:
            future.result()
            created.append(name)
        except KafkaException as error:
            code = error.args[0]
            if code.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another part was faster
                # Kafka does not show a topic to whom it may not be shown: it may be there.
                denied = access.missing_right(code, name, "DESCRIBE (and CREATE, if it is not there)")
                raise TopicError(denied or f"topic {name} cannot be created: {code.str()}") from None
    _wait_for_leaders(settings, client, set(futures))
    return created


def _wait_for_leaders(settings: Settings, client: AdminClient, names: set[str]) -> None:
    """Wait until brokers know new topics: Kafka answers a little before that, and a first use would fail."""
    deadline_s = time.monotonic() + _LEADERS_TIMEOUT_S
    while True:
        known = cluster_metadata(settings, client).topics
        missing = sorted(name for name in names if name not in known or not _has_leaders(known[name]))
        if not missing:
            return
        # A list leaves out what one may not see: it would be waited for in vain.
        if lacks := rights.lacking(client, dict.fromkeys(missing, ("DESCRIBE",))):
            raise TopicError(lacks)
        if time.monotonic() > deadline_s:
            raise TopicError(f"topic {missing[0]} was created, but has no leader after {_LEADERS_TIMEOUT_S:g} s")
        time.sleep(_PAUSE_S)


def _has_leaders(topic: TopicMetadata) -> bool:
    return bool(topic.partitions) and all(partition.leader >= 0 for partition in topic.partitions.values())


def _new_topic(settings: Settings, topic: Topic) -> NewTopic:
    return NewTopic(
        settings.topic_name(topic),
        num_partitions=settings.topic_partitions,
        replication_factor=settings.topic_replication_factor,
        config={
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(getattr(settings, topic.retention_setting)),
            "max.message.bytes": str(topic.max_message_bytes),
        },
    )


def _create(kind: Callable[[dict[str, Any]], _Client], options: dict[str, Any], settings: Settings) -> _Client:
    try:
        return kind({"logger": _rdkafka_log, **options})
    except KafkaException as error:
        given = {option: value.get_secret_value() for option, value in settings.kafka_options.items()}
        raise SettingsError(option_errors.explain(error.args[0].str().strip(), given)) from None
