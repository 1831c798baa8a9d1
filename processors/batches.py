"""A batch that cannot be decompressed becomes one dead letter.

The job goes on behind it.
Quix ends the job with the client's error instead, at every start, for the batch is still the next to be read.
"""

from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Message, TopicPartition
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import MessageContext, Row

from sensorbus.contract.errors import InvalidMessageError
from sensorbus.runtime import batches
from sensorbus.runtime.clock import wall_clock_ms

_KIND: Final = "compression"


class UnreadableBatch(bytes):
    """Stands for the value of a batch; says why there is none."""

    def error(self) -> InvalidMessageError:
        """Return what a dead letter says of it."""
        return InvalidMessageError(_KIND, self.decode(errors="replace"))


def pass_over(consumer: InternalConsumer, end: Callable[[TopicPartition], int]) -> None:
    """Have a consumer give a row for a batch that cannot be decompressed, and go on behind it.

    Only when the client says it again, a second later: what was read before is committed by then, and its transaction
    does not wait while the end of the batch is looked for. The row stands at the last offset of the batch.
    """
    poll, poll_row = consumer.poll, consumer.poll_row
    told: list[Message] = []
    first_told: set[tuple[str, int, int]] = set()

    def poll_readable(timeout: float | None = None) -> Message | None:
        message: Message | None = poll(timeout=timeout)
        if message is None or (error := message.error()) is None or not batches.is_unreadable(error):
            return message
        told.append(message)
        return None

    def poll_row_or_batch(**options: Any) -> Row | list[Row] | None:
        rows: Row | list[Row] | None = poll_row(**options)
        if not told:
            return rows
        message = told.pop()
        first = TopicPartition(message.topic(), message.partition(), message.offset())
        place = (first.topic, first.partition, first.offset)
        if place not in first_told:
            first_told.add(place)
            return rows
        first_told.discard(place)
        behind = end(first)
        consumer.seek(TopicPartition(first.topic, first.partition, behind))
        error = message.error()
        return row(first, behind, error.str() if error else "")

    consumer.poll = poll_readable  # type: ignore[method-assign]  # Quix makes the consumer
    consumer.poll_row = poll_row_or_batch  # type: ignore[assignment, method-assign]  # the same


def row(first: TopicPartition, behind: int, why: str) -> Row:
    """Return what stands for the batch from one offset to before another."""
    reason = f"the records {first.offset} to {behind - 1} cannot be decompressed: {why}"
    context = MessageContext(first.topic, first.partition, behind - 1, 0)
    return Row(UnreadableBatch(reason.encode()), None, wall_clock_ms(), context, [])
