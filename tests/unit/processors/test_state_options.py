"""What RocksDB holds of a state that is not written yet."""

from pathlib import Path
from typing import Final

import pytest
from rocksdict import Rdict

from processors import state_options

_SIZE: Final = 2**20
_OPTIONS: Final = state_options.of(_SIZE, _SIZE).to_options()


@pytest.fixture
def store(tmp_path: Path) -> Rdict:
    """Return a store with a memory of 1 MB for what is not written."""
    return Rdict(str(tmp_path / "state"), _OPTIONS)


def _unwritten(store: Rdict) -> int:
    return int(store.property_int_value("rocksdb.cur-size-active-mem-table") or 0)


def test_what_is_not_written_stands_in_one_piece(store: Rdict) -> None:
    """Taken when the first 2 kB are full; the system gives pages of it as they are used."""
    assert _unwritten(store) < 10_000
    store[b"k"] = bytes(4_000)
    assert _SIZE <= _unwritten(store) < 2 * _SIZE


def test_it_is_written_before_a_second_piece_is_needed(store: Rdict) -> None:
    """So its bound is one, whatever comes."""
    for number in range(40_000):
        store[b"%d" % number] = bytes(100)
        assert _unwritten(store) < 2 * _SIZE
    written = sum(file["num_entries"] for file in store.live_files())  # however many files they were merged into
    assert written > 20_000
    assert store[b"0"] == store[b"39999"] == bytes(100)


def test_the_offsets_beside_it_are_written_too(store: Rdict) -> None:
    """They are few, and would hold every log since they came."""
    offsets = store.create_column_family("__metadata__", options=_OPTIONS)
    for number in range(80_000):
        store[b"%d" % number] = bytes(100)
        if number % 100 == 0:
            offsets[b"offset"] = b"%d" % number
    logs = [file.stat().st_size for file in Path(store.path()).glob("*.log")]
    assert sum(logs) < 6 * _SIZE
    assert b"offset" in [file["start_key"] for file in store.live_files()]
