"""Rows of records: bytes as they came, and when Kafka appended them.

As Quix makes them of bytes, without its two serializers, their contexts and a second look at the kind of timestamp.
Quix asks for the headers of every record besides, so that one name that is not UTF-8 ended a job at every start.
"""

from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message
from quixstreams.models import MessageContext, Row

from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms


def of(message: Message) -> Row:
    """Return the row of a record; one whose headers cannot be read has none of them."""
    headers: Any = list(kafka.headers(message))  # first: one that failed must not be asked again
    context = MessageContext(
        message.topic(), message.partition(), message.offset(), len(message), message.leader_epoch()
    )
    return Row(message.value(), message.key(), append_time_ms(*message.timestamp()), context, headers)


def append_time_ms(kind: int, timestamp_ms: int) -> int:
    """Return the time at which Kafka appended a record, by its kind of timestamp.

    On a topic of CreateTime (the embedded broker's, a foreign one) the producer says it, or -1: nothing in the future
    is believed, so a device's clock cannot vouch for itself.
    """
    if kind == TIMESTAMP_LOG_APPEND_TIME:
        return timestamp_ms
    now_ms = wall_clock_ms()
    return timestamp_ms if 0 < timestamp_ms < now_ms else now_ms
