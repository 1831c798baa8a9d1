"""Runs a bus and does to it what a test asks for.

It measures how long each job was not seen.
One thread: `step` does everything that is due (readings, what a supervisor would start again, the agenda, a look at
the results), so nothing happens while a test does not ask for it.
"""

import contextlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensorbus.contract.settings import Settings
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.faults.agenda import Agenda
from tests.support.faults.members import Members
from tests.support.faults.plan import BROKER, JOBS, SIMULATOR
from tests.support.faults.sight import Sight
from tests.support.faults.witness import Witness
from tests.support.real_kafka import RealKafka

LOOK_AGAIN_S: Final = 0.2
_STEP_S: Final = 0.02
_STARTED_WITHIN_S: Final = 120.0
_SETTLED_WITHIN_S: Final = 120.0
_UP_WITHIN_S: Final = 90.0
_STOP_WITHIN_S: Final = 20.0  # compose's grace period

_log = logging.getLogger(__name__)


@dataclass
class Recovery:
    """How long after a fault every partition of a job's output had a new result; None: not yet."""

    fault: str
    job: str
    since_ms: int
    since_s: float
    seconds: float | None = None


@dataclass
class Driver:
    """A context manager that leaves no process behind; with `stable`, each member has an instance id."""

    settings: Settings
    broker: RealKafka
    home: Path
    witness: Witness
    stable: bool
    agenda: Agenda = field(default_factory=Agenda)
    recoveries: list[Recovery] = field(default_factory=list)
    supervised: bool = True
    is_away: bool = False

    def __enter__(self) -> Self:
        """Look at the topics, which exist; start nothing yet."""
        self.sight = Sight(self.settings)
        self.members = Members(self.settings, self.home, stable=self.stable)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs; a frozen broker goes on."""
        self.sight.rest()
        for member in self.members:
            member.part.__exit__(kind, error, trace)
        with contextlib.suppress(ProcessLookupError, AssertionError):
            self.broker.resume()

    def start(self, *names: str, **variables: str) -> None:
        """Start members that do not run: new ones, or again; `variables` are more of a new one's environment."""
        for name in names:
            self.members.start(name, **variables)

    def begin(self, *names: str) -> None:
        """Start the witness and these members, and wait until all jobs are seen."""
        self.witness.begin()
        self.start(*names)
        self.recover("start", within_s=_STARTED_WITHIN_S)

    def is_running(self, name: str) -> bool:
        """Tell whether a member's process has not ended."""
        return self.members[name].part.is_running()

    def kill(self, name: str) -> None:
        """Kill -9; it stays down until it is started."""
        self.members[name].down().kill()

    def terminate(self, *names: str) -> None:
        """Send SIGTERM to these, all at once, and expect exit code 0 of each; they stay down."""
        parts = [self.members[name].down() for name in names]
        for each in parts:
            each.signal(signal.SIGTERM)
        for each in parts:
            self.wait(lambda each=each: not each.is_running(), _STOP_WITHIN_S, "a part to end")  # type: ignore[misc]  # a default binds it
            each.wait(0, within_s=1)

    def pause(self, name: str) -> None:
        """Freeze a member, or the broker."""
        if name == BROKER:
            self.sight.rest()
            self.broker.pause()
            self.is_away = True  # the next fault of its own waits: a frozen one would not stop, a stopped one not go on
        else:
            self.members[name].pause()

    def resume(self, name: str) -> None:
        """Let it go on."""
        if name == BROKER:
            self.broker.resume()
            self.when_up(lambda: None)
        else:
            self.members[name].resume()

    def measure(self, fault: str, *jobs: str) -> list[Recovery]:
        """Begin to measure how long it is from now until these jobs (none named: all) are seen on all partitions."""
        begun = [Recovery(fault, job, wall_clock_ms(), time.monotonic()) for job in jobs or JOBS]
        self.recoveries += begun
        return begun

    def recover(self, fault: str, *jobs: str, within_s: float = 60.0) -> float:
        """Measure from now and wait; return the seconds until the last of these jobs is seen on all partitions."""
        return self.wait_for(self.measure(fault, *jobs), within_s=within_s)

    def wait_for(self, begun: list[Recovery], within_s: float = 60.0) -> float:
        """Wait until a measurement is complete; return the seconds from its beginning."""
        self.wait(lambda: all(each.seconds is not None for each in begun), within_s, f"results after {begun[0].fault}")
        return max(each.seconds or 0.0 for each in begun)

    def wait(self, condition: Callable[[], object], within_s: float, describe: str) -> float:
        """Go on until the condition is true; return the seconds. Fails with the end of the log when that is late."""
        started_s = time.monotonic()
        while not condition():
            waited_s = time.monotonic() - started_s
            assert waited_s < within_s, f"waited {waited_s:.1f} s for {describe}\n{self.said()[-6_000:]}"
            self.step()
        return time.monotonic() - started_s

    def go_on(self, for_s: float) -> None:
        """Go on for a while."""
        until_s = time.monotonic() + for_s
        self.wait(lambda: time.monotonic() >= until_s, for_s + 60, "the time to pass")

    def step(self) -> None:
        """Do what is due."""
        self.witness.step()
        self.agenda.do_what_is_due()
        if self.supervised:
            self.members.supervise()
        self.sight.step(_STEP_S)
        for each in self.unseen():
            if self.sight.is_seen_since(each.job, each.since_ms):
                each.seconds = time.monotonic() - each.since_s
                _log.info("%.1f s until %s was seen after: %s", each.seconds, each.job, each.fault.strip())

    def finish(self) -> None:
        """End the input, wait until all of it is read, stop every member and expect exit code 0 of each."""
        if SIMULATOR in self.members:
            self.terminate(SIMULATOR)
        self.witness.finish()
        self.witness.rest()
        self.wait(self.is_settled, _SETTLED_WITHIN_S, "all to be read")
        self.terminate(*self.members.running())

    def look_anew(self, witness: Witness) -> None:
        """Forget what was seen, because topics were made anew, and have another witness write from now on."""
        self.sight.rest()
        self.sight = Sight(self.settings)
        self.witness = witness
        witness.begin()

    def said(self, name: str | None = None) -> str:
        """Return what a member said, or all of them."""
        chosen = [self.members[name]] if name else self.members
        return "\n".join(member.part.said() for member in chosen)

    def away(self, *, clean: bool = False) -> None:
        """Stop the broker, with kill -9 or cleanly."""
        self.sight.rest()
        if clean:
            self.broker.stop()
        else:
            self.broker.kill()
        self.is_away = True

    def back(self, fault: str) -> list[Recovery]:
        """Start the broker and wait until it answers; return the measurement that begins then."""
        self.broker.launch()
        self.wait(self._is_up, _UP_WITHIN_S, "the broker to answer")
        return self.measure(fault)

    def when_up(self, action: Callable[[], None]) -> None:
        """Do it once the broker answers and every partition has a leader."""
        if self._is_up():
            action()
        else:
            self.agenda.after(LOOK_AGAIN_S, lambda: self.when_up(action))

    def is_settled(self) -> bool:
        """Tell whether each job has committed all of its input, and nothing is on its way."""
        self.go_on(LOOK_AGAIN_S)
        return all(self.sight.has_read_all(job) for job in JOBS) and self.sight.has_seen_all()

    def unseen(self) -> list[Recovery]:
        """Return the measurements that are not complete."""
        return [each for each in self.recoveries if each.seconds is None]

    def _is_up(self) -> bool:
        if self.broker.is_up() and self.sight.look_again():
            self.is_away = False
            return True
        return False
