"""How far the jobs are: which of their input is committed."""

import pytest

from sensorbus.progress import Offsets, Progress


@pytest.mark.parametrize(
    ("offsets", "partition", "offset", "has_read"),
    [
        (None, 0, 9, True),
        ({0: 5}, 0, 4, True),
        ({0: 5}, 0, 5, False),
        ({0: 5}, 1, 0, False),
    ],
    ids=["no job ever committed", "before", "the next one", "a partition without a commit"],
)
def test_a_record_is_read_below_the_committed_offset(
    offsets: Offsets | None, partition: int, offset: int, *, has_read: bool
) -> None:
    """Committed is the offset of the next record; without any commit at all nothing is excused."""
    assert Progress.has_read(offsets, partition, offset) == has_read
