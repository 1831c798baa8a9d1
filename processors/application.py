"""One job as a Quix application: how it is configured, run, and how it ends.

The job runs in the main thread (Quix takes SIGTERM and SIGINT there). See docs/streams.md for the reasons and the
measurements behind the numbers.
"""

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from quixstreams import Application
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.exceptions import QuixException
from quixstreams.models import TopicAdmin, TopicManager
from quixstreams.models.topics.exceptions import CreateTopicTimeout, TopicNotFoundError

from processors import alert, alert_count, avg_temp, embedded, everything
from processors.bus import Bus, exactly_once
from processors.meter import Meter
from processors.records import append_time_ms
from sensorbus.contract.errors import BrokerUnavailableError, SensorbusError, TopicError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.contract.topics import ALERT, SENSOR, TOPICS, Topic
from sensorbus.runtime import access, health, kafka, watch
from sensorbus.runtime.topic_changes import TopicChanges

Build = Callable[..., None]
#: Each job: the topics that it reads, and what puts it on their dataframes, in that order.
JOBS: Final[Mapping[str, tuple[tuple[Topic, ...], Build]]] = {
    "alert": ((SENSOR,), alert.build),
    "alert-count": ((ALERT,), alert_count.build),
    "avg-temp": ((SENSOR,), avg_temp.build),
    "all": ((SENSOR, ALERT), everything.build),
}

# A commit is looked for after each poll, so an idle poll must be shorter than the commit interval.
_POLL_TIMEOUT_S: Final = 0.1
_STATISTICS_INTERVAL_MS: Final = 1_000
# The questions of an assignment (three per partition) queue behind the fetch that waits on the same connection: with
# librdkafka's 500 ms a restart with 4 partitions took 8.5 s, with 50 ms 4 s.
_FETCH_WAIT_MS: Final = 50
# A member with a stable id keeps its partitions, and its transaction, through a restart or a broker's outage.
_STABLE_MEMBER_TIMEOUT_MS: Final = 180_000
# One without is given up soon, so that the others (or its own next life) go on.
_DYNAMIC_SESSION_TIMEOUT_MS: Final = 6_000
_DYNAMIC_TRANSACTION_TIMEOUT_MS: Final = 10_000
_HEARTBEAT_INTERVAL_MS: Final = 1_500
_SILENT_AFTER_S: Final = 10.0
_STOP_WITHIN_S: Final = 6.0  # the supervisor kills after 8
_LOOK_AT_TOPICS_EVERY_S: Final = 5.0
_FENCED: Final = (
    KafkaError._FENCED,  # noqa: SLF001  # librdkafka's own codes have no public name
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
)

_log = logging.getLogger(__name__)


def run_job(job: str, settings: Settings, stop: Event) -> None:
    """Wait for Kafka, make the topics, run until SIGTERM; raises `SensorbusError` with one line for people."""
    meter = Meter(job)
    _silence_clients()
    health.serve(settings, meter.why_not_ready)
    application: list[Application] = []

    def start() -> None:
        kafka.ensure_topics(settings, job)
        application.append(build_application(job, settings, meter))

    if not kafka.wait_for_broker(settings, job, stop) or not kafka.retry(start, stop):
        return
    meter.start()
    _log.info("reads %s", ", ".join(settings.topic_name(topic) for topic in JOBS[job][0]))
    watch.say_while(lambda: _silence(settings, meter), "Kafka answers again")
    watch.end_after_signal(_STOP_WITHIN_S, "Kafka does not answer; ended without a last commit, nothing is lost")
    if not settings.embedded_broker:
        watch.end_when(TopicChanges(settings, job, JOBS[job][0]).reason, _LOOK_AT_TOPICS_EVERY_S)
    if not stop.is_set():
        _run(application[0], settings)
    meter.publish()


def _silence(settings: Settings, meter: Meter) -> str | None:
    silent_s = meter.silent_s()
    if silent_s < _SILENT_AFTER_S:
        return None
    return (
        f"no Kafka broker at {settings.bootstrap_servers} ({variable_name('kafka_bootstrap_servers')}) for "
        f"{silent_s:.0f} s; the job waits"
    )


def build_application(job: str, settings: Settings, meter: Meter) -> Application:
    """Return the application with the job on it; raises `BrokerUnavailableError`, `TopicError`."""
    inputs, build = JOBS[job]
    try:
        application = _application(job, settings, meter)
        build(*(_dataframe(application, settings, topic) for topic in inputs), Bus(settings, meter))
    except KafkaException as error:
        raise kafka.unavailable(settings, error) from None
    except (TopicNotFoundError, CreateTopicTimeout) as error:  # a changelog that Kafka has made and does not show yet
        raise BrokerUnavailableError(f"Kafka at {settings.bootstrap_servers} is not ready: {error}") from None
    except QuixException as error:
        raise TopicError(f"job {job} cannot use its topics: {error}; docs/streams.md says what to do") from None
    return application


def consumer_group(job: str, settings: Settings) -> str:
    """Return the job's consumer group: its offsets, its changelogs and its transactions bear this name."""
    return f"{settings.topic_prefix}sensorbus.{job}"


