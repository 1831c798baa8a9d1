"""The page with simulated devices and all jobs: what a person sees and does."""

import csv
import re
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import DEVICES, Bus, Visit, keep, wait_js
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("live_bus")

_CELSIUS: Final = re.compile("^\N{MINUS SIGN}?\\d+\\.\\d °C$")


def _cards(page: Page) -> Locator:
    return page.get_by_role("article")


def _card(page: Page, number: int) -> Locator:
    return page.get_by_role("article", name=f"device-{number:04d}", exact=True)


def _button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def _text(place: Locator) -> str:
    return place.inner_text()


def _plotted(page: Page) -> list[dict[str, object]]:
    """Return name and number of points of each line and of the alerts, as Plotly holds them."""
    lines: list[dict[str, object]] = page.evaluate(
        "document.querySelector('.js-plotly-plot').data.map((one) => ({name: one.name, points: one.y.length}))"
    )
    return lines


def _range_ms(page: Page) -> list[float]:
    """Return the x range that is drawn."""
    ends: list[float] = page.evaluate(
        "document.querySelector('.js-plotly-plot').layout.xaxis.range"
        ".map((end) => typeof end === 'number' ? end : Date.parse(end.replace(' ', 'T') + 'Z'))"
    )
    return ends


def _wait_drawn(page: Page) -> None:
    wait_js(page, "document.querySelector('.js-plotly-plot')?.data?.length > 1", "a chart with lines")


def test_cards_appear_and_their_values_move(visit: Visit) -> None:
    """One article per device with state, temperature, average and count; the temperature changes by itself."""
    page = visit().open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sensorbus")
    expect(_cards(page)).to_have_count(DEVICES)
    card = _card(page, 1)
    expect(card).to_contain_text(re.compile(r"\bOK\b|\bHIGH\b"))
    expect(card).to_contain_text("avg 10 s")
    expect(card).to_contain_text("alerts 5 s")
    expect(card.locator(".temperature")).to_have_text(_CELSIUS)
    expect(card.locator(".average")).to_have_text(_CELSIUS, timeout=30_000)
    before = _text(page.locator("#cards"))
    wait_until(lambda: _text(page.locator("#cards")) != before, 10, "a value that moves")
    keep(page, "live-light")


def test_the_history_is_there_at_once_after_a_reload(visit: Visit) -> None:
    """A page that comes later shows what was before it, from Kafka."""
    visitor = visit()
    page = visitor.open("?devices=device-0001")
    wait_js(page, "document.querySelector('.js-plotly-plot')?.data?.[0]?.y.length >= 10", "ten points", 30)
    held = int(str(_plotted(page)[0]["points"]))
    page.reload()
    _wait_drawn(page)
    assert int(str(_plotted(page)[0]["points"])) >= held


def test_the_strip_names_each_link(visit: Visit) -> None:
    """Browser, dashboard, Kafka and the five topics, none of them broken."""
    strip = visit().open().get_by_role("status", name="Pipeline")
    for name in ("Browser", "Dashboard", "Kafka", "sensor", "alert", "alert-count", "avg-temp", "dead-letter"):
        expect(strip.locator(".link-name", has_text=re.compile(f"^{name}$"))).to_have_count(1)
    expect(strip.locator("[data-link=broken]")).to_have_count(0)


def test_the_filter_narrows_everything(visit: Visit) -> None:
    """Search, switch off, deselect all, select all: cards, chart and words follow."""
    page = visit().open()
    expect(_cards(page)).to_have_count(DEVICES)
    page.get_by_label("Devices").click()
    page.get_by_role("option", name="device-0002", exact=True).click()
    expect(_cards(page)).to_have_count(DEVICES - 1)
    expect(page.locator("#filter-value")).to_have_text(f"{DEVICES - 1} of {DEVICES}")
    _button(page, "Deselect all").click()
    expect(_cards(page)).to_have_count(0)
    expect(page.locator("#notice")).to_have_text("No device is selected. Choose some in the filter.")
    page.get_by_role("combobox", name="Search by name").fill("0003")
    _button(page, "Select all").click()
    expect(_cards(page)).to_have_count(1)
    assert "?devices=device-0003&" in page.url
    expect(page.locator("#legend")).to_have_text("device-0003")
    page.get_by_role("combobox", name="Search by name").fill("")
    _button(page, "Select all").click()
    expect(page.locator("#filter-value")).to_have_text(f"All {DEVICES}")
    assert "devices" not in page.url


