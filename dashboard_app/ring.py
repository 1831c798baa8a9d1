"""One topic's newest records as numpy columns, bounded in rows and in bytes.

Not locked: the store does that. The oldest rows go first. A row has a sequence number that only grows and stands at
that number modulo the room. Rows are in the order of arrival, so each partition's are in the order of their offsets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dashboard_app.encoded import Encoded, cut, encode, placed, sizes_of
from dashboard_app.marks import ROWS_PER_MARK, Mark, Marks

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

#: So many of the newest rows are kept as the JSON that answers are made of; older ones are encoded when asked for.
ENCODED_ROWS: Final = 131_072
#: The columns begin with so many rows, and grow by a quarter when more are held: rows go around in all that is there.
FIRST_ROWS: Final = 16_384
#: What the columns take for a row, and what is reckoned for its JSON: enough for device ids that are UUIDs.
ROW_BYTES: Final = 40
ENCODED_ROW_BYTES: Final = 128
_SPARED: Final = 16  # one byte in so many stays free where bytes are short: else each step would make room anew
_PARTS: Final = 8  # rows are put in by such a part of the places for JSON at most: the longest ids' fit the bound


class Records(NamedTuple):
    """Records of one topic as columns of one length, in Kafka's order per partition; `times_ms` is event time.

    `fragments` are readings as the answer shows them: JSON arrays in UTF-8; of another topic there are none.
    """

    partitions: Sequence[int] | Integers
    offsets: Sequence[int] | Integers
    appends_ms: Sequence[int] | Integers
    device_ids: Sequence[str]
    times_ms: Sequence[int] | Integers
    values: Sequence[float] | Floats
    fragments: Sequence[bytes]

    def as_arrays(self) -> "Records":
        """Return the same with numbers as arrays, which is most of the work of putting them in."""
        integers = (self.partitions, self.offsets, self.appends_ms, self.times_ms)
        partitions, offsets, appends_ms, times_ms = (np.asarray(column, np.int64) for column in integers)
        values = np.asarray(self.values, np.float64)
        return Records(partitions, offsets, appends_ms, self.device_ids, times_ms, values, self.fragments)

    def only(self, places: Sequence[int]) -> "Records":
        """Return the records at these places."""
        return Records._make([column[place] for place in places] if len(column) else column for column in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How full a ring is: rows and bytes.

    `newest_append_ms` is None before the first record, `oldest_append_ms`, that of the oldest row, while none is held.
    `limit` is the bound that made the last rows go, "rows" or "bytes"; None: rows go by their age, or none have to.
    """

    held: int
    capacity: int
    dropped: int
    newest_append_ms: int | None
    oldest_append_ms: int | None
    held_bytes: int
    capacity_bytes: int
    limit: str | None


class Offsets:
    """The next offset by partition: Kafka's numbers, as an array that grows with the partitions."""

    def __init__(self) -> None:
        """Know no partition."""
        self.next = np.zeros(0, np.int64)
        self._known: set[int] = set()

    def begin(self, partition: int, offset: int) -> bool:
        """Tell where reading a partition begins; False: it is known already and goes on where it is."""
        if partition in self._known:
            return False
        self._known.add(partition)
        if partition >= len(self.next):
            self.next = _grown(self.next, partition + 1)
        self.next[partition] = offset
        return True

    def as_dict(self) -> dict[int, int]:
        """Return the next offset of each known partition."""
        return {partition: int(self.next[partition]) for partition in sorted(self._known)}

    def fresh(self, records: Records) -> Records:
        """Return the records that were not seen yet, and count them as seen."""
        partitions, offsets = np.asarray(records.partitions, np.int64), np.asarray(records.offsets, np.int64)
        for partition in set(partitions.tolist()) - self._known:
            self.begin(partition, 0)
        new = offsets >= self.next[partitions]
        np.maximum.at(self.next, partitions, offsets + 1)
        return records if new.all() else records.only(np.flatnonzero(new).tolist())

    def wanted(self, cursor: Mapping[int, int]) -> Integers:
        """Return a cursor as an array by partition; what it does not name is wanted from the start."""
        wanted = np.zeros(len(self.next), np.int64)
        for partition, offset in cursor.items():
            if partition < len(wanted):
                wanted[partition] = offset
        return wanted


class _Places(NamedTuple):
    """Where rows stand, `room` of them; `rows` are the first one held and the one behind the last."""

    rows: tuple[int, int]
    room: int
    columns: dict[str, NDArray[Any]]
    encoded: Encoded


