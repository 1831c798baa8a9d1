"""How RocksDB takes memory for a job's state."""

from typing import Any, Final

from quixstreams.state.rocksdb import RocksDBOptions

_LOGS: Final = 2


def of(unwritten_bytes: int, cache_bytes: int) -> "StateOptions":
    """Return options by how much a partition's values hold unwritten, and the process caches.

    Beside the values stand offsets, 0.1 kB with each commit: by themselves they are written when as many bytes have
    come, after hours, and every log since then is kept on disk. A bound on the logs has them written with every few
    of them.
    """
    return StateOptions(
        write_buffer_size=unwritten_bytes, max_total_wal_size=_LOGS * unwritten_bytes, block_cache_size=cache_bytes
    )


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
