"""What a step hands on: records for any topic, written as they are.

`write` is the end of every job's chain. It gives the records to the application's own producer: as with Quix's
`to_topic`, they belong to the checkpoint or transaction of the reading that led to them, but without a row, two
serializers and a merge of headers for each (docs/streams.md has what that costs).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from quixstreams.dataframe import StreamingDataFrame

#: Kafka's record headers: names may repeat.
Headers = Sequence[tuple[str, bytes | None]]
NO_HEADERS: Final[Headers] = ()


class Output(NamedTuple):
    """One record to be written: `key` and `value` are the bytes on the wire (None is Kafka's null)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = NO_HEADERS


#: What a job does with a record: value, key, append time in ms, headers and, if the dataframe has one, the state.
Step = Callable[..., Sequence[Output]]


def write(sdf: StreamingDataFrame, step: Step, count: Callable[[str], None], *, stateful: bool) -> None:
    """Put a step on a dataframe and write what it returns; `count` is called with each record's topic."""
    produce = sdf.processing_context.producer.produce

    def run(
        value: bytes | None, key: bytes | None, append_time_ms: int, headers: Headers | None, state: Any = None
    ) -> None:
        for output in step(value, key, append_time_ms, headers, state):
            topic, out_key, out_value, out_headers = output
            # Sequences become the list that the client wants; a topic of CreateTime keeps the reading's append time.
            produce(
                topic,
                out_value,
                out_key,
                list(out_headers) if out_headers else None,  # type: ignore[arg-type]  # Quix knows no null header values
                timestamp=append_time_ms,
            )
            count(topic)

    sdf.update(run, metadata=True, stateful=stateful)  # type: ignore[call-overload]  # its overloads want a literal
