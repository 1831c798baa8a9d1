"""A job remembers what it has committed, and does not begin before that.

A broker that comes back on an overloaded machine may have forgotten offsets, or tell old ones (docs/faults.md). A job
that believed it would read everything again, as on its first start, and write all results a second time.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from pydantic import RootModel, ValidationError
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.internal_producer import InternalProducer

from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka

_FILE: Final = "committed.json"
_ASKED_WITHIN_S: Final = 30.0

_log = logging.getLogger(__name__)


class _Content(RootModel[dict[str, dict[int, int]]]):
    """The first offset that is not committed, by a topic's id and a partition's number."""


class CommittedOffsets:
    """The offsets that this process and its earlier lives have committed, in a file beside the state.

    A topic that was made anew has another id, and no offsets.
    """

    def __init__(self, settings: Settings, job: str, topic_ids: Mapping[str, str]) -> None:
        """Read what the last life has written; `topic_ids` are those of the job's inputs, by their names on the bus.

        One that has no id is left to Kafka. Raises `OSError` naming the file.
        """
        self._settings = settings
        self._group = settings.consumer_group(job)
        self._folder = settings.state_dir / job
        self._ids = topic_ids
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path = self._folder / _FILE
        self._path.touch()
        read = _read(self._path)
        self._offsets = {topic_id: read.get(topic_id, {}) for topic_id in topic_ids.values()}

    def note(self, committed: Iterable[TopicPartition]) -> None:
        """Remember offsets that Kafka has taken.

        They are written over the last ones in one piece: a kill leaves the one or the other, and no disk waits.
        """
        for place in filter(self.is_input, committed):
            self._offsets[self._ids[place.topic]][place.partition] = place.offset
        with self._path.open("r+b", buffering=0) as file:
            file.write(_Content(self._offsets).model_dump_json().encode())
            file.truncate()

    def is_input(self, place: TopicPartition) -> bool:
        """Tell whether a partition is one of the job's inputs, and not of a changelog."""
        return place.topic in self._ids

    def of(self, place: TopicPartition) -> int:
        """Return the offset that is remembered of a partition of the input, 0 if none is."""
        return self._offsets[self._ids[place.topic]].get(place.partition, 0)

    def forgotten(self, told: TopicPartition) -> BrokerUnavailableError:
        """Return the one line for a Kafka that tells less than what is remembered."""
        what = "nothing" if told.offset < 0 else f"offset {told.offset}"
        return BrokerUnavailableError(
            f"Kafka at {kafka.place(self._settings)} tells that {self._group} has committed {what} of "
            f"{told.topic}[{told.partition}], and it had committed offset {self.of(told)}: all since then would come "
            f"twice. Restart that broker, or, if this is meant, empty {self._folder} "
            "(docs/operations.md: Offsets that Kafka has forgotten)"
        )


def _read(path: Path) -> dict[str, dict[int, int]]:
    try:
        return _Content.model_validate_json(path.read_bytes() or "{}").root
    except ValidationError:
        _log.warning("%s is damaged: nothing is known of what this job had committed", path)
        return {}


def begin_behind(committed: CommittedOffsets, consumer: InternalConsumer, producer: InternalProducer) -> None:
    """Have a consumer begin where Kafka tells, if that is not before what is remembered; note what both commit.

    Kafka is asked once with each assignment. By themselves Quix asks for the state and librdkafka for the input, and
    may be told different offsets.
    """
    assign, ask, bounds = consumer.assign, consumer.committed, consumer.get_watermark_offsets
    told: dict[TopicPartition, TopicPartition] = {}

    def assign_what_is_told(partitions: list[TopicPartition]) -> None:
        inputs = [TopicPartition(place.topic, place.partition) for place in partitions if committed.is_input(place)]
        told.clear()
        for place in ask(inputs, timeout=_ASKED_WITHIN_S) if inputs else ():
            if place.error:
                raise KafkaException(place.error)
            remembered = committed.of(place)
            if place.offset < remembered and bounds(place, timeout=_ASKED_WITHIN_S)[0] < remembered:
                raise committed.forgotten(place)
            told[place] = place
        assign([told.get(place, place) for place in partitions])

    def tell(partitions: list[TopicPartition], timeout: float | None = None) -> list[TopicPartition]:
        return [told[place] for place in partitions] if told.keys() >= set(partitions) else ask(partitions, timeout)

    commit_to_group, commit_transaction = consumer.commit, producer.commit_transaction

    def commit_and_note(*arguments: Any, **options: Any) -> list[TopicPartition] | None:
        places = commit_to_group(*arguments, **options)
        committed.note(place for place in places or () if not place.error)
        return places

    def commit_transaction_and_note(positions: list[TopicPartition], *arguments: Any, **options: Any) -> None:
        commit_transaction(positions, *arguments, **options)
        committed.note(positions)

    consumer.assign = assign_what_is_told  # type: ignore[method-assign]  # Quix makes the consumer
    consumer.committed = tell  # type: ignore[method-assign]  # the same
    consumer.commit = commit_and_note  # type: ignore[method-assign]  # the same
    producer.commit_transaction = commit_transaction_and_note  # type: ignore[method-assign]  # and the producer
