"""One job as a Quix application: how it is configured and run.

The job runs in the main thread (Quix takes SIGTERM and SIGINT there). See docs/streams.md for the reasons and the
measurements behind the numbers.
"""

import contextlib
import functools
import logging
from collections.abc import Callable, Mapping
from threading import Event
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from quixstreams import Application
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.exceptions import QuixException
from quixstreams.models import TopicAdmin, TopicManager
from quixstreams.models.topics.exceptions import CreateTopicTimeout, TopicNotFoundError

from processors import (
    alert,
    alert_count,
    avg_temp,
    embedded,
    ending,
    everything,
    lasting_name,
    lives,
    needed_rights,
    rows,
    state_options,
)
from processors.bus import Bus
from processors.changelogs import ChangelogManager
from processors.committed import CommittedOffsets
from processors.job_application import JobApplication
from processors.meter import Meter
from sensorbus.contract.errors import BrokerUnavailableError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, SENSOR, TOPICS, Topic
from sensorbus.runtime import batches, health, kafka, topic_changes, watch

Build = Callable[..., None]
#: Each job: the topics that it reads, and what puts it on their dataframes, in that order.
JOBS: Final[Mapping[str, tuple[tuple[Topic, ...], Build]]] = {
    "alert": ((SENSOR,), alert.build),
    "alert-count": ((ALERT,), alert_count.build),
    "avg-temp": ((SENSOR,), avg_temp.build),
    "all": ((SENSOR, ALERT), everything.build),
}

# By itself each partition's state collects 3 times 64 MB before it writes, and all of them share a cache of 1 GB: a
# job that holds 1 MB of state was seen to grow by 18 MB a minute, towards more than its container's limit. What changes
# with alerts alone takes 20 minutes to collect 8 MB, and looks like a leak for as long. The cache keeps blocks of files
# that were merged away until it is full, for hours; the system has the files themselves in memory.
_CACHE_BYTES: Final = 2**20
_STATE: Final = state_options.of(8 * 2**20, _CACHE_BYTES)
_SMALL_STATE: Final = state_options.of(2**20, _CACHE_BYTES)
# A commit is looked for after each poll, so an idle poll must be shorter than the commit interval.
_POLL_TIMEOUT_S: Final = 0.1
_STATISTICS_INTERVAL_MS: Final = 1_000
# The questions of an assignment (three per partition) queue behind the fetch that waits on the same connection: with
# librdkafka's 500 ms a restart with 4 partitions took 8.5 s, with 50 ms 4 s.
_FETCH_WAIT_MS: Final = 50
# How long a broker that is back may go unnoticed. With librdkafka's 10 s the first commit after 15 to 24 s without one
# came 1.4 to 5 s after the port opened, with 1 s 0.6 to 1.2 s.
_RECONNECT_WITHIN_MS: Final = 1_000
# librdkafka asks for the group's coordinator anew only when a connection opens or closes (its issue 5511). A broker
# that was frozen is fenced for a moment and leaves the metadata; a commit into which that fell waited for good: after
# two of seven freezes in a soak of an hour, until the broker was restarted. A connection that closes because nothing
# is sent over it ends that wait; in normal running each is used with every commit.
_IDLE_CONNECTION_MS: Final = 5_000
# librdkafka fetches 100,000 records of each partition ahead. With a backlog of 10,000 devices on 4 partitions avg-temp
# held 386 MB at most, with these bounds 250 MB, and was no slower.
_FETCHED_AHEAD_RECORDS: Final = 2_000
_FETCHED_AHEAD_KB: Final = 2_048
# librdkafka keeps up to 1 GB that Kafka has not taken yet: of dead letters of 8 MB, more than a job's container has.
_UNSENT_KB: Final = 65_536
# A member with a stable id keeps its partitions, and its transaction, through a restart or a broker's outage.
_STABLE_MEMBER_TIMEOUT_MS: Final = 180_000
# One without is given up soon, so that the others (or its own next life) go on.
_DYNAMIC_SESSION_TIMEOUT_MS: Final = 6_000
# The embedded broker waits for a killed member's session once or twice: with 6 s its next life read after 6 or 12 s.
_EMBEDDED_SESSION: Final = {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 500}
_DYNAMIC_TRANSACTION_TIMEOUT_MS: Final = 10_000
_HEARTBEAT_INTERVAL_MS: Final = 1_500
_SILENT_AFTER_S: Final = 10.0
_STOP_WITHIN_S: Final = 6.0  # the supervisor kills after 8
_LOOK_AT_TOPICS_EVERY_S: Final = 5.0
_LOOK_FOR_THE_END_EVERY_S: Final = 1.0

