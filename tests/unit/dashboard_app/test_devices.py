"""Devices and the newest record of each.

By event time, whatever order the records come in.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.devices import ID_BYTES, NO_DEVICE, Names, Newest
from dashboard_app.ring import Records

START_MS = 1_769_860_800_000
#: (device, seconds after the start, °C) in Kafka's order, in batches.
_BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(-5, 5)), min_size=1, max_size=8),
    min_size=1,
    max_size=8,
)


def records(rows: Sequence[tuple[int, int, int]], first_offset: int = 0) -> Records:
    """Return rows of one partition as records."""
    count = len(rows)
    times_ms = [START_MS + 1_000 * time_s for _, time_s, _ in rows]
    offsets = list(range(first_offset, first_offset + count))
    celsius = [float(value) for _, _, value in rows]
    return Records([0] * count, offsets, times_ms, [str(row[0]) for row in rows], times_ms, celsius, [b""] * count)


@given(_BATCHES)
def test_the_newest_goes_by_event_time(
    batches: list[list[tuple[int, int, int]]],
) -> None:
    """A late reading does not replace it; of readings with one time the last counts."""
    newest, offset = Newest(), 0
    latest: dict[int, tuple[int, int]] = {}
    for batch in batches:
        newest.take(records(batch, offset), [device for device, _, _ in batch])
        offset += len(batch)
        for device, time_s, celsius in batch:
            if device not in latest or time_s >= latest[device][0]:
                latest[device] = (time_s, celsius)
    found = {
        int(device): ((int(newest.times_ms[device]) - START_MS) // 1_000, int(newest.values[device]))
        for device in newest.since(None)
    }
    assert latest == found


def test_previous_is_the_reading_before_in_one_batch_and_over_two() -> None:
    """The card shows the change since the previous reading."""
    newest = Newest()
    newest.take(records([(0, 1, 20)]), [0])
    assert math.isnan(newest.previous[0])
    newest.take(records([(0, 2, 21)], 1), [0])
    assert newest.previous[0] == 20
    newest.take(records([(0, 3, 22), (0, 4, 23)], 2), [0, 0])
    assert (newest.values[0], newest.previous[0]) == (23, 22)


def test_a_late_reading_does_not_become_the_newest() -> None:
    """It is shown on the chart, not on the card."""
    newest = Newest()
    newest.take(records([(0, 5, 20)]), [0])
    newest.take(records([(0, 3, 99)], 1), [0])
    assert newest.values[0] == 20
    assert newest.is_newest(np.array([0, 0]), np.array([0, 0]), np.array([0, 1])).tolist() == [True, False]


def test_a_repeat_of_the_newest_does_not_become_its_own_predecessor() -> None:
    """At least once may write a record twice."""
    newest = Newest()
    newest.take(records([(0, 1, 20), (0, 2, 21)]), [0, 0])
    newest.take(records([(0, 2, 21)], 2), [0])
    assert (newest.values[0], newest.previous[0]) == (21, 20)


def test_devices_since_a_cursor_are_those_whose_newest_record_stands_behind_it() -> None:
    """A tick names only devices that have something new."""
    newest = Newest()
    newest.take(records([(0, 1, 20), (1, 1, 21), (2, 1, 22)]), [0, 1, 2])
    assert newest.since(np.array([1])).tolist() == [1, 2]
    assert newest.since(None).tolist() == [0, 1, 2]


def test_the_previous_value_is_told_where_it_came_since_the_cursor() -> None:
    """A browser that has seen it as the newest needs no word of it; one that begins anew is told all there are."""
    newest = Newest()
    newest.take(records([(0, 1, 20), (1, 1, 21), (2, 1, 22)]), [0, 1, 2])
    newest.take(records([(0, 2, 30), (1, 2, 31), (1, 3, 32)], 3), [0, 1, 1])
    devices = newest.since(np.array([3]))
    assert devices.tolist() == [0, 1]
    assert newest.previous_since(devices, np.array([3])) == [(1, 31.0)]
    assert newest.previous_since(np.array([0, 1, 2]), None) == [(0, 20.0), (1, 31.0)]


def test_a_forgotten_device_leaves_its_number_to_another_one() -> None:
    """Memory follows the devices that are there."""
    names, newest = Names(), Newest()
    assert names.take(["a", "b", "a"]).tolist() == [0, 1, 0]
    newest.take(records([(0, 1, 20), (1, 1, 21)]), [0, 1])
    names.forget(0)
    newest.forget(0)
    assert (len(names), newest.since(None).tolist(), names.known(["a", "b"]).tolist()) == (1, [1], [1])
    assert names.mask(["a", "b"]).tolist() == [False, True]
    assert names.take(["c"]).tolist() == [0]
    assert (names.by_number, names.encoded) == (["c", "b"], [b'"c"', b'"b"'])


def test_a_hostile_sender_cannot_fill_the_memory_with_names() -> None:
    """Devices beyond the bound are counted and left out; the known ones go on."""
    names = Names(capacity=2)
    assert names.take(["a", "b", "c", "d", "b"]).tolist() == [0, 1, NO_DEVICE, NO_DEVICE, 1]
    assert (len(names), names.refused) == (2, 2)


def test_ids_are_bounded_in_bytes() -> None:
    """ASCII of 128 characters has room; of 128 of 4 bytes there are fewer, and what is forgotten makes room."""
    names = Names(10)
    assert NO_DEVICE not in names.take([f"{number:0128}" for number in range(10)])
    names = Names(10)
    numbers = names.take(["\U0001f321" * 127 + chr(0x1F321 + number) for number in range(10)])
    kept = [number for number in numbers if number != NO_DEVICE]
    taken = sum(map(sys.getsizeof, names.by_number)) + sum(map(sys.getsizeof, names.encoded))
    assert (len(kept), names.refused) == (3, 7)
    assert taken <= 10 * ID_BYTES
    names.forget(kept[0])
    assert names.take(["\U0001f322" * 128]).tolist() == [kept[0]]
