"""The counts of a window: which are repeats, and whether they rise."""

import pytest

from sensorbus import count_sequence


@pytest.mark.parametrize(
    ("told", "news"),
    [
        ([], []),
        ([1, 2, 3], [1, 2, 3]),
        ([1, 2, 2, 3], [1, 2, 3]),
        ([1, 2, 1, 2, 3], [1, 2, 3]),
        ([4, 5, 2, 3, 4, 5, 6], [4, 5, 6]),
        ([1, 4, 3, 5], [1, 4, 3, 5]),
    ],
)
def test_what_was_told_before_is_no_news(told: list[int], news: list[int]) -> None:
    """Also what was told before the first that is read."""
    assert count_sequence.without_repeats(told) == news


@pytest.mark.parametrize(
    ("told", "begin_by", "rises"),
    [
        ([], 1, True),
        ([1, 2, 3], 1, True),
        ([1, 2, 1, 2, 3], 1, True),
        ([1, 3], 1, False),
        ([1, 4, 3, 5], 1, False),
        ([2, 3], 1, False),
        ([2, 1], 1, False),
        ([0, 1], 1, False),
        ([0], None, False),
        ([3, 4, 2, 3, 4, 5], 3, True),
        ([2, 3, 4], 3, True),
        ([4, 5], 3, False),
        ([4, 5], None, True),
        ([4, 6], None, False),
    ],
)
def test_counts_rise_by_one(told: list[int], begin_by: int | None, *, rises: bool) -> None:
    """From the first of an alert that counts, or from any where retention may have taken the others."""
    assert count_sequence.is_gapless(told, begin_by) == rises


@pytest.mark.parametrize(
    ("due", "told", "leads"),
    [
        (0, [], True),
        (0, [1], True),
        (2, [], False),
        (2, [1], False),
        (2, [1, 2], True),
        (2, [1, 2, 3], True),
        (2, [1, 2, 1], False),
        (2, [1, 2, 1, 2], True),
        (2, [1, 3], False),
    ],
)
def test_the_last_count_is_what_readers_keep(due: int, told: list[int], *, leads: bool) -> None:
    """The one that is due was told, and nothing lower behind it."""
    assert count_sequence.reaches(due, told) == leads
