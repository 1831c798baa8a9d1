"""Many devices, a fault every minute: what becomes of results and memory.

While the processes warm up (the first 10 min, or half of a shorter run) faults take lives: jobs, simulator, a worker of
the page and the broker. Afterwards they freeze, cut off and feed with bad input, and every process must live through
them: only of a process that lives can be told whether it grows. At the end `sensorbus verify` recomputes every result;
memory.csv beside the logs has the memory of each process over time.
"""

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.dashboards import Dashboard, dashboard
from tests.support.load import Load
from tests.support.parts import REPOSITORY, Part, environment_of, part, resident_bytes
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce

JOBS: Final = ("alert", "alert-count", "avg-temp")
#: A process may grow by so much after the warm-up.
MOST_GROWTH: Final = 0.03
_SAMPLE_S: Final = 2.0
_STEP_S: Final = 0.2
_BAD: Final = 2_000
_VERIFY_WITHIN_S: Final = 900.0
_BROWSERS: Final = 20
#: Less than the warm-up holds, so that what the page holds of readings and of alerts is whole before its memory is
#: looked at.
_RING_S: Final = 240
_HISTORY_S: Final = 360


@dataclass(frozen=True)
class Terms:
    """How long, how much, and how long a fault lasts."""

    duration_s: float
    devices: int = 1_000
    every_s: float = 60.0
    lasts_s: float = 8.0

    @property
    def warm_s(self) -> float:
        """When the processes have their size."""
        return min(600.0, self.duration_s / 2)


@dataclass
class Outcome:
    """What the soak has shown."""

    faults: list[str] = field(default_factory=list)
    #: Memory of each process after the warm-up and at the end, in bytes.
    memory: dict[str, tuple[float, float]] = field(default_factory=dict)
    #: Those of which it cannot be told whether they grew: they did not live so long.
    unmeasured: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    verdict: int = 0
    table: str = ""
    #: Ticks that were answered; those of them whose connection was cut, and which the browser sent once more.
    answers: int = 0
    sent_again: int = 0
    failures: list[str] = field(default_factory=list)
    log_bytes: dict[str, int] = field(default_factory=dict)

    def growth(self) -> dict[str, float]:
        """Return by how much of itself each process grew."""
        return {name: end / begin - 1 for name, (begin, end) in self.memory.items()}

    def __str__(self) -> str:
        """Return all of it."""
        sizes = [
            f"{name:<20} {begin / 1e6:8.1f} MB -> {end / 1e6:8.1f} MB  {end / begin - 1:+.2%}"
            for name, (begin, end) in self.memory.items()
        ]
        logs = ", ".join(f"{name} {size / 1000:.0f} kB" for name, size in self.log_bytes.items())
        again = f"{self.sent_again} of them sent again on a new connection"
        page = f"page: {self.answers} ticks answered, {again}, {len(self.failures)} failed {self.failures[:3]}"
        measured = f"measured: {', '.join(self.memory) or 'none'}; not measured: {', '.join(self.unmeasured) or 'none'}"
        return "\n".join([*self.faults, *sizes, measured, f"logs: {logs}", page, *self.deaths, self.table])


