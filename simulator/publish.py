"""Hands records to Kafka's producer, and loses none that Kafka could still take.

One thread, but for `readiness`, which any may call. A full queue makes it wait; Kafka away makes it wait as long as
that lasts (`message.timeout.ms=0`), with a bounded queue. What is not acknowledged in the end is counted and said.
"""

import logging
import math
import time
from collections.abc import Iterable
from threading import Event
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sensorbus.contract.errors import TopicError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import access, kafka
from sensorbus.runtime.metrics import SIMULATOR_FAILED, SIMULATOR_PRODUCED

_END_WITHIN_S: Final = 5.0  # less than the supervisor waits before it kills, so that what is lost gets said
_POLL_S: Final = 0.1
_STUCK_POLL_S: Final = 1.0  # a poll that took longer was suspended, not waiting
_SAY_SILENT_S: Final = 5.0
_SAY_EVERY_S: Final = 10.0
_OPTIONS: Final[dict[str, Any]] = {
    "message.timeout.ms": 0,  # with the default, what waits through 5 min without a broker is lost
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
}

_log = logging.getLogger(__name__)


class Totals(NamedTuple):
    """What became of the records."""

    acknowledged: int
    failed: int
    undelivered: int


def producer(settings: Settings) -> Producer:
    """Return the simulator's producer; the user's own Kafka options go before ours."""
    options = {name: value for name, value in _OPTIONS.items() if name not in settings.kafka_options}
    # A callback for each success would cost more than sending it: see `Publisher.acknowledged`.
    return kafka.producer(settings, "simulator", **{**options, "delivery.report.only.error": True})


