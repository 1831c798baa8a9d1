"""Runs a bus, does to it what goes wrong, and measures how long each job was not seen.

One thread: `step` does everything that is due (readings, what a supervisor would start again, faults, a look at the
results), so nothing happens while a test does not ask for it.
"""

import contextlib
import heapq
import itertools
import logging
import resource
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensorbus.contract.settings import Settings
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.faults.plan import BROKER, JOBS, SIMULATOR, Fault, Kind, Plan
from tests.support.faults.sight import Sight
from tests.support.faults.witness import Witness
from tests.support.parts import Part, part
from tests.support.real_kafka import RealKafka

_STEP_S: Final = 0.02
_START_AGAIN_AFTER_S: Final = 1.0  # as `sensorbus up` does
_STARTED_WITHIN_S: Final = 120.0
_SETTLED_WITHIN_S: Final = 120.0
_LOOK_AGAIN_S: Final = 0.2
_UP_WITHIN_S: Final = 90.0
_STOP_WITHIN_S: Final = 20.0  # compose's grace period
_BURST: Final = 2_000
_SIMULATOR_ARGUMENTS: Final = (
    *("--devices", "20", "--seed", "7", "--invalid", "0.03", "--duplicate", "0.02"),
    *("--late", "0.02", "--out-of-order", "0.05", "--dropout", "0.02", "--skew", "0.1"),
)

_log = logging.getLogger(__name__)


@dataclass
class Member:
    """One process that is meant to run, e.g. `alert`, `avg-temp.2`, `simulator`."""

    name: str
    part: Part
    state_dir: Path
    wanted: bool = True
    paused: bool = False
    ended_s: float | None = None

    @property
    def job(self) -> str:
        """The job that it is a member of."""
        return self.name.partition(".")[0]


@dataclass
class Recovery:
    """How long after a fault every partition of a job's output had a new result; None: not yet."""

    fault: str
    job: str
    since_ms: int
    since_s: float
    seconds: float | None = None


@dataclass
class Exit:
    """A process that ended without being asked to."""

    name: str
    code: int


