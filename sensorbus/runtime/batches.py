"""Where a batch ends that cannot be decompressed: a reader goes on behind it.

librdkafka gives up a batch of zstd that is larger than 100 MB (`receive.message.max.bytes`): it says so once a second
and reads no further in that partition. 4 kB on the wire are enough for that.
"""

import contextlib
import time
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka

_POLL_S: Final = 0.2
_ANSWERED_WITHIN_S: Final = 30.0


def is_unreadable(error: KafkaError | None) -> bool:
    """Tell whether a consumer's error is of a batch that cannot be decompressed; its message names the first offset."""
    return error is not None and error.code() == KafkaError._BAD_COMPRESSION  # noqa: SLF001  # its public name


def go_on_behind(settings: Settings, consumer: Consumer, message: Message) -> int:
    """Have a consumer go on behind the batch that its message names; return the offset there. Raises as `end`."""
    first = TopicPartition(message.topic() or "", message.partition() or 0, message.offset() or 0)
    behind = end(settings, first)
    consumer.seek(TopicPartition(first.topic, first.partition, behind))
    return behind


def end(settings: Settings, first: TopicPartition) -> int:
    """Return the offset after the batch that begins there; raises `BrokerUnavailableError`.

    No client tells it, but who reads from within the batch is told of its first offset: the distance is doubled, then
    halved.
    """
    options = {"enable.partition.eof": True, "auto.offset.reset": "latest"}
    with contextlib.closing(kafka.consumer(settings, "batches", **options)) as consumer:
        inside: int = first.offset
        behind = inside + 1
        while _is_inside(settings, consumer, first, behind):
            inside, behind = behind, 2 * behind - first.offset + 1
        while behind - inside > 1:
            middle = (inside + behind) // 2
            if _is_inside(settings, consumer, first, middle):
                inside = middle
            else:
                behind = middle
        return behind


def _is_inside(settings: Settings, consumer: Consumer, first: TopicPartition, offset: int) -> bool:
    consumer.assign([TopicPartition(first.topic, first.partition, offset)])
    deadline_s = time.monotonic() + _ANSWERED_WITHIN_S
    while time.monotonic() < deadline_s:
        message = consumer.poll(_POLL_S)
        if message is None:
            continue
        error = message.error()
        if is_unreadable(error):
            return bool(message.offset() == first.offset)
        if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
            return False
    kafka.cluster_metadata(settings, consumer)  # raises where nobody answers
    return False  # of what stands there nothing is said; an end that is too early is told as a batch again
