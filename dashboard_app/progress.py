"""How far each partition has been read, and how much is left.

Called from the consumer thread alone. Times are those of the monotonic clock, in s.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from dashboard_app.assignment import Place

#: A place that gave something new within this time is at its end.
LIVE_WITHIN_S: Final = 2.0


class Left(NamedTuple):
    """Whether the history has been read, and how many records are known to wait."""

    is_caught_up: bool
    behind: int


class Progress:
    """The next offset of each place, and when it was last read."""

    def __init__(self) -> None:
        """Know no place."""
        self.next: dict[Place, int] = {}
        self.came_s = 0.0  # when anything was last read
        self._live_s: dict[Place, float] = {}  # when a place was last read to its end, or near it
        self._lag_s: dict[Place, float] = {}  # since when a place has been behind
        self._old_s: dict[Place, float] = {}  # when a place last gave records that were not new

    def note(self, place: Place, next_offset: int, now_s: float, *, is_live: bool) -> None:
        """Note what was read; `is_live`: to the place's end, or records that are new."""
        self.next[place] = next_offset
        self.came_s = (self._live_s if is_live else self._old_s)[place] = now_s

    def silent(self, places: Iterable[Place], now_s: float) -> list[Place]:
        """Return those places that may not have been read to their ends: their ends must be asked for."""
        return [place for place in places if now_s - self._live_s.get(place, 0.0) > LIVE_WITHIN_S]

    def left(self, places: frozenset[Place], ends: Mapping[Place, int], now_s: float, *, was_caught_up: bool) -> Left:
        """Return how much there is to read; `ends` are those of the silent places.

        Once caught up, only a place that gives old records is behind: what stays unread at the end of a quiet one are
        transaction markers, which are offsets without a record, or records that an open transaction hides.
        """
        is_caught_up = was_caught_up or (bool(places) and self._live_s.keys() >= places)
        lags = {place: end - self.next[place] for place, end in ends.items() if end > self.next[place]}
        self._lag_s = {place: self._lag_s.get(place, now_s) for place in lags}
        behind = sum(lag for place, lag in lags.items() if not is_caught_up or self._is_late(place, now_s))
        return Left(is_caught_up, behind)

    def _is_late(self, place: Place, now_s: float) -> bool:
        gives_old = now_s - self._old_s.get(place, 0.0) <= LIVE_WITHIN_S
        return gives_old and now_s - self._lag_s[place] >= LIVE_WITHIN_S
