"""The command `sensorbus` of a test, run to its end."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from sensorbus.contract.settings import Settings
from tests.support.parts import environment_of


def run(settings: Settings, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, 60 s at most, where no terminal is."""
    return subprocess.run(
        [sys.executable, "-m", "sensorbus", *arguments],
        env=environment_of(settings, COLUMNS="80", **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def run_all(settings: Settings, *commands: str) -> list[subprocess.CompletedProcess[str]]:
    """Run several commands side by side, each to its end."""
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda command: run(settings, *command.split()), commands))
