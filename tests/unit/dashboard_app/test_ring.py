"""The ring against a plain list."""

import sys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.encoded import encode
from dashboard_app.ring import Offsets, Records, Ring

PARTITIONS = 3
NAMES = [f"device-{number}" for number in range(5)]
#: Batches of (partition, step to the next offset, device, seconds since the record before).
BATCHES = st.lists(
    st.lists(
        st.tuples(st.integers(0, PARTITIONS - 1), st.integers(1, 3), st.integers(0, 4), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    ),
    max_size=12,
)
Plain = tuple[int, int, int, int, bytes]  # partition, offset, append_ms, device, fragment


def _records(rows: list[Plain]) -> tuple[Records, list[int]]:
    appends_ms = [row[2] for row in rows]
    devices = [row[3] for row in rows]
    records = Records(
        [row[0] for row in rows],
        [row[1] for row in rows],
        appends_ms,
        [NAMES[device] for device in devices],
        appends_ms,
        [20.5] * len(rows),
        [row[4] for row in rows],
    )
    return records, devices


def _put(ring: Ring, records: Records, devices: list[int], *, is_ready: bool) -> None:
    """Put records in, as the store does or without making ready for them."""
    if is_ready:
        records = records.as_arrays()
        ring.make_ready(records)
    ring.append(ring.offsets.fresh(records), devices)
    ring.free_old()


def _filled(batches: list[list[tuple[int, int, int, int]]], ring: Ring, *, is_ready: bool = True) -> list[Plain]:
    """Fill a ring and return all that was put in, as a plain list."""
    offsets, now_ms, plain = [0] * PARTITIONS, 1_000_000, []
    for batch in batches:
        rows = []
        for partition, step, device, later_s in batch:
            now_ms += later_s * 1000
            offset = offsets[partition] + step - 1
            offsets[partition] = offset + 1
            rows.append((partition, offset, now_ms, device, encode((NAMES[device], now_ms, 20.5))))
        _put(ring, *_records(rows), is_ready=is_ready)
        plain.extend(rows)
    return plain


@given(
    batches=BATCHES,
    sizes=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)),
    cursor=st.lists(st.integers(0, 30)),
    is_ready=st.booleans(),
)
def test_a_ring_answers_as_a_plain_list(
    batches: list[list[tuple[int, int, int, int]]], sizes: tuple[int, int, int], cursor: list[int], *, is_ready: bool
) -> None:
    """What is since a cursor, and whether all of it is held, is what a list of everything says."""
    capacity, encoded, first = sizes
    ring = Ring(Offsets(), capacity, encoded, first)
    plain = _filled(batches, ring, is_ready=is_ready)
    wanted = dict(enumerate(cursor[:PARTITIONS]))

    held, dropped = plain[-capacity:], plain[:-capacity]
    since = [row for row in held if row[1] >= wanted.get(row[0], 0)]
    lost = [row for row in dropped if row[1] >= wanted.get(row[0], 0)]

    assert [row[4] for row in since] == ring.fragments(ring.since(wanted), NAMES)
    assert (not lost) == ring.covers(wanted)
    assert (len(held), len(dropped)) == (ring.statistics().held, ring.statistics().dropped)


@given(batches=BATCHES, age_s=st.integers(0, 40), looked_back_s=st.integers(0, 40))
def test_old_rows_go_and_recent_ones_are_found(
    batches: list[list[tuple[int, int, int, int]]], age_s: int, looked_back_s: int
) -> None:
    """Rows go by append time, and the last seconds are the list's last seconds."""
    ring = Ring(Offsets(), 1_000, first_rows=2)
    plain = _filled(batches, ring)
    newest_ms = plain[-1][2] if plain else 0
    before_ms, since_ms = newest_ms - age_s * 1000, newest_ms - looked_back_s * 1000
    ring.drop_before(before_ms)

    held = [row for row in plain if row[2] >= before_ms]
    recent = [row for row in held if row[2] >= since_ms]

    assert [row[4] for row in held] == ring.fragments(ring.since({}), NAMES)
    assert [row[4] for row in recent] == ring.fragments(ring.appended_since(since_ms), NAMES)


@given(batches=BATCHES, again=st.integers(0, 12))
def test_what_comes_twice_is_put_in_once(batches: list[list[tuple[int, int, int, int]]], again: int) -> None:
    """After a reader starts again a little earlier, its records are not fresh."""
    ring = Ring(Offsets(), 1_000)
    plain = _filled(batches, ring)
    records, _ = _records(plain[-again:] if again else [])

    assert list(ring.offsets.fresh(records).offsets) == []


def test_a_partition_that_begins_later_is_covered_from_there() -> None:
    """What stands before the first offset that was read is not held; from there on all is."""
    ring = Ring(Offsets(), 10)
    ring.offsets.begin(0, 100)
    ring.begin(0, 100)

    assert not ring.covers({0: 99})
    assert ring.covers({0: 100})
    assert ring.since({0: 100}).tolist() == []


