"""Tests of the ring of panes, with Quix's own windows as the oracle."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.windows import (
    READABLE,
    STATE_VERSION,
    DeviceWindows,
    Ring,
    RingRules,
    Window,
    add,
    advance,
    check_state,
    is_repeat,
    move_time,
    open_counts,
    ring_from_state,
    state_from_ring,
    window_at,
)
from sensorbus.contract.errors import StateError
from tests.support.job_parts import JsonState
from tests.support.quix_windows import Kind, QuixWindows

# length, step and grace in ms: both jobs' defaults, a step as long as the window, odd numbers, grace beyond the length
SHAPES = [
    RingRules(10_000, 1_000, 0),
    RingRules(10_000, 1_000, 2_000),
    RingRules(5_000, 1_000, 0),
    RingRules(5_000, 5_000, 0),
    RingRules(6_000, 2_000, 700),
    RingRules(3_000, 1_000, 10_000),
    RingRules(70, 7, 3),
]
START_MS = 1_769_860_800_000
_examples = itertools.count()

# What a device's clock does between two readings, in tenths of the window's step: steady, a gap, disorder, a jump.
_TICKS = st.one_of(
    st.integers(8, 12),
    st.integers(0, 3),
    st.integers(-60, -1),
    st.integers(30, 400),
    st.sampled_from([36_000, -36_000]),
)
_READINGS = st.lists(
    st.tuples(st.integers(0, 2), _TICKS, st.floats(-273.15, 1726.85, allow_nan=False)), min_size=1, max_size=60
)


class Device:
    """A ring behind a state value that is JSON, as a job keeps it."""

    def __init__(self, rules: RingRules, *, tells_closed: bool) -> None:
        """Start without state."""
        self.rules = rules
        self._tells_closed = tells_closed
        self._state = JsonState()

    def feed(self, event_time_ms: int, value: float) -> list[tuple[int, int, float]]:
        """Return what the job says of a reading: means of what it closed, or counts of what is open around it."""
        windows = DeviceWindows("windows", self.rules, tells_closed=self._tells_closed)  # a life's own
        entered = windows.enter(self._state, event_time_ms, value)
        assert entered is not None
        if self._tells_closed:
            return [(window.start_ms, window.end_ms, window.total / window.readings) for window in entered.closed]
        assert not entered.closed
        return [*open_counts(entered.ring, self.rules, event_time_ms)]

    def panes_ms(self) -> list[int]:
        """Return the starts of the panes that the state holds."""
        starts_ms: list[int] = self._state.get("windows")[4]
        return starts_ms


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def rules(request: pytest.FixtureRequest) -> RingRules:
    """One shape of windows."""
    shape: RingRules = request.param
    return shape


@pytest.fixture(scope="module")
def oracles(rules: RingRules, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Kind, QuixWindows]]:
    """Quix's windows of that shape."""
    directory = tmp_path_factory.mktemp("oracle")
    kinds: tuple[Kind, ...] = ("mean", "count")
    opened: dict[Kind, QuixWindows] = {kind: QuixWindows(directory / kind, kind, *rules) for kind in kinds}
    yield opened
    for oracle in opened.values():
        oracle.close()


