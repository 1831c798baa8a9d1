"""What a step hands on: records for any topic, written as they are.

A step returns a list of `Output`; `write` is the end of every job's chain. One `to_topic` serves all topics, so that
results and dead letters of a reading stand in one checkpoint or transaction, and no branch copies a value.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from quixstreams.dataframe import StreamingDataFrame
from quixstreams.models import Serializer
from quixstreams.models import Topic as QuixTopic

#: Kafka's record headers: names may repeat.
Headers = Sequence[tuple[str, bytes | None]]
NO_HEADERS: Final[Headers] = ()


class Output(NamedTuple):
    """One record to be written: `key` and `value` are the bytes on the wire (None is Kafka's null)."""

    topic: QuixTopic
    key: bytes | None
    value: bytes | None
    headers: Headers = NO_HEADERS


class Payload(Serializer):
    """Takes the bytes out of an `Output`."""

    def __call__(self, value: Output, ctx: object) -> bytes:  # noqa: ARG002  # Quix passes its context
        """Return the record's value."""
        return value.value  # type: ignore[return-value]  # a null value is one too, which Quix's type does not know


def write(sdf: StreamingDataFrame, count: Callable[[str], None]) -> None:
    """End a chain whose values are `Output`s; `count` is called with each one's topic name."""

    def headers_of(output: Output, _key: Any, _timestamp: int, _headers: Any) -> Headers:
        return output.headers

    def topic_of(output: Output, _key: Any, _timestamp: int, _headers: Any) -> QuixTopic:
        count(output.topic.name)
        return output.topic

    def key_of(output: Output) -> bytes | None:
        return output.key

    results = sdf.set_headers(headers_of)  # type: ignore[arg-type]  # Quix knows no null header values
    results.to_topic(topic_of, key=key_of)
