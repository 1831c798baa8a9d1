"""A job remembers what it has committed, and does not begin before that.

A broker that comes back on an overloaded machine may have forgotten offsets, or tell old ones (docs/faults.md). A job
that believed it would read everything again, as on its first start, and write all results a second time.
"""

import logging
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from pydantic import TypeAdapter, ValidationError
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.internal_producer import InternalProducer
from quixstreams.models import TopicManager

from processors import recovery
from sensorbus.contract.errors import BrokerUnavailableError, StateError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka

_FILE: Final = "committed.json"
_ASKED_WITHIN_S: Final = 30.0
#: Linux's name of the time since a machine's start; elsewhere each process counts as one.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BEFORE: Final = "before"

#: The first offset that is not committed, by a topic's id and a partition's number.
_Offsets = dict[str, dict[int, int]]
#: Those that were noted since a machine's start, and before it: the whole file of version 1, which names none.
_CONTENT: Final = TypeAdapter(dict[str, _Offsets])
_JSON: Final = TypeAdapter(dict[str, Any])
#: Of the file; one that names another is left as it is.
_VERSION: Final = 2

_log = logging.getLogger(__name__)


class CommittedOffsets:
    """The offsets of a job's group that this process and its earlier lives know of, in a file beside the state.

    A topic that was made anew has another id, and no offsets. Neither the file nor Kafka waits for its disk, so when
    power fails each loses another part of the last half minute: of what was noted before this machine started, only
    that there was something is believed. So it is of a file that is damaged, for every partition.
    """

    def __init__(self, settings: Settings, job: str, topic_ids: Mapping[str, str]) -> None:
        """Read what the last life has written; `topic_ids` are those of the job's inputs, by their names on the bus.

        One that has no id is left to Kafka. Raises `OSError` naming the file, and `StateError` for one of a version
        that this code cannot read.
        """
        self._settings = settings
        self._group = settings.consumer_group(job)
        self._folder = settings.state_dir / job
        self._ids = topic_ids
        self._path = self._folder / self._group / _FILE
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        boot = boot_id()
        noted = _read(self._path)
        self._is_damaged = noted is None
        content = {_BEFORE: {}, **(noted or {})}
        sure = content.pop(boot, {})
        self._sure = {topic_id: sure.get(topic_id, {}) for topic_id in topic_ids.values()}
        self._before: _Offsets = {topic_id: {} for topic_id in topic_ids.values()}
        for offsets in content.values():
            for topic_id in self._before:
                self._before[topic_id] |= offsets.get(topic_id, {})
        self._content = {_BEFORE: self._before, boot: self._sure}

    def note(self, places: Iterable[TopicPartition]) -> None:
        """Remember offsets that Kafka has; they are written over the last ones in one piece, and no disk waits."""
        for place in filter(self.is_input, places):
            topic_id = self._ids[place.topic]
            self._sure[topic_id][place.partition] = place.offset
            self._before[topic_id].pop(place.partition, None)
        try:
            with self._path.open("r+b", buffering=0) as file:
                rest = memoryview(_JSON.dump_json({"version": _VERSION, "offsets": self._content}))
                while rest:  # a disk that fills up takes a part, and says so when it is asked again
                    rest = rest[file.write(rest) :]
                file.truncate()
        except OSError as error:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    def is_input(self, place: TopicPartition) -> bool:
        """Tell whether a partition is one of the job's inputs, and not of a changelog."""
        return place.topic in self._ids

    def begin(self, told: TopicPartition, bounds: recovery.Bounds) -> TopicPartition:
        """Return where to begin if Kafka tells this; raises `BrokerUnavailableError` if it has forgotten offsets."""
        topic_id, partition = self._ids[told.topic], told.partition
        sure, before = (held[topic_id].get(partition, 0) for held in (self._sure, self._before))
        begin = TopicPartition(told.topic, partition, min(told.offset, bounds.end))
        first = max(begin.offset, bounds.low)
        if first < min(sure, bounds.end) or (told.offset < 0 and first < before):
            raise self._forgotten(told, f"offset {max(sure, before)}")
        if self._is_damaged and told.offset < 0 and not sure and bounds.low < bounds.end:
            raise self._forgotten(told, f"what {self._path} no longer tells, for it is damaged")
        if (reached := max(sure, before, told.offset)) > bounds.end:
            lost = "%s[%d] ends at %d, and the job had read up to %d: Kafka has lost what came last"
            _log.warning(lost, told.topic, partition, bounds.end, reached)
        elif first < before:
            _log.warning("%s[%d] is read again from %d to %d", told.topic, partition, first, before)
        return begin

    def _forgotten(self, told: TopicPartition, remembered: str) -> BrokerUnavailableError:
        what = "nothing" if told.offset < 0 else f"offset {told.offset}"
        return BrokerUnavailableError(
            f"Kafka at {kafka.place(self._settings)} tells that {self._group} has committed {what} of "
            f"{told.topic}[{told.partition}], and it had committed {remembered}: all since then would come "
            f"twice. Restart that broker, or, if this is meant, empty {self._folder} "
            "(docs/operations.md: Offsets that Kafka has forgotten)"
        )


