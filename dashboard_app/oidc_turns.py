"""Bounds what may wait for a sign-in provider, and how often it is asked.

Whoever opens the page can make it ask: without a bound, strangers and a slow provider hold all threads of a worker.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from requests import RequestException

#: After a failure nobody asks for so long.
RESTS_S: Final = 3.0
_MOST_USED: Final = 1_000


class Resting(RequestException):
    """The provider did not answer a moment ago."""


class Busy(RequestException):
    """As many as may already wait for the provider."""


class Turns:
    """One kind of question: a few threads ask at once, the others are refused without waiting."""

    def __init__(
        self,
        at_once: int,
        failures: type[Exception] | tuple[type[Exception], ...],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember these `failures`; what a stranger can cause is none of them, or he would shut out the others."""
        self._free = threading.BoundedSemaphore(at_once)
        self._failures, self._clock_s = failures, clock_s
        self._rests_until_s = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Ask within this; raises `Resting` or `Busy` in place of asking."""
        if not self._free.acquire(blocking=False):
            raise Busy("others wait for it already")
        try:
            if self._clock_s() < self._rests_until_s:  # looked at here: who failed has noted it before he made room
                raise Resting("it did not answer a moment ago")
            try:
                yield
            except self._failures:
                self._rests_until_s = self._clock_s() + RESTS_S
                raise
        finally:
            self._free.release()


class Once:
    """What may be used once; it is remembered until it would be refused anyhow, the newest thousand at most."""

    def __init__(self, clock_s: Callable[[], float] = time.time) -> None:
        """Remember nothing yet."""
        self._clock_s = clock_s
        self._used: dict[str, float] = {}  # and until when, in the order of use
        self._lock = threading.Lock()

    def take(self, name: str, until_s: float) -> bool:
        """Tell whether it was not used before; now it is."""
        with self._lock:
            now_s = self._clock_s()
            while self._used and next(iter(self._used.values())) <= now_s:
                del self._used[next(iter(self._used))]
            is_new = name not in self._used
            if is_new:
                if len(self._used) >= _MOST_USED:
                    del self._used[next(iter(self._used))]
                self._used[name] = until_s
            return is_new
