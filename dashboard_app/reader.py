"""One Kafka consumer from start to failure: reads the topics into the store and tells how that goes.

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

from dashboard_app.decode import records_in
from dashboard_app.overview import Overview
from dashboard_app.plan import Place, Plan, look, starts
from dashboard_app.store import Store
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import BY_NAME, DEAD_LETTER, SENSOR, TOPICS
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.metrics import RING_AGE_SECONDS, RING_DEVICES, RING_READINGS

PART: Final = "dashboard"
_BATCH: Final = 5_000
_POLL_S: Final = 0.04  # what a reading waits at most; a tick waits longer
_LOOK_EVERY_S: Final = 10.0
_LOOK_WHEN_QUIET_S: Final = 2.0  # silence may be an outage: asking tells
_LOOK_AGAIN_S: Final = 0.5
_LIVE_WITHIN_S: Final = 2.0
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
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 50_000,
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
    """How reading goes; `since_ms` and `error` tell of an outage, `behind` counts records not read yet."""

    kafka_ok: bool = False
    since_ms: int | None = None
    error: str | None = None
    missing: tuple[str, ...] = ()
    is_assigned: bool = False
    is_caught_up: bool = False
    behind: int = 0


class Reader:
    """Reads until told to stop; after an exception `run` may be called again."""

    def __init__(self, settings: Settings, store: Store, overview: Overview, now_ms: ClockMs) -> None:
        """Connect to nothing yet."""
        self._settings, self._store, self._overview, self._now_ms = settings, store, overview, now_ms
        self._topics = {settings.topic_name(topic): topic.name for topic in TOPICS}
        self.health = Health()
        self.polls = 0
        self.looked_s = -math.inf  # when Kafka was last asked successfully what there is, by the monotonic clock
        self._is_doubted = False
        self._begin()

    def look_soon(self) -> None:
        """Ask Kafka what there is before the next look is due; from any thread."""
        self._is_doubted = True

    def run(self, stop: Event) -> None:
        """Read until `stop` is set; raises what it cannot live with."""
        consumer = kafka.consumer(self._settings, PART, error_cb=self._on_error, **_OPTIONS)
        admin = kafka.admin(self._settings, PART)
        self._begin()
        try:
            while not stop.is_set():
                self._step(consumer, admin)
        finally:
            consumer.close()

    def _begin(self) -> None:
        self._plan: Plan | None = None
        self._tidy_at_s = self._came_s = 0.0
        self._asked_s = -math.inf  # when Kafka was last asked what there is
        self._is_settled = False  # it answered, and all topics are there
        self._next: dict[Place, int] = {}
        self._live_s: dict[Place, float] = {}  # when a place was last read to its end, or near it
        self._lag_s: dict[Place, float] = {}  # since when a place has been behind
        self._old_s: dict[Place, float] = {}  # when a place last gave records that were not new

    def _step(self, consumer: Consumer, admin: AdminClient) -> None:
        now_s = time.monotonic()
        if self._is_look_due(now_s):
            self._look(consumer, admin)
        self._take(consumer.consume(_BATCH, _POLL_S))
        self.polls += 1
        if now_s >= self._tidy_at_s:
            self._tidy(consumer)
            self._tidy_at_s = now_s + (_TIDY_EVERY_S if self.health.is_caught_up else _TIDY_UNTIL_READY_S)

    def _is_look_due(self, now_s: float) -> bool:
        if self._is_doubted or not self._is_settled:
            wait_s = _LOOK_AGAIN_S
        else:
            wait_s = _LOOK_WHEN_QUIET_S if now_s - self._came_s > _LOOK_WHEN_QUIET_S else _LOOK_EVERY_S
        return now_s - self._asked_s >= wait_s

    def _look(self, consumer: Consumer, admin: AdminClient) -> None:
        """See what there is to read and read it; an outage is told and tried again."""
        self._asked_s, self._is_doubted, self._is_settled = time.monotonic(), False, False
        try:
            plan = look(self._settings, consumer, admin)
            if plan != self._plan:
                self._adopt(plan, consumer, admin)
        except BrokerUnavailableError as error:
            self._down(str(error))
            return
        self.looked_s, self._is_settled = self._asked_s, not plan.missing
        self._up()
        if plan.missing:
            _log.warning("waiting for topics: %s (`sensorbus topics create` makes them)", ", ".join(plan.missing))

    def _adopt(self, plan: Plan, consumer: Consumer, admin: AdminClient) -> None:
        if plan.epoch != self._store.epoch:
            if self._store.epoch:
                _log.warning("these are other topics than before: the page starts anew")
            self._store.clear(plan.epoch)
            self._overview.clear()
            self._next, self._live_s = {}, {}
        since_ms = self._now_ms() - self._settings.dashboard_history_ms
        new = plan.places - self._next.keys()
        for place, offset in starts(self._settings, consumer, admin, new, since_ms).items():
            self._next[place] = self._store.begin(*place, offset)
        consumer.assign(
            [
                TopicPartition(
                    self._settings.topic_name(BY_NAME[topic]), partition, self._next[Place(topic, partition)]
                )
                for topic, partition in sorted(plan.places)
            ]
        )
        self._plan = plan
        self.health = replace(self.health, missing=plan.missing, is_assigned=bool(plan.places))

    def _take(self, messages: Sequence[Message]) -> None:
        now_ms = self._now_ms()
        by_topic: dict[str, list[Message]] = {}
        for message in messages:
            error = message.error()
            if error is None:
                by_topic.setdefault(self._topics[message.topic()], []).append(message)
            else:
                self._note(message, error)
        for topic, of_topic in by_topic.items():
            records = records_in(topic, of_topic, self._settings.time_rules, now_ms)
            if topic == DEAD_LETTER.name:
                self._store.append_dead_letters(records)
            else:
                self._store.append(topic, records)
            last = {message.partition(): message for message in of_topic}
            for partition, message in last.items():
                is_new = message.timestamp()[1] >= now_ms - _LIVE_WITHIN_S * 1000
                self._note_read(Place(topic, partition), message.offset() + 1, is_live=is_new)

    def _note(self, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # confluent-kafka's public constant
            place = Place(self._topics[message.topic()], message.partition())
            self._note_read(place, message.offset(), is_live=True)
            return
        if error.fatal():
            raise KafkaException(error)
        _log.warning("reading %s: %s", message.topic(), error.str())
        self.look_soon()

    def _note_read(self, place: Place, next_offset: int, *, is_live: bool) -> None:
        self._next[place] = next_offset
        self._came_s = time.monotonic()
        (self._live_s if is_live else self._old_s)[place] = self._came_s
        self._up()

    def _tidy(self, consumer: Consumer) -> None:
        """Do what is done once a second."""
        now_ms = self._now_ms()
        self._store.drop_old(now_ms)
        self._store.settle()
        self._overview.update(now_ms)
        self._measure(consumer)
        statistics = self._store.statistics()[SENSOR.name]
        RING_READINGS.set(statistics.held)
        RING_DEVICES.set(self._store.devices)
        if statistics.newest_append_ms is not None:
            RING_AGE_SECONDS.set(max(0, now_ms - statistics.newest_append_ms) / 1000)

    def _measure(self, consumer: Consumer) -> None:
        """See how many records there are to read.

        Once caught up, only a place that gives old records is behind: what stays unread at the end of a quiet one are
        transaction markers, which are offsets without a record, or records that an open transaction hides.
        """
        now_s = time.monotonic()
        places = self._plan.places if self._plan else frozenset()
        is_caught_up = self.health.is_caught_up or (bool(places) and self._live_s.keys() >= places)
        lags = {}
        for place in places:
            if now_s - self._live_s.get(place, 0.0) > _LIVE_WITHIN_S:
                partition = TopicPartition(self._settings.topic_name(BY_NAME[place.topic]), place.partition)
                _, end = consumer.get_watermark_offsets(partition, cached=True)
                if end > self._next[place]:
                    lags[place] = end - self._next[place]
        self._lag_s = {place: self._lag_s.get(place, now_s) for place in lags}
        behind = sum(
            lag
            for place, lag in lags.items()
            if not is_caught_up
            or (now_s - self._lag_s[place] >= _LIVE_WITHIN_S and now_s - self._old_s.get(place, 0.0) <= _LIVE_WITHIN_S)
        )
        self.health = replace(self.health, is_caught_up=is_caught_up, behind=behind)

    def _on_error(self, error: KafkaError) -> None:
        """Take what librdkafka says of the connection; called from inside `consume`."""
        if error.code() in _OUTAGES:
            self._down(str(kafka.unavailable(self._settings, KafkaException(error))))

    def _down(self, reason: str) -> None:
        _log.warning("%s; trying again", reason)  # the log folds repeats to one per 10 s
        since_ms = self.health.since_ms or self._now_ms()
        self.health = replace(self.health, kafka_ok=False, since_ms=since_ms, error=reason)

    def _up(self) -> None:
        if not self.health.kafka_ok:
            _log.info("Kafka answers at %s", self._settings.bootstrap_servers)
            self.health = replace(self.health, kafka_ok=True, since_ms=None, error=None)
