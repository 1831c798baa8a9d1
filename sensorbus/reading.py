"""Reads topics to their end, and tells how far it is of all that is to be read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition

from sensorbus import records
from sensorbus.contract.settings import Settings

_TOLD_EVERY: Final = 1_000
#: Called with what is done now, how many offsets were read so far, and of how many (None: that is not known yet).
Tell = Callable[[str, int, int | None], object]


class Reader:
    """Reads with one consumer, and counts offsets, because markers of transactions are among what Kafka holds.

    What is read beyond what was planned makes the whole larger: who watches never sees it go back.
    """

    def __init__(self, settings: Settings, consumer: Consumer, tell: Tell = lambda _doing, _done, _total: None) -> None:
        """Take a `read_committed` consumer with `enable.partition.eof`."""
        self.settings, self.consumer = settings, consumer
        self._tell = tell
        self._doing = ""
        self._done = 0
        self._total: int | None = None

    def begin(self, doing: str) -> None:
        """Say what is done from now on."""
        self._doing = doing
        self._say()

    def plan(self, held: Iterable[records.Held]) -> None:
        """Take these as all that is to be read from now on."""
        self._total = self._done + sum(len(offsets) for one in held for offsets in one.values())
        self._say()

    def read(self, starts: list[TopicPartition], held: records.Held | None = None) -> Iterator[Message]:
        """Yield every record from there on to the end; `held`: as `records.held_offsets` said of the same places."""
        if held is None:
            held = records.held_offsets(self.settings, self.consumer, starts)
        at = {place: offsets.start for place, offsets in held.items() if offsets}
        ends = {place: held[place].stop for place in at}
        before, whole = self._done, sum(map(len, held.values()))
        untold = 0
        for message in records.read_to_end(self.settings, self.consumer, starts, ends):
            place = (message.topic(), message.partition())
            behind = message.offset() + 1
            self._done += behind - at[place]
            at[place] = behind
            untold += 1
            if untold == _TOLD_EVERY:
                untold = 0
                self._say()
            yield message
        self._done = before + whole
        self._say()

    def _say(self) -> None:
        if self._total is not None:
            self._total = max(self._total, self._done)
        self._tell(self._doing, self._done, self._total)
