"""A job whose last life was killed reads with care what waits for it.

A batch of a few MB can be gigabytes when it is decompressed. librdkafka takes the memory for it, and the system kills
the job, at every start. So after a kill another client reads the partitions of an assignment up to where they end then:
batch by batch, each decompressed within a bound. One that is larger is left out, and a dead letter tells of it.
What this imports takes memory, so it is imported after a kill alone (lives.py).
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import KafkaException, TopicPartition
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import MessageContext, Row, TopicManager

from processors import batches, recovery
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.runtime import kafka, stored_batches

_ASKED_WITHIN_S: Final = 30.0
#: After that long without an answer of any broker the job reads as always.
_GIVEN_UP_AFTER_S: Final = 60.0

_log = logging.getLogger(__name__)


class Raw(Protocol):
    """What gives batches as Kafka stores them: `sensorbus.runtime.raw_consumer.RawConsumer`."""

    def fetch(self, topic: str, partition: int, offset: int) -> stored_batches.Fetched:
        """As there."""
        ...

    def close(self) -> None:
        """As there."""
        ...


@dataclass
class _Waiting:
    """What waits of one partition: its rows, and the offsets of the next one and of the first that does not wait."""

    rows: Iterator[Row | None]
    following: int
    end: int


class _Silence:
    """For how long no broker has answered: partitions that wait behind another do not wait as long once more."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def is_long(self) -> bool:
        """Tell it where there was no answer just now."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s > _GIVEN_UP_AFTER_S

    def end(self) -> None:
        """Note an answer."""
        self._since_s = None


class CarefulReader:
    """Gives a consumer's rows from another client, as far as its partitions are to be read with care.

    The consumer itself begins behind that, so it does not meet what is there.
    """

    def __init__(
        self, raw: Raw, consumer: InternalConsumer, topics: TopicManager, is_recovery_due: Callable[[], bool]
    ) -> None:
        """Take the consumer over; no row is given out while the state of an assignment is still to be recovered."""
        self._raw, self._consumer, self._topics, self._is_recovery_due = raw, consumer, topics, is_recovery_due
        self._assign, self._poll_row, self._subscribe = consumer.assign, consumer.poll_row, consumer.subscribe
        self._waiting: dict[tuple[str, int], _Waiting] = {}
        self._is_their_turn = False
        self._silence = _Silence()
        consumer.assign = self.assign  # type: ignore[method-assign]  # Quix makes the consumer
        consumer.poll_row = self.poll_row  # type: ignore[assignment, method-assign]  # the same
        consumer.subscribe = self.subscribe  # type: ignore[assignment, method-assign]  # the same

    def subscribe(self, **options: Any) -> None:
        """Subscribe the consumer; what waits of partitions is forgotten before they are given back, or are lost."""
        for name in ("on_revoke", "on_lost"):
            options[name] = self._dropping(options[name])
        self._subscribe(**options)

    def _dropping(self, then: Callable[..., None]) -> Callable[..., None]:
        def drop(*arguments: Any) -> None:
            self._waiting.clear()
            then(*arguments)

        return drop

    def assign(self, partitions: list[TopicPartition]) -> None:
        """Assign partitions to the consumer: inputs from where they end now on."""
        self._waiting.clear()
        inputs = [place for place in partitions if place.topic in self._topics.non_changelog_topics]
        begins = {place: place.offset for place in _told(self._consumer, inputs)}
        bounds = recovery.bounds_of(self._topics, inputs, _ASKED_WITHIN_S) if inputs else {}
        self._assign([self._behind(place, begins.get(place, 0), bounds.get(place)) for place in partitions])

    def _behind(self, place: TopicPartition, begin: int, bounds: recovery.Bounds | None) -> TopicPartition:
        if bounds is None or (begin := max(begin, bounds.low)) >= bounds.committed:
            return place
        _log.info("after a kill %s[%d] is read with care from %d to %d", *_key(place), begin, bounds.committed)
        rows = self._rows(place, begin, bounds.committed)
        self._waiting[_key(place)] = _Waiting(rows, begin, bounds.committed)
        return TopicPartition(place.topic, place.partition, bounds.committed)

    def left(self) -> dict[tuple[str, str], int]:
        """Return how many records wait, by topic and partition: the consumer's own statistics know nothing of them."""
        return {(topic, str(number)): waits.end - waits.following for (topic, number), waits in self._waiting.items()}

    def poll_row(self, **options: Any) -> Row | list[Row] | None:
        """Return the next row, in turn from what waits and from the consumer; None if there is none yet."""
        self._is_their_turn = not self._is_their_turn
        if self._is_their_turn and (row := self._next()) is not None:
            return row
        is_first_asked = bool(self._waiting) and not self._is_their_turn
        rows = self._own(options | {"timeout": 0} if is_first_asked else options)
        return self._next() if rows is None and is_first_asked else rows

    def _own(self, options: dict[str, Any]) -> Row | list[Row] | None:
        rows: Row | list[Row] | None = self._poll_row(**options)
        for row in rows if isinstance(rows, list) else filter(None, [rows]):
            if _key(row) in self._waiting:
                recovery.put_back(self._consumer, row)
                return None
        return rows

    def _next(self) -> Row | None:
        while self._waiting and not self._is_recovery_due():
            key, waits = next(iter(self._waiting.items()))
            for row in waits.rows:
                if row is not None:
                    waits.following = row.offset + 1
                return row
            del self._waiting[key]
            self._consumer.resume([TopicPartition(*key)])
            if not self._waiting:
                self._raw.close()
        return None

    def _rows(self, place: TopicPartition, begin: int, end: int) -> Iterator[Row | None]:
        """Yield the rows from one offset to another, None while Kafka does not answer.

        After a minute of that, or where a batch is of a time before Kafka 0.11 or is no longer there, the consumer
        itself goes on.
        """
        offset = begin
        while offset < end:
            try:
                found, aborted = _fetch(self._raw, place, offset)
            except (BrokerUnavailableError, stored_batches.BatchError) as error:
                if isinstance(error, stored_batches.BatchError) or self._silence.is_long():
                    _log.warning("%s[%d] is read as always from %d on: %s", *_key(place), offset, error)
                    self._consumer.seek(TopicPartition(place.topic, place.partition, offset))
                    yield None  # the job polls and commits before the next partition is asked for
                    return
                yield None
                continue
            self._silence.end()
            for batch in stored_batches.committed(found, aborted):
                if batch.first < end:  # the consumer begins there, and Kafka has sent more
                    yield from _rows_of(place, batch, range(offset, end))
            offset = found[-1].last + 1


