"""What a worker holds of the topics.

Rings, devices, the newest reading and average of each.
Not locked: the store does that.
"""

import bisect
from collections.abc import Mapping
from typing import Final

import numpy as np

from dashboard_app.devices import NO_DEVICE, Names, Newest, Roster
from dashboard_app.ring import ENCODED_ROWS, Integers, Offsets, Records, Ring
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR

#: The topics that the page reads; decode.py says what it makes of a record of each.
SHOWN: Final = (SENSOR, ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER)
#: Those of a cursor by name, in its order.
CURSOR_TOPICS: Final = tuple(topic.name for topic in SHOWN if topic is not DEAD_LETTER)
#: Up to so many devices, every browser gets every reading.
ALL_DETAIL_DEVICES: Final = 100
#: Of so many devices an answer tells the newest reading; of a larger fleet in turn.
TURN_DEVICES: Final = 1_000
_RESULT_ROWS: Final = 200_000
_MAX_DEAD_LETTERS: Final = 100_000
_COUNTS_KEPT_MS: Final = 60_000  # the page shows the window that ends now


class Held:
    """The rings by topic, the devices, the newest reading and average of each."""

    def __init__(self, ring_rows: int, history_ms: int, max_devices: int) -> None:
        """Hold `ring_rows` readings at most, of the last `history_ms` by append time."""
        self.history_ms = history_ms
        self.offsets = {topic.name: Offsets() for topic in SHOWN}
        rows = {
            SENSOR.name: ring_rows,
            ALERT.name: min(ring_rows, _RESULT_ROWS),
            ALERT_COUNT.name: min(ring_rows, _RESULT_ROWS),
        }
        encoded_rows = {SENSOR.name: ENCODED_ROWS}
        self.rings = {
            topic: Ring(self.offsets[topic], capacity, encoded_rows.get(topic, 0)) for topic, capacity in rows.items()
        }
        self.names = Names(max_devices)
        self.newest, self.averages = Newest(), Newest()
        self.newest_average_ms: int | None = None  # by append time
        self.dead_letters_ms: list[int] = []  # append times, in order
        self.roster = Roster()
        self.heard_ms = np.zeros(0, np.int64)  # by device, append time of what came last

    @property
    def is_large(self) -> bool:
        """Tell whether there are too many devices to send every reading to every browser."""
        return len(self.names) > ALL_DETAIL_DEVICES

    @property
    def current_roster(self) -> Roster | None:
        """The roster, None when devices have come or gone since it was made."""
        return self.roster if self.roster.version == self.names.version else None

    def begin(self, topic: str, partition: int, offset: int) -> int:
        """Tell where reading a new partition would begin; return where it begins: a known one goes on."""
        offsets = self.offsets[topic]
        if offsets.begin(partition, offset) and topic in self.rings:
            self.rings[topic].begin(partition, offset)
        return int(offsets.next[partition])

    def make_ready(self, topic: str, records: Records) -> tuple[Records, Integers | None]:
        """Do what takes long before records are put in: the writer needs no lock for what only it changes.

        Returns them as arrays, and their devices' numbers, None when not all are known.
        """
        if topic in self.rings:
            self.rings[topic].make_ready(records)
        return records.as_arrays(), self.names.numbers(records.device_ids)

    def free_old(self, topic: str) -> None:
        """Free what `make_ready` and `append` have left; as the former, without the store's lock."""
        if topic in self.rings:
            self.rings[topic].free_old()

    def append(self, topic: str, records: Records, known: Integers | None = None) -> None:
        """Put records of a topic in; what was put in before is left out. `known` is of `make_ready`."""
        fresh = self.offsets[topic].fresh(records)
        devices = known if known is not None and fresh is records else self.names.take(fresh.device_ids)
        if NO_DEVICE in devices:
            places = np.flatnonzero(devices != NO_DEVICE)
            fresh, devices = fresh.only(places.tolist()), devices[places]
        if not len(devices):
            return
        self._note_heard(fresh, devices)
        if topic == AVG_TEMP.name:
            self.averages.take(fresh, devices)
            self.newest_average_ms = max(self.newest_average_ms or 0, int(np.max(fresh.appends_ms)))
            return
        self.rings[topic].append(fresh, devices)
        if topic == SENSOR.name:
            self.newest.take(fresh, devices)

    def append_dead_letters(self, records: Records) -> None:
        """Count dead letters; only when they came is held."""
        came_ms = self.dead_letters_ms
        came_ms.extend(self.offsets[DEAD_LETTER.name].fresh(records).appends_ms)
        came_ms.sort()
        del came_ms[:-_MAX_DEAD_LETTERS]

    def drop_old(self, now_ms: int) -> None:
        """Drop what is older than the history, and devices of which nothing is left."""
        before_ms = now_ms - self.history_ms
        self.rings[SENSOR.name].drop_before(before_ms)
        self.rings[ALERT.name].drop_before(before_ms)
        self.rings[ALERT_COUNT.name].drop_before(now_ms - _COUNTS_KEPT_MS)
        del self.dead_letters_ms[: bisect.bisect_left(self.dead_letters_ms, before_ms)]
        self._forget_unheard(before_ms)

    def covers(self, cursor: Mapping[str, Mapping[int, int]]) -> bool:
        """Tell whether every reading and alert since the cursor is still held."""
        return all(self.rings[topic].covers(cursor[topic]) for topic in (SENSOR.name, ALERT.name))

    def newest_append_ms(self) -> dict[str, int | None]:
        """Return the append time of the newest record of each topic, None before the first."""
        newest = {topic: ring.statistics().newest_append_ms for topic, ring in self.rings.items()}
        newest[AVG_TEMP.name] = self.newest_average_ms
        newest[DEAD_LETTER.name] = self.dead_letters_ms[-1] if self.dead_letters_ms else None
        return newest

    def _note_heard(self, records: Records, devices: Integers) -> None:
        most = int(devices.max())
        if most >= len(self.heard_ms):
            added = 2 * (most + 1) - len(self.heard_ms)
            self.heard_ms = np.concatenate((self.heard_ms, np.zeros(added, np.int64)))
        np.maximum.at(self.heard_ms, devices, records.appends_ms)

    def _forget_unheard(self, before_ms: int) -> None:
        unheard = np.flatnonzero(self.heard_ms[: len(self.names.by_number)] < before_ms).tolist()
        unheard = [device for device in unheard if self.names.by_number[device]]
        if not unheard:
            return
        in_use = np.zeros(len(self.names.by_number), bool)
        for ring in self.rings.values():
            in_use[ring.held("device")] = True
        for device in unheard:
            if not in_use[device]:  # a row in a ring must not become another device's
                self.names.forget(device)
                self.newest.forget(device)
                self.averages.forget(device)
