"""The turns of the schedule, by a clock that the test moves."""

from simulator.publish import Schedule

NOW_MS = 1_767_268_800_000


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        """Start at NOW_MS."""
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ms


def test_turns_follow_each_other_without_a_gap() -> None:
    """Each turn begins where the last one ended, whatever the pauses were."""
    clock = Clock()
    schedule = Schedule(NOW_MS, None, clock)
    turns = []
    for pause_ms in (25, 3, 900, 0, 40):
        clock.now_ms += pause_ms
        turns.append(schedule.turn(0.0))
    ends = [turn[1] for turn in turns if turn]
    assert [turn[0] for turn in turns if turn] == [NOW_MS, *ends[:-1]]
    assert ends[-1] == clock.now_ms


def test_behind_schedule_it_catches_up() -> None:
    """After 5 s of pause, turns of 1 s bring it back to the present and leave nothing out."""
    clock = Clock()
    schedule = Schedule(NOW_MS, None, clock)
    clock.now_ms += 5_000
    turns = [schedule.turn(0.0) for _ in range(5)]
    assert turns == [(NOW_MS + 1000 * n, NOW_MS + 1000 * (n + 1)) for n in range(5)]


def test_after_a_suspension_it_goes_on_with_the_present() -> None:
    """30 s of SIGSTOP are 30 s without readings, not a burst of old ones."""
    clock = Clock()
    schedule = Schedule(NOW_MS, None, clock)
    clock.now_ms += 30_000
    turn = schedule.turn(0.0)
    assert turn is not None
    assert turn[0] == clock.now_ms - 25


def test_waiting_for_kafka_is_no_suspension() -> None:
    """When the queue was full for 30 s, the readings of that time are sent."""
    clock = Clock()
    schedule = Schedule(NOW_MS, None, clock)
    clock.now_ms += 30_000
    assert schedule.turn(30.0) == (NOW_MS, NOW_MS + 1_000)
    assert schedule.turn(0.0) == (NOW_MS + 1_000, NOW_MS + 2_000)


def test_a_start_in_the_past_is_a_replay() -> None:
    """An hour ago: second by second at full speed, nothing left out."""
    clock = Clock()
    schedule = Schedule(NOW_MS - 3_600_000, None, clock)
    turns = [schedule.turn(0.0) for _ in range(3_600)]
    assert turns[0] == (NOW_MS - 3_600_000, NOW_MS - 3_599_000)
    assert turns[-1] == (NOW_MS - 1_000, NOW_MS)


def test_it_ends_at_the_end() -> None:
    """A duration of 2.5 s ends there and then."""
    clock = Clock()
    schedule = Schedule(NOW_MS, NOW_MS + 2_500, clock)
    clock.now_ms += 9_000
    turns = [schedule.turn(0.0) for _ in range(4)]
    assert [turn[1] - turn[0] if turn else None for turn in turns] == [1_000, 1_000, 500, None]


def test_before_the_start_nothing_is_due() -> None:
    """A start in the future waits."""
    clock = Clock()
    schedule = Schedule(NOW_MS + 5_000, None, clock)
    assert schedule.turn(0.0) == (NOW_MS + 5_000, NOW_MS + 5_000)
