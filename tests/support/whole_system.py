"""`sensorbus up` as a person runs it: one command, all parts."""

import sys
from pathlib import Path

from sensorbus.contract.settings import Settings
from tests.support.parts import REPOSITORY, Part, environment_of


def up(home: Path, port: int, *arguments: str, **variables: str) -> Part:
    """Return `sensorbus up` in a folder of its own, not yet started."""
    environment = environment_of(Settings(), PYTHONPATH=str(REPOSITORY), **variables)
    environment["SENSORBUS_STATE_DIR"] = str(home / "state")
    return Part(
        [sys.executable, "-m", "sensorbus", "up", "--port", str(port), "--seed", "1", *arguments],
        environment,
        home / "log",
    )


def processes_of(supervisor: int) -> list[int]:
    """Return the ids of all processes that carry this supervisor in their environment, itself not."""
    found = []
    mark = f"_SENSORBUS_SUPERVISOR_PID={supervisor}".encode()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended, or is another user's
    return found


def command_of(pid: int) -> list[str]:
    """Return a process' command line, nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    except OSError:
        return []
