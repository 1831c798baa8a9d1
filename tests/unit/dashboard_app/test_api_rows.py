"""Rows out of the ring, against a plain list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.api_problems import ProblemError
from dashboard_app.api_rows import Rows, Search, Wanted
from dashboard_app.store import Store
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.api_parts import NOW_MS, HeldFeed
from tests.support.held_parts import HISTORY_MS, BusyStore

RING_ROWS = 1_000
_ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(NOW_MS - 20, NOW_MS)), min_size=1, max_size=60)


def found(store: Store, wanted: Wanted, rows_at_a_time: int) -> Rows:
    """Return the rows that a worker answers with."""
    return store.read(lambda held, _epoch: Search(held, SENSOR.name, wanted, rows_at_a_time)).rows(store)


@given(
    _ROWS,
    st.tuples(st.integers(1, 7), st.integers(1, 300)),
    st.none() | st.sets(st.sampled_from("abce")),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_pages_hold_the_rows_of_a_plain_list(
    given_rows: list[tuple[str, int]], sizes: tuple[int, int], devices: set[str] | None, since: int, until: int
) -> None:
    """Each once, in order of time, whatever is asked for; the ring has dropped the oldest."""
    rows = [(device, time_ms, float(number)) for number, (device, time_ms) in enumerate(given_rows)]
    feed = HeldFeed(Settings(dashboard_ring_rows=RING_ROWS))
    feed.put([("x", NOW_MS - 30, 0.0)] * 980)
    feed.put(rows)
    since_ms, until_ms = NOW_MS - since, NOW_MS - until
    told: list[tuple[str, int, float]] = []
    limit, rows_at_a_time = sizes
    wanted = Wanted(tuple(devices) if devices is not None else None, since_ms, until_ms, limit)
    while True:
        page = found(feed.store, wanted, rows_at_a_time)
        assert len(page.device_ids) <= limit
        told += zip(page.device_ids, page.times_ms, page.celsius, strict=True)
        if page.last is None:
            break
        wanted = wanted._replace(after=page.last)
    expected = [row for row in rows if since_ms <= row[1] < until_ms and (devices is None or row[0] in devices)]
    assert sorted(told) == sorted(expected)
    assert [row[1] for row in told] == sorted(row[1] for row in told)


_Row = tuple[str, int, float]


def _numbered(first: int, count: int) -> list[_Row]:
    """Return rows that come in order; the value says which it is, and device and time follow from it."""
    return [(f"d{number // 100}", _time_ms(number), float(number)) for number in range(first, first + count)]


def _time_ms(number: int) -> int:
    return NOW_MS - 500_000 + number


@given(
    st.integers(900, 1_500),
    st.lists(st.integers(0, 400), min_size=1, max_size=12),
    st.tuples(st.integers(1, 1_000), st.integers(100, 400)),
)
def test_rows_that_come_and_go_in_between_leave_no_gap_and_tear_none(
    before: int, bursts: list[int], sizes: tuple[int, int]
) -> None:
    """What is told is what was held at one moment, from its oldest row on; numbers of forgotten devices are reused."""
    feed = HeldFeed(Settings(dashboard_ring_rows=RING_ROWS))
    feed.put(_numbered(0, before))
    count, oldest, left = before, [max(0, before - RING_ROWS)], iter(bursts)

    def write() -> None:
        nonlocal count
        burst = next(left, 0)
        if burst:
            feed.put(_numbered(count, burst))
            count += burst
            oldest.append(max(0, count - RING_ROWS))
            feed.store.drop_old(_time_ms(oldest[-1]) + HISTORY_MS)  # forgets the devices without a row

    limit, rows_at_a_time = sizes
    busy = BusyStore(feed.store, write)
    page = found(busy, Wanted(None, None, None, limit), rows_at_a_time)  # type: ignore[arg-type]  # it has all that is used
    told = list(zip(page.device_ids, page.times_ms, page.celsius, strict=True))
    first = int(told[0][2]) if told else before  # nothing: all that it began with has gone
    assert first in oldest or (not told and oldest[-1] >= before)
    assert told == _numbered(first, min(limit, before - first))


def test_a_place_whose_row_goes_during_the_search_is_refused() -> None:
    """Rows that follow it may be gone as well: an answer would lack them and not say so."""
    feed = HeldFeed(Settings(dashboard_ring_rows=RING_ROWS))
    feed.put(_numbered(0, RING_ROWS))
    place = found(feed.store, Wanted(None, None, None, 200), 100).last
    wanted = Wanted(None, None, None, 200, place)
    assert found(feed.store, wanted, 100).celsius[0] == 200.0
    busy = BusyStore(feed.store, lambda: feed.put(_numbered(RING_ROWS, 400)))
    with pytest.raises(ProblemError, match="no longer held"):
        found(busy, wanted, 100)  # type: ignore[arg-type]  # the same