class Harm:
    """What is done to a bus, and undone a while later."""

    def __init__(self, broker: RealKafka, parts: Mapping[str, Part], page: Dashboard, lasts_s: float) -> None:
        """Do nothing yet."""
        self._broker, self._parts, self._page, self._lasts_s = broker, parts, page, lasts_s
        self._later: list[tuple[float, Callable[[], object]]] = []
        #: Workers of the page that were ended on purpose.
        self.killed: set[int] = set()

    def end_what_is_over(self) -> None:
        """Undo what has lasted long enough."""
        due = [entry for entry in self._later if entry[0] <= time.monotonic()]
        self._later = [entry for entry in self._later if entry not in due]
        for _, action in due:
            action()

    def lethal(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield names and actions that end processes."""
        for job in JOBS:
            yield f"{job}: kill -9", self._parts[job].kill
        yield "dashboard: kill -9 of a worker", self._kill_worker
        yield "simulator: kill -9", self._parts["simulator"].kill
        yield "broker: clean restart", lambda: self._away(self._broker.stop)
        yield "broker: kill -9, away", lambda: self._away(self._broker.kill)

    def harmless(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield names and actions that processes live through."""
        yield "broker: SIGSTOP", self._freeze_broker
        yield "dashboard: SIGSTOP of a worker", self._freeze_worker
        for name in (*JOBS, "simulator"):
            yield f"{name}: SIGSTOP", lambda name=name: self._freeze(self._parts[name])  # type: ignore[misc]  # a default binds it
        yield "sensor: bad input", self._send_bad
        yield "broker: kill -9, away", lambda: self._away(self._broker.kill)

    def _after(self, action: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + self._lasts_s, action))

    def _away(self, stop: Callable[[], object]) -> None:
        stop()
        self._after(self._broker.launch)

    def _freeze(self, each: Part) -> None:
        each.signal(signal.SIGSTOP)
        self._after(lambda: each.signal(signal.SIGCONT))

    def _freeze_broker(self) -> None:
        self._broker.pause()
        self._after(self._broker.resume)

    def _kill_worker(self) -> None:
        pid = self._page.worker_pids()[0]
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def _freeze_worker(self) -> None:
        pid = self._page.worker_pids()[0]
        os.kill(pid, signal.SIGSTOP)
        self._after(lambda: os.kill(pid, signal.SIGCONT))

    def _send_bad(self) -> None:
        produce(self._page.settings, SENSOR, (Record(b"bad", b'{"temperature": "x%d"}' % n) for n in range(_BAD)))


class Workers:
    """The page's workers, which gunicorn replaces without a word to who watches the page."""

    def __init__(self) -> None:
        """Know none yet."""
        self._seen: dict[int, set[int]] = {}

    def replaced(self, master: int, now: set[int], killed: set[int]) -> set[int]:
        """Return who is gone since the last look, by itself; those of a master that has ended went with it."""
        gone = self._seen.get(master, set()) - now
        self._seen = {master: now}
        return gone - killed


