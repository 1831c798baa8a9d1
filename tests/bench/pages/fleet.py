"""Seeded readings, the same for each page that is compared."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from simulator.fleet import Fleet

WINDOW_S: Final = 100
LINES: Final = 10  # what a chart shows one by one
SPEED: Final = float(os.environ.get("BENCH_SPEED", "1"))  # how much faster than real time `now_s` runs
_BEGUN_S: Final = time.time()
POLLS: Final = 25  # so often a second our page's consumer hands over what came; other pages are given the same

#: A second of the fleet: (device, event time in ms, °C).
Readings = Sequence[tuple[str, int, float]]


def now_s() -> float:
    """Return the fleet's time."""
    return _BEGUN_S + (time.time() - _BEGUN_S) * SPEED


def names(devices: int) -> list[str]:
    """Return the devices' ids, as the simulator calls its own."""
    return Fleet(devices, period_ms=1_000, seed=0, start_ms=0).names


def seconds(devices: int, start_ms: int, seed: int = 7) -> Iterator[Readings]:
    """Yield second after second without end."""
    generator, ids = random.Random(seed), names(devices)  # noqa: S311  # readings, not secrets
    while True:
        # Each device has its own place in the second, as real ones do: equal times would compress to nothing.
        yield [
            (name, start_ms + 37 * number % 997, round(generator.gauss(25, 3), 2)) for number, name in enumerate(ids)
        ]
        start_ms += 1_000


def run(devices: int, take: Callable[[Readings], None]) -> None:
    """Give the readings of the last 100 s at once, then the others as they come, from a thread."""
    begun_s = int(now_s())
    source = seconds(devices, (begun_s - WINDOW_S) * 1_000)
    for _ in range(WINDOW_S):
        take(next(source))
    threading.Thread(target=_follow, args=(source, take, begun_s), daemon=True).start()


def count_tick() -> None:
    """Note that a session was told what is new, for those who cannot see it from outside."""
    with Path(os.environ["BENCH_TICKS"]).open("ab") as file:
        file.write(b".")


def _follow(source: Iterator[Readings], take: Callable[[Readings], None], at_s: int) -> None:
    while True:
        at_s += 1
        readings = sorted(next(source), key=lambda reading: reading[1])
        for number in range(POLLS):
            time.sleep(max(0.0, at_s + (number + 1) / POLLS - now_s()) / SPEED)
            take(readings[number * len(readings) // POLLS : (number + 1) * len(readings) // POLLS])
