"""The ring buffer: what a worker holds of the four topics, for all its requests.

One writer (the consumer thread) puts batches in, many request threads take deltas out, each under one short lock.
Rows are numpy columns in the order of arrival; the oldest go first. A cursor is the next Kafka offset of every
partition, never a place in the ring, so any worker can go on where another one stopped.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

#: More devices than this are counted and left out: a hostile sender cannot fill the memory with names.
MAX_DEVICES: Final = 100_000
_NO_DEVICE: Final = -1

#: The next offset by partition.
Offsets = Mapping[int, int]


class Row(NamedTuple):
    """One record as the ring holds it: a reading or an alert at `start_ms`, or a window's result."""

    partition: int
    offset: int
    append_ms: int
    device_id: str
    start_ms: int
    end_ms: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How full one topic's ring is; `newest_append_ms` is None before the first record."""

    held: int
    capacity: int
    dropped: int
    newest_append_ms: int | None


class Rows(NamedTuple):
    """Rows taken out: columns of one length, devices as numbers of `Store.names`."""

    devices: Integers
    starts_ms: Integers
    ends_ms: Integers
    values: NDArray[np.float64]


class Ring:
    """One topic's rows; not locked, the store does that."""

    def __init__(self, capacity: int) -> None:
        """Reserve the columns; the system gives the memory when they are written."""
        self._capacity = capacity
        self._devices = np.empty(capacity, np.int32)
        self._partitions = np.empty(capacity, np.int32)
        self._columns = {name: np.empty(capacity, np.int64) for name in ("offset", "append", "start", "end")}
        self._values = np.empty(capacity, np.float64)
        self._first = self._next = 0  # sequence numbers: rows `[first, next)` are held, row n at n % capacity
        # Before each batch: (sequence number, next offset by partition). Both only grow, so it can be searched.
        self._checkpoints: list[tuple[int, dict[int, int]]] = []
        self._offsets: dict[int, int] = {}
        self._oldest: dict[int, int] = {}  # by partition: every offset from here on is held
        self._newest_append_ms: int | None = None

    @property
    def offsets(self) -> dict[int, int]:
        """The next offset of each partition that the writer has told of."""
        return dict(self._offsets)

    def begin(self, offsets: Offsets) -> None:
        """Tell where reading of new partitions begins."""
        for partition, offset in offsets.items():
            self._offsets.setdefault(partition, offset)
            self._oldest.setdefault(partition, offset)
            for _, known in self._checkpoints:
                known.setdefault(partition, offset)

    def statistics(self) -> Statistics:
        """Return how full it is."""
        return Statistics(
            held=self._next - self._first,
            capacity=self._capacity,
            dropped=self._first,
            newest_append_ms=self._newest_append_ms,
        )

    def append(self, rows: Sequence[Row], devices: Sequence[int]) -> None:
        """Put a batch in; `devices` are the rows' device numbers."""
        rows, devices = rows[-self._capacity :], devices[-self._capacity :]
        self._checkpoints.append((self._next, dict(self._offsets)))
        partitions, offsets, appends_ms, _, starts_ms, ends_ms, values = zip(*rows, strict=True)
        places = np.arange(self._next, self._next + len(rows)) % self._capacity
        self._devices[places] = devices
        self._partitions[places] = partitions
        for name, column in (("offset", offsets), ("append", appends_ms), ("start", starts_ms), ("end", ends_ms)):
            self._columns[name][places] = column
        self._values[places] = values
        self._offsets.update((row.partition, row.offset + 1) for row in rows)
        self._next += len(rows)
        self._newest_append_ms = max(self._newest_append_ms or 0, *appends_ms)
        self._drop_until(self._next - self._capacity)

    def drop_before(self, append_ms: int) -> None:
        """Drop the oldest rows that were appended before that time."""
        held = self._columns["append"][self._places(self._first, self._next)]
        kept = np.flatnonzero(held >= append_ms)
        self._drop_until(self._first + int(kept[0]) if len(kept) else self._next)

    def covers(self, cursor: Offsets) -> bool:
        """Tell whether every row since the cursor is still held."""
        return all(cursor.get(partition, 0) >= offset for partition, offset in self._oldest.items())

    def since(self, cursor: Offsets | None) -> Integers:
        """Return the sequence numbers of the rows at or after the cursor (None: all), by arrival."""
        if cursor is None:
            return np.arange(self._first, self._next)
        first = max(self._first, self._start_of(cursor))
        numbers = np.arange(first, self._next)
        places = numbers % self._capacity
        partitions = self._partitions[places]
        wanted = np.zeros(int(partitions.max(initial=-1)) + 1, np.int64)
        for partition, offset in cursor.items():
            if partition < len(wanted):
                wanted[partition] = offset
        return numbers[self._columns["offset"][places] >= wanted[partitions]]

    def last_by_append(self, append_ms: int) -> Integers:
        """Return the sequence numbers of the rows appended since then, looking back batch by batch."""
        first = self._next
        for number, _ in reversed(self._checkpoints):
            first = max(self._first, number)
            if number <= self._first or self._columns["append"][number % self._capacity] < append_ms:
                break
        numbers = np.arange(first, self._next)
        return numbers[self._columns["append"][numbers % self._capacity] >= append_ms]

    def rows(self, numbers: Integers) -> Rows:
        """Return copies of the rows with these sequence numbers."""
        places = numbers % self._capacity
        return Rows(
            self._devices[places].astype(np.int64),
            self._columns["start"][places],
            self._columns["end"][places],
            self._values[places],
        )

    def appends_ms(self, numbers: Integers) -> Integers:
        """Return the append times of the rows with these sequence numbers."""
        return self._columns["append"][numbers % self._capacity]

    def devices_held(self, devices: int) -> Integers:
        """Return the numbers of the devices that have a row, which are below `devices`."""
        has_row = np.zeros(devices, np.bool_)
        has_row[self._devices[self._places(self._first, self._next)]] = True
        return np.flatnonzero(has_row)

    def _places(self, first: int, last: int) -> Integers:
        return np.arange(first, last) % self._capacity

    def _start_of(self, cursor: Offsets) -> int:
        """Return a sequence number before which no row is at or after the cursor."""
        low, high = 0, len(self._checkpoints)
        while low < high:  # the last checkpoint that is not past the cursor in any partition
            middle = (low + high) // 2
            offsets = self._checkpoints[middle][1]
            if all(offset <= cursor.get(partition, 0) for partition, offset in offsets.items()):
                low = middle + 1
            else:
                high = middle
        return self._checkpoints[low - 1][0] if low else self._first

    def _drop_until(self, first: int) -> None:
        if first <= self._first:
            return
        dropped = self._places(self._first, first)
        partitions, offsets = self._partitions[dropped], self._columns["offset"][dropped]
        for partition in np.unique(partitions).tolist():
            self._oldest[partition] = int(offsets[partitions == partition].max()) + 1
        self._first = first
        done = bisect_left(self._checkpoints, first, key=lambda checkpoint: checkpoint[0]) - 1
        if done > 0:
            del self._checkpoints[:done]


