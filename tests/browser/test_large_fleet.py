"""The page with more devices than fit on it.

Overview, virtual list, history of what comes into view.
"""

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from sensorbus.contract import messages
from sensorbus.contract.topics import SENSOR
from tests.browser.conftest import Bus, Visit, keep, tell, tell_until, wait_js
from tests.support.axe import serious_faults
from tests.support.topics import Record, produce

_DEVICES: Final = 300
_HISTORY_S: Final = 60
#: Older ones, thinly.
_BEFORE_S: Final = range(600, 2 * _HISTORY_S, -20)


def _send_a_minute(bus: Bus, numbers: range, before_s: range = range(0)) -> None:
    """Send what these devices have measured up to now, and so long before; the higher the number, the hotter."""
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
            for age_s in (*before_s, *range(_HISTORY_S, -1, -1))
            for number in numbers
        ),
    )


@pytest.fixture(scope="module")
def large_bus(bus: Bus) -> Bus:
    """Give a bus with a minute of 300 devices, and some of the ten before."""
    _send_a_minute(bus, range(_DEVICES), _BEFORE_S)
    return bus


@pytest.fixture
def lately(large_bus: Bus) -> Bus:
    """Give it with the last minute of its ten hottest devices, however long ago the tests have begun."""
    _send_a_minute(large_bus, range(_DEVICES - 10, _DEVICES))
    return large_bus


def _first_name(page: Page) -> str:
    return page.get_by_role("article").first.get_attribute("aria-label") or ""


def test_only_the_cards_in_view_are_in_the_page(visit: Visit, lately: Bus) -> None:
    """A screenful of 300; scrolling brings the others, each with its history."""
    assert lately.dashboard.is_running()
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


def test_a_card_that_comes_into_view_of_a_paused_page_has_its_history(visit: Visit, lately: Bus) -> None:
    """It is filled anew when the history comes, a tick or two after the card."""
    assert lately.dashboard.is_running()
    page = visit().open("?paused=1")
    expect(page.locator("#pause-note")).to_have_text(re.compile("^paused "), timeout=15_000)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.get_by_role("article", name=f"unit-{_DEVICES - 1:03d}", exact=True)).to_be_visible()
    shape = f"(document.querySelector('[aria-label=unit-{_DEVICES - 1:03d}] .spark-line')?.getAttribute('d') ?? '')"
    wait_js(page, f"{shape}.split('L').length > {_HISTORY_S // 4}", "the history of a card on a paused page")


def test_the_focus_stays_with_the_cards_when_its_own_leaves_the_view(visit: Visit, lately: Bus) -> None:
    """The next press of Tab goes to a card in view, not to the top of the page."""
    assert lately.dashboard.is_running()
    page = visit().open()
    page.get_by_role("article").first.get_by_role("link").focus()
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(page.get_by_role("article", name=f"unit-{_DEVICES - 1:03d}", exact=True)).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "cards"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('article') !== null")


