"""The processes of a bus that are meant to run.

And the supervisor that starts them again.
"""

import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensorbus.contract.settings import Settings
from tests.support.faults.plan import SIMULATOR, Kind
from tests.support.parts import Part, part, resident_bytes

START_AGAIN_AFTER_S: Final = 1.0  # as `sensorbus up` does
_SIMULATOR_ARGUMENTS: Final = (
    *("--devices", "20", "--seed", "7", "--invalid", "0.03", "--duplicate", "0.02"),
    *("--late", "0.02", "--out-of-order", "0.05", "--dropout", "0.02", "--skew", "0.1"),
)
#: What a part says once it takes signals and is at work.
_AT_WORK: Final = (" reads ", " report every ")


@dataclass
class Member:
    """One process that is meant to run, e.g. `alert`, `avg-temp.2`, `simulator`."""

    name: str
    part: Part
    state_dir: Path
    wanted: bool = True
    paused: bool = False
    ended_s: float | None = None
    said_before: int = 0

    @property
    def job(self) -> str:
        """The job that it is a member of."""
        return self.name.partition(".")[0]

    def start(self) -> None:
        """Start its process, for the first time or again; one that runs goes on, for a twin would fence it."""
        if self.part.is_running():
            return
        self.wanted, self.paused, self.ended_s = True, False, None
        self.said_before = len(self.part.said())
        self.part.start()

    def is_at_work(self) -> bool:
        """Tell whether it said so since it was last started; before, SIGTERM would end it as any process."""
        return any(words in self.part.said()[self.said_before :] for words in _AT_WORK)

    def down(self) -> Part:
        """Return its process, awake, to be ended; nobody starts it again."""
        self.wanted = False
        self.resume()
        return self.part

    def pause(self) -> None:
        """Freeze it."""
        if self.part.is_running():
            self.part.signal(signal.SIGSTOP)
            self.paused = True

    def resume(self) -> None:
        """Let it go on."""
        if self.paused:
            self.part.signal(signal.SIGCONT)
            self.paused = False

    def touch_state(self, kind: Kind) -> None:
        """Delete or overwrite its state, if that is the fault."""
        if kind is Kind.LOSE_STATE:
            shutil.rmtree(self.state_dir, ignore_errors=True)
        elif kind is Kind.SPOIL_STATE:
            spoil(self.state_dir)


@dataclass
class Exit:
    """A process that ended without being asked to."""

    name: str
    code: int


class Members:
    """By name; with `stable`, each has an instance id."""

    def __init__(self, settings: Settings, home: Path, *, stable: bool) -> None:
        """Start nothing; logs and state are in `home`."""
        self._settings, self._home, self._stable = settings, home, stable
        self._members: dict[str, Member] = {}
        self.exits: list[Exit] = []

    def __getitem__(self, name: str) -> Member:
        """Return a member that was started once."""
        return self._members[name]

    def __contains__(self, name: str) -> bool:
        """Tell whether a member of this name was ever started."""
        return name in self._members

    def __iter__(self) -> Iterator[Member]:
        """Yield all, in the order of their first start."""
        return iter(self._members.values())

    def start(self, name: str, **variables: str) -> None:
        """Start one that does not run: a new one, with more in its environment, or again."""
        if name not in self._members:
            self._members[name] = self._member(name, variables)
        self._members[name].start()

    def running(self) -> list[str]:
        """Return the names of those whose process has not ended."""
        return [member.name for member in self if member.part.is_running()]

    def are_at_work(self) -> bool:
        """Tell whether all that are meant to run do, and said so."""
        return all(member.part.is_running() and member.is_at_work() for member in self if member.wanted)

    def supervise(self) -> None:
        """Start again what ended a second ago without being asked to."""
        now_s = time.monotonic()
        for member in self:
            if not member.wanted or member.part.is_running():
                continue
            if member.ended_s is None:
                member.ended_s = now_s
                assert member.part.process is not None
                self.exits.append(Exit(member.name, member.part.process.returncode))
            elif now_s - member.ended_s >= START_AGAIN_AFTER_S:
                member.start()

    def memory_mb(self, *names: str) -> float:
        """Return what these hold in memory together (resident set), in MB."""
        processes = [self[name].part.process for name in names]
        return sum(resident_bytes(process.pid) for process in processes if process is not None) / 1e6

    def _member(self, name: str, variables: dict[str, str]) -> Member:
        state_dir, log = self._home / "state" / name, self._home / f"{name}.log"
        own: dict[str, object] = {"state_dir": state_dir}
        if self._stable:
            own["instance_id"] = name.partition(".")[2] or "1"
        settings = self._settings.model_copy(update=own)
        if name == SIMULATOR:
            return Member(name, part(settings, log, "simulator", *_SIMULATOR_ARGUMENTS, **variables), state_dir)
        return Member(name, part(settings, log, "processors", name.partition(".")[0], **variables), state_dir)


def spoil(directory: Path) -> None:
    """Overwrite every data file with noise."""
    for path in directory.rglob("*"):
        if path.is_file() and path.suffix in (".log", ".sst", ""):
            path.write_bytes(b"\xde\xad" * 500)
