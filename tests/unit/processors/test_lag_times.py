"""For how long records stand unread, and that no partition hides another."""

import pytest

from processors.lag_times import LagTimes

ONE, TWO = ("sensor", "0"), ("sensor", "1")


class Clock:
    """Time as a test sets it."""

    now_ms = 100_000

    def __call__(self) -> int:
        """Return it."""
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    """Give a clock at 100 s."""
    return Clock()


def test_who_is_far_behind_is_not_hidden_by_who_is_current(clock: Clock) -> None:
    """Whichever of them was read last."""
    times = LagTimes(clock)
    times.read(TWO, 10_000)
    times.read(ONE, 99_900)
    assert times.worst_s({ONE: 3, TWO: 3}) == 90
    assert times.worst_s({ONE: 3, TWO: 0}) == 0.1
    assert times.worst_s({ONE: 0, TWO: 0}) == 0
    assert times.worst_s({}) == 0


def test_what_comes_after_a_while_is_not_as_old_as_what_came_before(clock: Clock) -> None:
    """A device that sends once in a minute: its record is unread for a second, not for a minute."""
    times = LagTimes(clock)
    times.read(ONE, 100_000)
    for clock.now_ms in (130_000, 160_000):
        assert times.worst_s({ONE: 0}) == 0
    clock.now_ms += 1_000
    assert times.worst_s({ONE: 1}) == 1


def test_where_nothing_was_read_yet_time_counts_from_the_assignment(clock: Clock) -> None:
    """As long as an open transaction hides all of it, or its end is not known."""
    times = LagTimes(clock)
    assert times.worst_s({ONE: -1}) == 0
    clock.now_ms += 5_000
    assert times.worst_s({ONE: 7}) == 5
    times.read(ONE, 1_000)
    assert times.worst_s({ONE: 7}) == 104


def test_a_partition_that_is_lost_is_forgotten(clock: Clock) -> None:
    """It comes back with what is true then."""
    times = LagTimes(clock)
    times.read(ONE, 1_000)
    assert times.worst_s({ONE: 7}) == 99
    assert times.worst_s({}) == 0
    assert times.worst_s({ONE: 7}) == 0