class Latest(NamedTuple):
    """The newest reading of devices, as columns; `previous` is NaN for a device's first reading."""

    devices: Integers
    times_ms: Integers
    celsius: NDArray[np.float64]
    previous: NDArray[np.float64]


class Store:
    """The rings by topic, the devices, and each device's newest reading."""

    def __init__(self, capacities: Mapping[str, int], readings: str, max_devices: int = MAX_DEVICES) -> None:
        """Make a ring of each capacity; `readings` names the topic whose rows are devices' readings."""
        self.lock = threading.Lock()
        self.rings = {topic: Ring(capacity) for topic, capacity in capacities.items()}
        self._readings = readings
        self._max_devices = max_devices
        self.names: list[str] = []
        self.refused_devices = 0
        self._numbers: dict[str, int] = {}
        self._free: list[int] = []
        self._times_ms = np.zeros(0, np.int64)
        self._celsius = np.zeros(0, np.float64)
        self._previous = np.zeros(0, np.float64)

    def append(self, topic: str, rows: Sequence[Row]) -> None:
        """Put a batch of a topic in, in the order of each partition's offsets."""
        with self.lock:
            numbers = [self._number(row.device_id) for row in rows]
            known = [(row, number) for row, number in zip(rows, numbers, strict=True) if number != _NO_DEVICE]
            if not known:
                return
            self.rings[topic].append(*(list(column) for column in zip(*known, strict=True)))
            if topic == self._readings:
                self._note_newest(known)

    def begin(self, topic: str, offsets: Offsets) -> None:
        """Tell where reading of a topic's new partitions begins."""
        with self.lock:
            self.rings[topic].begin(offsets)

    def drop_before(self, append_ms: int) -> None:
        """Drop what is older than that, and forget devices of which nothing is left."""
        with self.lock:
            for ring in self.rings.values():
                ring.drop_before(append_ms)
            held = set().union(*(ring.devices_held(len(self.names)).tolist() for ring in self.rings.values()))
            for device_id, number in list(self._numbers.items()):
                if number not in held:
                    del self._numbers[device_id]
                    self._times_ms[number] = 0
                    self.names[number] = ""
                    self._free.append(number)

    def clear(self) -> None:
        """Forget everything: the topics were made anew."""
        with self.lock:
            self.rings = {topic: Ring(ring.statistics().capacity) for topic, ring in self.rings.items()}
            self.names, self._numbers, self._free = [], {}, []
            self._times_ms = np.zeros(0, np.int64)

    def statistics(self) -> dict[str, Statistics]:
        """Return how full each ring is."""
        with self.lock:
            return {topic: ring.statistics() for topic, ring in self.rings.items()}

    @property
    def devices(self) -> int:
        """How many devices are known."""
        return len(self._numbers)

    # The rest is for readers that hold the lock.

    def numbers(self, device_ids: Iterable[str]) -> list[int]:
        """Return the numbers of those devices that are known."""
        return [self._numbers[device_id] for device_id in device_ids if device_id in self._numbers]

    def latest(self, devices: Integers | None) -> Latest:
        """Return the newest reading of these devices (None: of all that have one)."""
        if devices is None:
            devices = np.flatnonzero(self._times_ms[: len(self.names)])
        else:
            devices = devices[self._times_ms[devices] > 0]
        return Latest(devices, self._times_ms[devices], self._celsius[devices], self._previous[devices])

    def _number(self, device_id: str) -> int:
        number = self._numbers.get(device_id)
        if number is not None:
            return number
        if len(self._numbers) >= self._max_devices:
            self.refused_devices += 1
            return _NO_DEVICE
        if self._free:
            number = self._free.pop()
            self.names[number] = device_id
        else:
            number = len(self.names)
            self.names.append(device_id)
            if number >= len(self._times_ms):
                self._grow(max(64, 2 * number))
        self._numbers[device_id] = number
        return number

    def _grow(self, size: int) -> None:
        for name in ("_times_ms", "_celsius", "_previous"):
            old = getattr(self, name)
            new = np.zeros(size, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def _note_newest(self, readings: Iterable[tuple[Row, int]]) -> None:
        times_ms, celsius, previous = self._times_ms, self._celsius, self._previous
        for row, number in readings:
            newest_ms = times_ms[number]
            if row.start_ms >= newest_ms:  # one that comes late is not the newest
                previous[number] = celsius[number] if newest_ms else np.nan
                times_ms[number] = row.start_ms
                celsius[number] = row.value
