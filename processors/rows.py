"""Rows of records: bytes as they came, and when Kafka appended them.

As Quix makes them of bytes, without its two serializers, their contexts and a second look at the kind of timestamp.
Quix asks for the headers of every record besides, so that one name that is not UTF-8 ended a job at every start.
"""

from typing import Any

from confluent_kafka import Message
from quixstreams.models import MessageContext, Row

from sensorbus.runtime import kafka


def of(message: Message) -> Row:
    """Return the row of a record; one whose headers cannot be read has none of them."""
    headers: Any = list(kafka.headers(message))  # first: one that failed must not be asked again
    context = MessageContext(
        message.topic(), message.partition(), message.offset(), len(message), message.leader_epoch()
    )
    return Row(message.value(), message.key(), kafka.append_time_ms(*message.timestamp()), context, headers)
