"""What a worker and the page's model hold after hours, by a faster clock.

`python -m tests.bench.bench_leak [--hours 8] [--devices 100]`

The worker's store is given a second after the other and is asked for ticks between; the page's model, in node, is
given ticks. Both are at their bound after 15 minutes, the length of the history; memory is told for each hour.
"""

import argparse
import gc
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.bench.bench_tick import Delta
from tests.bench.pages import fleet
from tests.support.parts import REPOSITORY

_START_MS: Final = 1_769_860_800_000
_HOUR_S: Final = 3_600
_ASKED_EVERY_S: Final = 10


def main() -> None:
    """Run both and print what they hold."""
    parser = argparse.ArgumentParser(description="Memory over hours.")
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--devices", type=int, default=100)
    arguments = parser.parse_args()
    _worker(arguments.hours, arguments.devices, Console())
    if node := shutil.which("node"):
        sys.stdout.flush()
        script = [node, "--expose-gc", "tests/bench/leak.js", str(arguments.hours), str(arguments.devices)]
        subprocess.run(script, cwd=REPOSITORY, check=True)


def _worker(hours: int, devices: int, console: Console) -> None:
    page, source = Delta(fleet.names(devices)), fleet.seconds(devices, _START_MS)
    for hour in range(hours):
        for second in range(_HOUR_S):
            page.take(next(source))
            if second % _ASKED_EVERY_S == 0:
                page.ask()
        gc.collect()
        console.print(f"worker after {hour + 1} h: {_memory_mb():.1f} MB")


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1_000


if __name__ == "__main__":
    main()