_log = logging.getLogger(__name__)


def run_job(job: str, settings: Settings, stop: Event) -> None:
    """Wait for Kafka, make the topics, run until SIGTERM; raises `SensorbusError` with one line for people."""
    meter = Meter(job, [settings.topic_name(topic) for topic in JOBS[job][0]])
    _silence_clients()
    health.serve(settings, meter.why_not_ready)
    application: list[JobApplication] = []
    life = lives.Life(settings, job)

    def start() -> None:
        kafka.ensure_topics(settings, job)
        application.append(build_application(job, settings, meter, life))

    if not kafka.wait_for_broker(settings, job, stop) or not kafka.retry(start, stop):
        return
    meter.start()
    _log.info("reads %s", ", ".join(settings.topic_name(topic) for topic in JOBS[job][0]))
    client = kafka.admin(settings, job)
    watch.say_while(lambda: _silence(settings, meter, client), "the job goes on")
    watch.end_after_signal(
        _STOP_WITHIN_S, "it waits for Kafka or still works; ended without a last commit, nothing is lost"
    )
    changes = None if settings.embedded_broker else topic_changes.TopicChanges(settings, job, JOBS[job][0])
    if changes:
        watch.end_when(changes.reason, _LOOK_AT_TOPICS_EVERY_S)
    looks = ending.Looks(
        changes.now if changes else lambda: None,
        lambda: needed_rights.lacking(job, settings, application[0].changelogs()),
    )
    watch.end_when(lambda: ending.overdue(application[0], settings, looks), _LOOK_FOR_THE_END_EVERY_S)
    with contextlib.closing(life):
        if not stop.is_set():
            ending.run(application[0], settings, looks)
    meter.publish()


def _silence(settings: Settings, meter: Meter, client: AdminClient) -> str | None:
    """Return the line for a job that has not known of a broker for a while; called from the watching thread.

    It knows what its own polls tell it, and polls nothing while it hangs in another call of the client: hence we ask.
    """
    silent_s = meter.silent_s()
    if silent_s < _SILENT_AFTER_S:
        return None
    place = kafka.place(settings)
    if kafka.answers(settings, client):
        return f"Kafka at {place} answers, and the job has waited for its group or its transaction for {silent_s:.0f} s"
    return f"no Kafka broker at {place} for {silent_s:.0f} s; the job waits"


def build_application(job: str, settings: Settings, meter: Meter, life: lives.Life | None = None) -> JobApplication:
    """Return the application with the job on it; raises `SensorbusError` with one line for people.

    If `life` comes after a kill, it reads with care.
    """
    inputs, build = JOBS[job]
    try:
        application = _application(job, settings, meter, life.begin() if life else None)
        if application.careful:
            meter.left = application.careful.left
        build(*(_dataframe(application, settings, topic) for topic in inputs), Bus(settings, meter))
    except KafkaException as error:
        raise kafka.unavailable(settings, error) from None
    except OSError as error:
        raise ending.explain(error, settings, settings.consumer_group(job)) or error from None
    except (TopicNotFoundError, CreateTopicTimeout) as error:  # a changelog that Kafka has made and does not show yet
        raise BrokerUnavailableError(f"Kafka at {settings.bootstrap_servers} is not ready: {error}") from None
    except QuixException as error:
        raise TopicError(f"job {job} cannot use its topics: {error}; docs/streams.md says what to do") from None
    return application


def _application(
    job: str, settings: Settings, meter: Meter, read_with_care: lives.ReadWithCare | None
) -> JobApplication:
    group = settings.consumer_group(job)
    options = kafka.client_options(settings, job)
    servers = options.pop("bootstrap.servers")
    return JobApplication(
        servers,
        end_of_batch=functools.partial(batches.end, settings),
        on_commit=meter.committed,
        read_with_care=read_with_care,
        offsets=None if settings.embedded_broker else _committed_offsets(job, settings),
        consumer_group=group,
        auto_offset_reset="earliest",  # what was sent before the first start counts too
        commit_interval=settings.commit_interval_ms / 1000,
        processing_guarantee="exactly-once" if settings.is_exactly_once else "at-least-once",
        consumer_poll_timeout=min(_POLL_TIMEOUT_S, settings.commit_interval_ms / 1000),
        consumer_extra_config={**consumer_options(job, settings), "stats_cb": meter.on_consumer_stats, **options},
        producer_extra_config={**producer_options(job, settings), "stats_cb": meter.on_producer_stats, **options},
        state_dir=settings.state_dir / job,
        rocksdb_options=_SMALL_STATE if job == ALERT_COUNT.name else _STATE,
        topic_manager=_topic_manager(servers, group, options, settings),
        on_consumer_error=_raise_it,
        on_processing_error=_raise_it,
        on_producer_error=_raise_it,
        loglevel=None,
        broker_availability_timeout=0,  # an outage is waited out in place, or ends in an error that we explain
    )


