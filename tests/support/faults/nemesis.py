"""Does to a bus what a plan says, each fault when it is due."""

import signal
from collections.abc import Callable
from typing import Final

from tests.support.faults.driver import LOOK_AGAIN_S, Driver
from tests.support.faults.members import START_AGAIN_AFTER_S
from tests.support.faults.plan import BROKER, SIMULATOR, Fault, Kind, Plan

#: When a second member with a name of its own is brought back: after those without one would have been given up.
_BACK_AFTER_S: Final = 8.0
_BURST: Final = 2_000
_BAD_ALERTS: Final = 20
_BEHIND_S: Final = 240.0  # a busy machine may be late with a plan
_CALM_WITHIN_S: Final = 90.0


class Nemesis:
    """One plan on one bus."""

    def __init__(self, driver: Driver, plan: Plan) -> None:
        """Do nothing yet."""
        self._driver, self._plan = driver, plan

    def run(self) -> None:
        """Do all of it, and go on until what was hit is back: what ends now ends in peace."""
        driver, plan = self._driver, self._plan
        for fault in plan.faults:
            driver.agenda.after(fault.at_s, self._doing(fault))
        driver.go_on(plan.duration_s)
        driver.wait(lambda: not driver.agenda, _BEHIND_S, "the plan to end")
        driver.wait(self._is_over, _CALM_WITHIN_S, "all that was hit to be back")

    def _is_over(self) -> bool:
        """Tell whether every member is at work and every recovery is complete."""
        return self._driver.members.are_at_work() and not self._driver.unseen()

    def _doing(self, fault: Fault) -> Callable[[], None]:
        return lambda: self._do(fault)

    def _do(self, fault: Fault) -> None:
        """Do it, with bad input for `alert-count`, and what is large for both readers, on its way."""
        driver, name, kind = self._driver, fault.target, fault.kind
        if name == BROKER and driver.is_away:
            driver.agenda.after(LOOK_AGAIN_S, self._doing(fault))
            return
        driver.witness.bad_alerts(_BAD_ALERTS)
        driver.witness.large()
        if kind in (Kind.AWAY, Kind.RESTART):
            driver.away(clean=kind is Kind.RESTART)
            driver.agenda.after(fault.for_s, lambda: self._back(fault))
        elif kind is Kind.PAUSE:
            driver.pause(name)
            driver.agenda.after(fault.for_s, lambda: self._resume(fault))
        elif kind is Kind.BURST:
            driver.witness.bad(_BURST)
        elif kind is Kind.JOIN:
            driver.start(name)
        elif kind is Kind.TERM:
            driver.members[name].part.signal(signal.SIGTERM)  # the supervisor starts it again
            self._measure(fault)
        elif kind in (Kind.LEAVE, Kind.VANISH):
            self._leave(name, vanish=kind is Kind.VANISH)
            self._measure(fault)
        else:
            driver.kill(name)
            driver.members[name].touch_state(kind)
            self._measure(fault)
            driver.agenda.after(START_AGAIN_AFTER_S, lambda: driver.start(name))

    def _back(self, fault: Fault) -> None:
        """Start the broker without waiting; once it answers, the measuring begins."""
        self._driver.broker.launch()
        self._driver.when_up(lambda: self._measure(fault))

    def _resume(self, fault: Fault) -> None:
        self._driver.resume(fault.target)
        self._measure(fault)

    def _leave(self, name: str, *, vanish: bool) -> None:
        """Let a second member go: for good if it has no name of its own, else a supervisor brings it back."""
        self._driver.members[name].down().signal(signal.SIGKILL if vanish else signal.SIGTERM)
        if self._driver.stable:
            self._driver.agenda.after(_BACK_AFTER_S, lambda: self._driver.start(name))

    def _measure(self, fault: Fault) -> None:
        if fault.target == BROKER:
            self._driver.measure(str(fault))
        elif fault.target != SIMULATOR:
            self._driver.measure(str(fault), self._driver.members[fault.target].job)