class Soak:
    """One run on a bus of its own."""

    def __init__(self, broker: RealKafka, home: Path, terms: Terms) -> None:
        """Start nothing yet."""
        self._terms = terms
        self._settings = Settings(kafka_bootstrap_servers=broker.address, topic_prefix="soak-")
        words = ("--devices", str(terms.devices), "--late", "0.005", "--out-of-order", "0.01", "--invalid", "0.001")
        self._parts = {"simulator": part(self._settings, home / "simulator.log", "simulator", *words)}
        for job in JOBS:
            own = self._settings.model_copy(update={"state_dir": home / job, "instance_id": "soak"})
            self._parts[job] = part(own, home / f"{job}.log", "processors", job)
        ring_rows = terms.devices * _RING_S
        bounds = {"dashboard_ring_rows": ring_rows, "dashboard_history_ms": _HISTORY_S * 1_000}
        self._page = dashboard(self._settings, home, dashboard_workers=2, **bounds)
        self._parts["dashboard"] = self._page.part
        self._samples: dict[int, list[tuple[float, int]]] = {}
        self._timeline = home / "memory.csv"
        self._outcome, self._workers = Outcome(), Workers()
        self._expected = (*self._parts, "dashboard worker 1", "dashboard worker 2")
        self._harm = Harm(broker, self._parts, self._page, terms.lasts_s)

    def run(self) -> Outcome:
        """Run to the end and return what was seen."""
        kafka.ensure_topics(self._settings, "test")
        with ExitStack() as stack:
            for each in self._parts.values():
                stack.enter_context(each)
            self._page.wait_ready()
            with Load(self._page.settings.dashboard_port, _BROWSERS, 1.0) as load:
                self._go_on()
            seen, told = load.outcome, self._outcome
            told.answers, told.sent_again, told.failures = seen.answers, seen.sent_again, seen.failures
            self._measure()
            self._parts["simulator"].stop(within_s=30)
            self._verify()
        self._outcome.log_bytes = {name: len(each.said()) for name, each in self._parts.items()}
        return self._outcome

    def _go_on(self) -> None:
        """Let it run for its time, with a fault whenever one is due."""
        begun_s, next_fault_s, next_sample_s = time.monotonic(), self._terms.every_s, 0.0
        lethal, harmless = self._harm.lethal(), itertools.cycle(self._harm.harmless())
        while (now_s := time.monotonic() - begun_s) < self._terms.duration_s:
            if now_s >= next_fault_s and now_s < self._terms.duration_s - 2 * self._terms.lasts_s:
                fault = next(lethal, None) if now_s < self._terms.warm_s - self._terms.every_s else None
                name, action = fault or next(harmless)
                self._outcome.faults.append(f"{now_s:6.0f} s {name}")
                _say(self._outcome.faults[-1])
                action()
                next_fault_s += self._terms.every_s
            if now_s >= next_sample_s:
                self._sample(now_s)
                next_sample_s += _SAMPLE_S
            self._supervise(now_s)
            time.sleep(_STEP_S)

    def _supervise(self, now_s: float) -> None:
        """End the faults that are over, and start again what has died."""
        self._harm.end_what_is_over()
        for name, each in self._parts.items():
            if not each.is_running():
                assert each.process is not None
                if now_s >= self._terms.warm_s:
                    self._outcome.deaths.append(f"{now_s:6.0f} s {name} ended with {each.process.returncode}")
                each.start()
        master = self._page.part.process
        if master is not None and master.poll() is None:
            gone = self._workers.replaced(master.pid, set(self._page.worker_pids()), self._harm.killed)
            if now_s >= self._terms.warm_s:
                self._outcome.deaths += [f"{now_s:6.0f} s page's worker {pid} was replaced" for pid in sorted(gone)]

    def _processes(self) -> Mapping[str, int]:
        pids = {name: each.process.pid for name, each in self._parts.items() if each.process and each.is_running()}
        workers = self._page.worker_pids() if "dashboard" in pids else []
        return pids | {f"dashboard worker {number}": pid for number, pid in enumerate(workers, 1)}

    def _sample(self, now_s: float) -> None:
        with self._timeline.open("a") as timeline:
            for name, pid in self._processes().items():
                try:
                    size = resident_bytes(pid)
                except (FileNotFoundError, IndexError):  # it has just ended
                    continue
                self._samples.setdefault(pid, []).append((now_s, size))
                timeline.write(f"{now_s:.0f},{name},{pid},{size}\n")

    def _measure(self) -> None:
        """Compare, by medians, the first and the last fifth of the time after the warm-up; of who lived so long.

        A worker has the name that it has now: with one that is replaced, the next ones in the list get other names.
        """
        names = {pid: name for name, pid in self._processes().items()}
        warm_s, end_s = self._terms.warm_s, self._terms.duration_s
        fifth_s = (end_s - warm_s) / 5
        for pid, samples in self._samples.items():
            early = [size for at_s, size in samples if warm_s <= at_s < warm_s + fifth_s]
            late = [size for at_s, size in samples if at_s >= end_s - fifth_s]
            if early and late and (name := names.get(pid)):
                self._outcome.memory[name] = (statistics.median(early), statistics.median(late))
        self._outcome.unmeasured = [name for name in self._expected if name not in self._outcome.memory]

    def _verify(self) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "sensorbus", "verify"],
            cwd=REPOSITORY,
            env=environment_of(self._settings, COLUMNS="200"),
            capture_output=True,
            text=True,
            check=False,
            timeout=_VERIFY_WITHIN_S,
        )
        self._outcome.verdict, self._outcome.table = done.returncode, done.stdout + done.stderr


def main() -> int:
    """Run one and say what was seen; exit code 1 when a result is wrong, a process died, grew or was not measured."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--devices", type=int, default=1_000)
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="sensorbus-soak-"))
    _say(f"logs and state: {home}")
    with RealKafka(home / "kafka") as broker:
        outcome = Soak(broker, home, Terms(arguments.minutes * 60, arguments.devices)).run()
    _say(str(outcome))
    grown = [name for name, growth in outcome.growth().items() if growth >= MOST_GROWTH]
    return 1 if outcome.verdict or outcome.failures or outcome.deaths or outcome.unmeasured or grown else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
