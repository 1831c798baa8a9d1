"""Devices: the same states and numbers as on the page's cards."""

from typing import Any

import pytest

from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP
from tests.support.api_parts import NOW_MS, HeldFeed, pages


def devices(feed: HeldFeed, query: str = "") -> dict[str, dict[str, Any]]:
    """Return what is told of each device."""
    rows = pages(feed.client(), f"/api/v1/devices?limit=2{query}", "devices")
    assert [row["device_id"] for row in rows] == sorted(row["device_id"] for row in rows)
    return {row["device_id"]: row for row in rows}


@pytest.mark.parametrize(
    ("age_ms", "celsius", "state"),
    [
        (0, 20.0, "OK"),
        (3_000, 20.0, "OK"),
        (3_001, 20.0, "STALE"),
        (3_001, 40.0, "STALE"),
        (10_000, 20.0, "STALE"),
        (10_001, 20.0, "OFFLINE"),
        (0, 29.85, "OK"),
        (0, 29.86, "HIGH"),
    ],
)
def test_the_state_is_that_of_the_card(age_ms: int, celsius: float, state: str) -> None:
    """After 3 and 10 periods; above 303.00 K."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS - age_ms, celsius)])
    assert devices(feed)["a"]["state"] == state
    assert list(devices(feed, f"&state={state}")) == ["a"]
    assert devices(feed, f"&state={'HIGH' if state == 'OK' else 'OK'}") == {}


def test_a_clock_that_is_ahead_keeps_no_silent_device_alive() -> None:
    """What counts then is when its reading came."""
    feed = HeldFeed()
    feed.put([("late", NOW_MS + 200_000, 20.0)], append_ms=NOW_MS - 60_000)
    feed.put([("live", NOW_MS + 200_000, 20.0)], append_ms=NOW_MS)
    assert {name: row["state"] for name, row in devices(feed).items()} == {"late": "OFFLINE", "live": "OK"}


def test_numbers_of_now_are_told_while_the_jobs_follow() -> None:
    """Change, average with the end of its window, the alerts of the window that ends now; 0 without a result."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS - 1_000, 39.0), ("a", NOW_MS, 40.5), ("b", NOW_MS, 20.0), ("c", NOW_MS, 20.0)])
    feed.put([("a", NOW_MS, 40.5)], ALERT.name)
    counts = [("a", NOW_MS - 5_000, 2.0), ("a", NOW_MS - 5_000, 3.0), ("b", NOW_MS - 4_000, 9.0)]
    feed.put(counts, ALERT_COUNT.name, append_ms=NOW_MS)
    feed.put([("a", NOW_MS - 1_000, 38.25)], AVG_TEMP.name)
    told = devices(feed)
    assert told["a"] == {
        "device_id": "a",
        "state": "HIGH",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "celsius": 40.5,
        "kelvin": 313.65,
        "change_kelvin": 1.5,
        "avg_celsius": 38.25,
        "avg_end": "2026-01-31T11:59:59.000Z",
        "alert_count": 3,
    }
    assert (told["b"]["alert_count"], told["b"]["change_kelvin"], told["b"]["avg_celsius"]) == (0, None, None)


def test_a_device_that_is_offline_has_neither_average_nor_change() -> None:
    """Its numbers are not of now."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS - 31_000, 20.0), ("a", NOW_MS - 30_000, 21.0), ("b", NOW_MS, 20.0)])
    feed.put([("a", NOW_MS - 30_000, 20.0), ("b", NOW_MS, 20.0)], AVG_TEMP.name)
    told = devices(feed)["a"]
    assert (told["state"], told["avg_celsius"], told["avg_end"], told["change_kelvin"]) == ("OFFLINE", None, None, None)


def test_counts_are_unknown_while_job_alert_counts_behind() -> None:
    """Null, as the page shows a dash: 0 would be a lie."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS, 20.0)])
    feed.put([("a", NOW_MS - 9_000, 40.0)], ALERT.name)
    assert devices(feed)["a"]["alert_count"] is None
    feed.put([("a", NOW_MS - 14_000, 1.0)], ALERT_COUNT.name, append_ms=NOW_MS - 9_000)
    assert devices(feed)["a"]["alert_count"] == 0


def test_counts_are_unknown_while_job_alert_is_silent() -> None:
    """A device has been high for longer than the job needs."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS - age_ms, 40.0) for age_ms in (12_000, 9_000, 0)])
    assert devices(feed)["a"]["alert_count"] is None
    feed.put([("a", NOW_MS - 9_000, 40.0)], ALERT.name)
    feed.put([("a", NOW_MS - 12_000, 1.0)], ALERT_COUNT.name, append_ms=NOW_MS - 9_000)
    assert devices(feed)["a"]["alert_count"] == 0


def test_averages_are_unknown_while_their_job_does_not_follow() -> None:
    """What is left of them is not of now."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS, 20.0)])
    feed.put([("a", NOW_MS - 60_000, 20.0)], AVG_TEMP.name)
    assert devices(feed)["a"]["avg_celsius"] is None


def test_a_device_without_a_reading_is_not_listed() -> None:
    """As on the page: there is no temperature to show."""
    feed = HeldFeed()
    feed.put([("a", NOW_MS, 20.0)], AVG_TEMP.name)
    assert devices(feed) == {}
