"""Parts of sensorbus as child processes.

Started with a bus's settings, stopped by their id.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import SecretStr

from sensorbus.contract.settings import PREFIX, Settings, variable_name

REPOSITORY: Final = Path(__file__).parents[2]
_STOP_WITHIN_S: Final = 15.0


@dataclass
class Part:
    """One process; `log` holds what it wrote to stdout and stderr."""

    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it if it still runs, with what it started."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):  # all of it has ended
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Start the process in a group of its own; the log goes on."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=REPOSITORY,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, exit_code: int = 0, within_s: float = _STOP_WITHIN_S) -> None:
        """Send SIGTERM and expect this exit code in time."""
        process = self._running()
        process.terminate()
        assert process.wait(within_s) == exit_code, self.said()

    def kill(self) -> None:
        """Kill -9 and wait."""
        process = self._running()
        process.kill()
        process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, e.g. SIGSTOP."""
        self._running().send_signal(number)

    def wait(self, exit_code: int, within_s: float) -> None:
        """Expect it to end by itself with this exit code."""
        assert self._running().wait(within_s) == exit_code, self.said()

    def is_running(self) -> bool:
        """Tell whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    def said(self) -> str:
        """Return all that it wrote, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, f"{self.command} was not started"
        return self.process


def part(settings: Settings, log: Path, module: str, *arguments: str, **variables: str) -> Part:
    """Return `python -m module arguments` for a bus, not yet started; `variables` are more of its environment."""
    return Part([sys.executable, "-m", module, *arguments], environment_of(settings, **variables), log)


def environment_of(settings: Settings, **variables: str) -> dict[str, str]:
    """Return an environment in which `load` gives these settings: none of ours but what was set explicitly."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = settings.model_dump(exclude_unset=True, exclude={"kafka_options"})
    options = {f"{PREFIX}KAFKA_{_upper(name)}": _text(value) for name, value in settings.kafka_options.items()}
    ours = {variable_name(name): _text(value) for name, value in given.items() if value is not None}
    return inherited | options | ours | variables


def _upper(option: str) -> str:
    return option.upper().replace(".", "_")


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has taken, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def child_pids(pid: int) -> list[int]:
    """Return the processes that the main thread of a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def most_resident_bytes(pid: int) -> int:
    """Return the most memory that a process has held."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1_024


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
