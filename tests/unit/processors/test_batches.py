"""A batch that cannot be decompressed is one row; what is behind it is read."""

from typing import Any
from unittest.mock import Mock, call

from confluent_kafka import KafkaError, TopicPartition
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import Row

from processors.batches import UnreadableBatch, pass_over


def _told(offset: int = 40) -> Mock:
    error = KafkaError(KafkaError._BAD_COMPRESSION, "it failed")
    parts = {"error": error, "topic": "sensor", "partition": 2, "offset": offset}
    return Mock(**{f"{name}.return_value": part for name, part in parts.items()})


def _consumer(*polled: Mock | None) -> Mock:
    """Return a consumer that is told this, and whose rows are what it polled."""
    consumer = Mock(spec=InternalConsumer, **{"poll.side_effect": polled})
    consumer.poll_row.side_effect = lambda **_: consumer.poll(timeout=0.1)
    pass_over(consumer, lambda first: int(first.offset) + 3)
    return consumer


def test_the_second_time_that_it_is_told_a_row_stands_for_it() -> None:
    """At its last offset; the consumer goes on behind it. The first time, what was read before is committed."""
    consumer = _consumer(_told(), None, _told())
    assert [consumer.poll_row(), consumer.poll_row()] == [None, None]
    assert consumer.seek.call_args_list == []
    row: Any = consumer.poll_row()
    assert isinstance(row, Row)
    assert (row.topic, row.partition, row.offset, row.key, row.headers) == ("sensor", 2, 42, None, [])
    assert isinstance(row.value, UnreadableBatch)
    error = row.value.error()
    assert (error.kind, str(error)) == ("compression", "the records 40 to 42 cannot be decompressed: it failed")
    assert consumer.seek.call_args_list == [call(TopicPartition("sensor", 2, 43))]
    assert consumer.seek.call_args.args[0].offset == 43


def test_another_batch_is_another_first_time() -> None:
    """Each waits for a commit of its own; one that is read anew after a rewind does too."""
    consumer = _consumer(_told(40), _told(50), _told(50), _told(40), _told(40), _told(40))
    assert [isinstance(consumer.poll_row(), Row) for _ in range(6)] == [False, False, True, True, False, True]


def test_other_messages_pass() -> None:
    """As the client gave them."""
    message = Mock(**{"error.return_value": None})
    consumer = _consumer(message, None)
    assert [consumer.poll_row(), consumer.poll_row()] == [message, None]
