"""Queries, read from parameters."""

import pytest

from dashboard_app import api_table
from dashboard_app.api_cursor import Cursor, text_of
from dashboard_app.api_problems import ProblemError
from dashboard_app.api_query import query_in

NOW_MS = 1_769_860_800_000


def test_nothing_given_asks_for_all_of_a_page() -> None:
    """With the route's own limit."""
    query = query_in(api_table.READINGS, {}, NOW_MS)
    assert (query.devices, query.since_ms, query.until_ms, query.limit, query.after) == ((), None, None, 1_000, None)


def test_last_is_from_now_back_and_its_pages_keep_their_start() -> None:
    """However long a client takes from page to page."""
    given = {"last": ["10s"]}
    query = query_in(api_table.READINGS, given, NOW_MS)
    assert query.since_ms == NOW_MS - 10_000
    cursor = text_of(Cursor("epoch", "a", query.since_ms), query.key)
    later = query_in(api_table.READINGS, given | {"cursor": [cursor], "limit": ["5"]}, NOW_MS + 60_000)
    assert later.since_ms == NOW_MS - 10_000


def test_the_order_of_devices_makes_no_other_request() -> None:
    """Nor does one that is named twice."""
    keys = {query_in(api_table.ALERTS, {"device": names}, 0).key for names in (["a", "b"], ["b", "a", "b"])}
    assert len(keys) == 1


def test_a_length_and_bounds_are_not_mixed() -> None:
    """It would not be clear which holds."""
    with pytest.raises(ProblemError, match="one or the other"):
        query_in(api_table.ALERTS, {"last": ["1s"], "until": ["2026-01-31T12:00:00Z"]}, NOW_MS)