def test_a_burst_larger_than_the_ring_leaves_its_newest_rows() -> None:
    """One batch of more than the capacity is no special case."""
    ring = Ring(Offsets(), 7)
    plain = _filled([[(0, 1, number % 5, 0) for number in range(50)]], ring)

    assert [row[4] for row in plain[-7:]] == ring.fragments(ring.since({}), NAMES)
    assert ring.statistics().dropped == 43


def test_a_cursor_costs_by_what_is_new() -> None:
    """A cursor near the end looks at rows near the end, however many are held."""
    ring = Ring(Offsets(), 200_000)
    for batch in range(40):
        _records_in_order(ring, batch)

    looked_at: list[int] = []
    column = ring.column

    def watched(name: str, first: int, end: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        looked_at.append(end - first)
        return column(name, first, end)

    ring.column = watched  # type: ignore[method-assign]  # a look from outside
    assert len(ring.since({0: 200_000 - 10})) == 10
    assert max(looked_at) <= 10_000


def _records_in_order(ring: Ring, batch: int) -> None:
    rows = [(0, batch * 5_000 + number, batch * 500 + number // 10, number % 5, b"") for number in range(5_000)]
    records, devices = _records(rows)
    ring.append(ring.offsets.fresh(records), devices)


def test_a_ring_takes_room_for_what_it_holds() -> None:
    """Not for what it may hold: rows that go make room for those that come."""
    ring = Ring(Offsets(), 1_000_000, first_rows=10)
    for second in range(1_000):
        now_ms = second * 1_000
        ring.append(*_records([(0, second * 4 + number, now_ms, number, b"") for number in range(4)]))
        ring.drop_before(now_ms - 9_000)
    statistics = ring.statistics()
    assert (statistics.held, statistics.capacity, statistics.dropped) == (40, 1_000_000, 3_960)
    assert len(ring._columns["device"]) <= 60


@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=60), max_size=15),
    sizes=st.tuples(st.integers(8, 80), st.integers(8, 80), st.integers(1, 40)),
    age_s=st.integers(0, 15),
    is_ready=st.booleans(),
)
def test_a_ring_keeps_within_its_bytes(
    batches: list[list[tuple[int, int]]], sizes: tuple[int, int, int], age_s: int, *, is_ready: bool
) -> None:
    """With ids of 1 to 512 bytes it holds the end of the list, and never more bytes."""
    capacity, encoded, first = sizes
    ring, plain = Ring(Offsets(), capacity, encoded, first), list[Plain]()
    for second, batch in enumerate(batches):
        names = [WIDE[width] for _, width in batch]
        offsets = range(len(plain), len(plain) + len(batch))
        rows = [
            (0, offset, 1_000 * second, width, encode((name, offset, 20.5)))
            for (_, width), offset, name in zip(batch, offsets, names, strict=True)
        ]
        records, devices = _records(rows)
        _put(ring, records._replace(times_ms=list(offsets)), devices, is_ready=is_ready)
        plain.extend(rows)
        before = ring.statistics().held
        ring.drop_before(1_000 * (second - age_s))
        _check_bounds(ring, plain, [row for row in plain[-before:] if row[2] >= 1_000 * (second - age_s)])


WIDE = ["a", "b" * 36, "c" * 128, "\U0001f321" * 128, "e"]


def _check_bounds(ring: Ring, plain: list[Plain], held: list[Plain]) -> None:
    now = ring.statistics()
    in_columns = sum(column.nbytes for column in ring._columns.values())
    in_json = sum(sys.getsizeof(row) for row in ring._encoded._rows if row is not None)
    assert in_columns + in_json <= now.held_bytes <= now.capacity_bytes
    assert (now.held, now.dropped) == (len(held), len(plain) - len(held))
    assert [row[4] for row in held] == ring.fragments(ring.since({}), WIDE)
    assert ring.covers({0: now.dropped})
    assert not (now.dropped and ring.covers({0: now.dropped - 1}))
    assert now.limit in (("rows",) if now.held == now.capacity else ("bytes", None))


def test_ordinary_ids_reach_the_bound_in_rows_and_long_ones_that_in_bytes() -> None:
    """What 128 characters of 4 bytes displace are old rows, a quarter stays; ordinary ids then have all back."""
    ring = Ring(Offsets(), 2_000)
    for number, (name, limit) in enumerate((("b" * 36, "rows"), ("\U0001f321" * 128, "bytes"), ("b" * 36, "rows"))):
        first = number * 10_000
        rows = [(0, offset, offset, 0, encode((name, offset, 20.5))) for offset in range(first, first + 10_000)]
        records, devices = _records(rows)
        ring.append(ring.offsets.fresh(records), devices)
        now = ring.statistics()
        assert (now.limit, now.held + now.dropped) == (limit, first + 10_000)
        assert 480 <= now.held < 2_000 if limit == "bytes" else now.held == 2_000
        assert ring.fragments(ring.since({}), [name]) == [row[4] for row in rows[-now.held :]]
    assert now.held_bytes <= now.capacity_bytes
