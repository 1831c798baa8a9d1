"""Kafka clients: their configuration, waiting for a broker, topics.

Every message about the connection names the address and the setting that gives it. Called from any thread.
"""

import difflib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ClusterMetadata, TopicMetadata
from confluent_kafka.cimpl import NewTopic

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError, TopicError
from sensorbus.contract.settings import PREFIX, Settings, variable_name
from sensorbus.contract.topics import TOPICS, Topic
from sensorbus.runtime import access

REQUEST_TIMEOUT_S: Final = 5.0
_LEADERS_TIMEOUT_S: Final = 15.0
_LEADERS_PAUSE_S: Final = 0.05
_RETRY_FIRST_S: Final = 0.5
_RETRY_LAST_S: Final = 5.0
_KEPT_CAUSES: Final = 20

_log = logging.getLogger(__name__)
_rdkafka_log = logging.getLogger("rdkafka")
_silent_log = logging.getLogger("rdkafka.admin")  # an admin client's failures are answers, and we say them ourselves
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
    """Return an idempotent producer that keys partitions as Java's clients do."""
    return _create(
        Producer,
        {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
            "allow.auto.create.topics": False,  # a deleted topic came back with one partition and the broker's defaults
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
            "group.id": f"sensorbus-{part}",  # librdkafka wants one; without subscribe and commit it is not used
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
    return _create(_Admin, {**client_options(settings, part), "logger": _silent_log}, settings)


class _Admin(AdminClient):  # type: ignore[misc]  # confluent-kafka publishes no types
    """An admin client that keeps what it was told of its connections: the failed call itself does not say it."""

    def __init__(self, options: dict[str, Any]) -> None:
        told: deque[str] = deque(maxlen=_KEPT_CAUSES)

        def note(error: KafkaError) -> None:
            if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # its public name; it comes by the dozen
                told.append(error.str())

        self._told = told
        super().__init__({"error_cb": note, **options})

    def take_causes(self) -> list[str]:
        """Return what was said since the last time, the newest first."""
        self.poll(0)
        causes = list(reversed(self._told))
        self._told.clear()
        return causes


def cluster_metadata(settings: Settings, client: Producer | Consumer | AdminClient) -> ClusterMetadata:
    """Return brokers, topics and partitions, or raise `BrokerUnavailableError`."""
    try:
        metadata: ClusterMetadata = client.list_topics(timeout=REQUEST_TIMEOUT_S)
    except KafkaException as error:
        causes = client.take_causes() if isinstance(client, _Admin) else []
        raise unavailable(settings, error, causes) from None
    access.answered(settings)
    return metadata


def recognised(settings: Settings, client: Producer | Consumer | AdminClient) -> Settings:
    """Return the settings as they fit the broker: in another shell nobody says that it is the embedded one."""
    if settings.embedded_broker or not (cluster_metadata(settings, client).cluster_id or "").startswith("mockCluster"):
        return settings
    return settings.model_copy(update={"embedded_broker": True})


def unavailable(settings: Settings, error: KafkaException, causes: Sequence[str] = ()) -> BrokerUnavailableError:
    """Return the one line for a broker that does not answer, or does not let us in; `causes`, if known, say more."""
    reason = error.args[0].str() if error.args and isinstance(error.args[0], KafkaError) else str(error)
    if refused := access.refusal(settings, *causes, reason):
        return BrokerUnavailableError(refused)
    return BrokerUnavailableError(
        f"no Kafka broker at {settings.bootstrap_servers} ({variable_name('kafka_bootstrap_servers')}): {reason}"
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

    Raises `TopicError` naming the topic, `BrokerUnavailableError` naming the address.
    """
    client = admin(settings, part)
    if settings.embedded_broker:  # it has no CreateTopics: asking for a topic creates it, with 4 partitions
        for topic in topics:
            client.list_topics(settings.topic_name(topic), timeout=REQUEST_TIMEOUT_S)
        return []
    existing = cluster_metadata(settings, client).topics
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
                reason = access.missing_right(code, name) or code.str()
                raise TopicError(f"topic {name} cannot be created: {reason}") from None
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
        if time.monotonic() > deadline_s:
            raise TopicError(f"topic {missing[0]} was created, but has no leader after {_LEADERS_TIMEOUT_S:g} s")
        time.sleep(_LEADERS_PAUSE_S)


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
        raise SettingsError(_explain_option(error.args[0].str().strip(), list(settings.kafka_options))) from None


def _explain_option(reason: str, given: list[str]) -> str:
    """Return a line that names the variable: librdkafka names its own option, or an alias of it, or none."""
    named = [option for option in given if re.search(rf"(?<![a-z.]){re.escape(option)}(?![a-z.])", reason)]
    variables = [access.variable_of(option) for option in named or given]
    if not variables:
        return f"the Kafka client cannot be made: {reason}"
    hint = _nearest(variables[0]) if "No such configuration property" in reason else ""
    one_of = "" if len(variables) == 1 else "one of "
    return f"{one_of}{', '.join(variables)} cannot be used: {reason}{hint}"


def _nearest(variable: str) -> str:
    known = [
        variable_name("kafka_bootstrap_servers"),
        f"{PREFIX}KAFKA_SECURITY_PROTOCOL",
        f"{PREFIX}KAFKA_SASL_MECHANISM",
        f"{PREFIX}KAFKA_SASL_USERNAME",
        f"{PREFIX}KAFKA_SASL_PASSWORD",
        f"{PREFIX}KAFKA_SSL_CA_LOCATION",
    ]
    nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
    return f"; did you mean {nearest[0]}?" if nearest else ""
