"""The devices that a worker knows, and the newest record of each on a topic.

Not locked: the store does that. A device has a number, its place in every column; numbers of forgotten devices are
used again. "Newest" goes by event time: a record that comes late does not replace a newer one.
"""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from dashboard_app.ring import Integers, Records

#: More devices than this are counted and left out: a hostile sender cannot fill the memory with names.
MAX_DEVICES: Final = 100_000
#: What ids may take, for each of these devices: those of 128 characters of ASCII do. Of longer ones there are fewer.
ID_BYTES: Final = 512
NO_DEVICE: Final = -1
#: Stands where nothing was heard.
NEVER_MS: Final = np.iinfo(np.int64).min
_FIRST_SIZE: Final = 64


class Roster(NamedTuple):
    """All known devices in the order of their ids, so that an answer may name them by their places.

    Workers that know the same devices have the same `key`. `places` are by number, `numbers` by place; `names` is
    a JSON array.
    """

    key: str = ""
    version: int = -1
    size: int = 0
    names: bytes = b"[]"
    places: Integers = np.zeros(0, np.int64)
    numbers: Integers = np.zeros(0, np.int64)


class Names:
    """Device ids and their numbers; `version` is another one after each change."""

    def __init__(self, capacity: int = MAX_DEVICES) -> None:
        """Know none."""
        self.by_number: list[str] = []  # "" where a device was forgotten
        self.encoded: list[bytes] = []  # the same as JSON strings
        self.refused = self.version = 0
        self._capacity, self._free_bytes = capacity, capacity * ID_BYTES
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        """Return how many devices are known."""
        return len(self._numbers)

    def take(self, device_ids: Sequence[str]) -> Integers:
        """Return the numbers of these devices, new ones included; NO_DEVICE where there is no room."""
        known = self._numbers
        numbers = (known[device_id] if device_id in known else self._add(device_id) for device_id in device_ids)
        return np.fromiter(numbers, np.int64, len(device_ids))

    def numbers(self, device_ids: Sequence[str]) -> Integers | None:
        """Return the numbers of these devices, None when not all are known."""
        try:
            return np.fromiter(map(self._numbers.__getitem__, device_ids), np.int64, len(device_ids))
        except KeyError:
            return None

    def known(self, device_ids: Iterable[str]) -> Integers:
        """Return the numbers of those devices that are known, each once."""
        found = (self._numbers.get(device_id) for device_id in device_ids)
        return np.unique(np.array([number for number in found if number is not None], np.int64))

    def mask(self, device_ids: Iterable[str]) -> NDArray[np.bool_]:
        """Return by number whether a device is one of these: np.isin costs ten times as much for a few rows."""
        mask = np.zeros(len(self.by_number), bool)
        mask[self.known(device_ids)] = True
        return mask

    def forget(self, number: int) -> None:
        """Give the number free."""
        del self._numbers[self.by_number[number]]
        self._free_bytes += _taken(self.by_number[number], self.encoded[number])
        self.version += 1
        self.by_number[number], self.encoded[number] = "", b'""'
        self._free.append(number)

    def _add(self, device_id: str) -> int:
        encoded = b"%b" % orjson.dumps(device_id)
        taken = _taken(device_id, encoded)
        if len(self._numbers) >= self._capacity or taken > self._free_bytes:
            self.refused += 1
            return NO_DEVICE
        if self._free:
            number = self._free.pop()
        else:
            number = len(self.by_number)
            self.by_number.append("")
            self.encoded.append(b"")
        self.by_number[number], self.encoded[number] = device_id, encoded
        self._free_bytes -= taken
        self._numbers[device_id] = number
        self.version += 1
        return number


def _taken(device_id: str, encoded: bytes) -> int:
    return sys.getsizeof(device_id) + sys.getsizeof(encoded)


def roster(by_number: Sequence[str], version: int) -> Roster:
    """Return the roster of devices by number; "" is none."""
    order = sorted((device_id, number) for number, device_id in enumerate(by_number) if device_id)
    places = np.zeros(len(by_number), np.int64)
    numbers = np.array([number for _, number in order], np.int64)
    places[numbers] = np.arange(len(order))
    names = orjson.dumps([device_id for device_id, _ in order])
    return Roster(hashlib.blake2s(names, digest_size=6).hexdigest(), version, len(order), names, places, numbers)


class Told(NamedTuple):
    """By device's number where its reading stands that is told; no later write changes it."""

    partitions: NDArray[np.int32]
    offsets: Integers

    def has(self, devices: Integers, partitions: Integers, offsets: Integers) -> NDArray[np.bool_]:
        """Tell of each record whether it is the one that is told of its device."""
        has: NDArray[np.bool_] = (self.partitions[devices] == partitions) & (self.offsets[devices] == offsets)
        return has


