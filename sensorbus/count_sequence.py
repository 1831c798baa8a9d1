"""The counts of one window, in the order in which they stand in their partition.

Every alert of a window tells its count once more, and one key has one partition: the counts come as 1, 2, 3, ...
At least once, a job that was killed tells again what it had told: each count comes for the first time right behind the
one below it, and what else comes is a repeat. What is read may begin in the middle: a count below the first that is
read there was told before, and is a repeat too.
"""

from collections.abc import Sequence


def without_repeats(told: Sequence[int]) -> list[int]:
    """Return the counts that are no repeats, in their order."""
    return [number for number in dict.fromkeys(told) if number >= told[0]]


def is_gapless(told: Sequence[int], begin_by: int | None) -> bool:
    """Tell whether the counts that are no repeats rise by one, from `begin_by` at the latest (None: from any count)."""
    fresh = without_repeats(told)
    if not fresh:
        return True
    is_whole = fresh[0] >= 1 and (begin_by is None or fresh[0] <= begin_by)
    return is_whole and fresh == list(range(fresh[0], fresh[0] + len(fresh)))


def reaches(due: int, told: Sequence[int]) -> bool:
    """Tell whether a reader of these counts came to know the one due.

    Readers keep the last one: after repeats of earlier counts it must come again.
    """
    return due in (0, *told) and (told[-1] if told else 0) >= due