class _Silence:
    """How long Kafka has acknowledged nothing of what waits, and what was said of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began_s, self._said_s = time.monotonic(), -math.inf

    def lasts_s(self) -> float:
        return time.monotonic() - self._began_s

    def begin_anew(self) -> None:
        self._began_s = time.monotonic()

    def end(self) -> None:
        """Kafka acknowledged something; say so where its silence was said."""
        access.answered(self._settings)
        if self._said_s > self._began_s:
            _log.info("Kafka acknowledges again, after %.0f s", self.lasts_s())
        self.begin_anew()

    def say(self, waiting: int) -> None:
        """Say that Kafka is silent, from 5 s on and every 10 s."""
        now_s, silent_s = time.monotonic(), self.lasts_s()
        if silent_s <= _SAY_SILENT_S or now_s - self._said_s < _SAY_EVERY_S:
            return
        self._said_s = now_s
        place, why = kafka.place(self._settings), access.refusal(self._settings) or access.cause(self._settings)
        reason = f": {why}" if why else ""
        message = "Kafka at %s acknowledged nothing for %.0f s; %d readings wait%s"
        _log.warning(message, place, silent_s, waiting, reason, extra={"fold": False})


class Publisher:
    """Sends records to one topic and knows what became of them."""

    def __init__(self, client: Producer, topic: str, settings: Settings, end_within_s: float = _END_WITHIN_S) -> None:
        """Take a producer that reports failures only (`delivery.report.only.error`) and notes why it cannot connect.

        `end_within_s` is how long Kafka may take to accept the rest, once stopped.
        """
        self._client, self._topic, self._settings = client, topic, settings
        self._end_within_s, self._ends_at_s = end_within_s, math.inf
        self._taken = self._failed = self._not_taken = self._counted = 0
        self._silence = _Silence(settings)

    @property
    def acknowledged(self) -> int:
        """Records that Kafka acknowledged: those that the client took, without the failed and those on their way."""
        return self._taken - self._failed - len(self._client)

    def send(self, records: Iterable[tuple[bytes, bytes | None]], stop: Event) -> float:
        """Send (key, value) pairs; return the seconds that a full queue made us wait.

        Once stopped, what finds no room in time counts as not delivered. Raises `TopicError` when the client refuses a
        record for good.
        """
        produce, topic, on_failure = self._client.produce, self._topic, self._on_failure
        waited_s = 0.0
        for key, value in records:
            try:
                produce(topic, value, key, on_delivery=on_failure)
                self._taken += 1
            except BufferError:
                waited_s += self._send_when_possible(key, value, stop)
            except KafkaException as error:
                raise _refused(topic, error) from None
        self._poll(0)
        self._count()
        return waited_s

    def send_rest(self, records: Iterable[tuple[bytes, bytes | None]], stop: Event) -> None:
        """Send what is left at the end; once stopped, only as long as the end may take, and count the others."""
        for record in records:
            if self._may_go_on(stop):
                self.send((record,), stop)
            else:
                self._not_taken += 1

    def finish(self, stop: Event) -> Totals:
        """Wait for what is on its way, once stopped only as long as the end may take; log and return the totals."""
        self._poll(0)
        while len(self._client) and self._may_go_on(stop):
            self._poll(_POLL_S)
            self._count()
        waiting = len(self._client)
        self._count()
        totals = Totals(self.acknowledged, self._failed, waiting + self._not_taken)
        _say(totals)
        return totals

    def readiness(self) -> dict[str, str]:
        """Return why readings do not flow, if so."""
        if not self._counted:
            return {"kafka": "no reading is acknowledged yet"}
        silent_s, waiting = self._silence.lasts_s(), len(self._client)
        if waiting and silent_s > _SAY_SILENT_S:
            return {"kafka": f"nothing acknowledged for {silent_s:.0f} s; {waiting} readings wait"}
        return {}

    def _send_when_possible(self, key: bytes, value: bytes | None, stop: Event) -> float:
        waited_s = 0.0
        while self._may_go_on(stop):
            started_s = time.monotonic()
            self._poll(_POLL_S)
            waited_s += min(time.monotonic() - started_s, _STUCK_POLL_S)
            self._count()
            try:
                self._client.produce(self._topic, value, key, on_delivery=self._on_failure)
            except BufferError:
                _log.warning("the queue to Kafka is full (%d readings); waiting until it moves", len(self._client))
            except KafkaException as error:
                raise _refused(self._topic, error) from None
            else:
                self._taken += 1
                return waited_s
        self._not_taken += 1
        return waited_s

    def _poll(self, timeout_s: float) -> None:
        """Take what the client has to tell; an error that ends it, such as a missing right, may come here first."""
        try:
            self._client.poll(timeout_s)
        except KafkaException as error:
            raise _refused(self._topic, error) from None

    def _may_go_on(self, stop: Event) -> bool:
        """Tell whether there is time left; it is limited from when `stop` is seen to be set."""
        if not stop.is_set():
            return True
        now_s = time.monotonic()
        self._ends_at_s = min(self._ends_at_s, now_s + self._end_within_s)
        return now_s < self._ends_at_s

    def _count(self) -> None:
        """Bring the metric up to date, and say when Kafka is silent and when it is not any more."""
        acknowledged, waiting = self.acknowledged, len(self._client)
        if acknowledged > self._counted:
            SIMULATOR_PRODUCED.inc(acknowledged - self._counted)
            self._counted = acknowledged
            self._silence.end()
        elif waiting:
            self._silence.say(waiting)
        else:
            self._silence.begin_anew()

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        self._failed += 1
        SIMULATOR_FAILED.inc()
        place = {"device": (message.key() or b"").decode(errors="replace"), "topic": message.topic()}
        _log.error("%s did not take a reading: %s", message.topic(), _why(self._topic, error), extra=place)


def _refused(topic: str, error: KafkaException) -> TopicError:
    return TopicError(f"topic {topic} takes no more readings from this process: {_why(topic, error.args[0])}")


def _why(topic: str, error: KafkaError) -> str:
    return access.missing_right(error, topic, "WRITE", of="topic") or error.str()


def _say(totals: Totals) -> None:
    level = logging.WARNING if totals.failed or totals.undelivered else logging.INFO
    _log.log(level, "%d readings acknowledged, %d failed, %d not delivered", *totals, extra={"fold": False})