class Newest:
    """The newest record of each device on one topic, by number; `previous` is the one before it, NaN if unknown."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.times_ms = np.zeros(0, np.int64)
        self.values = np.zeros(0, np.float64)
        self.previous = np.zeros(0, np.float64)
        self._partitions = np.zeros(0, np.int32)
        self._offsets = np.zeros(0, np.int64)
        self._previous_partitions = np.zeros(0, np.int32)
        self._previous_offsets = np.zeros(0, np.int64)

    def take(self, records: Records, devices: Sequence[int] | Integers) -> None:
        """Note the records that are newest."""
        numbers, times_ms = np.asarray(devices), np.asarray(records.times_ms, np.int64)
        self._make_room(int(numbers.max()) + 1)
        order = np.lexsort((times_ms, numbers))  # stable: of equal times the one that came last stands last
        numbers, times_ms = numbers[order], times_ms[order]
        goes_on = np.append(numbers[1:] == numbers[:-1], False)
        kept = ~(goes_on & np.append(times_ms[1:] == times_ms[:-1], False))  # of a repeat the last
        order, numbers, times_ms = order[kept], numbers[kept], times_ms[kept]
        columns = (records.values, records.partitions, records.offsets)
        values, partitions, offsets = (np.asarray(column)[order] for column in columns)
        last = np.flatnonzero(np.append(numbers[1:] != numbers[:-1], True))
        last = last[times_ms[last] >= self.times_ms[numbers[last]]]
        found, before = numbers[last], np.maximum(last - 1, 0)
        is_later = times_ms[last] > self.times_ms[found]
        is_before = (last > 0) & (numbers[before] == found) & (times_ms[before] > self.times_ms[found])
        for previous, held, taken in (
            (self.previous, self.values, values),
            (self._previous_partitions, self._partitions, partitions),
            (self._previous_offsets, self._offsets, offsets),
        ):
            known = np.where(is_later, held[found], previous[found])
            previous[found], held[found] = np.where(is_before, taken[before], known), taken[last]
        self.times_ms[found] = times_ms[last]

    def since(self, wanted: Integers | None) -> Integers:
        """Return the devices whose newest record is at or after these offsets by partition (None: all it has)."""
        held = self.times_ms != NEVER_MS
        if wanted is None or not len(wanted):
            return np.flatnonzero(held)
        return np.flatnonzero(held & (self._offsets >= wanted[self._partitions]))

    def previous_since(self, devices: Integers, wanted: Integers | None) -> list[tuple[int, float]]:
        """Return (place in `devices`, value) of the previous records that stand at or after these offsets."""
        values = self.previous[devices]
        new = ~np.isnan(values)
        if wanted is not None and len(wanted):
            new &= self._previous_offsets[devices] >= wanted[self._previous_partitions[devices]]
        places = np.flatnonzero(new)
        return list(zip(places.tolist(), values[places].tolist(), strict=True))

    def is_newest(self, devices: Integers, partitions: Integers, offsets: Integers) -> NDArray[np.bool_]:
        """Tell of each record whether it is its device's newest one."""
        return Told(self._partitions, self._offsets).has(devices, partitions, offsets)

    def told(self, is_told: NDArray[np.bool_]) -> Told:
        """Return where the newest records of these devices stand."""
        size = min(len(is_told), len(self._partitions))
        told = Told(np.full(len(is_told), -1, np.int32), np.zeros(len(is_told), np.int64))
        told.partitions[:size] = np.where(is_told[:size], self._partitions[:size], -1)
        told.offsets[:size] = self._offsets[:size]
        return told

    def forget(self, device: int) -> None:
        """Hold nothing of that device any more."""
        if device < len(self.times_ms):
            self.times_ms[device], self.values[device], self.previous[device] = NEVER_MS, np.nan, np.nan

    def _make_room(self, size: int) -> None:
        held = len(self.times_ms)
        if size <= held:
            return
        added = max(_FIRST_SIZE, 2 * size) - held
        self.times_ms = np.concatenate((self.times_ms, np.full(added, NEVER_MS)))
        self.values = np.concatenate((self.values, np.full(added, np.nan)))
        self.previous = np.concatenate((self.previous, np.full(added, np.nan)))
        for name in ("_partitions", "_offsets", "_previous_partitions", "_previous_offsets"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate((column, np.zeros(added, column.dtype))))
