"""One Kafka consumer from start to failure.

It reads the topics into the store and tells how that goes.
For the consumer thread; other threads read `health`, which is replaced, never changed.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from dashboard_app.assignment import Assignment, Place, look, starts
from dashboard_app.decode import records_in
from dashboard_app.held import SHOWN
from dashboard_app.large_batches import behind_large
from dashboard_app.overview import Overview
from dashboard_app.progress import LIVE_WITHIN_S, Progress
from dashboard_app.store import Store
from sensorbus.contract.errors import BrokerUnavailableError, SettingsError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import BY_NAME, DEAD_LETTER, SENSOR
from sensorbus.runtime import access, batches, kafka
from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.metrics import RING_AGE_SECONDS, RING_BYTES, RING_DEVICES, RING_FULL, RING_READINGS

PART: Final = "dashboard"
_BATCH: Final = 1_000  # 5 ms of CPU to read and put in: between batches others have the GIL and the store's lock
_POLL_S: Final = 0.04  # what a reading waits at most; a tick waits longer
_LOOK_EVERY_S: Final = 10.0
_LOOK_WHEN_QUIET_S: Final = 2.0  # silence may be an outage: asking tells
_LOOK_AGAIN_S: Final = 0.5
_SAY_EVERY_S: Final = 10.0
_SETTLED_AFTER_S: Final = 2.0  # by then a client that is back has heard all that was said of the outage
_TIDY_EVERY_S: Final = 1.0
_TIDY_UNTIL_READY_S: Final = 0.1
#: Small buffers: the ring holds the data. The other values make a record's way short.
_OPTIONS: Final[dict[str, Any]] = {
    "auto.offset.reset": "earliest",  # only where offsets have vanished; every place is given its own
    "enable.partition.eof": True,
    "fetch.max.bytes": 8_388_608,
    "fetch.message.max.bytes": 1_048_576,  # a larger record comes whole all the same
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 4_096,
    "queued.min.messages": 10_000,
    "reconnect.backoff.max.ms": 2_000,
}
#: What librdkafka says when no broker can be reached or none lets us in.
_OUTAGES: Final = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # confluent-kafka's public constants
        KafkaError._AUTHENTICATION,  # noqa: SLF001  # the same
        KafkaError._SSL,  # noqa: SLF001  # the same
    }
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How reading goes; `since_ms` and `error` tell of an outage, `behind` counts records not read yet.

    `lacks` has a line for each right on a topic that is missing.
    """

    kafka_ok: bool = False
    since_ms: int | None = None
    error: str | None = None
    missing: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    is_assigned: bool = False
    is_caught_up: bool = False
    behind: int = 0


