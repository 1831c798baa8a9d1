"""A device's state, read and written without the layers above it.

The same values under the same keys in the same transaction of Quix's as by its own `State`, which makes a new object
for each record, looks for expiry times that no job sets, and builds a type for each read from RocksDB: of the 8.7 µs of
a read, 0.9 are RocksDB's and 1.0 JSON's (docs/benchmarks.md).
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson
from quixstreams import message_context
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.state.base import Store
from quixstreams.state.metadata import SEPARATOR

from processors.windows import READABLE, State, check_state
from sensorbus.contract.errors import StateError


def of(sdf: StreamingDataFrame) -> Callable[[bytes | None], State]:
    """Give the dataframe a store and return what gives the state under a key, for the record that is being processed.

    The state is that record's alone: with the next one, Quix may have begun another checkpoint. A record without a key
    has no device to keep anything of.
    """
    sdf.register_store()
    context, stream_id = sdf.processing_context, sdf.stream_id

    def of_key(key: bytes | None) -> State:
        transaction = context.checkpoint.get_store_transaction(stream_id, message_context().partition)
        return _DeviceState(transaction, key or b"")

    return of_key


def check_all(stores: Iterable[Store]) -> None:
    """Look at every state in the partitions that are assigned; raises `StateError` for one that cannot be read.

    Before any reading: else devices whose state can be read, or that are new, are written and committed until the
    other one sends, and after that no version can read them all. No marker can say it in their place: a state folder
    that was lost comes back from the changelog, device by device, each as the last writer left it.
    """
    for store in stores:
        for partition in store.partitions.values():
            held: Any = partition  # that of RocksDB, which Quix does not say
            for place, value in held.get_or_create_column_family("default").items():
                if not value.startswith(READABLE):
                    check_state(_parsed(place, value))


class _DeviceState:
    """The values under one key in Quix's transaction of a partition."""

    __slots__ = ("_key", "_transaction")

    def __init__(self, transaction: Any, key: bytes) -> None:
        self._transaction = transaction
        self._key = key

    def get(self, name: str) -> Any:
        place = self._place(name)
        # Quix has no other names for what the transaction has changed and what its partition holds.
        changed = self._transaction._update_cache.get_updates().get(self._key)  # noqa: SLF001  # the same
        value = changed.get(place) if changed else None
        if value is None:
            value = self._transaction._partition.get_or_create_column_family("default").get(place)  # noqa: SLF001  # the same
        return None if value is None else _parsed(place, value)

    def set(self, name: str, value: Any) -> None:
        self._transaction._update_cache.set(self._place(name), orjson.dumps(value), self._key)  # noqa: SLF001  # the same

    def _place(self, name: str) -> bytes:
        return self._key + SEPARATOR + orjson.dumps(name)


def _parsed(place: bytes, value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise StateError(f"the state at {place!r} is no JSON: compute all anew (docs/operations.md)") from None
