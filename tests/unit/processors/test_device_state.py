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
from processors.windows import State
from sensorbus.contract.errors import StateError
from tests.support.job_parts import at

VALUE = [1, 1_000, None, [1.5], {"pane": ["identity", "grün"]}]


class Checkpoints:
    """A dataframe with two partitions of a store, whose checkpoints are ended by hand."""

    stream_id = "sensor"

    def __init__(self, folder: Path) -> None:
        """Open the partitions, 3 and 4."""
        self.partitions: dict[int, Any] = {
            number: RocksDBStorePartition(str(folder / str(number))) for number in (3, 4)
        }
        self.is_registered = False
        self.processing_context = SimpleNamespace()  # one for the life of a job
        self.begin()

    def register_store(self) -> None:
        """Note it."""
        self.is_registered = True

    def begin(self) -> None:
        """Begin a checkpoint."""
        transactions = self.transactions = {number: each.begin() for number, each in self.partitions.items()}
        checkpoint = SimpleNamespace(get_store_transaction=lambda _stream_id, number: transactions[number])
        self.processing_context.checkpoint = checkpoint

    def commit(self) -> None:
        """Write what was set, and begin anew."""
        for transaction in self.transactions.values():
            transaction.prepare()
            transaction.flush()
        self.begin()


class Reader:
    """The states of one chain, which lives as long as the job."""

    def __init__(self, frame: Any) -> None:
        """Put the chain on a dataframe."""
        self._of_key = device_state.of(frame)

    def __call__(self, key: bytes | None, partition: int = 3) -> State:
        """Return the state under a key for a record of that partition."""
        return at("sensor", partition, 0, lambda: self._of_key(key))


@pytest.fixture
def frame(tmp_path: Path) -> Iterator[Any]:
    """Give the dataframe; `Any`, because it is not Quix's."""
    frame = Checkpoints(tmp_path)
    yield frame
    for partition in frame.partitions.values():
        partition.close()


@pytest.fixture
def state_of(frame: Any) -> Reader:
    """Give the states of a chain on it."""
    return Reader(frame)


@pytest.mark.parametrize("is_committed", [True, False])
def test_what_was_set_is_what_one_gets(is_committed: bool, frame: Any, state_of: Reader) -> None:
    """Before the checkpoint has ended and after it; by name, and None where there is nothing."""
    state_of(b"oven").set("mean", VALUE)
    if is_committed:
        frame.commit()
    assert state_of(b"oven").get("mean") == VALUE
    assert state_of(b"oven").get("count") is None
    assert state_of(b"ove").get("mean") is None
    assert state_of(b"oven", partition=4).get("mean") is None
    assert frame.is_registered


def test_each_checkpoint_keeps_what_was_set_in_it(frame: Any, state_of: Reader) -> None:
    """A change of this one hides what is committed; of each partition by itself."""
    state_of(b"oven").set("mean", 1)
    frame.commit()
    state_of(b"oven").set("mean", 2)
    state_of(b"freezer").set("mean", 3)
    state_of(b"oven", partition=4).set("mean", 4)
    for _ in range(2):
        places = [(b"oven", 3), (b"freezer", 3), (b"oven", 4)]
        for reader in (state_of, Reader(frame)):
            assert [reader(*place).get("mean") for place in places] == [2, 3, 4]
        frame.commit()


@pytest.mark.parametrize("is_committed", [True, False])
def test_quix_finds_what_was_set_here(is_committed: bool, frame: Any, state_of: Reader) -> None:
    """A state goes back to an earlier version."""
    state_of(b"oven|1").set("mean", VALUE)
    if is_committed:
        frame.commit()
    assert frame.transactions[3].as_state(prefix=b"oven|1").get("mean") == VALUE


@pytest.mark.parametrize("is_committed", [True, False])
def test_what_quix_has_set_is_found_here(is_committed: bool, frame: Any, state_of: Reader) -> None:
    """A state of an earlier version is read on."""
    frame.transactions[3].as_state(prefix=b"oven|1").set("mean", VALUE)
    if is_committed:
        frame.commit()
    assert state_of(b"oven|1").get("mean") == VALUE


def test_a_damaged_state_is_named(frame: Any, state_of: Reader) -> None:
    """With its place and the way out."""
    frame.transactions[3].as_state(prefix=b"oven").set_bytes("mean", b"\xff")
    with pytest.raises(StateError, match=r"oven\|\"mean\".*compute all anew"):
        state_of(b"oven").get("mean")


def stores(frame: Any) -> list[Any]:
    """Return the store of both partitions, as Quix's manager of states names them."""
    return [SimpleNamespace(partitions={}), SimpleNamespace(partitions=frame.partitions)]


@pytest.mark.parametrize("partition", [3, 4])
@pytest.mark.parametrize(
    ("unreadable", "words"),
    [(b"[99,1]", "version 99, not 2: go back"), (b"[20,1]", "version 20, not 2"), (b"\xff", r"y\|\"mean\".*no JSON")],
)
def test_one_state_that_cannot_be_read_is_found_among_all(
    frame: Any, state_of: Reader, partition: int, unreadable: bytes, words: str
) -> None:
    """In whichever partition it stands, and behind whatever number of others."""
    for key in (b"x", b"y", b"z"):
        for number in (3, 4):
            state_of(key, number).set("mean", [1 + (key == b"x"), 1_000])
    frame.commit()
    device_state.check_all(stores(frame))
    frame.transactions[partition].as_state(prefix=b"y").set_bytes("mean", unreadable)
    frame.commit()
    with pytest.raises(StateError, match=words):
        device_state.check_all(stores(frame))


def test_a_record_without_a_key_gets_a_state(state_of: Reader) -> None:
    """The step refuses it, or sends it again, and must be reached."""
    assert state_of(None).get("mean") is None
