"""What goes wrong and when, made from a seed: the same seed gives the same plan.

Pure: nothing here knows a process or a broker. Times are seconds since the plan's beginning.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

JOBS: Final = ("alert", "alert-count", "avg-temp")
SIMULATOR: Final = "simulator"
BROKER: Final = "broker"
#: The second member of the job that may have one.
SECOND: Final = "avg-temp.2"


class Kind(StrEnum):
    """What happens to the target; `for_s` of a fault is how long it lasts."""

    KILL = "kill -9"
    TERM = "SIGTERM"
    PAUSE = "SIGSTOP"
    LOSE_STATE = "kill -9, state deleted"
    SPOIL_STATE = "kill -9, state overwritten"
    JOIN = "a second member starts"
    LEAVE = "the second member stops"
    VANISH = "the second member is killed for good"
    AWAY = "kill -9, away"
    RESTART = "clean restart"
    BURST = "a burst of bad input"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at_s: float
    kind: Kind
    target: str
    for_s: float = 0.0

    def __str__(self) -> str:
        """Return `  12.5 s alert: SIGSTOP for 4.0 s`."""
        lasting = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.at_s:6.1f} s {self.target}: {self.kind}{lasting}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of a run, in the order of their beginnings; none begins in its last 10 s."""

    seed: int
    duration_s: float
    faults: tuple[Fault, ...]


_FIRST_AT_S: Final = 3.0
_CALM_AT_THE_END_S: Final = 10.0
_GAP_S: Final = (2.0, 6.0)
# Of a long freeze, and of the time after it.
_FROZEN_S: Final = 30.0
_LIVES_ON_S: Final = 20.0
# How long a target is left alone after a fault, if not 2 s: a broker starts for some 5 s, and then must be of use.
_UNTOUCHED_S: Final = {BROKER: 20.0}
# How long what lasts lasts: around the 6 s and 10 s after which a member and a transaction without a name are given up.
_LASTING_S: Final[Mapping[Kind, tuple[float, float]]] = {Kind.PAUSE: (2.0, 14.0), Kind.AWAY: (3.0, 12.0)}
#: What may happen, and to whom.
Card = tuple[Kind, Sequence[str]]
#: The deck that the mix deals from, shuffled anew each time it is used up.
_MIX: Final[Sequence[Card]] = (
    (Kind.KILL, JOBS),
    (Kind.KILL, JOBS),
    (Kind.KILL, (SIMULATOR,)),
    (Kind.TERM, (*JOBS, SIMULATOR)),
    (Kind.PAUSE, JOBS),
    (Kind.PAUSE, (SIMULATOR,)),
    (Kind.PAUSE, (BROKER,)),
    (Kind.LOSE_STATE, JOBS),
    (Kind.SPOIL_STATE, JOBS),
    (Kind.AWAY, (BROKER,)),
    (Kind.RESTART, (BROKER,)),
    (Kind.BURST, (SIMULATOR,)),
    (Kind.JOIN, (SECOND,)),
)


def mix(seed: int, duration_s: float) -> Plan:
    """Return a plan of everything, one fault after the other with 2 to 6 s between their beginnings.

    What lasts may overlap with what comes next, on another target.
    """
    chance = random.Random(seed)  # noqa: S311  # a plan, not a secret
    faults: list[Fault] = []
    deck: list[Card] = []
    free_at_s, at_s = dict.fromkeys((*JOBS, SIMULATOR, BROKER, SECOND), 0.0), _FIRST_AT_S
    comings_and_goings = itertools.cycle((Kind.JOIN, Kind.LEAVE, Kind.JOIN, Kind.VANISH))
    while at_s < duration_s - _CALM_AT_THE_END_S:
        deck = deck or chance.sample(_MIX, len(_MIX))
        kind, target = _take(deck, chance, {name for name, free_s in free_at_s.items() if free_s <= at_s})
        if kind is Kind.JOIN:
            kind = next(comings_and_goings)
        longest_s = duration_s - _CALM_AT_THE_END_S / 2 - at_s
        for_s = min(chance.uniform(*_LASTING_S.get(kind, (0.0, 0.0))), longest_s)
        faults.append(Fault(round(at_s, 1), kind, target, round(for_s, 1)))
        free_at_s[target] = at_s + for_s + _UNTOUCHED_S.get(target, 2.0)
        at_s += chance.uniform(*_GAP_S)
    return Plan(seed, duration_s, tuple(faults))


def minute(seed: int) -> Plan:
    """Return a minute's mix that freezes the broker, and kills or restarts it: that of the next seed which does.

    There is no room for all three: a broker is left alone for 20 s after each.
    """
    return next(plan for plan in (mix(each, 60.0) for each in itertools.count(seed)) if _spares_no_broker(plan))


def _spares_no_broker(plan: Plan) -> bool:
    kinds = {fault.kind for fault in plan.faults if fault.target == BROKER}
    return Kind.PAUSE in kinds and not kinds.isdisjoint((Kind.AWAY, Kind.RESTART))


def _take(deck: list[Card], chance: random.Random, free: set[str]) -> tuple[Kind, str]:
    """Take the first card that has a free target, or leave the deck alone and kill a job."""
    for number, (kind, targets) in enumerate(deck):
        if left := [target for target in targets if target in free]:
            del deck[number]
            return kind, chance.choice(left)
    return Kind.KILL, chance.choice(JOBS)


def members(count: int) -> tuple[str, ...]:
    """Return the names of so many members of each job: `alert`, `alert.2`, ..."""
    return tuple(f"{job}.{number}" if number > 1 else job for number in range(1, count + 1) for job in JOBS)


def hardest(seed: int, targets: Sequence[str] = JOBS) -> Plan:
    """Return ten kills of random jobs, or of their members, and one broker restart within a minute: issue 4's fence."""
    chance = random.Random(seed)  # noqa: S311  # a plan, not a secret
    restart = chance.randrange(10)
    faults, at_s = [], _FIRST_AT_S
    for number in range(10):
        faults.append(Fault(round(at_s, 1), Kind.KILL, chance.choice(targets)))
        at_s += chance.uniform(1.0, 6.0)
        if number == restart:
            faults.append(Fault(round(at_s, 1), Kind.RESTART, BROKER))
            at_s += chance.uniform(1.0, 6.0)
    return Plan(seed, at_s + _CALM_AT_THE_END_S, tuple(faults))


def outage(away_s: float) -> Plan:
    """Return one long absence of the broker."""
    return Plan(0, away_s + 45.0, (Fault(10.0, Kind.AWAY, BROKER, away_s),))


def freeze(seed: int) -> Plan:
    """Return a long freeze of each job, the simulator and the broker, one after the other in an order of the seed's."""
    targets = random.Random(seed).sample((*JOBS, SIMULATOR, BROKER), 5)  # noqa: S311  # a plan, not a secret
    begins_s = [_FIRST_AT_S + number * (_FROZEN_S + _LIVES_ON_S) for number in range(len(targets))]
    faults = tuple(Fault(at_s, Kind.PAUSE, target, _FROZEN_S) for at_s, target in zip(begins_s, targets, strict=True))
    return Plan(seed, begins_s[-1] + _FROZEN_S + _LIVES_ON_S + _CALM_AT_THE_END_S, faults)
