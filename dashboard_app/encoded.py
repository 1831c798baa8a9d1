"""The newest rows of a ring as JSON, and how many bytes those take.

Not locked: the store does that. Row `n` stands at `n` modulo the number of places.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

#: What a row's JSON takes beside its characters: Python's head of a `bytes`, our pointer to it, our note of its size.
HEAD_BYTES: Final = sys.getsizeof(b"") + 8 + 4


def encode(row: Sequence[str | float]) -> bytes:
    """Return a row as JSON in UTF-8."""
    return b"%b" % orjson.dumps(row)  # a copy: orjson's own result keeps a kibibyte, ten times as slow to make anew


def sizes_of(fragments: Sequence[bytes]) -> NDArray[np.int32]:
    """Return what each of these rows takes."""
    return np.fromiter(map(len, fragments), np.int32, len(fragments)) + np.int32(HEAD_BYTES)


class Encoded:
    """So many of the newest rows as JSON; `bytes` is what they take."""

    def __init__(self, places: int) -> None:
        """Hold nothing."""
        self._rows = np.empty(places, object)
        self._sizes = np.zeros(places, np.int32)  # 0: nothing stands there
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many places there are."""
        return len(self._rows)

    def put(self, rows: NDArray[np.int64], fragments: Sequence[bytes], sizes: NDArray[np.int32]) -> None:
        """Put rows in, not more than there are places, where older ones stood."""
        places = rows % len(self)
        self.bytes += int(sizes.sum()) - int(self._sizes[places].sum())
        self._rows[places], self._sizes[places] = fragments, sizes

    def of(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Return these rows."""
        found: list[bytes] = self._rows[rows % len(self)].tolist() if len(rows) else []
        return found

    def sizes(self, first: int, end: int) -> NDArray[np.int32]:
        """Return what each of the rows `[first, end)` takes."""
        return cut(self._sizes, first, end)

    def release(self, first: int, until: int) -> None:
        """Let go of the rows `[first, until)`."""
        places = np.arange(first, until) % len(self)
        self.bytes -= int(self._sizes[places].sum())
        self._rows[places], self._sizes[places] = None, 0

    def moved(self, first: int, end: int, places: int) -> "Encoded":
        """Return the newest of the rows `[first, end)`, with so many places."""
        first = max(first, end - min(len(self), places))
        made, sizes = Encoded(places), cut(self._sizes, first, end)
        made._rows, made.bytes = placed(cut(self._rows, first, end), first, places), int(sizes.sum())
        made._sizes[np.arange(first, end) % places] = sizes
        return made


def cut(column: NDArray[Any], first: int, end: int) -> NDArray[Any]:
    """Return the rows `[first, end)` of a column in which they go around."""
    start = first % len(column)
    stop = start + end - first
    if stop <= len(column):
        return column[start:stop]
    return np.concatenate((column[start:], column[: stop - len(column)]))


def placed(values: NDArray[Any], first: int, size: int) -> NDArray[Any]:
    """Return a column of that size in which these values, rows from `first` on, have their places."""
    column = np.empty(size, values.dtype)
    start = first % size
    until_end = size - start
    column[start : start + len(values)] = values[:until_end]
    column[: max(0, len(values) - until_end)] = values[until_end:]
    return column
