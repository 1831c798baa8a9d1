"""Kills processes that take too much memory, as the system does it."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Final, Self

from tests.support.parts import resident_bytes

_MEMORY_BYTES: Final = 600_000_000
_LOOKED_EVERY_S: Final = 0.01


class Bounded:
    """Looks after processes, and has those killed that pass the bound; a context manager."""

    def __init__(self, running: Callable[[], Mapping[str, int]], kill: Callable[[str], None]) -> None:
        """Look after what `running` names, with its process id; `kill` ends it and starts what comes after."""
        self._running, self._kill, self._is_over = running, kill, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.killed: list[str] = []

    def __enter__(self) -> Self:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more."""
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(_LOOKED_EVERY_S):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one has ended by itself
                for name, pid in self._running().items():
                    if resident_bytes(pid) > _MEMORY_BYTES:
                        self._kill(name)
                        self.killed.append(name)
