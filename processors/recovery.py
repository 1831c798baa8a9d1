"""No reading meets a state that is not recovered, to its last change.

Quix pauses a job's input in the moment that it is assigned, until the state is read back from its changelog, and asks
then where the changelog ends. Both have a gap through which a state gets lost without a word; they are closed here.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import Row, TopicManager

from sensorbus.runtime import kafka

_ASKED_WITHIN_S: Final = 30.0
_PASSING: Final = (  # while a partition moves, or its broker comes back
    *kafka.NEW_LEADER,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError._TRANSPORT,  # noqa: SLF001  # librdkafka's own codes have no public name
)
_BOUNDS: Final = (
    (OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED),
    (OffsetSpec.latest(), IsolationLevel.READ_COMMITTED),
    (OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED),
)

_log = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """A partition's first offset, the one up to which all is committed, and the one after its last."""

    low: int
    committed: int
    end: int


def hold_back(
    consumer: InternalConsumer, is_recovery_due: Callable[[], bool], check_states: Callable[[], object]
) -> None:
    """Have a consumer put back a row that comes while a recovery is due; it is read again after it.

    librdkafka may drop the pause (see `changelogs.py`): the poll that served the assignment hands out a row at once.
    Quix would process it on an empty or old state. The commit follows at once, for the job has waited to be assigned,
    and notes in that state that its changelog is read to the end: the recovery then reads nothing, and every device of
    the partition begins anew in the middle of its windows.

    Once none is due, and before the first row, `check_states` is called; what it raises ends the job.
    """
    poll_row = consumer.poll_row
    is_assigned_anew = False

    def note_assignment() -> None:
        nonlocal is_assigned_anew
        is_assigned_anew = True

    def poll_ready_row(**options: Any) -> Row | list[Row] | None:
        nonlocal is_assigned_anew
        rows = poll_row(**options)
        if not is_assigned_anew:
            return rows
        if not is_recovery_due():
            check_states()
            is_assigned_anew = False
            return rows
        if rows is None:
            return None
        for row in rows[:1] if isinstance(rows, list) else [rows]:
            put_back(consumer, row)
            _log.info("%s[%d]@%d waits until its state is recovered", row.topic, row.partition, row.offset)
        return None

    _with_each_assignment(consumer, note_assignment)
    consumer.poll_row = poll_ready_row  # type: ignore[assignment, method-assign]  # Quix makes the consumer


def _with_each_assignment(consumer: InternalConsumer, action: Callable[[], None]) -> None:
    assign = consumer.assign

    def assign_anew(partitions: list[TopicPartition]) -> None:
        action()
        assign(partitions)

    consumer.assign = assign_anew  # type: ignore[method-assign]  # Quix makes the consumer


def put_back(consumer: InternalConsumer, row: Row) -> None:
    """Have a consumer give a row again, once it is resumed."""
    place = TopicPartition(row.topic, row.partition, row.offset)
    consumer.pause([place])  # not dropped this time, for its fetcher runs; Quix resumes all input after a recovery
    consumer.seek(place)


def tell_bounds_at_once(consumer: InternalConsumer, topics: TopicManager) -> None:
    """Have a consumer tell where the partitions of its assignment begin and truly end; raises `KafkaException`.

    They are asked for together, with the first question after an assignment. Quix asks for each by itself, and on a
    consumer's connection each question waits for the fetch in front of it (docs/streams.md).

    To a consumer that reads what is committed, a partition ends where its oldest open transaction begins: that of a
    member that died or hangs. What the next one has committed after it would not be recovered by a third, and never be
    missed. The true end is reached when that transaction has ended, by its time-out at the latest.
    """
    watermarks = consumer.get_watermark_offsets
    bounds: dict[TopicPartition, tuple[int, int]] = {}

    def true_watermarks(
        partition: TopicPartition, timeout: float | None = None, cached: bool = False
    ) -> tuple[int, int]:
        if cached:
            return watermarks(partition, cached=True)
        if partition not in bounds:
            asked = bounds_of(topics, {partition, *consumer.assignment()}, timeout or _ASKED_WITHIN_S)
            for place, (low, committed, end) in asked.items():
                if end > committed and place.topic not in topics.non_changelog_topics:
                    _log.info("the state in %s[%d] waits until a transaction there ends", place.topic, place.partition)
                bounds[place] = low, max(committed, end)
        return bounds[partition]

    _with_each_assignment(consumer, bounds.clear)
    consumer.get_watermark_offsets = true_watermarks  # type: ignore[method-assign]  # Quix makes the consumer


def bounds_of(
    topics: TopicManager, partitions: Iterable[TopicPartition], timeout_s: float
) -> dict[TopicPartition, Bounds]:
    """Return where partitions begin and end; raises `KafkaException`."""
    admin: AdminClient = topics._admin.admin_client  # noqa: SLF001  # it has no other name
    deadline_s = time.monotonic() + timeout_s
    places = [TopicPartition(place.topic, place.partition) for place in partitions]

    def left_s() -> float:
        return max(kafka.NEW_LEADER_PAUSE_S, deadline_s - time.monotonic())

    while True:
        within_s = left_s()
        asked = [
            admin.list_offsets(dict.fromkeys(places, spec), isolation_level=isolation, request_timeout=within_s)
            for spec, isolation in _BOUNDS
        ]
        try:
            low, committed, end = ({place: told[place].result().offset for place in places} for told in asked)
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() + kafka.NEW_LEADER_PAUSE_S > deadline_s:
                raise
            time.sleep(kafka.NEW_LEADER_PAUSE_S)
            _learn_leaders(admin, left_s())
        else:
            return {place: Bounds(low[place], committed[place], end[place]) for place in places}


def _learn_leaders(admin: AdminClient, timeout_s: float) -> None:
    """Have a client ask for the leaders anew; it raises nothing, for who asks them next hears of what is wrong.

    librdkafka's admin client keeps what it was told of a partition's leader for 15 min, whatever that leader answers:
    after a restart of the broker each question is one of an earlier epoch (docs/faults.md).
    """
    with contextlib.suppress(KafkaException):
        admin.list_topics(timeout=timeout_s)
