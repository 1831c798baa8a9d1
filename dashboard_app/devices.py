"""The devices that a worker knows, and the newest record of each on a topic.

Not locked: the store does that. A device has a number, its place in every column; numbers of forgotten devices are
used again. "Newest" goes by event time: a record that comes late does not replace a newer one.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from dashboard_app.ring import Integers, Records

#: More devices than this are counted and left out: a hostile sender cannot fill the memory with names.
MAX_DEVICES: Final = 100_000
NO_DEVICE: Final = -1
_NEVER_MS: Final = np.iinfo(np.int64).min
_FIRST_SIZE: Final = 64


class Names:
    """Device ids and their numbers."""

    def __init__(self, capacity: int = MAX_DEVICES) -> None:
        """Know none."""
        self.by_number: list[str] = []  # "" where a device was forgotten
        self.refused = 0
        self._capacity = capacity
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Return how many devices are known."""
        return len(self._numbers)

    def take(self, device_ids: Iterable[str]) -> list[int]:
        """Return the numbers of these devices, new ones included; NO_DEVICE where there is no room."""
        known = self._numbers
        return [known[device_id] if device_id in known else self._add(device_id) for device_id in device_ids]

    def known(self, device_ids: Iterable[str]) -> Integers:
        """Return the numbers of those devices that are known, each once."""
        found = (self._numbers.get(device_id) for device_id in device_ids)
        return np.unique(np.array([number for number in found if number is not None], np.int64))

    def forget(self, number: int) -> None:
        """Give the number free."""
        del self._numbers[self.by_number[number]]
        self.by_number[number] = ""
        self._free.append(number)

    def _add(self, device_id: str) -> int:
        if len(self._numbers) >= self._capacity:
            self.refused += 1
            return NO_DEVICE
        if self._free:
            number = self._free.pop()
            self.by_number[number] = device_id
        else:
            number = len(self.by_number)
            self.by_number.append(device_id)
        self._numbers[device_id] = number
        return number


class Newest:
    """The newest record of each device on one topic, by number; `previous` is the one before it, NaN if unknown."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.fragments: list[bytes] = []
        self.times_ms = np.zeros(0, np.int64)
        self.values = np.zeros(0, np.float64)
        self.previous = np.zeros(0, np.float64)
        self._partitions = np.zeros(0, np.int32)
        self._offsets = np.zeros(0, np.int64)

    def take(self, records: Records, devices: Sequence[int]) -> list[tuple[int, int]]:
        """Note the records that are newest; return (device, place in `records`) of each."""
        self._make_room(max(devices) + 1)
        numbers, times_ms = np.asarray(devices), np.asarray(records.times_ms, np.int64)
        order = np.lexsort((times_ms, numbers))  # stable: of equal times the one that came last stands last
        numbers, times_ms = numbers[order], times_ms[order]
        values = np.asarray(records.values, np.float64)[order]
        goes_on = np.append(numbers[1:] == numbers[:-1], False)
        kept = ~(goes_on & np.append(times_ms[1:] == times_ms[:-1], False))  # of a repeat the last
        order, numbers, times_ms, values = order[kept], numbers[kept], times_ms[kept], values[kept]
        last = np.flatnonzero(np.append(numbers[1:] != numbers[:-1], True))
        last = last[times_ms[last] >= self.times_ms[numbers[last]]]
        found, before = numbers[last], np.maximum(last - 1, 0)
        held_ms = self.times_ms[found]
        known = np.where(times_ms[last] > held_ms, self.values[found], self.previous[found])
        in_records = (last > 0) & (numbers[before] == found) & (times_ms[before] > held_ms)
        self.previous[found] = np.where(in_records, values[before], known)
        self.times_ms[found], self.values[found] = times_ms[last], values[last]
        places = order[last]
        self._partitions[found] = np.asarray(records.partitions)[places]
        self._offsets[found] = np.asarray(records.offsets)[places]
        return list(zip(found.tolist(), places.tolist(), strict=True))

    def since(self, wanted: Integers | None) -> Integers:
        """Return the devices whose newest record is at or after these offsets by partition (None: all it has)."""
        held = self.times_ms != _NEVER_MS
        if wanted is None or not len(wanted):
            return np.flatnonzero(held)
        return np.flatnonzero(held & (self._offsets >= wanted[self._partitions]))

    def forget(self, device: int) -> None:
        """Hold nothing of that device any more."""
        if device < len(self.times_ms):
            self.times_ms[device], self.values[device], self.previous[device] = _NEVER_MS, np.nan, np.nan
            self.fragments[device] = b""

    def _make_room(self, size: int) -> None:
        held = len(self.times_ms)
        if size <= held:
            return
        added = max(_FIRST_SIZE, 2 * size) - held
        self.fragments.extend([b""] * added)
        self.times_ms = np.concatenate((self.times_ms, np.full(added, _NEVER_MS)))
        self.values = np.concatenate((self.values, np.full(added, np.nan)))
        self.previous = np.concatenate((self.previous, np.full(added, np.nan)))
        self._partitions = np.concatenate((self._partitions, np.zeros(added, np.int32)))
        self._offsets = np.concatenate((self._offsets, np.zeros(added, np.int64)))
