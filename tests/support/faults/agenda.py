"""What is to be done later, in the order of its time; one thread looks at it."""

import heapq
import itertools
import time
from collections.abc import Callable


class Agenda:
    """Actions with the monotonic time at which each is due."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def __bool__(self) -> bool:
        """Tell whether something is left to do."""
        return bool(self._entries)

    def at(self, when_s: float, action: Callable[[], object]) -> None:
        """Do it then."""
        heapq.heappush(self._entries, (when_s, next(self._numbers), action))

    def after(self, delay_s: float, action: Callable[[], object]) -> None:
        """Do it so many seconds from now."""
        self.at(time.monotonic() + delay_s, action)

    def do_what_is_due(self) -> None:
        """Do it, the oldest first; an action may put others on the agenda."""
        while self._entries and self._entries[0][0] <= time.monotonic():
            heapq.heappop(self._entries)[2]()