class Ring:
    """One topic's rows."""

    def __init__(
        self, offsets: Offsets, capacity: int, encoded_rows: int = ENCODED_ROWS, first_rows: int = FIRST_ROWS
    ) -> None:
        """Hold `capacity` rows at most, so many of them as JSON; `offsets` are the topic's.

        The bound in bytes follows: rows with long device ids are fewer.
        """
        self.offsets = offsets
        needed_bytes = capacity * ROW_BYTES + min(capacity, encoded_rows) * ENCODED_ROW_BYTES
        self._capacity_bytes = needed_bytes * _SPARED // (_SPARED - 1) + ROW_BYTES
        self._is_short_of_bytes = False
        self._capacity, self._encoded_rows = capacity, encoded_rows
        self._room = min(capacity, first_rows)
        self._columns: dict[str, NDArray[Any]] = {
            "device": np.empty(self._room, np.int32),
            "partition": np.empty(self._room, np.int32),
            "offset": np.empty(self._room, np.int64),
            "append": np.empty(self._room, np.int64),
            "time": np.empty(self._room, np.int64),
            "value": np.empty(self._room, np.float64),
        }
        self._encoded = Encoded(min(self._room, encoded_rows))
        self._first = self._next = 0  # rows `[first, next)` are held
        self._read = np.zeros(0, np.int64)  # by partition: the offset that follows what was put in
        self._lost = np.zeros(0, np.int64)  # by partition: rows before this offset are not held (any more)
        self._newest_append_ms: int | None = None
        self._marks = Marks()
        self._prepared: _Places | None = None  # made ready
        self._old: object = None  # where rows stood before

    def statistics(self) -> Statistics:
        """Return how full it is."""
        held = self._next - self._first
        by_bytes = "bytes" if self._is_short_of_bytes else None
        return Statistics(
            held=held,
            capacity=self._capacity,
            dropped=self._first,
            newest_append_ms=self._newest_append_ms,
            oldest_append_ms=int(self._columns["append"][self._first % self._room]) if held else None,
            held_bytes=self._room * ROW_BYTES + self._encoded.bytes,
            capacity_bytes=self._capacity_bytes,
            limit="rows" if held >= self._capacity else by_bytes,
        )

    def begin(self, partition: int, offset: int) -> None:
        """Tell where reading a new partition begins: what stands before it is not held."""
        self._grow(partition + 1)
        self._read[partition] = self._lost[partition] = offset

    def make_ready(self, records: Records) -> None:
        """Make new columns if these records need more room; the writer calls it, without the store's lock."""
        end = self._next + len(records.offsets)
        if end - self._first <= self._room:
            return
        fit = self._fit(int(sizes_of(records.fragments).sum()))
        room = self._wanted_room(end, self._most(fit))
        if self._room <= fit and room > self._room:
            self._prepared = self._moved(room)

    def free_old(self) -> None:
        """Free what is not needed after rows were put in: in a large ring that takes some ms too."""
        self._prepared = self._old = None

    def append(self, records: Records, devices: Sequence[int] | Integers) -> None:
        """Put records in; `devices` are their devices' numbers. They must be fresh by `offsets`."""
        first = 0
        while first < len(devices):
            places = len(self._encoded) or _PARTS * ROWS_PER_MARK
            part = slice(first, first + max(1, min(ROWS_PER_MARK, places // _PARTS)))
            self._append(Records._make(column[part] for column in records), devices[part])
            first = part.stop

    def drop_before(self, append_ms: int) -> None:
        """Drop the oldest rows that were appended before that time."""
        first = self._first
        self._drop_older(append_ms)
        self._is_short_of_bytes &= self._first == first

    def _drop_older(self, append_ms: int) -> None:
        self._drop_until(self._marks.row_at(append_ms) or self._first)
        if self._newest_append_ms is not None and self._newest_append_ms < append_ms:
            self._drop_until(self._next)
            return
        end = self._marks.row_after(self._first) or self._next
        kept = np.flatnonzero(self.column("append", self._first, end) >= append_ms)
        self._drop_until(self._first + int(kept[0]) if len(kept) else end)

    def covers(self, cursor: Mapping[int, int]) -> bool:
        """Tell whether every row since the cursor is still held."""
        wanted = self.offsets.wanted(cursor)
        return bool((wanted[: len(self._lost)] >= self._lost).all())

    def since(self, cursor: Mapping[int, int]) -> Integers:
        """Return the rows at or after the cursor."""
        wanted = self.offsets.wanted(cursor)
        if (wanted >= self.offsets.next).all():
            return np.zeros(0, np.int64)
        first = max(self._first, self._marks.row_before(wanted) or 0)
        partitions = self.column("partition", first, self._next)
        offsets = self.column("offset", first, self._next)
        return first + np.flatnonzero(offsets >= wanted[partitions])

    def appended_since(self, append_ms: int) -> Integers:
        """Return the rows appended at or after that time, looking back mark by mark."""
        first, end = self.bounds_since(append_ms)
        return first + np.flatnonzero(self.column("append", first, end) >= append_ms)

    def bounds_since(self, append_ms: int) -> tuple[int, int]:
        """Return the first row that may be appended at or after that time, and the one after the last."""
        return max(self._first, self._marks.row_at(append_ms) or 0), self._next

    def values_of(self, name: str, rows: Integers) -> NDArray[Any]:
        """Return a column of these rows."""
        return self._columns[name][rows % self._room]

    def column(self, name: str, first: int, end: int) -> NDArray[Any]:
        """Return a column of the rows `[first, end)`."""
        return cut(self._columns[name], first, end)

    def held(self, name: str) -> NDArray[Any]:
        """Return a column of all rows held."""
        return self.column(name, self._first, self._next)

    def fragments(self, rows: Integers, names: Sequence[str]) -> list[bytes]:
        """Return the rows as JSON; `names` are the devices' ids by number."""
        split = int(np.searchsorted(rows, self._next - len(self._encoded)))
        old = rows[:split]
        columns = (self.values_of(name, old).tolist() for name in ("device", "time", "value"))
        found = [encode((names[device], time_ms, value)) for device, time_ms, value in zip(*columns, strict=True)]
        found.extend(self._encoded.of(rows[split:]))
        return found

    def _append(self, records: Records, devices: Sequence[int] | Integers) -> None:
        partitions, offsets, appends_ms = (np.asarray(column) for column in records[:3])
        self._grow(int(partitions.max()) + 1)
        end = self._next + len(devices)
        newest_ms = int(appends_ms.max())
        self._marks.add(Mark(self._next, self._read.copy(), self._newest_append_ms or 0), end, newest_ms)
        rows = np.arange(self._next, end)
        sizes = sizes_of(records.fragments)
        self._make_room(end, len(rows), int(sizes.sum()))
        places = rows % self._room
        columns = (devices, partitions, offsets, appends_ms, records.times_ms, records.values)
        for name, values in zip(self._columns, columns, strict=True):
            self._columns[name][places] = values
        if self._encoded_rows:
            self._encoded.put(rows, records.fragments, sizes)
        np.maximum.at(self._read, partitions, offsets + 1)
        self._next, self._newest_append_ms = end, max(self._newest_append_ms or 0, newest_ms)

    def _make_room(self, end: int, rows: int, encoded_bytes: int) -> None:
        """Drop the oldest rows as far as those until `end` need it, by either bound, and have places for the others.

        What the new ones' JSON stands instead of is not counted off: that costs more than it gives.
        """
        fit = self._fit(encoded_bytes)
        if self._room > fit:
            self._drop_for_bytes(rows, encoded_bytes)
            self._resize(end - self._first)
            return
        most = self._most(fit)
        self._is_short_of_bytes |= most < min(self._capacity, end - self._first)
        room = self._wanted_room(end, most)
        self._drop_until(end - most)
        if room > self._room:
            self._resize(room)

    def _fit(self, encoded_bytes: int) -> int:
        """Return how many rows the bound in bytes leaves room for, beside so many bytes of new JSON."""
        return (self._capacity_bytes - self._encoded.bytes - encoded_bytes) // ROW_BYTES

    def _most(self, fit: int) -> int:
        return min(self._capacity, fit - fit // _SPARED)

    def _wanted_room(self, end: int, most: int) -> int:
        """Return for how many rows there must be room when `most` at most are held, until `end`."""
        held = end - max(self._first, end - most)
        return self._room if held <= self._room else min(most, max(held, self._room + self._room // 4))

    def _drop_for_bytes(self, rows: int, encoded_bytes: int) -> None:
        """Drop the oldest rows until so many new ones with so many bytes of JSON leave some bytes free."""
        left = self._capacity_bytes - self._capacity_bytes // _SPARED - encoded_bytes - rows * ROW_BYTES
        first = max(self._first, self._next - len(self._encoded))
        costs = np.full(self._next - self._first, ROW_BYTES)
        costs[first - self._first :] += self._encoded.sizes(first, self._next)
        kept = int(np.searchsorted(np.cumsum(costs[::-1]), left, side="right"))
        self._is_short_of_bytes |= kept < len(costs)
        self._drop_until(self._next - kept)

    def _resize(self, room: int) -> None:
        """Make room for so many rows, and move those that are held to their new places."""
        made = self._prepared
        if made is None or (made.rows, made.room) != ((self._first, self._next), room):
            made = self._moved(room)
        self._prepared, self._old = None, (self._columns, self._encoded)
        _, self._room, self._columns, self._encoded = made

    def _moved(self, room: int) -> _Places:
        first, end = self._first, self._next
        columns = {name: placed(cut(column, first, end), first, room) for name, column in self._columns.items()}
        places = min(room, self._encoded_rows)
        encoded = self._encoded.moved(first, end, places) if places else self._encoded
        return _Places((first, end), room, columns, encoded)

    def _grow(self, partitions: int) -> None:
        if partitions > len(self._lost):
            self._read, self._lost = _grown(self._read, partitions), _grown(self._lost, partitions)

    def _drop_until(self, first: int) -> None:
        """Drop the rows before this one, and remember how far each partition's reached."""
        if first <= self._first:
            return
        until = min(first, self._next)
        partitions = self.column("partition", self._first, until)
        np.maximum.at(self._lost, partitions, self.column("offset", self._first, until) + 1)
        if self._encoded_rows:
            self._encoded.release(max(self._first, self._next - len(self._encoded)), until)
        self._first = until
        self._marks.drop_before(until)


def _grown(array: Integers, size: int) -> Integers:
    return np.concatenate((array, np.zeros(size - len(array), array.dtype)))