def _application(job: str, settings: Settings, meter: Meter) -> Application:
    group = consumer_group(job, settings)
    options = kafka.client_options(settings, job)
    servers = options.pop("bootstrap.servers")
    return Application(
        servers,
        consumer_group=group,
        auto_offset_reset="earliest",  # what was sent before the first start counts too
        commit_interval=settings.commit_interval_ms / 1000,
        processing_guarantee="exactly-once" if exactly_once(settings) else "at-least-once",
        consumer_poll_timeout=min(_POLL_TIMEOUT_S, settings.commit_interval_ms / 1000),
        consumer_extra_config={**consumer_options(job, settings), "stats_cb": meter.on_consumer_stats, **options},
        producer_extra_config={**producer_options(job, settings), "stats_cb": meter.on_producer_stats, **options},
        state_dir=settings.state_dir / job,
        topic_manager=_topic_manager(servers, group, options, settings),
        on_consumer_error=_raise_it,
        on_processing_error=_raise_it,
        on_producer_error=_raise_it,
        loglevel=None,
        broker_availability_timeout=0,  # an outage is waited out in place, or ends in an error that we explain
    )


def _topic_manager(servers: str, group: str, options: Mapping[str, Any], settings: Settings) -> TopicManager:
    if settings.embedded_broker:
        return embedded.topic_manager(servers, group, options)
    # Quix's own would be given the producer's options: statistics that nobody polls, and the transactional id.
    return TopicManager(TopicAdmin(servers, extra_config=options), group)


def consumer_options(job: str, settings: Settings) -> dict[str, Any]:
    """Return librdkafka's options of the job's consumer."""
    options: dict[str, Any] = {
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
        "fetch.message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
        "session.timeout.ms": _DYNAMIC_SESSION_TIMEOUT_MS,
        "heartbeat.interval.ms": _HEARTBEAT_INTERVAL_MS,
        "statistics.interval.ms": _STATISTICS_INTERVAL_MS,
    }
    if settings.instance_id and not settings.embedded_broker:  # which gives a killed member's place to nobody
        options["group.instance.id"] = f"{consumer_group(job, settings)}.{settings.instance_id}"
        options["session.timeout.ms"] = _STABLE_MEMBER_TIMEOUT_MS
    return options


def producer_options(job: str, settings: Settings) -> dict[str, Any]:
    """Return librdkafka's options of the job's producer."""
    options: dict[str, Any] = {
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 5,
        "message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
        "allow.auto.create.topics": False,  # a deleted topic came back with one partition and the broker's defaults
        "statistics.interval.ms": _STATISTICS_INTERVAL_MS,
    }
    if exactly_once(settings):
        # Ours without an instance id too: Quix's own is random from its first letter, and no right fits that but `*`.
        options["transactional.id"] = f"{consumer_group(job, settings)}.{settings.instance_id or uuid.uuid4()}"
        is_stable = bool(settings.instance_id)
        options["transaction.timeout.ms"] = _STABLE_MEMBER_TIMEOUT_MS if is_stable else _DYNAMIC_TRANSACTION_TIMEOUT_MS
    return options


def _dataframe(application: Application, settings: Settings, topic: Topic) -> StreamingDataFrame:
    source = application.topic(
        settings.topic_name(topic),
        key_deserializer="bytes",
        value_deserializer="bytes",
        timestamp_extractor=append_time_ms,
    )
    return application.dataframe(source)


def _run(application: Application, settings: Settings) -> None:
    try:
        application.run()
    except (KafkaException, QuixException) as error:
        raise _explain(error, settings) from error
    except Exception as error:
        if type(error) is not Exception or "IO error" not in str(error):  # RocksDB's errors have no class of their own
            raise
        raise SensorbusError(
            f"the job's state in {settings.state_dir} ({variable_name('state_dir')}) cannot be written: {error}; "
            "nothing is lost, start it again when the cause is gone"
        ) from None


def _explain(error: BaseException, settings: Settings) -> SensorbusError:
    """Return the line for an error of Kafka's that ends the job, or for the cause behind it."""
    for cause in _chain(error):
        if isinstance(cause, SensorbusError):  # it left a transaction that cannot be ended well
            return cause
    codes = list(_kafka_errors(error))
    for code in codes:  # a missing right is the cause of what follows it
        if lacks := access.missing_right(code):
            return BrokerUnavailableError(f"Kafka at {settings.bootstrap_servers} ended the job: {lacks}")
    if not codes:
        return SensorbusError(f"the job ended: {type(error).__name__}: {error}; nothing is lost, start it again")
    code = codes[0]
    if code.code() in _FENCED and settings.instance_id:
        return SensorbusError(
            f"another process took this one's place ({code.str()}): {variable_name('instance_id')}"
            f"={settings.instance_id} must be unique among the instances of a job"
        )
    return BrokerUnavailableError(
        f"Kafka at {settings.bootstrap_servers} ({variable_name('kafka_bootstrap_servers')}) ended the job: "
        f"{code.name()}: {code.str()}; nothing is lost, start it again"
    )


def _kafka_errors(error: BaseException) -> Iterator[KafkaError]:
    """Yield the errors of Kafka's behind an exception, the last one first."""
    for cause in _chain(error):
        code = cause.args[0] if cause.args else getattr(cause, "error", None)
        if isinstance(code, KafkaError):
            yield code


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _silence_clients() -> None:
    """Leave an outage to `watch` and an error that ends the job to `_explain`: the clients say both many times over."""
    for name in ("quixstreams.kafka", "quixstreams.internal_producer"):
        if not _log.isEnabledFor(logging.DEBUG):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _raise_it(_error: Exception, _record: object, _logger: logging.Logger) -> bool:
    """Let an error end the job without a traceback of its own: `run_job` says it once."""
    return False
