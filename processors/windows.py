"""Hopping windows as a ring of panes, per device.

A pane holds the count and the sum of one step; a window `[start_ms, end_ms)` is `length / step` panes side by side,
so a reading costs one pane instead of one write per window. Windows are aligned to the epoch. A device's time is the
largest event time seen from it; a window is closed once `end + grace <= time`, by that device's readings alone.
These are the semantics of Quix's `hopping_window(...)` with `closing_strategy="key"`, which is the oracle in the tests.
Nothing here knows Kafka. Functions change the ring that they are given; `DeviceWindows` alone keeps one, in a state.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, Final, NamedTuple, Protocol

from sensorbus.contract.errors import StateError

#: First element of a ring's state; another number is a state that this code cannot read.
STATE_VERSION: Final = 2
_STATE_FIELDS: Final = 8
_WITHOUT_GRACE: Final = 1  # a version that did not hold the grace
#: Identities that a device's panes remember at most, each pane as many; what is beyond counts again when it is
#: repeated. They are some 40 bytes each at most, and Kafka takes 1 MB as the state of a device.
MAX_IDENTITIES: Final = 5_000
#: How the states begin that this code can read, as bytes.
READABLE: Final = tuple(b"[%d," % version for version in (_WITHOUT_GRACE, STATE_VERSION))


class RingRules(NamedTuple):
    """Shape of the windows; `step_ms` divides `length_ms`."""

    length_ms: int
    step_ms: int
    grace_ms: int


class Window(NamedTuple):
    """What fell in `[start_ms, end_ms)`: at least one reading."""

    start_ms: int
    end_ms: int
    readings: int
    total: float


@dataclass(slots=True)
class Ring:
    """The panes of one device, oldest first; the lists run side by side.

    `time_ms` is None before the first reading. `identities` is in use only where repeats must be told apart.
    """

    time_ms: int | None = None
    starts_ms: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    identities: dict[str, list[str]] = field(default_factory=dict)


class State(Protocol):
    """What a job keeps of one device, by name; values are JSON's."""

    def get(self, name: str) -> Any:
        """Return the value, None where there is none; raises `StateError` if it cannot be read."""

    def set(self, name: str, value: Any) -> None:
        """Keep a value; it belongs to the checkpoint of the record that is being processed."""


class Entered(NamedTuple):
    """A reading in its device's windows; `in_time` is False if one of its own was closed before it came."""

    ring: Ring
    closed: Sequence[Window]
    in_time: bool


class DeviceWindows:
    """The one stateful step, of both window jobs: a ring out of its state, a reading into the ring, the ring back."""

    __slots__ = ("_name", "_rules", "_tells_closed")

    def __init__(self, name: str, rules: RingRules, *, tells_closed: bool) -> None:
        """Take the name of the state, which is that of the job, and whether the windows that close are asked for."""
        self._name, self._rules, self._tells_closed = name, rules, tells_closed

    def enter(self, state: State, event_time_ms: int, value: float, identity: str | None = None) -> Entered | None:
        """Put a reading in the windows around it; None if its identity was here before: then nothing has changed.

        Raises `StateError` for a state that cannot be read.
        """
        rules = self._rules
        closed: Sequence[Window] = ()
        ring = ring_from_state(state.get(self._name), rules)
        if self._tells_closed:
            closed = advance(ring, rules, event_time_ms)
        else:
            move_time(ring, rules, event_time_ms)
        if identity is not None and is_repeat(ring, rules, event_time_ms, identity):
            return None  # the first has moved the time, so nothing is closed
        in_time = add(ring, rules, event_time_ms, value)
        state.set(self._name, state_from_ring(ring, rules))
        return Entered(ring, closed, in_time)


def ring_from_state(state: Any, rules: RingRules) -> Ring:
    """Return the ring in a state value; one of another step keeps its time only, so no window is told twice.

    With another grace the time is moved by as much: what was told stays told, what was open stays open.
    """
    if state is None:
        return Ring()
    version = state[0] if isinstance(state, list) and state else None
    if version == _WITHOUT_GRACE and len(state) == _STATE_FIELDS - 1:
        version, state = STATE_VERSION, [STATE_VERSION, state[1], rules.grace_ms, *state[2:]]
    if version != STATE_VERSION:  # before anything else: another version may have another shape
        known = version if isinstance(version, int) else "unknown"
        raise StateError(
            f"state of version {known}, not {STATE_VERSION}: go back to the version of sensorbus that wrote it, or "
            "compute all results anew (docs/operations.md)"
        )
    if len(state) != _STATE_FIELDS:
        raise StateError(
            f"state of version {version} with {len(state)} fields, not {_STATE_FIELDS}: it is damaged, compute all "
            "results anew (docs/operations.md)"
        )
    _, step_ms, grace_ms, time_ms, starts_ms, counts, totals, identities = state
    if time_ms is not None:
        time_ms += rules.grace_ms - grace_ms
    if step_ms != rules.step_ms:
        return Ring(time_ms)
    return Ring(time_ms, starts_ms, counts, totals, identities)


def check_state(state: Any) -> None:
    """Raise `StateError` if no ring can be made of a state value, whatever the shape of its windows."""
    ring_from_state(state, RingRules(1, 1, 0))


