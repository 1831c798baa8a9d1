"""What a job hands on: records for any topic, and changes of its state.

`write` is the end of every job's chain. It gives the records to the application's own producer: as with Quix's
`to_topic`, they belong to the checkpoint or transaction of the reading that led to them, but without a row, two
serializers, a merge of headers and a note of its offset for each (docs/benchmarks.md has what that costs).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.internal_producer import InternalProducer

from processors import device_state

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
    produce = _produce(sdf.processing_context.producer)
    state_of = device_state.of(sdf) if stateful else None

    def run(value: bytes | None, key: bytes | None, append_time_ms: int, headers: Headers | None) -> None:
        state = state_of(key) if state_of else None
        for output in step(value, key, append_time_ms, headers, state):
            produce(output, append_time_ms)  # which a topic of CreateTime keeps
            count(output.topic)

    sdf.update(run, metadata=True)


def _produce(producer: InternalProducer) -> Callable[[Output, int], None]:
    """Return what hands a record to the client of Quix's producer; an error of its delivery is Quix's to raise.

    Quix notes the offset of each record that was delivered, which it needs of changelogs alone, and polls after each.
    """
    note = producer._on_delivery  # noqa: SLF001  # it has no other name
    client: Producer | None = None

    def note_error(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            note(error, message)

    def produce(output: Output, time_ms: int) -> None:
        nonlocal client
        if client is None:  # Quix makes it at its first use
            client = producer._producer._producer  # noqa: SLF001  # the same
        topic, key, value, headers = output
        pairs: Any = list(headers) or None  # the stubs know no null values
        try:
            client.produce(topic, value, key, -1, note_error, timestamp=time_ms, headers=pairs)
        except BufferError:  # Quix polls until there is room, or says that there is none
            producer.produce(topic, value, key, pairs, timestamp=time_ms)

    return produce


def hand_on_changes(producer: InternalProducer) -> None:
    """Have a producer hand changes of the state to the client in one call, and note their offsets in one.

    For each of them Quix builds its options anew, polls, and says that a broker is there, which no job asks.
    """
    note = producer._on_delivery  # noqa: SLF001  # it has no other name
    produce_anything = producer.produce

    def note_offset(error: KafkaError | None, message: Message) -> None:
        if error is None and producer._error is None:  # noqa: SLF001  # the same
            producer.offsets[message.topic(), message.partition()] = message.offset()
        else:
            note(error, message)

    def produce(  # noqa: PLR0913  # Quix's own
        topic: str,
        value: Any = None,
        key: Any = None,
        headers: Any = None,
        partition: int | None = None,
        *,
        on_delivery: Any = None,
        **more: Any,
    ) -> None:
        if partition is None or on_delivery or more:  # no change of the state
            produce_anything(topic, value, key, headers, partition, on_delivery=on_delivery, **more)
            return
        producer._raise_for_error()  # type: ignore[no-untyped-call]  # noqa: SLF001  # as Quix's own
        client: Producer = producer._producer._producer  # noqa: SLF001  # made at its first use
        try:
            client.produce(topic, value, key, partition, note_offset, headers=headers)
        except BufferError:  # Quix polls until there is room, or says that there is none
            produce_anything(topic, value, key, headers, partition)

    producer.produce = produce  # type: ignore[assignment, method-assign]  # Quix makes the producer