@pytest.mark.parametrize("kind", ["mean", "count"])
@given(readings=_READINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equals_quix(
    kind: Kind, rules: RingRules, oracles: dict[Kind, QuixWindows], readings: list[tuple[int, int, float]]
) -> None:
    """Each reading gives the windows and values that Quix gives, through gaps, disorder, jumps; each a restart."""
    example = next(_examples)  # a key of its own: the oracle keeps what it saw
    devices: dict[int, Device] = defaultdict(lambda: Device(rules, tells_closed=kind == "mean"))
    clocks_ms: dict[int, int] = defaultdict(lambda: START_MS)
    for number, ticks, value in readings:
        device = devices[number]
        clocks_ms[number] += ticks * rules.step_ms // 10
        ours = device.feed(clocks_ms[number], value)
        theirs = oracles[kind].feed(f"{example}/{number}".encode(), clocks_ms[number], value)
        assert [(start, end) for start, end, _ in ours] == [(start, end) for _, start, end, _ in theirs]
        assert [result for *_, result in ours] == pytest.approx([result for *_, result in theirs], rel=1e-9, abs=1e-9)
        panes_ms = device.panes_ms()
        assert panes_ms == sorted(set(panes_ms))
        assert len(panes_ms) <= (rules.length_ms + rules.grace_ms) // rules.step_ms + 1


@given(readings=_READINGS)
@settings(max_examples=60, deadline=None)
def test_late_is_said_when_a_window_of_the_reading_was_closed(readings: list[tuple[int, int, float]]) -> None:
    """`add` is False exactly for the readings of which some window had its end and grace behind it."""
    shape = RingRules(10_000, 1_000, 2_000)
    ring, clock_ms, latest_ms = Ring(), START_MS, 0
    for _, ticks, value in readings:
        clock_ms += ticks * 100
        latest_ms = max(latest_ms, clock_ms)
        first_end_ms = clock_ms // 1_000 * 1_000 + 1_000
        advance(ring, shape, clock_ms)
        assert add(ring, shape, clock_ms, value) == (first_end_ms > latest_ms - 2_000)


def test_a_window_closes_at_its_end() -> None:
    """A reading at the very end closes the window and is not in it."""
    #        0    5    9 | 10
    # [0,10) x    x    x |       mean of 3
    #                    | x     closes it
    rules, ring = RingRules(10_000, 10_000, 0), Ring()
    closed: list[Window] = []
    for time_ms in (0, 5_000, 9_999, 10_000):
        closed += advance(ring, rules, time_ms)
        add(ring, rules, time_ms, time_ms / 1_000)
    assert closed == [Window(0, 10_000, 3, 14.999)]


def test_a_window_without_readings_is_not_told() -> None:
    """After an hour of silence only the windows that hold something are closed."""
    rules, ring = RingRules(10_000, 1_000, 0), Ring()
    advance(ring, rules, 20_500)
    add(ring, rules, 20_500, 1.0)
    closed = advance(ring, rules, 3_600_000)
    assert [window.start_ms for window in closed] == [*range(11_000, 21_000, 1_000)]
    assert ring.starts_ms == []


def test_another_step_keeps_the_time_and_no_panes() -> None:
    """A state of another step cannot be split anew: what is open is dropped, what was told is not told again."""
    old, new = RingRules(10_000, 1_000, 0), RingRules(10_000, 2_000, 0)
    ring = Ring()
    advance(ring, old, 50_500)
    add(ring, old, 50_500, 1.0)
    again = ring_from_state(state_from_ring(ring, old), new)
    assert again == Ring(time_ms=50_500)


@given(
    readings=st.lists(st.tuples(st.integers(-30, 40), st.booleans()), min_size=1, max_size=60),
    graces_ms=st.lists(st.sampled_from([0, 700, 2_000, 5_000, 15_000]), min_size=2, max_size=4),
)
def test_another_grace_tells_each_window_once(readings: list[tuple[int, bool]], graces_ms: list[int]) -> None:
    """Whenever it changes, none comes twice and none of those that readings in order fell in is left out."""
    graces = itertools.cycle(graces_ms)
    device = Device(RingRules(5_000, 1_000, next(graces)), tells_closed=True)
    closed: list[tuple[int, int, float]] = []
    clock_ms = newest_ms = START_MS
    wanted = set()
    for ticks, is_changed in readings:
        if is_changed:
            device.rules = device.rules._replace(grace_ms=next(graces))
        clock_ms += ticks * 100
        closed += device.feed(clock_ms, 20.0)
        if clock_ms >= newest_ms:  # it is in no window that was closed
            newest_ms, pane_ms = clock_ms, clock_ms // 1_000 * 1_000
            wanted |= set(range(pane_ms - 4_000, pane_ms + 1, 1_000))
    closed += device.feed(newest_ms + 60_000, 20.0)
    starts = [start_ms for start_ms, *_ in closed]
    assert len(starts) == len(set(starts))
    assert wanted <= set(starts)


def test_a_state_without_its_grace_has_the_present_one() -> None:
    """A state of version 1 is read on."""
    rules = RingRules(10_000, 1_000, 2_000)
    old = [1, 1_000, 50_500, [50_000], [1], [2.5], {"50000": ["a"]}]
    assert ring_from_state(old, rules) == Ring(50_500, [50_000], [1], [2.5], {"50000": ["a"]})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ([99, 1_000, 0, None, [], [], [], {}], "version 99, not 2: go back"),
        ([99], "version 99, not 2: go back"),
        ([99, *range(20)], "version 99, not 2: go back"),
        ([0, {"step_ms": 1_000}], "version 0, not 2: go back"),
        (["2", 1_000, 0, None, [], [], [], {}], "version unknown, not 2: go back"),
        ([[1], 1_000, 0, None, [], [], [], {}], "version unknown, not 2: go back"),
        ({"version": 99}, "version unknown, not 2: go back"),
        (dict.fromkeys("abcdefgh"), "version unknown, not 2: go back"),
        ([], "version unknown, not 2: go back"),
        ("", "version unknown, not 2: go back"),
        (7, "version unknown, not 2: go back"),
        ([1], "version 1, not 2: go back"),
        ([2], "version 2 with 1 fields, not 8: it is damaged"),
        ([2, 1_000, 0, None, [], [], [], {}, 8], "version 2 with 9 fields, not 8: it is damaged"),
    ],
    ids=str,
)
def test_a_state_of_another_version_is_refused(state: Any, words: str) -> None:
    """A state that this code cannot read is an error, not a guess, whatever its shape."""
    with pytest.raises(StateError, match=f"state of {words}"):
        ring_from_state(state, SHAPES[0])


