"""No reading meets a state that is not recovered, to its last change.

Quix pauses a job's input in the moment that it is assigned, until the state is read back from its changelog, and asks
then where the changelog ends. Both have a gap through which a state gets lost without a word; they are closed here.
"""

import logging
from collections.abc import Callable
from typing import Any

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import Row, TopicAdmin, TopicManager

_log = logging.getLogger(__name__)


def hold_back(consumer: InternalConsumer, is_recovery_due: Callable[[], bool]) -> None:
    """Have a consumer put back a row that comes while a recovery is due; it is read again after it.

    librdkafka may drop the pause (see `changelogs.py`): the poll that served the assignment hands out a row at once.
    Quix would process it on an empty or old state. The commit follows at once, for the job has waited to be assigned,
    and notes in that state that its changelog is read to the end: the recovery then reads nothing, and every device of
    the partition begins anew in the middle of its windows.
    """
    poll_row = consumer.poll_row

    def poll_ready_row(**options: Any) -> Row | list[Row] | None:
        rows = poll_row(**options)
        if rows is None or not is_recovery_due():
            return rows
        for row in rows[:1] if isinstance(rows, list) else [rows]:
            _put_back(consumer, row)
        return None

    consumer.poll_row = poll_ready_row  # type: ignore[assignment, method-assign]  # Quix makes the consumer


def _put_back(consumer: InternalConsumer, row: Row) -> None:
    place = TopicPartition(row.topic, row.partition, row.offset)
    consumer.pause([place])  # not dropped this time, for its fetcher runs; Quix resumes all input after a recovery
    consumer.seek(place)
    _log.info("%s[%d]@%d waits until its state is recovered", row.topic, row.partition, row.offset)


def recover_to_the_end(consumer: InternalConsumer, topics: TopicManager) -> None:
    """Have a consumer tell the true end of a changelog; raises `KafkaException` where Kafka does not answer.

    To a consumer that reads what is committed, a partition ends where its oldest open transaction begins: that of a
    member that died or hangs. What the next one has committed after it would not be recovered by a third, and never be
    missed. The true end is reached when that transaction has ended, by its time-out at the latest.
    """
    watermarks = consumer.get_watermark_offsets
    admin = topics._admin  # noqa: SLF001  # it has no other name

    def true_watermarks(
        partition: TopicPartition, timeout: float | None = None, cached: bool = False
    ) -> tuple[int, int]:
        low, high = watermarks(partition, timeout=timeout, cached=cached)
        if cached or partition.topic in topics.non_changelog_topics:
            return low, high
        end = max(high, _end(admin, partition, timeout))
        if end > high:
            _log.info("the state in %s[%d] waits until a transaction there ends", partition.topic, partition.partition)
        return low, end

    consumer.get_watermark_offsets = true_watermarks  # type: ignore[method-assign]  # Quix makes the consumer


def _end(admin: TopicAdmin, partition: TopicPartition, timeout_s: float | None) -> int:
    place = TopicPartition(partition.topic, partition.partition)
    options = {} if timeout_s is None else {"request_timeout": timeout_s}
    told = admin.admin_client.list_offsets(
        {place: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED, **options
    )
    end: int = told[place].result().offset
    return end
