"""For how long a job has left records unread, partition by partition."""

from collections.abc import Mapping

from sensorbus.runtime.clock import ClockMs

#: A partition as librdkafka's statistics name it: its topic and its number.
Place = tuple[str, str]


class LagTimes:
    """What a job knows of it without a look at each record: some of those that it read, and when none was left."""

    def __init__(self, clock_ms: ClockMs) -> None:
        """Know of no partition."""
        self._clock_ms = clock_ms
        #: The append time of a record that was read lately.
        self._read_ms: dict[Place, int] = {}
        #: When no record was left unread.
        self._none_left_ms: dict[Place, int] = {}
        #: When it was seen first.
        self._seen_ms: dict[Place, int] = {}

    def read(self, place: Place, append_time_ms: int) -> None:
        """Note a record that was read there; some of them are enough."""
        self._read_ms[place] = append_time_ms

    def worst_s(self, lags: Mapping[Place, int]) -> float:
        """Return the time of the partition that lags the most, 0 where none does.

        `lags` are the unread records of the partitions that are assigned, below 0 where that is not known. What is
        unread came after what was read, and after the moment in which nothing was left: the later of both counts.
        """
        now_ms, worst_ms = self._clock_ms(), 0
        for known in (self._read_ms, self._none_left_ms, self._seen_ms):
            for place in known.keys() - lags.keys():  # another member reads it now
                del known[place]
        for place, lag in lags.items():
            seen_ms = self._seen_ms.setdefault(place, now_ms)
            if lag == 0:
                self._none_left_ms[place] = now_ms
            since_ms = max(self._read_ms.get(place, 0), self._none_left_ms.get(place, 0)) or seen_ms
            worst_ms = max(worst_ms, now_ms - since_ms)
        return worst_ms / 1000