def _committed_offsets(job: str, settings: Settings) -> CommittedOffsets:
    inputs = topic_changes.identities(settings, kafka.admin(settings, job), JOBS[job][0])
    topic_ids = {name: identity.topic_id for name, identity in inputs.items() if identity.topic_id}
    return CommittedOffsets(settings, job, topic_ids)


def _topic_manager(servers: str, group: str, options: Mapping[str, Any], settings: Settings) -> TopicManager:
    if settings.embedded_broker:
        return embedded.topic_manager(servers, group, options)
    # Quix's own would be given the producer's options: statistics that nobody polls, and the transactional id.
    return ChangelogManager(TopicAdmin(servers, extra_config=options), group)


def consumer_options(job: str, settings: Settings) -> dict[str, Any]:
    """Return librdkafka's options of the job's consumer."""
    options: dict[str, Any] = {
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
        "queued.min.messages": _FETCHED_AHEAD_RECORDS,
        "queued.max.messages.kbytes": _FETCHED_AHEAD_KB,
        "reconnect.backoff.max.ms": _RECONNECT_WITHIN_MS,
        "fetch.message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
        "session.timeout.ms": _DYNAMIC_SESSION_TIMEOUT_MS,
        "heartbeat.interval.ms": _HEARTBEAT_INTERVAL_MS,
        "statistics.interval.ms": _STATISTICS_INTERVAL_MS,
    }
    if settings.embedded_broker:  # which gives the place of a killed member with an id to nobody
        options |= _EMBEDDED_SESSION
    elif settings.instance_id:
        options["group.instance.id"] = f"{settings.consumer_group(job)}.{settings.instance_id}"
        options["session.timeout.ms"] = _STABLE_MEMBER_TIMEOUT_MS
    return options


def producer_options(job: str, settings: Settings) -> dict[str, Any]:
    """Return librdkafka's options of the job's producer; raises `OSError` naming a file of its state."""
    options: dict[str, Any] = {
        **kafka.ORDERLY,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 5,
        "reconnect.backoff.max.ms": _RECONNECT_WITHIN_MS,
        "connections.max.idle.ms": _IDLE_CONNECTION_MS,
        "message.max.bytes": max(topic.max_message_bytes for topic in TOPICS),
        "queue.buffering.max.kbytes": _UNSENT_KB,
        "allow.auto.create.topics": False,  # a deleted topic came back with one partition and the broker's defaults
        "statistics.interval.ms": _STATISTICS_INTERVAL_MS,
    }
    if settings.is_exactly_once:
        # Quix's own is random from its first letter: no right fits that but `*`.
        group = settings.consumer_group(job)
        member = settings.instance_id or lasting_name.name_of(settings.state_dir / job / group)
        options["transactional.id"] = f"{group}.{member}"
        is_stable = bool(settings.instance_id)
        options["transaction.timeout.ms"] = _STABLE_MEMBER_TIMEOUT_MS if is_stable else _DYNAMIC_TRANSACTION_TIMEOUT_MS
    return options


def _dataframe(application: Application, settings: Settings, topic: Topic) -> StreamingDataFrame:
    source = application.topic(
        settings.topic_name(topic),
        key_deserializer="bytes",
        value_deserializer="bytes",
    )
    source.row_deserialize = rows.of  # type: ignore[method-assign]  # a Topic is made by Quix alone
    return application.dataframe(source)


def _silence_clients() -> None:
    """Leave an outage to `watch` and an error that ends the job to `ending`: the clients say both many times over."""
    for name in ("quixstreams.kafka", "quixstreams.internal_producer"):
        if not _log.isEnabledFor(logging.DEBUG):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _raise_it(_error: Exception, _record: object, _logger: logging.Logger) -> bool:
    """Let an error end the job without a traceback of its own: `run_job` says it once."""
    return False
