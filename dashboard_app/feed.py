"""The consumer thread: reads the topics into the store, for as long as the worker lives.

It is started after gunicorn's fork. It assigns all partitions itself (no group, no commits), begins one history back in
time, looks for new partitions and topics, waits out a broker that is away, and is started again when it dies.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from dashboard_app.delta import TOPICS, Pipeline
from dashboard_app.store import Row, Store
from sensorbus.contract import messages
from sensorbus.contract.errors import BrokerUnavailableError, InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, BY_NAME, DEAD_LETTER, SENSOR
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import ClockMs, wall_clock_ms
from sensorbus.runtime.metrics import (
    FEED_INVALID,
    FEED_RECORDS,
    FEED_RESTARTS,
    RING_AGE_SECONDS,
    RING_DEVICES,
    RING_READINGS,
)

_BATCH: Final = 5_000
_POLL_S: Final = 0.1
_LOOK_AROUND_S: Final = 10.0  # how often new partitions, topics and old rows are looked for
_WAIT_FOR_TOPICS_S: Final = 1.0
_HUNG_S: Final = 60.0
_RESTART_FIRST_S: Final = 0.5
_RESTART_LAST_S: Final = 10.0
_CLOSE_S: Final = 2.0
_EXIT_HUNG: Final = 70

_log = logging.getLogger(__name__)


class Feed:
    """Keeps one store filled; `start` and `close` once per worker process, everything else from any thread."""

    def __init__(self, settings: Settings, store: Store, now_ms: ClockMs = wall_clock_ms) -> None:
        """Start nothing."""
        self._settings, self._store, self._now_ms = settings, store, now_ms
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_poll_s = time.monotonic()
        self._read_to_end = False
        self._positions: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], int] = {}
        self._dead_letters: list[int] = []  # append times within the history
        self._error: str | None = "not connected yet"
        self._since_ms = now_ms()
        self._cluster = ""
        self._names = {settings.topic_name(BY_NAME[name]): name for name in (*TOPICS, DEAD_LETTER.name)}
        self._parsers: dict[str, Callable[[Message], Row | None]] = {
            SENSOR.name: self._reading,
            ALERT.name: self._alert,
            ALERT_COUNT.name: self._alert_count,
            AVG_TEMP.name: self._avg_temp,
        }

    def start(self) -> None:
        """Start the thread that keeps the consumer thread alive."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_alive, name="feed", daemon=True)
            self._thread.start()
            threading.Thread(target=self._watch, name="feed-watch", daemon=True).start()

    def close(self) -> None:
        """Stop reading and close the consumer; returns within 2 s."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    @property
    def cluster(self) -> str:
        """What cursors belong to: the cluster, and the topics as they were made."""
        return self._cluster

    def why_not_ready(self) -> dict[str, str]:
        """Return the reasons for /readyz. Silence is none: a fleet that sends nothing is shown as it is."""
        reasons = {}
        if self._thread is None or not self._thread.is_alive():
            reasons["feed"] = "the consumer thread does not run"
        elif time.monotonic() - self._last_poll_s > _HUNG_S / 2:
            reasons["feed"] = f"the consumer thread has not polled for {time.monotonic() - self._last_poll_s:.0f} s"
        if self._error is not None:
            reasons["kafka"] = self._error
        elif not self._read_to_end:
            reasons["history"] = f"{self.behind():,} records of history are still to be read"
        return reasons

    def behind(self) -> int:
        """Return how many offsets are still to be read, as of the last look; 0 when up to date."""
        ends = dict(self._ends)
        return sum(max(0, end - self._positions.get(place, 0)) for place, end in ends.items())

    def pipeline(self) -> Pipeline:
        """Return the answer's `pipeline`."""
        now_ms = self._now_ms()
        ages: dict[str, int | None] = {
            topic: None if statistics.newest_append_ms is None else max(0, now_ms - statistics.newest_append_ms)
            for topic, statistics in self._store.statistics().items()
        }
        letters = self._dead_letters
        ages[DEAD_LETTER.name] = max(0, now_ms - letters[-1]) if letters else None
        return {
            "kafka": {
                "ok": self._error is None,
                "since_ms": self._since_ms,
                "error": self._error,
                "address": self._settings.bootstrap_servers,
            },
            "behind": 0 if self._read_to_end else self.behind(),
            "topics": ages,
            "dead_letters": len(letters),
        }

    def _keep_alive(self) -> None:
        pause_s = _RESTART_FIRST_S
        while not self._stop.is_set():
            started_s = time.monotonic()
            try:
                self._read()
            except BrokerUnavailableError as error:
                self._say(str(error))
                _log.warning("%s; trying again", error)
            except Exception as error:  # noqa: BLE001  # whatever it was, the page must come back
                FEED_RESTARTS.inc()
                self._say(f"the consumer thread died: {error}")
                _log.exception("the consumer thread died; it starts again")
            if time.monotonic() - started_s > _HUNG_S:
                pause_s = _RESTART_FIRST_S
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, _RESTART_LAST_S)

    def _watch(self) -> None:
        """End the worker when its consumer thread hangs: nothing else notices that, and gunicorn starts a new one."""
        while not self._stop.wait(1.0):
            if time.monotonic() - self._last_poll_s > _HUNG_S:
                _log.critical("the consumer thread has hung for %.0f s; this worker ends itself", _HUNG_S)
                os._exit(_EXIT_HUNG)

    def _read(self) -> None:
        """Connect, read the history, then what comes, until told to stop."""
        consumer = kafka.consumer(
            self._settings,
            "dashboard",
            error_cb=self._on_error,
            stats_cb=self._on_statistics,
            **{
                "auto.offset.reset": "earliest",
                "statistics.interval.ms": 1_000,
                "queued.max.messages.kbytes": 16_384,
                "fetch.wait.max.ms": 100,
                "fetch.queue.backoff.ms": 50,
            },
        )
        self._read_to_end = False
        try:
            self._last_poll_s = time.monotonic()
            look_at_s = 0.0
            while not self._stop.is_set():
                if time.monotonic() >= look_at_s:
                    look_at_s = time.monotonic() + self._look_around(consumer)
                self._take(consumer.consume(_BATCH, _POLL_S))
                self._last_poll_s = time.monotonic()
        finally:
            consumer.close()

    def _look_around(self, consumer: Consumer) -> float:
        """Assign partitions that are new, drop what is old; return the seconds until the next look."""
        if self._error is not None and self._positions:
            return _WAIT_FOR_TOPICS_S  # it is away, and asking would only wait
        metadata = kafka.cluster_metadata(self._settings, consumer)
        self._enter(metadata.cluster_id or "")
        found = {
            (topic, partition)
            for topic in self._names
            for partition in getattr(metadata.topics.get(topic), "partitions", ())
        }
        missing = [topic for topic in self._names if not any(place[0] == topic for place in found)]
        new = sorted(found - self._positions.keys())
        assigned = {(one.topic, one.partition) for one in consumer.assignment()}
        if new or not assigned:
            self._assign(consumer, new, sorted(self._positions))
        if missing:
            self._say(f"topics are missing: {', '.join(missing)}; `sensorbus topics create` makes them")
            return _WAIT_FOR_TOPICS_S
        self._say(None)
        oldest_ms = self._now_ms() - self._settings.dashboard_history_ms
        self._store.drop_before(oldest_ms)
        self._dead_letters = [append_ms for append_ms in self._dead_letters if append_ms >= oldest_ms]
        return _LOOK_AROUND_S

    def _enter(self, cluster_id: str) -> None:
        if self._cluster and not self._cluster.startswith(f"{cluster_id}/"):
            self._forget()
        if not self._cluster:
            self._cluster = f"{cluster_id}/{self._settings.topic_prefix}"

    def _forget(self) -> None:
        """Begin anew: the offsets that we know mean nothing any more."""
        _log.warning("the topics were made anew; the page forgets what it held")
        self._store.clear()
        self._positions, self._ends, self._dead_letters, self._cluster = {}, {}, [], ""

    def _assign(self, consumer: Consumer, new: Sequence[tuple[str, int]], known: Sequence[tuple[str, int]]) -> None:
        starts = self._starts(consumer, new)
        for topic, name in self._names.items():
            if name in TOPICS:
                offsets = {place.partition: place.offset for place in starts if place.topic == topic}
                self._store.begin(name, offsets)
        self._positions.update({(place.topic, place.partition): place.offset for place in starts})
        consumer.assign([TopicPartition(*place, self._positions[place]) for place in {*new, *known}])

    def _starts(self, consumer: Consumer, new: Sequence[tuple[str, int]]) -> list[TopicPartition]:
        """Return where the history begins in each partition, as a plain offset; remember where it ends."""
        starts = []
        since_ms = self._now_ms() - self._settings.dashboard_history_ms
        asked = [TopicPartition(*place, since_ms) for place in new]
        try:
            if self._settings.embedded_broker:  # which knows no offsets by time
                asked = [TopicPartition(*place, OFFSET_BEGINNING) for place in new]
            elif asked:
                asked = consumer.offsets_for_times(asked, kafka.REQUEST_TIMEOUT_S)
            for place in asked:
                low, high = consumer.get_watermark_offsets(place, kafka.REQUEST_TIMEOUT_S)
                offset = {OFFSET_BEGINNING: low, OFFSET_END: high}.get(place.offset, place.offset)
                starts.append(TopicPartition(place.topic, place.partition, offset))
                self._ends[place.topic, place.partition] = high
        except KafkaException as error:
            raise kafka.unavailable(self._settings, error) from None
        return starts

    def _take(self, batch: Sequence[Message]) -> None:
        rows: dict[str, list[Row]] = {}
        for message in batch:
            if message.error() is not None:
                self._on_error(message.error())
                continue
            place = (message.topic(), message.partition())
            name = self._names[message.topic()]
            if message.offset() < self._positions.get(place, 0):
                self._forget()
                raise BrokerUnavailableError(f"{place[0]}[{place[1]}] begins at an earlier offset than it ended with")
            self._positions[place] = message.offset() + 1
            if name == DEAD_LETTER.name:
                self._dead_letters.append(message.timestamp()[1])
                continue
            row = self._parse(name, message)
            if row is not None:
                rows.setdefault(name, []).append(row)
        for name, parsed in rows.items():
            FEED_RECORDS.labels(name).inc(len(parsed))
            self._store.append(name, parsed)
        if not self._read_to_end and (not batch or not self.behind()):
            # No batch within the poll time: only transaction markers are left.
            self._read_to_end = self._error is None and bool(self._positions)

    def _parse(self, name: str, message: Message) -> Row | None:
        try:
            return self._parsers[name](message)
        except InvalidMessageError as error:
            FEED_INVALID.labels(name, error.kind).inc()
            return None

    def _reading(self, message: Message) -> Row | None:
        append_ms = message.timestamp()[1]
        device_id, _, time_ms, celsius = messages.parse_reading(message.value(), append_ms, self._settings.time_rules)
        if not messages.has_device_key(message.key(), device_id):
            return None  # it comes again, under its device's key
        return Row(message.partition(), message.offset(), append_ms, device_id, time_ms, time_ms, celsius)

    def _alert(self, message: Message) -> Row:
        append_ms = message.timestamp()[1]
        alert = messages.parse_alert(message.value(), append_ms, self._settings.time_rules)
        time_ms = alert.event_time_ms
        return Row(message.partition(), message.offset(), append_ms, alert.device_id, time_ms, time_ms, alert.celsius)

    def _alert_count(self, message: Message) -> Row:
        count = messages.parse_alert_count(message.value())
        return self._result(message, count.device_id, count.start_ms, count.end_ms, count.alert_count)

    def _avg_temp(self, message: Message) -> Row:
        mean = messages.parse_avg_temp(message.value())
        return self._result(message, mean.device_id, mean.start_ms, mean.end_ms, mean.avg_celsius)

    def _result(self, message: Message, device_id: str, start_ms: int, end_ms: int, value: float) -> Row:
        return Row(message.partition(), message.offset(), message.timestamp()[1], device_id, start_ms, end_ms, value)

    def _on_error(self, error: KafkaError) -> None:
        """Take note of what librdkafka reports; it goes on trying by itself."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001  # librdkafka's own codes have no public name
            self._say(str(kafka.unavailable(self._settings, KafkaException(error))))
        _log.warning("Kafka at %s: %s", self._settings.bootstrap_servers, error.str())

    def _on_statistics(self, text: str) -> None:
        """See whether a broker is up, and how far the partitions go; once a second."""
        self._publish()
        statistics: Mapping[str, Any] = orjson.loads(text)
        brokers = [broker for broker in statistics.get("brokers", {}).values() if broker["nodeid"] >= 0]
        if any(broker["state"] == "UP" for broker in brokers):
            if self._error is not None and not self._error.startswith("topics"):
                self._say(None)
        elif brokers and self._error is None:
            self._say(f"no Kafka broker answers at {self._settings.bootstrap_servers}")
        for topic, state in statistics.get("topics", {}).items():
            for number, partition in state["partitions"].items():
                if (topic, int(number)) in self._ends and partition["hi_offset"] >= 0:
                    self._ends[topic, int(number)] = partition["hi_offset"]

    def _publish(self) -> None:
        held = self._store.statistics()[SENSOR.name]
        RING_READINGS.set(held.held)
        RING_DEVICES.set(self._store.devices)
        if held.newest_append_ms is not None:
            RING_AGE_SECONDS.set((self._now_ms() - held.newest_append_ms) / 1000)

    def _say(self, error: str | None) -> None:
        if (error is None) != (self._error is None):
            self._since_ms = self._now_ms()
            if error is None:
                _log.info("Kafka answers at %s", self._settings.bootstrap_servers)
        self._error = error