def test_the_chart_is_an_overview_and_says_so(visit: Visit, lately: Bus) -> None:
    """Bands of the whole fleet; choosing up to 10 devices gives each its line."""
    assert lately.dashboard.is_running()
    page = visit().open()
    expect(page.locator("#chart-note")).to_have_text(
        re.compile(rf"^Lowest to highest, 10 % to 90 % and median of all {_DEVICES} devices per second")
    )
    names = "document.querySelector('.js-plotly-plot')?.data?.map((one) => one.name)"
    wait_js(page, f"{names}?.includes('median')", "bands on the chart")
    _see_alerts(page, lately)
    keep(page, "large-fleet")
    assert serious_faults(page) == []
    page.get_by_label("Devices").click()
    search = page.get_by_role("combobox", name="Search by name")
    page.get_by_role("button", name="Deselect all", exact=True).click()
    search.fill("unit-29")
    page.get_by_role("button", name="Select all", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(10)
    wait_js(page, f"{names}?.includes('unit-299') && !{names}.includes('median')", "lines on the chart")
    points = "Math.min(...document.querySelector('.js-plotly-plot').data.slice(0, 10).map((one) => one.y.length))"
    wait_js(page, f"{points} > {_HISTORY_S // 2}", "the history of the chosen devices")


def _see_alerts(page: Page, bus: Bus) -> None:
    """Have two devices in alert: the strip counts them, and says so at the pointer and to who does not see it."""
    note, summary = page.locator("#chart-note"), page.locator("#chart-summary")
    ages_ms = tuple(range(45_000, 5_000, -1_000))
    with bus.run("processors", "alert"):
        for device in ("unit-007", "unit-008"):
            tell(bus, device, 40, ages_ms[:20] if device == "unit-008" else ages_ms)
        expect(summary).to_contain_text(re.compile(r"[2-9] devices in alert, at most [2-9] within"), timeout=40_000)
        expect(note).to_contain_text("\N{BLACK UP-POINTING TRIANGLE} counts the devices in alert per ")
        strip = "document.querySelector('.js-plotly-plot')?.data?.find((one) => one.name === 'alerts')"
        wait_js(page, f"{strip}?.y.includes(2) && {strip}.y.includes(1)", "bars of one and of two devices")
        page.locator("#pause").click()
        box = page.locator(".js-plotly-plot").bounding_box()
        assert box is not None
        x, y = page.evaluate(
            f"""(() => {{
                const {{ xaxis, yaxis2 }} = document.querySelector('.js-plotly-plot')._fullLayout;
                const at = {strip}.y.indexOf(2);
                return [xaxis._offset + xaxis.l2p({strip}.x[at]), yaxis2._offset + yaxis2.l2p(2)];
            }})()"""
        )
        page.mouse.move(box["x"] + x + 1, box["y"] + y)
        page.mouse.move(box["x"] + x, box["y"] + y)
        expect(page.locator(".plot .hovertext")).to_contain_text("2 devices in alert")
        keep(page, "large-fleet-alerts")
        page.locator("#pause").click()


def test_a_long_range_has_its_bands_after_a_load(visit: Visit, lately: Bus) -> None:
    """Of all that is held, not of the last 100 s alone."""
    assert lately.dashboard.is_running()
    page = visit().open()
    page.get_by_text("15 min", exact=True).click()
    median = "document.querySelector('.js-plotly-plot')?.data?.find((one) => one.name === 'median')"
    wait_js(page, f"{median}?.x[0] < Date.now() - 300_000", "bands of more than five minutes")


def test_the_export_of_an_overview_is_its_bands(visit: Visit, large_bus: Bus) -> None:
    """A row for each second in view, of the whole fleet."""
    tell(large_bus, "unit-000", 10)
    page = visit().open("?unit=F&zone=utc")
    median = "document.querySelector('.js-plotly-plot')?.data?.find((one) => one.name === 'median')"
    wait_js(page, f"{median}?.x.length > 0", "bands on the chart")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV", exact=True).click()
    drawn = page.evaluate(f"Object.fromEntries({median}.x.map((ms, at) => [ms, {median}.y[at]]))")
    header, *rows = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert header == "time_utc,min_fahrenheit,p10_fahrenheit,median_fahrenheit,p90_fahrenheit,max_fahrenheit"
    told = {row.split(",")[0]: [float(cell) for cell in row.split(",")[1:]] for row in rows}
    assert all(values == sorted(values) for values in told.values())
    medians = {str(round(datetime.fromisoformat(time).timestamp() * 1000)): values[2] for time, values in told.items()}
    both = medians.keys() & drawn.keys()
    assert len(both) >= len(medians) - 2  # the chart may have moved on by a second
    assert {ms: medians[ms] for ms in both} == {ms: drawn[ms] for ms in both}


def test_the_bands_of_more_than_a_hundred_chosen_are_theirs(visit: Visit, lately: Bus) -> None:
    """Chart, summary and export are of the chosen, and say so; of all again when all are."""
    assert lately.dashboard.is_running()
    page = visit().open("?zone=utc&window=900")
    note, summary = page.locator("#chart-note"), page.locator("#chart-summary")
    expect(note).to_have_text(re.compile(f"of all {_DEVICES} devices per second"))
    page.get_by_label("Devices").click()
    page.get_by_role("button", name="Deselect all", exact=True).click()
    page.get_by_role("combobox", name="Search by name").fill("unit-2")
    page.get_by_role("button", name="Select all", exact=True).click()
    page.keyboard.press("Escape")
    expect(note).to_have_text(re.compile("^100 devices in the colours"))
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Search by name").fill("unit-02")
    page.get_by_role("button", name="Select all", exact=True).click()
    page.keyboard.press("Escape")
    expect(note).to_have_text(re.compile("median of the 110 chosen devices per second"))
    assert serious_faults(page) == []
    expect(summary).to_have_text(re.compile("^The 110 chosen devices, .*: from 11.0 °C to 2[45]"))
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV", exact=True).click()
    rows = [row.split(",") for row in Path(download.value.path()).read_text(encoding="utf-8").splitlines()[1:]]
    assert (min(float(row[1]) for row in rows), max(float(row[-1]) for row in rows)) == (11.0, 24.95)
    page.get_by_label("Devices").click()
    page.get_by_role("combobox", name="Search by name").fill("")
    page.get_by_role("button", name="Select all", exact=True).click()
    expect(note).to_have_text(re.compile(f"of all {_DEVICES} devices per second"))


def test_the_page_of_one_device_of_many_has_all_of_it(visit: Visit, large_bus: Bus) -> None:
    """Its readings come though the fleet's do not: numbers of the range, rows, the line; new ones follow."""
    page = visit().open(path="device/unit-124")
    expect(page.locator("#device-rows tbody tr")).to_have_count(_HISTORY_S + 1 + len(_BEFORE_S))
    tiles = [page.locator(f".device-tiles .tile-{name} .tile-value").inner_text() for name in ("min", "max", "high")]
    assert tiles == ["16.2 °C", "16.2 °C", "0"]
    expect(page.locator("#chart-note")).to_have_text(re.compile("^One line per device"))
    points = "document.querySelector('.js-plotly-plot')?.data?.find((one) => one.name === 'unit-124')?.y.length"
    wait_js(page, f"{points} > {_HISTORY_S // 2}", "the line of the device")
    tell_until(large_bus, "unit-124", 41.5, page.locator(".tile-max .tile-value", has_text="41.5 °C"))


@pytest.mark.parametrize("width", [1280, 1261, 721, 360])
def test_the_states_have_room_for_any_fleet(visit: Visit, large_bus: Bus, width: int) -> None:
    """Five digits in each do not run over the next tile; put in by hand, for so many devices take a minute to come."""
    assert large_bus.dashboard.is_running()
    page = visit(viewport={"width": width, "height": 900}).open("?paused=1")
    expect(page.locator("#filter-value")).to_have_text(f"All {_DEVICES}")
    over = page.evaluate(
        """() => {
            const numbers = document.querySelectorAll(".count strong");
            for (const number of numbers) number.textContent = "88,888";
            const states = document.querySelector(".states");
            const { right } = states.getBoundingClientRect();
            const ends = [...states.querySelectorAll(".count")].map((one) => one.getBoundingClientRect().right);
            return [ends.filter((end) => end > right).length, document.documentElement.scrollWidth > innerWidth];
        }"""
    )
    assert over == [0, False]
    details = "[...document.querySelectorAll('.tile-detail')]"
    assert (
        page.evaluate(f"{details}.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)")
        == []
    )


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
    """By heat; those that are offline keep the order of their names behind them."""
    page = visit().open("?sort=hottest")
    expect(page.locator("#filter-value")).to_have_text(f"All {_DEVICES}")
    tell_until(large_bus, "unit-150", 90, page.locator("article:first-child[aria-label=unit-150]"))


def test_silent_first_puts_the_silent_first(visit: Visit, large_bus: Bus) -> None:
    """Behind them, though its name is before theirs, stands who is heard."""
    page = visit().open("?sort=silent&devices=unit-003,unit-004")
    expect(page.locator("#sort-value")).to_have_text("silent first")
    tell_until(large_bus, "unit-003", 20, page.locator("article:first-child[aria-label=unit-004]"))


def test_a_pause_holds_bands_lines_and_order(visit: Visit, large_bus: Bus) -> None:
    """Hotter readings come meanwhile; they are shown when the pause ends."""
    page = visit().open("?sort=hottest")
    traces = "document.querySelector('.js-plotly-plot')?.data"
    chart = f"{traces}?.map((one) => [one.name, one.x.length, one.x.at(-1), one.y.at(-1)])"
    tell_until(large_bus, "unit-100", 94, page.locator("article:first-child[aria-label=unit-100]"))
    wait_js(page, f"{chart}?.some(([name, number]) => name === 'unit-100' && number > 0)", "the hottest line")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_timeout(1_500)
    held, first = page.evaluate(chart), _first_name(page)
    for celsius in range(95, 103):
        tell(large_bus, "unit-007", celsius, (0,))
        page.wait_for_timeout(1_000)
    expect(page.locator("#pause-note")).to_have_text(re.compile("[1-9] new reading"))
    assert (page.evaluate(chart), _first_name(page)) == (held, first)
    page.get_by_role("button", name="Resume", exact=True).click()
    tell_until(large_bus, "unit-007", 103, page.locator("article:first-child[aria-label=unit-007]"))
