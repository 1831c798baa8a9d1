"""The page with more devices than fit on it: overview, virtual list, history of what comes into view."""

import re
import time
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from sensorbus.contract import messages
from sensorbus.contract.topics import SENSOR
from tests.browser.conftest import Bus, Visit, keep, tell_until, wait_js
from tests.support.topics import Record, produce

_DEVICES: Final = 300
_HISTORY_S: Final = 60


@pytest.fixture(scope="module")
def large_bus(bus: Bus) -> Bus:
    """Give a bus with a minute of 300 devices; the higher the number, the hotter."""
    now_ms = time.time_ns() // 1_000_000
    produce(
        bus.settings,
        SENSOR,
        (
            Record(
                messages.encode_key(f"unit-{number:03d}"),
                messages.encode_reading(
                    f"unit-{number:03d}", messages.iso_timestamp(now_ms - age_s * 1_000), 10 + number / 20
                ),
            )
            for age_s in range(_HISTORY_S, -1, -1)
            for number in range(_DEVICES)
        ),
    )
    return bus


def _first_name(page: Page) -> str:
    return page.get_by_role("article").first.get_attribute("aria-label") or ""


def test_only_the_cards_in_view_are_in_the_page(visit: Visit, large_bus: Bus) -> None:
    """A screenful of 300; scrolling brings the others, each with its history."""
    assert large_bus.dashboard.is_running()
    page = visit().open()
    expect(page.locator("#filter-value")).to_have_text(f"All {_DEVICES}")
    assert 0 < page.get_by_role("article").count() <= 60
    assert _first_name(page) == "unit-000"
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last = page.get_by_role("article", name=f"unit-{_DEVICES - 1:03d}", exact=True)
    expect(last).to_be_visible()
    assert page.get_by_role("article").count() <= 60
    # A second apart, so about a line to each reading of the minute: it was not in view when they came.
    shape = f"(document.querySelector('[aria-label=unit-{_DEVICES - 1:03d}] .spark-line')?.getAttribute('d') ?? '')"
    wait_js(page, f"{shape}.split('L').length > {_HISTORY_S // 2}", "the history of a card that came into view")


def test_the_chart_is_an_overview_and_says_so(visit: Visit, large_bus: Bus) -> None:
    """Bands of the whole fleet; choosing up to 10 devices gives each its line."""
    assert large_bus.dashboard.is_running()
    page = visit().open()
    expect(page.locator("#chart-note")).to_have_text(
        re.compile(rf"^Lowest to highest, 10 % to 90 % and median of all {_DEVICES} devices per second")
    )
    names = "document.querySelector('.js-plotly-plot')?.data?.map((one) => one.name)"
    wait_js(page, f"{names}?.includes('median')", "bands on the chart")
    keep(page, "large-fleet")
    page.get_by_label("Devices").click()
    search = page.get_by_role("combobox", name="Search by name")
    page.get_by_role("button", name="Deselect all", exact=True).click()
    search.fill("unit-29")
    page.get_by_role("button", name="Select all", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(10)
    wait_js(page, f"{names}?.includes('unit-299') && !{names}.includes('median')", "lines on the chart")
    points = "Math.min(...document.querySelector('.js-plotly-plot').data.slice(0, 10).map((one) => one.y.length))"
    wait_js(page, f"{points} > {_HISTORY_S // 2}", "the history of the chosen devices")


def test_the_filter_holds_a_dozen_rows_however_many_names_there_are(visit: Visit, large_bus: Bus) -> None:
    """And the keyboard reaches the last of them."""
    assert large_bus.dashboard.is_running()
    page = visit().open()
    expect(page.locator("#filter-value")).to_have_text(f"All {_DEVICES}")
    page.keyboard.press("/")
    expect(page.get_by_role("option").first).to_be_visible()
    assert page.get_by_role("option").count() < 30
    for _ in range(_DEVICES // 8 + 1):
        page.keyboard.press("PageDown")
    active = page.get_by_role("combobox", name="Search by name").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_text(f"unit-{_DEVICES - 1:03d}")


def test_hottest_first_puts_the_hottest_first(visit: Visit, large_bus: Bus) -> None:
    """Live devices by heat; those that are silent keep the order of their names behind them."""
    page = visit().open("?sort=hottest")
    expect(page.locator("#filter-value")).to_have_text(f"All {_DEVICES}")
    tell_until(large_bus, "unit-150", 90, page.locator("article:first-child[aria-label=unit-150]"))