def test_what_is_readable_is_known_by_its_first_bytes() -> None:
    """So the states of all devices can be looked at before the first reading; no other version begins so."""
    assert len(READABLE) == STATE_VERSION
    for version in range(30):
        begins = orjson.dumps([version, 1_000]).startswith(READABLE)
        assert begins == (version in {1, STATE_VERSION})
    state = state_from_ring(Ring(), SHAPES[0])
    assert orjson.dumps(state).startswith(READABLE)
    check_state(state)
    with pytest.raises(StateError, match="version 99"):
        check_state([99])


def test_no_state_is_an_empty_ring() -> None:
    """A device seen for the first time has no panes and no time."""
    assert ring_from_state(None, SHAPES[0]) == Ring()


def test_the_state_names_its_version() -> None:
    """The version stands first, so that a later one can tell."""
    assert state_from_ring(Ring(), SHAPES[0]) == [STATE_VERSION, 1_000, 0, None, [], [], [], {}]


def test_a_ring_without_time_is_a_bug() -> None:
    """Adding before the time was moved raises."""
    with pytest.raises(ValueError, match="move it first"):
        add(Ring(), SHAPES[0], START_MS, 1.0)


def test_time_does_not_go_back() -> None:
    """An earlier reading leaves the time as it is."""
    ring = Ring()
    move_time(ring, SHAPES[0], 5_000)
    for earlier_ms in (4_999, 4_000):
        move_time(ring, SHAPES[0], earlier_ms)
    assert ring.time_ms == 5_000


def test_the_sum_of_a_window_is_exact() -> None:
    """Ten panes of a tenth are one, which no sum from left to right says."""
    ring = Ring(10_000, [*range(0, 10_000, 1_000)], [1] * 10, [0.1] * 10)
    assert window_at(ring, 0, 10_000) == Window(0, 10_000, 10, 1.0)


