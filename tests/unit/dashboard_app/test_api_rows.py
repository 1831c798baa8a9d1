"""Rows out of the ring, against a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.api_rows import Rows, Wanted, rows_of
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.api_parts import NOW_MS, HeldFeed

_ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(NOW_MS - 20, NOW_MS)), min_size=1, max_size=60)


def found(feed: HeldFeed, wanted: Wanted) -> Rows:
    """Return the rows that a worker answers with."""
    return feed.store.read(lambda held, _epoch: rows_of(held, SENSOR.name, wanted))()


@given(_ROWS, st.integers(1, 7), st.none() | st.sets(st.sampled_from("abce")), st.integers(0, 20), st.integers(0, 20))
def test_pages_hold_the_rows_of_a_plain_list(
    given_rows: list[tuple[str, int]], limit: int, devices: set[str] | None, since: int, until: int
) -> None:
    """Each once, in order of time, whatever is asked for; the ring has dropped the oldest."""
    rows = [(device, time_ms, float(number)) for number, (device, time_ms) in enumerate(given_rows)]
    feed = HeldFeed(Settings(dashboard_ring_rows=1_000))
    feed.put([("x", NOW_MS - 30, 0.0)] * 980)
    feed.put(rows)
    since_ms, until_ms = NOW_MS - since, NOW_MS - until
    told: list[tuple[str, int, float]] = []
    wanted = Wanted(tuple(devices) if devices is not None else None, since_ms, until_ms, limit)
    while True:
        page = found(feed, wanted)
        assert len(page.device_ids) <= limit
        told += zip(page.device_ids, page.times_ms, page.celsius, strict=True)
        if page.last is None:
            break
        wanted = wanted._replace(after=page.last)
    expected = [row for row in rows if since_ms <= row[1] < until_ms and (devices is None or row[0] in devices)]
    assert sorted(told) == sorted(expected)
    assert [row[1] for row in told] == sorted(row[1] for row in told)
