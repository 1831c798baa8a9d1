"""Tests of a device's state.

The same values stand in the same places as by Quix's own way to them.
"""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from quixstreams.state.rocksdb import RocksDBStorePartition

from processors import device_state
from tests.support.job_parts import at

VALUE = [1, 1_000, None, [1.5], {"pane": ["identity", "grün"]}]


class Checkpoints:
    """A dataframe with one partition of a store, whose checkpoints are ended by hand."""

    stream_id = "sensor"

    def __init__(self, folder: Path) -> None:
        """Open the partition."""
        self.partition: Any = RocksDBStorePartition(str(folder))
        self.transaction = self.partition.begin()
        self.is_registered = False
        self.processing_context = SimpleNamespace(checkpoint=self)

    def register_store(self) -> None:
        """Note it."""
        self.is_registered = True

    def get_store_transaction(self, stream_id: str, partition: int) -> Any:
        """Return the transaction of the checkpoint."""
        assert (stream_id, partition) == ("sensor", 3)
        return self.transaction

    def commit(self) -> None:
        """Write what was set, and begin anew."""
        self.transaction.prepare()
        self.transaction.flush()
        self.transaction = self.partition.begin()


@pytest.fixture
def frame(tmp_path: Path) -> Iterator[Any]:
    """Give the dataframe; `Any`, because it is not Quix's."""
    frame = Checkpoints(tmp_path / "state")
    yield frame
    frame.partition.close()


def state_of(frame: Any, key: bytes | None) -> device_state.State:
    """Return the state under a key of partition 3."""
    of_key = device_state.of(frame)
    return at("sensor", 3, 0, lambda: of_key(key))


@pytest.mark.parametrize("is_committed", [True, False])
def test_what_was_set_is_what_one_gets(is_committed: bool, frame: Any) -> None:
    """Before the checkpoint has ended and after it; by name, and None where there is nothing."""
    state_of(frame, b"oven").set("mean", VALUE)
    if is_committed:
        frame.commit()
    assert state_of(frame, b"oven").get("mean") == VALUE
    assert state_of(frame, b"oven").get("count") is None
    assert state_of(frame, b"ove").get("mean") is None
    assert frame.is_registered


def test_the_last_value_counts(frame: Any) -> None:
    """A change of this checkpoint hides what is committed."""
    state_of(frame, b"oven").set("mean", 1)
    frame.commit()
    state_of(frame, b"oven").set("mean", 2)
    state_of(frame, b"freezer").set("mean", 3)
    assert [state_of(frame, key).get("mean") for key in (b"oven", b"freezer")] == [2, 3]


@pytest.mark.parametrize("is_committed", [True, False])
def test_quix_finds_what_was_set_here(is_committed: bool, frame: Any) -> None:
    """A state goes back to an earlier version."""
    state_of(frame, b"oven").set("mean", VALUE)
    if is_committed:
        frame.commit()
    assert frame.transaction.as_state(prefix=b"oven").get("mean") == VALUE


@pytest.mark.parametrize("is_committed", [True, False])
def test_what_quix_has_set_is_found_here(is_committed: bool, frame: Any) -> None:
    """A state of an earlier version is read on."""
    frame.transaction.as_state(prefix=b"oven").set("mean", VALUE)
    if is_committed:
        frame.commit()
    assert state_of(frame, b"oven").get("mean") == VALUE


def test_a_record_without_a_key_has_a_state_too(frame: Any) -> None:
    """It is refused later, by the step, and must not fail before."""
    assert state_of(frame, None).get("mean") is None