def test_window_at_outside_of_the_panes() -> None:
    """A window that holds nothing has no readings."""
    assert window_at(Ring(), 0, 10_000) == Window(0, 10_000, 0, 0.0)


@given(
    readings=st.lists(st.tuples(_TICKS, st.integers(0, 5)), min_size=1, max_size=40),
    tells_closed=st.booleans(),
)
def test_a_reading_that_comes_again_changes_nothing(readings: list[tuple[int, int]], *, tells_closed: bool) -> None:
    """Wherever it comes again, at once or after others, while its pane is remembered: not a byte of the state."""
    windows, state = DeviceWindows("windows", RingRules(5_000, 1_000, 0), tells_closed=tells_closed), JsonState()
    clock_ms, sent = START_MS, []
    for number, (ticks, back) in enumerate(readings):
        clock_ms += ticks * 100
        sent.append((clock_ms, str(number)))
        windows.enter(state, clock_ms, 20.0, str(number))
        again_ms, again = sent[-1 - min(back, number)]
        held, remembered = dict(state.held), state.get("windows")[-1].values()
        if any(again in names for names in remembered):
            assert windows.enter(state, again_ms, 20.0, again) is None
            assert state.held == held


def test_a_repeat_is_known_until_its_pane_is_forgotten() -> None:
    """The same identity counts once while its pane is there; another one counts."""
    rules, ring = RingRules(5_000, 1_000, 0), Ring()
    move_time(ring, rules, 1_200)
    assert [is_repeat(ring, rules, 1_200, name) for name in ("a", "a", "b", "a")] == [False, True, False, True]
    move_time(ring, rules, 6_000)
    assert ring.identities == {}


def test_identities_survive_a_restart() -> None:
    """They are part of the state."""
    rules, ring = RingRules(5_000, 1_000, 0), Ring()
    move_time(ring, rules, 1_200)
    is_repeat(ring, rules, 1_200, "a")
    again = ring_from_state(json.loads(json.dumps(state_from_ring(ring, rules))), rules)
    assert is_repeat(again, rules, 1_200, "a")


@pytest.mark.parametrize(
    ("length_ms", "step_ms", "grace_ms", "per_pane"),
    [(5_000, 1_000, 0, 1_000), (5_000, 1_000, 5_000, 500), (300_000, 1_000, 0, 16), (10_000, 1, 0, 1)],
)
def test_identities_are_bounded(length_ms: int, step_ms: int, grace_ms: int, per_pane: int) -> None:
    """A pane remembers so many and no more; all panes together what a state may hold, whatever the windows' shape."""
    rules, ring = RingRules(length_ms, step_ms, grace_ms), Ring()
    move_time(ring, rules, 1_200)
    for number in range(1_050):
        is_repeat(ring, rules, 1_200, str(number))
    ((_, remembered),) = ring.identities.items()
    assert len(remembered) == per_pane


def test_what_is_too_late_for_any_window_is_not_remembered() -> None:
    """A device that sends hours of old alerts after a new one has a state as small as any."""
    rules, ring = RingRules(5_000, 1_000, 2_000), Ring()
    move_time(ring, rules, 100_000_000)
    for event_time_ms in range(0, 100_000_000, 10_000):
        assert not is_repeat(ring, rules, event_time_ms, str(event_time_ms))
    assert ring.identities == {}
    assert [is_repeat(ring, rules, event_time_ms, "a") for event_time_ms in [99_993_999, 99_994_000] * 2] == [
        False,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("event_time_ms", "in_time"), [(9_999, False), (10_000, True), (10_001, True)])
def test_late_begins_where_the_first_window_closed(event_time_ms: int, in_time: bool) -> None:
    """At time 10,000 the window that ends there is closed, and what lies in it comes late."""
    rules, ring = RingRules(10_000, 1_000, 0), Ring()
    advance(ring, rules, 10_000)
    assert add(ring, rules, event_time_ms, 1.0) is in_time
