"""What a job's step needs, without Kafka.

Topics, a meter, a state, a place in a topic.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import orjson
from quixstreams.context import copy_context, set_message_context
from quixstreams.internal_producer import InternalProducer
from quixstreams.models import MessageContext
from quixstreams.state.base.transaction import PartitionTransactionCache

from processors.bus import Bus
from processors.meter import Meter
from processors.outputs import Output
from sensorbus.contract.settings import Settings

Result = TypeVar("Result")


class JsonState:
    """A device's state without a store: what is set comes back through JSON."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.held: dict[str, bytes] = {}

    def get(self, name: str) -> Any:
        """Return the value, decoded anew."""
        return orjson.loads(self.held[name]) if name in self.held else None

    def set(self, name: str, value: Any) -> None:
        """Keep the value encoded."""
        self.held[name] = orjson.dumps(value)


class Frame:
    """A dataframe as far as `write` uses it; without a producer of Quix's it notes what the client is given."""

    def __init__(self, producer: InternalProducer | None = None) -> None:
        """Nothing is produced yet."""
        self.produced: list[tuple[Any, ...]] = []
        client = SimpleNamespace(_producer=SimpleNamespace(produce=self._produce))
        producer_of_quix = producer or SimpleNamespace(_producer=client, _on_delivery=None)
        partition = SimpleNamespace(get_or_create_column_family=lambda _: {})  # an empty one
        transaction = SimpleNamespace(_update_cache=PartitionTransactionCache(), _partition=partition)
        checkpoint = SimpleNamespace(get_store_transaction=lambda *_: transaction)
        self.processing_context = SimpleNamespace(producer=producer_of_quix, checkpoint=checkpoint)
        self.stream_id = "test"
        self.run: Callable[..., None] = lambda *_: None

    def _produce(self, topic: str, value: object, key: object, *_: object, **options: Any) -> None:
        self.produced.append((topic, value, key, options.get("headers"), options["timestamp"]))

    def register_store(self) -> None:
        """Hold state; nothing of it is committed."""

    def update(self, run: Callable[..., None], *, metadata: bool) -> None:
        """Take the step."""
        assert metadata
        self.run = run


class CountingMeter(Meter):
    """A meter whose numbers can be asked for by name."""

    def __init__(self) -> None:
        """Start from zero."""
        super().__init__("test", clock_ms=lambda: 0, partition_now=lambda: 0)
        self.seen: list[str] = []

    def dead_letter(self, kind: str) -> None:
        """Note it."""
        self.seen.append(f"dead-letter {kind}")

    def late(self) -> None:
        """Note it."""
        self.seen.append("late")

    def rekeyed(self) -> None:
        """Note it."""
        self.seen.append("rekeyed")


def bus_of(settings: Settings | None = None) -> Bus:
    """Return a bus that is on no broker."""
    return Bus(settings or Settings(), CountingMeter())


def seen(bus: Bus) -> list[str]:
    """Return what the bus's meter was told besides records and results."""
    assert isinstance(bus.meter, CountingMeter)
    return bus.meter.seen


def at(topic: str, partition: int, offset: int, action: Callable[[], Result]) -> Result:
    """Do something as if Quix were at that record."""
    context = copy_context()
    context.run(set_message_context, MessageContext(topic, partition, offset, 0))
    return context.run(action)


def plain(outputs: Sequence[Output]) -> list[tuple[str, bytes | None, Any]]:
    """Return topic, key and decoded value of each output."""
    return [(output.topic, output.key, orjson.loads(output.value or b"null")) for output in outputs]
