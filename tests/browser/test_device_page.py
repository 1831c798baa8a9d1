"""The page of one device: from its card, from a link, in each of its states."""

import re
import urllib.parse
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Bus, Visit, keep, open_bus, tell, tell_until
from tests.support.axe import serious_faults

_ODD: Final = (
    "a/b",
    "..",
    ".",
    "50%",
    "a//b",
    "\N{FIRE}",
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("x")',
    '<a href="https://x.example">x</a>',
    "a b?c#d&e",
)


def _tile(page: Page, name: str) -> str:
    return page.locator(f".device-tiles .tile-{name} .tile-value").inner_text()


def _path(device_id: str) -> str:
    return f"device/{urllib.parse.quote(device_id, safe='')}"


def test_a_card_leads_to_its_devices_page_and_back(visit: Visit, bus: Bus) -> None:
    """Numbers of the range, the readings themselves, files of them; then all devices again."""
    tell(bus, "lead", 20, (4_000, 3_000, 2_000, 1_000))
    tell(bus, "lead", 40)
    page = visit().open()
    page.get_by_role("article", name="lead", exact=True).get_by_role("link", name="lead").click()
    expect(page.get_by_role("heading", level=2, name="lead")).to_be_visible()
    expect(page.locator("#device-rows tbody tr")).to_have_count(5)
    assert [_tile(page, name) for name in ("min", "max", "mean", "high")] == ["20.0 °C", "40.0 °C", "24.00 °C", "1"]
    assert _tile(page, "p95") == "36.0 °C"
    expect(page.locator(".device-tiles .tile-min .tile-detail")).to_have_text(re.compile(r"since \d\d:\d\d:\d\d"))
    expect(page.locator("#device-rows tbody tr").first).to_contain_text("40.00 °C")
    expect(page.locator("#caption")).to_have_text("Temperature, last 15 min")
    expect(page.get_by_role("article")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    saved = Path(download.value.path()).read_text(encoding="utf-8")
    assert saved.splitlines()[0] == "time_utc,device_id,temperature_celsius,above_threshold"
    assert len(saved.splitlines()) == 6
    page.get_by_role("link", name="All devices").click()
    expect(page.get_by_role("article", name="lead", exact=True)).to_be_visible()


def test_a_link_shows_the_same_in_another_browser(visit: Visit, bus: Bus) -> None:
    """Unit and range are in the address, the device is its path."""
    tell(bus, "shared", 25, (1_000, 0))
    page = visit().open(path=_path("shared"))
    expect(page.locator("#device-rows tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Unit").click()
    page.get_by_role("button", name="5 min", exact=True).click()
    expect(page).to_have_url(re.compile(r"/device/shared\?unit=F&zone=local&theme=system&sort=name&window=300$"))
    other = visit().open(path=page.url.partition(bus.url)[2])
    expect(other.locator(".tile-max .tile-value")).to_have_text("77.0 °F")
    expect(other.locator("#caption")).to_have_text("Temperature, last 5 min")


def test_a_link_s_way_of_showing_goes_along_to_the_page_of_a_device_and_back(visit: Visit, bus: Bus) -> None:
    """This browser keeps nothing of it."""
    tell(bus, "taken-along", 25, (1_000, 0))
    page = visit().open("?unit=F&zone=utc")
    page.get_by_role("article", name="taken-along", exact=True).get_by_role("link").click()
    expect(page.locator(".tile-max .tile-value")).to_have_text("77.0 °F")
    expect(page.locator("#caption")).to_have_text("Temperature, last 15 min")
    page.get_by_role("link", name="All devices").click()
    expect(page.locator("#unit-value")).to_have_text("°F")
    expect(page).to_have_url(re.compile(r"\?unit=F&zone=utc&"))


@pytest.mark.parametrize("device_id", _ODD)
def test_a_name_of_any_characters_has_its_page(visit: Visit, bus: Bus, device_id: str) -> None:
    """Through its card's link, and again after a reload; it is text and nothing else."""
    tell(bus, device_id, 20, (1_000, 0))
    page = visit().open()
    page.get_by_role("article", name=device_id, exact=True).get_by_role("link").click()
    expect(page.locator(".device-name")).to_have_text(device_id)
    page.reload()
    expect(page.locator(".device-name")).to_have_text(device_id)
    expect(page.locator("#device-rows tbody tr")).to_have_count(2)
    assert page.locator("img").count() == 0
    assert page.locator(".device-head a").all_inner_texts() == ["All devices"]
    assert page.title() == f"{device_id} - Sensorbus"


def test_an_unknown_device_is_said_and_shown_when_it_speaks(visit: Visit, bus: Bus) -> None:
    """No numbers of nothing; the way back is there."""
    page = visit().open(path=_path("ghost"))
    tell(bus, "other", 20)
    expect(page.locator("#notice")).to_have_text("Not heard of: ghost. Shown as soon as a reading comes.")
    expect(page.get_by_role("link", name="All devices")).to_be_visible()
    expect(page.locator(".device-tiles")).to_be_hidden()
    keep(page, "device-unknown")
    assert serious_faults(page) == []
    tell_until(bus, "ghost", 21, page.locator(".device-tiles"))
    expect(page.locator("#notice")).to_be_hidden()


def test_an_empty_bus_says_what_its_page_waits_for(visit: Visit, tmp_path: Path) -> None:
    """As the fleet's page does."""
    with open_bus(tmp_path) as empty:
        page = visit(empty).open(path=_path("first"))
        expect(page.locator("#notice")).to_have_text(re.compile("^Waiting for the first reading"))
        page.close()  # before its server: a request that breaks off is a complaint


def test_a_silent_device_has_no_readings_in_a_short_range(visit: Visit, bus: Bus) -> None:
    """Its state and its last value stay; the range says that it is empty."""
    tell(bus, "hushed", 22, (60_000, 59_000))
    page = visit().open("?window=30", path=_path("hushed"))
    expect(page.locator(".device-head .word")).to_have_text("OFFLINE")
    expect(page.locator("#device-rows .empty")).to_have_text("No reading in the last 30 s.")
    assert (_tile(page, "now"), _tile(page, "mean"), _tile(page, "average")) == (
        "22.0 °C",
        "\N{EN DASH}",
        "\N{EN DASH}",
    )
    keep(page, "device-silent")


def test_the_page_of_a_device_has_no_serious_fault(visit: Visit, bus: Bus) -> None:
    """Nothing scrolls sideways on a phone either."""
    ages_ms = tuple(range(120_000, -1, -1_000))
    tell(bus, "seen", 22, ages_ms[:80])
    tell(bus, "seen", 33, ages_ms[80:])
    page = visit().open(path=_path("seen"))
    expect(page.locator("#device-rows tbody tr")).to_have_count(100)
    page.wait_for_timeout(1_500)
    keep(page, "device")
    assert serious_faults(page) == []
