"""The turns of the schedule, by clocks that the test moves."""

import pytest

from simulator.schedule import Schedule

NOW_MS = 1_767_268_800_000


class Clocks:
    """A wall clock and a CPU clock that stand until they are moved."""

    def __init__(self) -> None:
        """Start at NOW_MS, with no CPU used."""
        self.wall_ms = NOW_MS
        self.cpu_s = 0.0

    def schedule(self, start_ms: int = NOW_MS, end_ms: int | None = None) -> Schedule:
        """Return a schedule by these clocks."""
        return Schedule(start_ms, end_ms, lambda: self.wall_ms, lambda: self.cpu_s)


@pytest.fixture
def clocks() -> Clocks:
    """Give clocks of the test's own."""
    return Clocks()


def test_turns_follow_each_other_without_a_gap(clocks: Clocks) -> None:
    """Each turn begins where the last one ended, whatever the pauses were."""
    schedule = clocks.schedule()
    turns = []
    for pause_ms in (25, 3, 900, 0, 40):
        clocks.wall_ms += pause_ms
        turns.append(schedule.turn(0.0))
    ends = [turn[1] for turn in turns if turn]
    assert [turn[0] for turn in turns if turn] == [NOW_MS, *ends[:-1]]
    assert ends[-1] == clocks.wall_ms


def test_a_delay_is_caught_up(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    """After 5 s of pause, turns of 1 s bring it back to the present and leave nothing out."""
    schedule = clocks.schedule()
    clocks.wall_ms += 5_000
    turns = [schedule.turn(0.0) for _ in range(5)]
    assert turns == [(NOW_MS + 1000 * n, NOW_MS + 1000 * (n + 1)) for n in range(5)]
    assert "behind schedule by 5.0 s; catching up" in caplog.messages


def test_a_slow_machine_leaves_nothing_out(clocks: Clocks) -> None:
    """When the work itself takes 30 s, it is behind, not suspended."""
    schedule = clocks.schedule()
    clocks.wall_ms += 30_000
    clocks.cpu_s += 29.0
    assert schedule.turn(0.0) == (NOW_MS, NOW_MS + 1_000)
    assert schedule.behind_s == 30.0


def test_waiting_for_kafka_leaves_nothing_out(clocks: Clocks) -> None:
    """When the queue was full for 30 s, the readings of that time are sent."""
    schedule = clocks.schedule()
    clocks.wall_ms += 30_000
    assert schedule.turn(30.0) == (NOW_MS, NOW_MS + 1_000)
    assert schedule.turn(0.0) == (NOW_MS + 1_000, NOW_MS + 2_000)


def test_after_a_suspension_it_goes_on_with_the_present(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    """30 s of SIGSTOP are 30 s without readings, not a burst of old ones."""
    schedule = clocks.schedule()
    clocks.wall_ms += 30_000
    turn = schedule.turn(0.0)
    assert turn == (clocks.wall_ms - 25, clocks.wall_ms)
    assert "suspended for 30 s; going on with the present" in caplog.messages
    assert schedule.behind_s < 1


def test_a_replay_is_not_cut_short_by_a_suspension(clocks: Clocks) -> None:
    """What is replayed has no present to go on with."""
    schedule = clocks.schedule(NOW_MS - 3_600_000)
    clocks.wall_ms += 30_000
    assert schedule.turn(0.0) == (NOW_MS - 3_600_000, NOW_MS - 3_599_000)


def test_a_start_in_the_past_is_a_replay(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    """An hour ago: second by second at full speed, nothing left out, and no word of being behind."""
    schedule = clocks.schedule(NOW_MS - 3_600_000)
    turns = [schedule.turn(0.0) for _ in range(3_600)]
    assert turns == [(NOW_MS - 1000 * n, NOW_MS - 1000 * (n - 1)) for n in range(3_600, 0, -1)]
    assert schedule.behind_s <= 1
    assert caplog.messages == []


def test_a_clock_that_was_put_back_does_not_silence_the_fleet(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    """An hour back: the next turn is at the new present."""
    schedule = clocks.schedule()
    clocks.wall_ms += 25
    schedule.turn(0.0)
    clocks.wall_ms -= 3_600_000
    schedule.turn(0.0)
    clocks.wall_ms += 25
    assert schedule.turn(0.0) == (clocks.wall_ms - 25, clocks.wall_ms)
    assert "the clock was put back by 3600 s; going on with its present" in caplog.messages


def test_it_ends_at_the_end(clocks: Clocks) -> None:
    """A duration of 2.5 s ends there and then."""
    schedule = clocks.schedule(end_ms=NOW_MS + 2_500)
    clocks.wall_ms += 9_000
    turns = [schedule.turn(0.0) for _ in range(4)]
    assert [turn[1] - turn[0] if turn else None for turn in turns] == [1_000, 1_000, 500, None]


def test_a_suspension_beyond_the_end_ends_it(clocks: Clocks) -> None:
    """No turn goes past the end, and none goes backwards."""
    schedule = clocks.schedule(end_ms=NOW_MS + 2_500)
    clocks.wall_ms += 60_000
    first, last = schedule.turn(0.0) or (0, 1)
    assert first == last
    assert schedule.turn(0.0) is None


def test_before_the_start_nothing_is_due(clocks: Clocks) -> None:
    """A start in the future waits."""
    schedule = clocks.schedule(NOW_MS + 3_600_000)
    assert schedule.turn(0.0) == (NOW_MS + 3_600_000, NOW_MS + 3_600_000)
    clocks.wall_ms += 3_600_025
    schedule.turn(3_600.0)
    assert schedule.turn(0.0) == (clocks.wall_ms, clocks.wall_ms)


@pytest.mark.parametrize(("readings_per_s", "turn_ms"), [(20, 1_000), (50_000, 1_000), (1_000_000, 100), (1e9, 1)])
def test_large_fleets_have_short_turns(clocks: Clocks, readings_per_s: float, turn_ms: int) -> None:
    """A turn never holds more than about 100,000 readings."""
    schedule = clocks.schedule()
    schedule.limit_turns(readings_per_s)
    clocks.wall_ms += 5_000
    assert schedule.turn(0.0) == (NOW_MS, NOW_MS + turn_ms)
