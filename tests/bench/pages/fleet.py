"""Seeded readings, the same for each page that is compared."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

WINDOW_S: Final = 100
LINES: Final = 10  # what a chart shows one by one
POLLS: Final = 25  # so often a second our page's consumer hands over what came; other pages are given the same

#: A second of the fleet: (device, event time in ms, °C).
Readings = Sequence[tuple[str, int, float]]


def names(devices: int) -> list[str]:
    """Return the devices' ids."""
    return [f"device-{number:04d}" for number in range(devices)]


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
    now_s = int(time.time())
    source = seconds(devices, (now_s - WINDOW_S) * 1_000)
    for _ in range(WINDOW_S):
        take(next(source))
    threading.Thread(target=_follow, args=(source, take, now_s), daemon=True).start()


def count_tick() -> None:
    """Note that a session was told what is new, for those who cannot see it from outside."""
    with Path(os.environ["BENCH_TICKS"]).open("ab") as file:
        file.write(b".")


def _follow(source: Iterator[Readings], take: Callable[[Readings], None], now_s: int) -> None:
    while True:
        now_s += 1
        readings = sorted(next(source), key=lambda reading: reading[1])
        for number in range(POLLS):
            time.sleep(max(0.0, now_s + (number + 1) / POLLS - time.time()))
            take(readings[number * len(readings) // POLLS : (number + 1) * len(readings) // POLLS])
