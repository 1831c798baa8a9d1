"""Where to look in a ring for a cursor or a time.

What had been read before a row is kept for some rows. Not locked: the store does that.
"""

import bisect
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# A mark says what had been read before a row: one per so many rows, or per second when fewer come.
ROWS_PER_MARK: Final = 4_096
_INTERVAL_MS: Final = 1_000
_TRIED: Final = 3


class Mark(NamedTuple):
    """Before `row`: the offset that follows what was read, by partition, and the newest append time."""

    row: int
    read: NDArray[np.int64]
    append_ms: int


class Marks:
    """The marks of a ring, oldest first: each part of them only grows, so they can be searched."""

    def __init__(self) -> None:
        """Have no mark."""
        self._marks: list[Mark] = []

    def add(self, mark: Mark, end: int, append_ms: int) -> None:
        """Add a mark of the row that comes next, unless the last one is near enough to the rows before `end`."""
        if self._marks:
            last = self._marks[-1]
            if end - last.row <= ROWS_PER_MARK and append_ms - last.append_ms < _INTERVAL_MS:
                return
        self._marks.append(mark)

    def drop_before(self, row: int) -> None:
        """Drop the marks that no row from this one on needs."""
        done = bisect.bisect_right(self._marks, row, key=lambda mark: mark.row) - 1
        if done > 0:
            del self._marks[:done]

    def row_at(self, append_ms: int) -> int | None:
        """Return a row before which all are older than that time; None when no mark knows one."""
        index = bisect.bisect_left(self._marks, append_ms, key=lambda mark: mark.append_ms)
        return self._marks[index - 1].row if index else None

    def row_after(self, row: int) -> int | None:
        """Return the first marked row after this one."""
        return next((mark.row for mark in self._marks if mark.row > row), None)

    def row_before(self, wanted: NDArray[np.int64]) -> int | None:
        """Return a row before which none is at or after these offsets by partition; None when no mark knows one."""

        def is_past(mark: Mark) -> bool:
            return bool((mark.read > wanted[: len(mark.read)]).any())

        index = len(self._marks)
        for _ in range(_TRIED):  # a browser that keeps up is a mark or two behind
            if not index or not is_past(self._marks[index - 1]):
                break
            index -= 1
        else:
            index = bisect.bisect_left(self._marks, True, hi=index, key=is_past)
        return self._marks[index - 1].row if index else None