def state_from_ring(ring: Ring, rules: RingRules) -> list[Any]:
    """Return the ring as one JSON value."""
    return [
        STATE_VERSION,
        rules.step_ms,
        rules.grace_ms,
        ring.time_ms,
        ring.starts_ms,
        ring.counts,
        ring.totals,
        ring.identities,
    ]


def advance(ring: Ring, rules: RingRules, event_time_ms: int) -> list[Window]:
    """Move the device's time on and return the windows that this closes, oldest first, without the empty ones."""
    before_ms = ring.time_ms
    closed: list[Window] = []
    if before_ms is not None and event_time_ms > before_ms and ring.starts_ms:
        length_ms, step_ms, grace_ms = rules
        first_end_ms = max(_floor(before_ms - grace_ms, step_ms), ring.starts_ms[0]) + step_ms
        last_end_ms = min(_floor(event_time_ms - grace_ms, step_ms), ring.starts_ms[-1] + length_ms)
        for end_ms in range(first_end_ms, last_end_ms + 1, step_ms):
            window = window_at(ring, end_ms - length_ms, end_ms)
            if window.readings:
                closed.append(window)
    move_time(ring, rules, event_time_ms)
    return closed


def move_time(ring: Ring, rules: RingRules, event_time_ms: int) -> None:
    """Move the device's time on, never back, and drop the panes that no open window needs."""
    if ring.time_ms is not None and event_time_ms <= ring.time_ms:
        return
    ring.time_ms = event_time_ms
    needed_after_ms = event_time_ms - rules.grace_ms - rules.length_ms
    count = bisect_right(ring.starts_ms, needed_after_ms)
    if count:
        del ring.starts_ms[:count], ring.counts[:count], ring.totals[:count]
    if ring.identities:
        for pane in [pane for pane in ring.identities if int(pane) <= needed_after_ms]:
            del ring.identities[pane]


def add(ring: Ring, rules: RingRules, event_time_ms: int, value: float) -> bool:
    """Put a reading in its pane, once the time was moved; False when a window of its own was closed before it came."""
    length_ms, step_ms, grace_ms = rules
    pane_ms = _floor(event_time_ms, step_ms)
    closed_to_ms = _time_ms(ring) - grace_ms
    if pane_ms + length_ms > closed_to_ms:
        starts_ms = ring.starts_ms
        in_order = not starts_ms or starts_ms[-1] < pane_ms
        index = len(starts_ms) if in_order else bisect_left(starts_ms, pane_ms)
        if index < len(starts_ms) and starts_ms[index] == pane_ms:
            ring.counts[index] += 1
            ring.totals[index] += value
        else:
            starts_ms.insert(index, pane_ms)
            ring.counts.insert(index, 1)
            ring.totals.insert(index, value)
    return pane_ms + step_ms > closed_to_ms


def open_counts(ring: Ring, rules: RingRules, event_time_ms: int) -> list[tuple[int, int, int]]:
    """Return start, end and count of the windows around an event time that are not closed, oldest first."""
    length_ms, step_ms, grace_ms = rules
    pane_ms = _floor(event_time_ms, step_ms)
    first_end_ms = max(pane_ms, _floor(_time_ms(ring) - grace_ms, step_ms)) + step_ms
    starts_ms, counts = ring.starts_ms, ring.counts
    first = last = count = 0  # the panes [first, last) are in the window; both ends only move on
    windows = []
    for end_ms in range(first_end_ms, pane_ms + length_ms + 1, step_ms):
        while last < len(starts_ms) and starts_ms[last] < end_ms:
            count += counts[last]
            last += 1
        while first < last and starts_ms[first] < end_ms - length_ms:
            count -= counts[first]
            first += 1
        windows.append((end_ms - length_ms, end_ms, count))
    return windows


def window_at(ring: Ring, start_ms: int, end_ms: int) -> Window:
    """Return what the ring holds of `[start_ms, end_ms)`."""
    first = bisect_left(ring.starts_ms, start_ms)
    last = bisect_left(ring.starts_ms, end_ms, first)
    # fsum: the same panes give the same bits, whatever the Python version
    return Window(start_ms, end_ms, sum(ring.counts[first:last]), fsum(ring.totals[first:last]))


def is_repeat(ring: Ring, rules: RingRules, event_time_ms: int, identity: str) -> bool:
    """Tell whether this identity was here before, and remember it; bounded per pane, forgotten with the pane.

    One that is too late for every window is not remembered: its pane is forgotten already.
    """
    pane_ms = _floor(event_time_ms, rules.step_ms)
    if pane_ms <= _time_ms(ring) - rules.grace_ms - rules.length_ms:
        return False
    pane = str(pane_ms)
    known = ring.identities.setdefault(pane, [])
    if identity in known:
        return True
    if len(known) < max(1, MAX_IDENTITIES * rules.step_ms // (rules.length_ms + rules.grace_ms)):
        known.append(identity)
    return False


def _time_ms(ring: Ring) -> int:
    if ring.time_ms is None:
        raise ValueError("the ring has no time yet: move it first")
    return ring.time_ms


def _floor(time_ms: int, step_ms: int) -> int:
    return time_ms // step_ms * step_ms