@dataclass
class Driver:
    """A context manager that leaves no process behind; with `stable`, each member has an instance id."""

    settings: Settings
    broker: RealKafka
    home: Path
    witness: Witness
    stable: bool
    members: dict[str, Member] = field(default_factory=dict)
    recoveries: list[Recovery] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    supervised: bool = True
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _away: bool = False

    def __enter__(self) -> Self:
        """Look at the topics, which exist; start nothing yet."""
        self.sight = Sight(self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs; a frozen broker goes on."""
        self.sight.rest()
        for member in self.members.values():
            member.part.__exit__(kind, error, trace)
        with contextlib.suppress(ProcessLookupError, AssertionError):
            self.broker.resume()

    def start(self, *names: str, **variables: str) -> None:
        """Start members that do not run: new ones, or again; `variables` are more of a new one's environment."""
        for name in names:
            if name not in self.members:
                self.members[name] = self._member(name, variables)
            member = self.members[name]
            member.wanted, member.paused, member.ended_s = True, False, None
            member.part.start()

    def begin(self, *names: str) -> None:
        """Start the witness and these members, and wait until all jobs are seen."""
        self.witness.begin()
        self.start(*names)
        self.recover("start", within_s=_STARTED_WITHIN_S)

    def is_running(self, name: str) -> bool:
        """Tell whether a member's process has not ended."""
        return self.members[name].part.is_running()

    def memory_mb(self, *names: str) -> float:
        """Return what the members hold in memory together (resident set), in MB."""
        pages = 0
        for name in names:
            process = self.members[name].part.process
            assert process is not None
            pages += int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6

    def kill(self, name: str) -> None:
        """Kill -9; it stays down until it is started."""
        self._down(name).kill()

    def terminate(self, *names: str) -> None:
        """Send SIGTERM to these, all at once, and expect exit code 0 of each; they stay down."""
        parts = [self._down(name) for name in names]
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
            return
        member = self.members[name]
        if member.part.is_running():
            member.part.signal(signal.SIGSTOP)
            member.paused = True

    def resume(self, name: str) -> None:
        """Let it go on."""
        if name == BROKER:
            self.broker.resume()
            self._when_up(lambda: None)
        elif self.members[name].paused:
            self.members[name].part.signal(signal.SIGCONT)
            self.members[name].paused = False

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

    def run(self, plan: Plan) -> None:
        """Do what the plan says."""
        begin_s = time.monotonic()
        for fault in plan.faults:
            self._at(begin_s + fault.at_s, lambda fault=fault: self._do(fault))  # type: ignore[misc]  # a default binds it
        self.wait(
            lambda: not self._agenda and time.monotonic() - begin_s >= plan.duration_s,
            plan.duration_s + 300,
            "the plan to end",
        )

    def step(self) -> None:
        """Do what is due."""
        self.witness.step()
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()
        if self.supervised:
            self._supervise()
        self.sight.step(_STEP_S)
        for each in self.recoveries:
            if each.seconds is None and self.sight.is_seen_since(each.job, each.since_ms):
                each.seconds = time.monotonic() - each.since_s
                _log.info("%.1f s until %s was seen after: %s", each.seconds, each.job, each.fault.strip())

    def finish(self) -> None:
        """End the input, wait until all of it is read, stop every member and expect exit code 0 of each."""
        if SIMULATOR in self.members:
            self.terminate(SIMULATOR)
        self.witness.finish()
        self.witness.rest()
        self.wait(self.is_settled, _SETTLED_WITHIN_S, "all to be read")
        self.terminate(*(name for name, member in self.members.items() if member.part.is_running()))

    def look_anew(self, witness: Witness) -> None:
        """Forget what was seen, because topics were made anew, and have another witness write from now on."""
        self.sight.rest()
        self.sight = Sight(self.settings)
        self.witness = witness
        witness.begin()

    def said(self, name: str | None = None) -> str:
        """Return what a member said, or all of them."""
        chosen = [self.members[name]] if name else self.members.values()
        return "\n".join(member.part.said() for member in chosen)

    def away(self, *, clean: bool = False) -> None:
        """Stop the broker, with kill -9 or cleanly."""
        self.sight.rest()
        if clean:
            self.broker.stop()
        else:
            self.broker.kill()
        self._away = True

    def back(self, fault: str) -> list[Recovery]:
        """Start the broker and wait until it answers; return the measurement that begins then."""
        self.broker.launch()
        self.wait(self._is_up, _UP_WITHIN_S, "the broker to answer")
        return self.measure(fault)

    def _back(self, fault: Fault) -> None:
        """Start the broker without waiting; once it answers, the measuring begins."""
        self.broker.launch()
        self._when_up(lambda: self._measure(fault))

    def _when_up(self, action: Callable[[], None]) -> None:
        if self._is_up():
            action()
        else:
            self._at(time.monotonic() + _LOOK_AGAIN_S, lambda: self._when_up(action))

    def _is_up(self) -> bool:
        if self.broker.is_up() and self.sight.look_again():
            self._away = False
            return True
        return False

    def _do(self, fault: Fault) -> None:
        name, kind = fault.target, fault.kind
        if name == BROKER and self._away:
            self._at(time.monotonic() + _LOOK_AGAIN_S, lambda: self._do(fault))
        elif kind in (Kind.AWAY, Kind.RESTART):
            self.away(clean=kind is Kind.RESTART)
            self._at(time.monotonic() + fault.for_s, lambda: self._back(fault))
        elif kind is Kind.PAUSE:
            self.pause(name)
            self._at(time.monotonic() + fault.for_s, lambda: self._resume(fault))
        elif kind is Kind.BURST:
            self.witness.bad(_BURST)
        elif kind is Kind.JOIN:
            self.start(name)
        elif kind is Kind.TERM:
            self.members[name].part.signal(signal.SIGTERM)  # the supervisor starts it again
            self._measure(fault)
        elif kind in (Kind.LEAVE, Kind.VANISH):
            self._leave(name, vanish=kind is Kind.VANISH)
            self._measure(fault)
        else:
            self.kill(name)
            self._touch_state(name, kind)
            self._measure(fault)
            self._at(time.monotonic() + _START_AGAIN_AFTER_S, lambda: self.start(name))

    def _resume(self, fault: Fault) -> None:
        self.resume(fault.target)
        self._measure(fault)

    def _measure(self, fault: Fault) -> None:
        if fault.target == BROKER:
            self.measure(str(fault))
        elif fault.target != SIMULATOR:
            self.measure(str(fault), self.members[fault.target].job)

    def _leave(self, name: str, *, vanish: bool) -> None:
        """Let a second member go: for good if it has no name of its own, else a supervisor brings it back."""
        part_ = self._down(name)
        part_.signal(signal.SIGKILL if vanish else signal.SIGTERM)
        if self.stable:
            self._at(time.monotonic() + _STOP_WITHIN_S, lambda: self.start(name))

    def _touch_state(self, name: str, kind: Kind) -> None:
        state_dir = self.members[name].state_dir
        if kind is Kind.LOSE_STATE:
            shutil.rmtree(state_dir, ignore_errors=True)
        elif kind is Kind.SPOIL_STATE:
            spoil(state_dir)

    def _member(self, name: str, variables: dict[str, str]) -> Member:
        state_dir, log = self.home / "state" / name, self.home / f"{name}.log"
        own: dict[str, object] = {"state_dir": state_dir}
        if self.stable:
            own["instance_id"] = name.partition(".")[2] or "1"
        settings = self.settings.model_copy(update=own)
        if name == SIMULATOR:
            return Member(name, part(settings, log, "simulator", *_SIMULATOR_ARGUMENTS, **variables), state_dir)
        return Member(name, part(settings, log, "processors", name.partition(".")[0], **variables), state_dir)

    def _down(self, name: str) -> Part:
        member = self.members[name]
        member.wanted = False
        self.resume(name)
        return member.part

    def _supervise(self) -> None:
        now_s = time.monotonic()
        for member in self.members.values():
            if not member.wanted or member.part.is_running():
                continue
            if member.ended_s is None:
                member.ended_s = now_s
                assert member.part.process is not None
                self.exits.append(Exit(member.name, member.part.process.returncode))
            elif now_s - member.ended_s >= _START_AGAIN_AFTER_S:
                self.start(member.name)

    def _at(self, when_s: float, action: Callable[[], object]) -> None:
        def act() -> None:
            action()

        heapq.heappush(self._agenda, (when_s, next(self._numbers), act))

    def is_settled(self) -> bool:
        """Tell whether each job has committed all of its input, and nothing is on its way."""
        self.go_on(_LOOK_AGAIN_S)
        return all(self.sight.has_read_all(job) for job in JOBS) and self.sight.has_seen_all()


def spoil(directory: Path) -> None:
    """Overwrite every data file with noise."""
    for path in directory.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".sst", ""):
            path.write_bytes(b"\xde\xad" * 500)