def test_the_unit_reaches_every_number(visit: Visit) -> None:
    """Cards, fleet row, axis and threshold; the choice survives a visit without a link."""
    visitor = visit()
    page = visitor.open()
    expect(_cards(page)).to_have_count(DEVICES)
    celsius = float(_text(_card(page, 1).locator(".temperature")).split()[0])
    _button(page, "Pause").click()
    _button(page, "Unit").click()
    expect(_card(page, 1).locator(".temperature")).to_contain_text("°F")
    fahrenheit = float(_text(_card(page, 1).locator(".temperature")).split()[0])
    assert abs(fahrenheit - (celsius * 1.8 + 32)) < 5  # a reading may have come between the two looks
    expect(page.locator("#fleet")).not_to_contain_text("°C")
    expect(page.locator(".plot")).to_contain_text("alert above 85.73 °F")
    expect(visitor.open().locator("#unit-value")).to_have_text("°F")


def test_pause_holds_the_page_and_resume_catches_up(visit: Visit) -> None:
    """Nothing moves but what is said to have come; the address says so."""
    page = visit().open()
    expect(_cards(page)).to_have_count(DEVICES)
    _wait_drawn(page)
    _button(page, "Pause").click()
    expect(page.locator("#pause-note")).to_have_text(re.compile(r"paused \d+ s, \d{2,} new readings"), timeout=10_000)
    held = page.locator(".temperature").all_inner_texts()
    ends = _range_ms(page)
    page.wait_for_timeout(2_500)
    assert page.locator(".temperature").all_inner_texts() == held
    assert _range_ms(page) == ends
    assert "paused=1" in page.url
    _button(page, "Resume").click()
    expect(page.locator("#pause-note")).to_have_text("")
    wait_until(lambda: page.locator(".temperature").all_inner_texts() != held, 10, "values that move again")
    wait_until(lambda: _range_ms(page)[1] > ends[1], 10, "a chart that moves again")


def test_lines_are_drawn_and_say_what_they_are(visit: Visit) -> None:
    """Something is on the canvas; pointing at it names the device, and ticks leave those words standing."""
    page = visit().open()
    _wait_drawn(page)
    inked = (
        "(() => { const canvas = document.querySelector('.js-plotly-plot canvas');"
        " return canvas?.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".some((one) => one > 0); })()"
    )
    wait_js(page, inked, "ink on the canvas")
    box = page.locator(".plot-frame").bounding_box()
    assert box is not None
    words = page.locator(".plot .hoverlayer .hovertext")
    for place in range(30):  # a line is near enough at one of them, and still is when it has moved on
        x, y = box["x"] + box["width"] - 20 - place // 3 * 15, box["y"] + box["height"] * (0.3 + place % 3 * 0.2)
        page.mouse.move(x, y)
        page.wait_for_timeout(100)  # Plotly looks at the pointer 20 times a second
        if words.count():
            expect(page.locator("#cards")).not_to_have_text(page.locator("#cards").inner_text(), use_inner_text=True)
            page.wait_for_timeout(100)
        if words.count():
            break
    expect(words).to_have_text(re.compile(r"device-\d{4}"))