def _told(consumer: InternalConsumer, inputs: list[TopicPartition]) -> list[TopicPartition]:
    """Return where to begin: of a topic without an id nobody has asked the group before."""
    if all(place.offset >= 0 for place in inputs):
        return inputs
    told: list[TopicPartition] = consumer.committed(inputs, timeout=_ASKED_WITHIN_S)
    for place in told:
        if place.error:
            raise KafkaException(place.error)
    return told


def _fetch(raw: Raw, place: TopicPartition, offset: int) -> tuple[list[stored_batches.Batch], list[tuple[int, int]]]:
    fetched = raw.fetch(*_key(place), offset)
    if found := list(stored_batches.batches(fetched.stored)):
        return found, fetched.aborted
    raise BrokerUnavailableError("Kafka has nothing there")


def _rows_of(place: TopicPartition, batch: stored_batches.Batch, wanted: range) -> Iterator[Row]:
    try:
        for record in stored_batches.records(batch):
            if record.offset in wanted:
                time_ms = kafka.append_time_ms(record.time_kind, record.time_ms)
                context = MessageContext(*_key(place), record.offset, len(record.value or b""))
                headers: Any = list(record.headers)
                yield Row(record.value, record.key, time_ms, context, headers)
    except stored_batches.BatchError as error:
        if batch.last >= wanted.start:
            yield batches.row(TopicPartition(*_key(place), batch.first), batch.last + 1, str(error))


def _key(place: TopicPartition | Row) -> tuple[str, int]:
    return place.topic, place.partition