def boot_id() -> str:
    """Return what names this start of the machine; each process another where there is no such name."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return str(uuid.uuid4())


def _read(path: Path) -> dict[str, _Offsets] | None:
    """Return what was noted, None if the file is damaged; raises `StateError` if it is of another version."""
    try:
        content = _JSON.validate_json(path.read_bytes() or "{}")
        if "version" not in content:
            return _CONTENT.validate_python(content)
        if content["version"] != _VERSION:
            raise StateError(
                f"{path} is of version {content['version']}, not {_VERSION}: go back to the version of sensorbus that "
                "wrote it, or delete the file if Kafka has the offsets of the job's group (docs/operations.md: Upgrade)"
            )
        return _CONTENT.validate_python(content.get("offsets"))
    except ValidationError:
        _log.warning("%s is damaged: of what this job had committed, Kafka alone knows", path)
        return None


def begin_behind(committed: CommittedOffsets, consumer: InternalConsumer, topics: TopicManager) -> None:
    """Have a consumer begin where Kafka tells, if that is not before what is remembered.

    Input and state begin at the same answer: librdkafka and Quix each ask for themselves, and may be told different
    offsets.
    """
    assign, ask = consumer.assign, consumer.committed
    begins: dict[TopicPartition, TopicPartition] = {}

    def assign_what_is_told(partitions: list[TopicPartition]) -> None:
        begins.clear()
        if inputs := [
            TopicPartition(place.topic, place.partition) for place in partitions if committed.is_input(place)
        ]:
            answers = ask(inputs, timeout=_ASKED_WITHIN_S)
            bounds = recovery.bounds_of(topics, inputs, _ASKED_WITHIN_S)
            for told in answers:
                if told.error:
                    raise KafkaException(told.error)
                begins[told] = committed.begin(told, bounds[told])
            committed.note(place for place in begins.values() if place.offset >= 0)
        assign([begins.get(place, place) for place in partitions])

    def tell(partitions: list[TopicPartition], timeout: float | None = None) -> list[TopicPartition]:
        if begins.keys() >= set(partitions):
            return [begins[place] for place in partitions]
        return ask(partitions, timeout)

    consumer.assign = assign_what_is_told  # type: ignore[method-assign]  # Quix makes the consumer
    consumer.committed = tell  # type: ignore[method-assign]  # the same


def note_commits(committed: CommittedOffsets, consumer: InternalConsumer, producer: InternalProducer) -> None:
    """Have what either of them commits remembered."""
    commit_to_group, commit_transaction = consumer.commit, producer.commit_transaction

    def commit_and_note(*arguments: Any, **options: Any) -> list[TopicPartition] | None:
        places = commit_to_group(*arguments, **options)
        committed.note(place for place in places or () if not place.error)
        return places

    def commit_transaction_and_note(positions: list[TopicPartition], *arguments: Any, **options: Any) -> None:
        commit_transaction(positions, *arguments, **options)
        committed.note(positions)

    consumer.commit = commit_and_note  # type: ignore[method-assign]  # Quix makes the consumer
    producer.commit_transaction = commit_transaction_and_note  # type: ignore[method-assign]  # and the producer
