"""What a worker holds of the topics, for all its requests.

One writer (the consumer thread) puts records in, many request threads take changes out, each under one short lock:
nobody sees half a batch. A cursor is the next Kafka offset of every partition, never a place in the ring, so any
worker can go on where another one stopped.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from dashboard_app.changes import Changes, Moment, Question, Shared
from dashboard_app.devices import MAX_DEVICES, roster
from dashboard_app.held import Held
from dashboard_app.ring import Records, Statistics

#: Answers of the same question are the same for so long, unless something is written: their ages are of its begin.
_MOMENT_MS: Final = 100

T = TypeVar("T")


class Store:
    """What is held, behind a lock; `epoch` names the topics that it is of."""

    def __init__(self, ring_rows: int, history_ms: int, max_devices: int = MAX_DEVICES) -> None:
        """Hold `ring_rows` readings at most, of the last `history_ms` by append time."""
        self._lock = threading.Lock()
        self._bounds = (ring_rows, history_ms, max_devices)
        self._held = Held(*self._bounds)
        self._settled_version = -1
        self._newest_append_ms = self._held.newest_append_ms()  # never changed, only replaced: read without the lock
        self._version = 0
        self._shared = Shared()
        self.epoch = ""

    # For the writer.

    def begin(self, topic: str, partition: int, offset: int) -> int:
        """Tell where reading a new partition would begin; return where it begins: a known one goes on."""
        with self._lock:
            return self._held.begin(topic, partition, offset)

    def append(self, topic: str, records: Records) -> None:
        """Put records of a topic in; what was put in before is left out."""
        if len(records.offsets):
            ready, known = self._held.make_ready(topic, records)
            with self._changing():
                self._held.append(topic, ready, known)
            self._held.free_old(topic)

    def append_dead_letters(self, records: Records) -> None:
        """Count dead letters; only when they came is held."""
        with self._changing():
            self._held.append_dead_letters(records)

    def drop_old(self, now_ms: int) -> None:
        """Drop what is older than the history, and devices of which nothing is left."""
        with self._changing():
            self._held.drop_old(now_ms)

    def settle(self) -> None:
        """Make the roster anew, if devices came or went and none did since the last call; call it once a second."""
        with self._lock:
            held, version = self._held, self._held.names.version
            was_settled, self._settled_version = version == self._settled_version, version
            if not was_settled or version == held.roster.version:
                return  # while devices come and go every second, answers name them
            by_number = list(held.names.by_number)
        made = roster(by_number, version)  # of 10,000 devices: some ms
        with self._changing():
            held.roster = made

    def clear(self, epoch: str) -> None:
        """Forget everything: these are other topics now."""
        with self._changing():
            self.epoch, self._held, self._settled_version = epoch, Held(*self._bounds), -1

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, and renew what is read without it."""
        with self._lock:
            try:
                yield
            finally:
                self._version += 1
                self._newest_append_ms = self._held.newest_append_ms()

    # For readers.

    def moment(self, now_ms: int) -> Moment:
        """Return what names a moment at which equal questions have equal answers; another one after each write."""
        return self._version, now_ms // _MOMENT_MS

    def changes(self, question: Question, now_ms: int) -> Changes:
        """Return what is new; the cost follows what is new, not what is held.

        What is held of the past comes behind, some rows at a time, as it was at that moment.
        """
        with self._lock:
            found = self._shared.changes(self._held, question, self.moment(now_ms), now_ms)
        return found.whole(self.read_on)

    def read(self, look: Callable[[Held, str], T]) -> T:
        """Return what `look(held, epoch)` makes; it must be quick, and look at what is held in such calls alone."""
        with self._lock:
            return look(self._held, self.epoch)

    def read_on(self, look: Callable[[Held, str], T]) -> T:
        """As `read`, of one who comes again at once: who waits for the lock has it first, for it is no fair one."""
        made = self.read(look)
        time.sleep(0)
        return made

    def newest_append_ms(self) -> Mapping[str, int | None]:
        """Return the append time of the newest record of each topic, None before the first."""
        return self._newest_append_ms

    def statistics(self) -> dict[str, Statistics]:
        """Return how full the ring of each topic is."""
        with self._lock:
            return {topic: ring.statistics() for topic, ring in self._held.rings.items()}

    @property
    def devices(self) -> int:
        """How many devices are known."""
        return len(self._held.names)

    @property
    def refused_devices(self) -> int:
        """How many records were left out because their device was one too many."""
        return self._held.names.refused

    @property
    def dead_letters(self) -> int:
        """How many dead letters came within the history."""
        return len(self._held.dead_letters_ms)

    @property
    def is_large(self) -> bool:
        """Tell whether there are too many devices to send every reading to every browser."""
        return self._held.is_large