def test_a_zoom_survives_ticks_and_a_chip_leads_back(visit: Visit) -> None:
    """Dragging over the chart keeps the range until the visitor asks for live."""
    page = visit().open("?devices=device-0001,device-0002")
    _wait_drawn(page)
    box = page.locator(".plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 600, box["y"] + 200, steps=5)
    page.mouse.up()
    chip = _button(page, "Back to live")
    expect(chip).to_be_visible()
    zoomed = _range_ms(page)
    assert zoomed[1] - zoomed[0] < 60_000
    caption = page.locator("#caption")
    expect(caption).to_have_text(re.compile(r"^Temperature, \d\d:\d\d:\d\d to \d\d:\d\d:\d\d$"))
    page.wait_for_timeout(2_500)
    assert _range_ms(page) == zoomed
    chip.click()
    expect(chip).to_be_hidden()
    expect(caption).to_have_text("Temperature, last 100 s")
    wait_until(lambda: round(_range_ms(page)[1] - _range_ms(page)[0]) == 100_000, 5, "the live range")


def test_a_link_shows_the_same_view_in_another_browser(visit: Visit) -> None:
    """Devices, unit, range and theme travel by the address; the two share nothing else."""
    page = visit().open()
    expect(_cards(page)).to_have_count(DEVICES)
    _button(page, "Unit").click()
    _button(page, "5 min").click()
    _button(page, "Theme").click()
    page.get_by_label("Devices").click()
    page.get_by_role("combobox", name="Search by name").fill("0003")
    _button(page, "Deselect all").click()
    other = visit(color_scheme="dark").open(page.url.removeprefix(visit().url))
    expect(_cards(other)).to_have_count(DEVICES - 1)
    expect(other.locator("#unit-value")).to_have_text("°F")
    expect(other.get_by_role("figure", name="Temperature, last 5 min", exact=True)).to_be_visible()
    expect(other.locator("html")).to_have_attribute("data-theme", "light")
    assert other.url == page.url
    page.go_back()
    expect(_cards(page)).to_have_count(DEVICES)


def test_a_link_wins_over_what_its_receiver_keeps_and_leaves_that_alone(visit: Visit) -> None:
    """The sender has changed nothing: the address holds the view all the same."""
    sender = visit().open()
    expect(_cards(sender)).to_have_count(DEVICES)
    link = sender.url
    receiver = visit()
    page = receiver.open()
    expect(_cards(page)).to_have_count(DEVICES)
    told = {"unit": "°C", "zone": "local", "theme": "system", "sort": "by name"}
    for name, value in (("Unit", "unit"), ("Time zone", "zone"), ("Theme", "theme"), ("Order", "sort")):
        _button(page, name).click()
        expect(page.locator(f"#{value}-value")).not_to_have_text(told[value])
    kept = {value: page.locator(f"#{value}-value").inner_text() for value in told}
    other = receiver.open(link.removeprefix(receiver.url))
    for value, text in told.items():
        expect(other.locator(f"#{value}-value")).to_have_text(text)
    _button(other, "5 min").click()
    _button(other, "Time zone").click()
    again = receiver.open()
    for value in ("unit", "theme", "sort"):
        expect(again.locator(f"#{value}-value")).to_have_text(kept[value])


def test_back_undoes_every_choice(visit: Visit) -> None:
    """One by one, though this browser keeps the newest."""
    page = visit().open()
    expect(_cards(page)).to_have_count(DEVICES)
    for name, value in (("unit", "Unit"), ("zone", "Time zone"), ("theme", "Theme"), ("sort", "Order")):
        before = page.locator(f"#{name}-value").inner_text()
        _button(page, value).click()
        expect(page.locator(f"#{name}-value")).not_to_have_text(before)
        page.go_back()
        expect(page.locator(f"#{name}-value")).to_have_text(before)


def test_two_visitors_do_not_see_each_others_choices(visit: Visit) -> None:
    """Filter, range, unit, zone, theme, order and pause are each visitor's own."""
    first, second = visit().open(), visit().open()
    expect(_cards(second)).to_have_count(DEVICES)
    before = {value: second.locator(f"#{value}-value").inner_text() for value in ("unit", "zone", "theme", "sort")}
    for control in ("Unit", "Time zone", "Theme", "Order", "5 min"):
        _button(first, control).click()
    first.get_by_label("Devices").click()
    _button(first, "Deselect all").click()
    first.keyboard.press("Escape")
    _button(first, "Pause").click()
    expect(_cards(first)).to_have_count(0)
    second.wait_for_timeout(1_500)
    expect(_cards(second)).to_have_count(DEVICES)
    for value, text in before.items():
        expect(first.locator(f"#{value}-value")).not_to_have_text(text)
        expect(second.locator(f"#{value}-value")).to_have_text(text)
    expect(second.locator("#caption")).to_have_text("Temperature, last 100 s")
    expect(_button(second, "Pause")).to_be_visible()


def test_dark_follows_the_system_without_a_flash_and_can_be_chosen(visit: Visit) -> None:
    """The first paint is dark already; chart and controls follow the choice."""
    page = visit(color_scheme="dark").open()
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(14, 18, 22)"
    expect(_cards(page)).to_have_count(DEVICES)
    keep(page, "live-dark")
    _button(page, "Theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert page.evaluate(ground) == "rgb(244, 246, 248)"
    colour = "document.querySelector('.js-plotly-plot')?.layout.font?.color"
    wait_js(page, f"{colour} === '#4f5d6b'", "a light chart")
    page.keyboard.press("t")
    wait_js(page, f"{colour} === '#a3b0bd'", "a dark chart")


def test_the_export_is_what_is_seen(visit: Visit, tmp_path: Path) -> None:
    """RFC 4180, UTC, the unit in the header, a row for each point in view, asked of the API for filter and span."""
    page = visit().open("?devices=device-0001,device-0002&unit=K&zone=utc&paused=1")
    _wait_drawn(page)
    from_ms, to_ms = _range_ms(page)
    lines = "document.querySelector('.js-plotly-plot').data.filter((one) => one.name !== 'alert')"
    in_view = f"(ms) => ms >= {from_ms} && ms <= {to_ms}"
    points = page.evaluate(
        f"{lines}.flatMap(({{ x, y }}) => x.filter((_, at) => y[at] !== null)).filter({in_view}).length"
    )
    exports: list[str] = []
    page.on("request", lambda request: exports.append(request.url) if "/api/" in request.url else None)
    with page.expect_download() as download:
        _button(page, "Export CSV").click()
    download.value.save_as(tmp_path / "view.csv")
    with (tmp_path / "view.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert abs(len(rows) - points) <= 2  # the span's ends may fall on a reading
    assert {row["device_id"] for row in rows} == {"device-0001", "device-0002"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", row["time_utc"]) for row in rows)
    assert all(200 < float(row["temperature_kelvin"]) < 400 for row in rows)
    (asked,) = exports
    query = parse_qs(urlsplit(asked).query)
    assert (query["device"], query["unit"]) == (["device-0001", "device-0002"], ["kelvin"])
    told_ms = [datetime.fromisoformat(query[name][0]).timestamp() * 1000 for name in ("since", "until")]
    assert told_ms == pytest.approx(_range_ms(page), abs=2)


def test_an_export_that_fails_says_why(visit: Visit) -> None:
    """Nothing is shown: nothing is saved; the dashboard's own words, when it has some. They move no button."""
    visitor = visit()
    visitor.forgive("503")
    page = visitor.open("?devices=")
    note = page.locator("#export-note")
    expect(page.locator("#filter-value")).to_have_text(f"None of {DEVICES}")
    places = [page.locator(f"#{place}").bounding_box() for place in ("pause", "help", "pipeline")]
    filter_box = page.locator("#filter-button").bounding_box()
    assert filter_box is not None
    assert places[0] is not None
    assert filter_box["y"] + filter_box["height"] == places[0]["y"] + places[0]["height"]
    _button(page, "Export CSV").click()
    expect(note).to_have_text("Nothing to export: no device is shown.")
    assert [page.locator(f"#{place}").bounding_box() for place in ("pause", "help", "pipeline")] == places
    page.goto(visitor.url)
    _wait_drawn(page)
    body = '{"detail": "this worker reads the history"}'
    page.route("**/api/v1/readings.csv?*", lambda route: route.fulfill(status=503, body=body))
    _button(page, "Export CSV").click()
    expect(note).to_have_text("Not exported: this worker reads the history.")


def test_a_phone_shows_everything_without_a_sideways_scroll(visit: Visit) -> None:
    """360 px are enough, with the filter open too."""
    page = visit(viewport={"width": 360, "height": 780}, has_touch=True).open()
    expect(_cards(page)).to_have_count(DEVICES)
    keep(page, "live-phone")
    page.get_by_label("Devices").tap()
    expect(page.get_by_role("option").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    keep(page, "filter-phone")


def test_the_chart_can_be_read_as_a_table(visit: Visit) -> None:
    """Newest, lowest, highest of each device, in the unit; a summary in words describes the figure."""
    page = visit().open("?devices=device-0001,device-0002")
    expect(_cards(page)).to_have_count(2)
    _button(page, "Show as table").click()
    table = page.locator("#chart-table table")
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(table.locator("tbody tr").first).to_contain_text("°C")
    page.set_viewport_size({"width": 375, "height": 780})  # 360 beside a scroll bar
    cells = table.locator("tbody tr").first.locator("td").all()
    lines = (
        "one => { const all = document.createRange(); all.selectNodeContents(one); return all.getClientRects().length }"
    )
    for cell in cells:
        assert cell.evaluate(lines) == 1, "a name, and a temperature and its unit stand on one line of a phone too"
    assert page.evaluate("(one => one.scrollWidth <= one.clientWidth)(document.getElementById('chart-table'))")
    page.set_viewport_size({"width": 1440, "height": 900})
    expect(page.get_by_role("figure")).to_have_accessible_description(re.compile("2 devices, last 100 s: from"))


def test_readings_are_on_the_page_soon(visit: Visit, live_bus: Bus) -> None:
    """The fleet row says how old the data is: two seconds at most on a machine that does not choke."""
    page = visit().open()
    expect(page.locator(".tile-age .tile-value")).to_have_text(re.compile(r"^[0-2]\.\d s old$"))
    expect(page.locator(".tile-rate .tile-value")).to_have_text(re.compile(r"^(1[0-4]|9\.\d)(\.\d)?/s$"))
    assert live_bus.dashboard.is_running()
