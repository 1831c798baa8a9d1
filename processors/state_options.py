"""How RocksDB takes memory for a job's state."""

from typing import Any

from quixstreams.state.rocksdb import RocksDBOptions


class StateOptions(RocksDBOptions):
    """What is not written yet stands in one piece of memory, of which the system gives the pages that are used.

    By itself RocksDB takes it in eighths, of 1 MB and less, for which glibc finds holes in its heaps: what is
    allocated behind one stays there when it is given back, and the next ones want new room.
    """

    def to_options(self) -> Any:
        """Return rocksdict's options."""
        options = super().to_options()
        options.set_arena_block_size(self.write_buffer_size)
        return options
