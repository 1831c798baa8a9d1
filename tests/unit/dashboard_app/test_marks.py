"""Marks against the rows that they are of: what they leave out is never wanted."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.marks import ROWS_PER_MARK, Mark, Marks

#: Batches of rows on two partitions: how many each gets, and how much later they come.
BATCHES = st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 1_500)), max_size=30)


def _marked(batches: list[tuple[int, int, int]]) -> tuple[Marks, list[Mark]]:
    """Return marks after these batches, and what had been read before each batch."""
    marks, before = Marks(), []
    read, row, append_ms = np.zeros(2, np.int64), 0, 0
    for first, second, later_ms in batches:
        before.append(Mark(row, read.copy(), append_ms))
        row, append_ms = row + first + second, append_ms + later_ms
        marks.add(before[-1], row, append_ms)
        read += (first, second)
    return marks, before


@given(batches=BATCHES, wanted=st.tuples(st.integers(0, 50_000), st.integers(0, 50_000)))
def test_no_row_before_the_marked_one_is_at_or_after_a_cursor(
    batches: list[tuple[int, int, int]], wanted: tuple[int, int]
) -> None:
    """All that had been read there is before the cursor."""
    marks, before = _marked(batches)
    cursor = np.array(wanted, np.int64)
    found = marks.row_before(cursor)
    if found is not None:
        assert any(mark.row == found and (mark.read <= cursor).all() for mark in before)


@given(batches=BATCHES, append_ms=st.integers(0, 50_000))
def test_no_row_before_the_marked_one_is_as_new_as_a_time(batches: list[tuple[int, int, int]], append_ms: int) -> None:
    """And the next mark after a row is after it."""
    marks, before = _marked(batches)
    found = marks.row_at(append_ms)
    if found is not None:
        assert any(mark.row == found and mark.append_ms < append_ms for mark in before)
        following = marks.row_after(found)
        assert following is None or following > found


def test_marks_are_near_enough_and_not_too_many() -> None:
    """One per so many rows or per second; those that are not needed any more go."""
    marks, _ = _marked([(100, 0, 10)] * 1_000)
    kept = marks._marks
    assert len(kept) <= 2 * (1_000 * 100 / ROWS_PER_MARK + 10)
    assert all(later.row - mark.row <= ROWS_PER_MARK for mark, later in itertools.pairwise(kept))
    marks.drop_before(50_000)
    assert kept[0].row <= 50_000 < kept[1].row
