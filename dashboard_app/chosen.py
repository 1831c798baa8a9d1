"""Bands of the devices that browsers have chosen, where they are many.

Request threads ask, the consumer thread computes.
"""

from dataclasses import dataclass
from typing import Final

from dashboard_app.bands import Bands, Told
from dashboard_app.ring import Integers
from dashboard_app.store import Store

#: So many choices are computed at once, whoever looks at them; who comes later is told of the whole fleet.
MOST_CHOICES: Final = 16
#: One that nobody has asked for in so long is forgotten: of several workers each is asked now and then.
KEPT_MS: Final = 30_000


@dataclass(eq=False, slots=True)
class _Asked:
    bands: Bands
    asked_ms: int
    told: Told | None = None


class Choices:
    """The choices that browsers look at now."""

    def __init__(self, store: Store, history_ms: int) -> None:
        """Know none."""
        self._store, self._history_ms = store, history_ms
        self._asked: dict[bytes, _Asked] = {}  # each step on it is atomic; threads that add at once may pass the bound

    def told(self, devices: Integers, now_ms: int) -> tuple[bool, Told | None]:
        """Return whether there is room for this choice, and its bands when they are there; from any thread."""
        key = devices.tobytes()
        asked = self._asked.get(key)
        if asked is None:
            if not len(devices) or len(self._asked) >= MOST_CHOICES:
                return False, None
            asked = self._asked.setdefault(key, _Asked(Bands(self._store, self._history_ms, devices), now_ms))
        asked.asked_ms = now_ms
        return True, asked.told

    def update(self, now_ms: int, *, is_anew: bool) -> None:
        """Compute what is new of each, of one at most its whole history; for the consumer thread."""
        has_begun = False
        for key, asked in self._asked.copy().items():
            if abs(now_ms - asked.asked_ms) > KEPT_MS:
                self._asked.pop(key, None)
                continue
            if asked.told is None and has_begun:
                continue  # in the next second: of the largest rings it takes some tenths of one
            has_begun |= asked.told is None
            asked.bands.update(now_ms, is_anew=is_anew or asked.told is None)
            asked.told = asked.bands.told(now_ms)

    def clear(self) -> None:
        """Forget all: numbers are of other devices now."""
        self._asked = {}