class Reader:
    """Reads until told to stop; after an exception `run` may be called again."""

    def __init__(self, settings: Settings, store: Store, overview: Overview, now_ms: ClockMs) -> None:
        """Connect to nothing yet."""
        self._settings, self._store, self._overview, self._now_ms = settings, store, overview, now_ms
        self._topics = {settings.topic_name(topic): topic.name for topic in SHOWN}
        self.health = Health()
        self.polls = 0
        self.looked_s = -math.inf  # when Kafka was last asked successfully what there is, by the monotonic clock
        self._is_doubted = False
        self._said_s = -math.inf  # when an outage was last told of
        self._up_s = -math.inf  # when Kafka was there again
        self._note_cause = kafka.cause_noted(settings)
        self._begin()

    def look_soon(self) -> None:
        """Ask Kafka what there is before the next look is due; from any thread."""
        self._is_doubted = True

    def run(self, stop: Event) -> None:
        """Read until `stop` is set; raises what it cannot live with."""
        consumer = kafka.consumer(self._settings, PART, error_cb=self._on_error, logger=kafka.silent_log, **_OPTIONS)
        admin = kafka.admin(self._settings, PART)
        self._begin()
        try:
            while not stop.is_set():
                self._step(consumer, admin)
        finally:
            consumer.close()

    def _begin(self) -> None:
        self._assignment: Assignment | None = None
        self._tidy_at_s = 0.0
        self._asked_s = -math.inf  # when Kafka was last asked what there is
        self._is_settled = False  # it answered, and all topics are there
        self._refused: dict[str, str] = {}  # by topic, the line for the right to read it that is missing
        self._progress = Progress()

    def _step(self, consumer: Consumer, admin: AdminClient) -> None:
        now_s = time.monotonic()
        if self._is_look_due(now_s):
            self._look(consumer, admin)
        self._take(consumer.consume(_BATCH, _POLL_S), consumer)
        self.polls += 1
        if now_s >= self._tidy_at_s:
            self._tidy(consumer)
            self._tidy_at_s = now_s + (_TIDY_EVERY_S if self.health.is_caught_up else _TIDY_UNTIL_READY_S)

    def _is_look_due(self, now_s: float) -> bool:
        if self._is_doubted or not self._is_settled:
            wait_s = _LOOK_AGAIN_S
        else:
            wait_s = _LOOK_WHEN_QUIET_S if now_s - self._progress.came_s > _LOOK_WHEN_QUIET_S else _LOOK_EVERY_S
        return now_s - self._asked_s >= wait_s

    def _look(self, consumer: Consumer, admin: AdminClient) -> None:
        """See what there is to read and read it; an outage is told and tried again."""
        self._asked_s, self._is_doubted, self._is_settled = time.monotonic(), False, False
        try:
            if not self.health.kafka_ok:
                found = kafka.cluster_metadata(self._settings, admin)  # tells best why nobody answers
                kafka.recognised(self._settings, found)  # or that it is not the broker that it is said to be
            assignment = look(self._settings, consumer, admin)
            if assignment != self._assignment:
                self._adopt(assignment, consumer, admin)
        except (BrokerUnavailableError, SettingsError) as error:
            self._down(str(error))
            return
        self.looked_s, self._is_settled = self._asked_s, not (assignment.missing or assignment.lacks)
        self._up()
        self._tell_rights()
        if assignment.missing:
            _log.warning("waiting for topics: %s (`sensorbus topics create` makes them)", ", ".join(assignment.missing))

    def _tell_rights(self) -> None:
        """Say which rights are missing."""
        lacks = (*(self._assignment.lacks if self._assignment else ()), *self._refused.values())
        self.health = replace(self.health, lacks=lacks)
        if lacks:
            _log.warning("not all can be shown: %s", "; ".join(lacks))

    def _adopt(self, assignment: Assignment, consumer: Consumer, admin: AdminClient) -> None:
        if assignment.epoch != self._store.epoch:
            if self._store.epoch:
                _log.warning("these are other topics than before: the page starts anew")
            self._store.clear(assignment.epoch)
            self._overview.clear()
            self._progress = Progress()
        since_ms = self._now_ms() - self._settings.dashboard_history_ms
        following = self._progress.next
        new = assignment.places - following.keys()
        first = starts(self._settings, consumer, admin, new, since_ms)
        for place, offset in behind_large(self._settings, first).items():
            following[place] = self._store.begin(*place, offset)
        name = self._settings.topic_name
        consumer.assign(
            [
                TopicPartition(name(BY_NAME[one.topic]), one.partition, following[one])
                for one in sorted(assignment.places)
            ]
        )
        self._assignment = assignment
        self.health = replace(self.health, missing=assignment.missing, is_assigned=bool(assignment.places))

    def _take(self, messages: Sequence[Message], consumer: Consumer) -> None:
        now_ms = self._now_ms()
        by_topic: dict[str, list[Message]] = {}
        for message in messages:
            error = message.error()
            if error is None:
                by_topic.setdefault(self._topics[message.topic()], []).append(message)
            else:
                self._note(message, error, consumer)
        for topic, of_topic in by_topic.items():
            self._refused.pop(topic, None)
            records = records_in(topic, of_topic, self._settings.time_rules, now_ms)
            if topic == DEAD_LETTER.name:
                self._store.append_dead_letters(records)
            else:
                self._store.append(topic, records)
            last = {message.partition(): message for message in of_topic}
            for partition, message in last.items():
                is_new = message.timestamp()[1] >= now_ms - LIVE_WITHIN_S * 1000
                self._note_read(Place(topic, partition), message.offset() + 1, is_live=is_new)

    def _note(self, message: Message, error: KafkaError, consumer: Consumer) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # confluent-kafka's public constant
            place = Place(self._topics[message.topic()], message.partition())
            self._refused.pop(place.topic, None)
            self._note_read(place, message.offset(), is_live=True)
            return
        if batches.is_unreadable(error):
            self._go_on_behind(message, error, consumer)
            return
        if error.fatal():
            raise KafkaException(error)
        topic = message.topic()  # None: it is of the consumer's group
        line = access.missing_right(error, topic, "READ" if topic else None)
        if line and topic in self._topics:
            self._refused[self._topics[topic]] = line
        else:
            fields = {"topic": topic, "partition": message.partition()} if topic else {}
            _log.warning("reading %s: %s", topic or "topics", line or error.str(), extra=fields)
        self.look_soon()

    def _go_on_behind(self, message: Message, error: KafkaError, consumer: Consumer) -> None:
        """Leave out a batch that cannot be decompressed."""
        topic, partition = message.topic(), message.partition()
        try:
            behind = batches.go_on_behind(self._settings, consumer, message)
        except BrokerUnavailableError as missing:
            self._down(str(missing))  # the client says it again
            return
        _log.warning("%s[%d]@%d to %d is left out: %s", topic, partition, message.offset(), behind - 1, error.str())
        self._note_read(Place(self._topics[topic], partition), behind, is_live=True)

    def _note_read(self, place: Place, next_offset: int, *, is_live: bool) -> None:
        self._progress.note(place, next_offset, time.monotonic(), is_live=is_live)
        self._up()

    def _tidy(self, consumer: Consumer) -> None:
        """Do what is done once a second."""
        now_ms = self._now_ms()
        self._store.drop_old(now_ms)
        self._store.settle()
        self._overview.update(now_ms, is_behind=not self.health.is_caught_up)
        self._measure(consumer)
        statistics = self._store.statistics()[SENSOR.name]
        RING_READINGS.set(statistics.held)
        RING_BYTES.set(statistics.held_bytes)
        for bound in ("rows", "bytes"):
            RING_FULL.labels(bound).set(statistics.limit == bound)
        RING_DEVICES.set(self._store.devices)
        RING_AGE_SECONDS.set(self._age_s(statistics.newest_append_ms, now_ms))

    def _age_s(self, newest_append_ms: int | None, now_ms: int) -> float:
        """Return how old the newest reading is: NaN until the history is read, its length when no reading is in it."""
        if not self.health.is_caught_up:
            return math.nan
        history_ms = self._settings.dashboard_history_ms
        return (history_ms if newest_append_ms is None else max(0, now_ms - newest_append_ms)) / 1000

    def _measure(self, consumer: Consumer) -> None:
        """See how many records there are to read."""
        now_s = time.monotonic()
        places = self._assignment.places if self._assignment else frozenset()
        ends = {place: self._end_of(place, consumer) for place in self._progress.silent(places, now_s)}
        left = self._progress.left(places, ends, now_s, was_caught_up=self.health.is_caught_up)
        was_behind = not self.health.is_caught_up or self.health.behind > 0
        if was_behind and left.is_caught_up and not left.behind:
            self._overview.update(self._now_ms(), has_caught_up=True)  # who sees that it is ready sees the whole fleet
        self.health = replace(self.health, is_caught_up=left.is_caught_up, behind=left.behind)

    def _end_of(self, place: Place, consumer: Consumer) -> int:
        partition = TopicPartition(self._settings.topic_name(BY_NAME[place.topic]), place.partition)
        _, end = consumer.get_watermark_offsets(partition, cached=True)
        return int(end)

    def _on_error(self, error: KafkaError) -> None:
        """Take what librdkafka says of the connection; called from inside `consume`."""
        if error.code() in _OUTAGES and time.monotonic() - self._up_s < _SETTLED_AFTER_S:
            self.look_soon()  # it may be older than the answer that we had
        elif error.code() in _OUTAGES:
            # The first line of an outage comes before its cause; the look that it makes due knows it.
            is_known = access.cause(self._settings) is not None
            self._down(str(kafka.unavailable(self._settings, KafkaException(error))), is_said=is_known)
            self._is_doubted |= not is_known
        else:
            self._note_cause(error)  # of one connection; the outage that follows does not say why

    def _down(self, reason: str, *, is_said: bool = True) -> None:
        now_s = time.monotonic()
        if is_said and now_s - self._said_s >= _SAY_EVERY_S:  # librdkafka tells of each try, many times a second
            _log.warning("%s; trying again", reason)
            self._said_s = now_s
        since_ms = self.health.since_ms or self._now_ms()
        self.health = replace(self.health, kafka_ok=False, since_ms=since_ms, error=reason)

    def _up(self) -> None:
        if not self.health.kafka_ok:
            _log.info("Kafka answers at %s", self._settings.bootstrap_servers)
            self.health = replace(self.health, kafka_ok=True, since_ms=None, error=None)
            self._said_s, self._up_s = -math.inf, time.monotonic()
            access.answered(self._settings)
