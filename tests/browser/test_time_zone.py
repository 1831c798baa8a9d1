"""The time zone: one button for every time on the page, and none for files."""

import csv
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect

from tests.browser.conftest import Bus, Visit, keep, tell, wait_js
from tests.support.waiting import wait_until

#: The visitor lives where minutes differ from UTC's too.
_ZONE: Final = "Asia/Kolkata"
_AHEAD: Final = timedelta(hours=5, minutes=30)
_CLOCK: Final = re.compile(r"\d\d:\d\d:\d\d")
_AGES_MS: Final = tuple(range(40_000, -1, -1_000))
_GRAPH: Final = "document.querySelector('.js-plotly-plot')"
#: Where a reading is, within the plot.
_READING: Final = f"""(() => {{
  const {{ xaxis, yaxis }} = {_GRAPH}._fullLayout;
  const {{ x, y }} = {_GRAPH}.data[0];
  const at = x.length - 8;
  const ms = typeof x[at] === "number" ? x[at] : Date.parse(x[at] + "Z");
  return [xaxis._offset + xaxis.l2p(ms), yaxis._offset + yaxis.l2p(y[at])];
}})()"""
#: Is anything drawn around a place in the plot?
_IS_INKED: Final = """([x, y]) => {
  const canvas = document.querySelector(".plot canvas");
  const { data } = canvas.getContext("2d").getImageData((x - 9) * devicePixelRatio, (y - 9) * devicePixelRatio, 18, 18);
  return data.some((one) => one > 0);
}"""
#: Clocks that change while the page is looked at.
_CLOCKS_CHANGE: Final = """
const changeMs = Date.now() - 3_000;
Date.prototype.getTimezoneOffset = function () { return this.getTime() < changeMs ? 0 : -60; };
"""
_PLACES: Final = ("#caption", "#episodes tbody", ".plot .hovertext")


def _times(page: Page, places: str) -> list[str]:
    """Return each time of day that is written somewhere."""
    return [time for text in page.locator(places).all_text_contents() for time in _CLOCK.findall(text)]


def _utc(time: str) -> str:
    """Return a time of the visitor's zone in UTC."""
    return f"{datetime.fromisoformat(f'2026-01-01T{time}') - _AHEAD:%H:%M:%S}"


def _is_now(time: str, ahead: timedelta) -> bool:
    """Tell whether a time of day of a zone was within the last minutes."""
    told = datetime.fromisoformat(f"2026-01-01T{time}")
    now = datetime.fromisoformat(f"2026-01-01T{datetime.now(UTC) + ahead:%H:%M:%S}")
    return (now - told) % timedelta(days=1) < timedelta(minutes=3)


def _zoom(page: Page) -> None:
    """Drag from the left to the right, around all that is there."""
    box = page.locator(".plot").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] - 60, steps=5)
    page.mouse.up()
    expect(page.locator("#caption")).to_have_text(re.compile(" to "))


def _point(page: Page) -> None:
    """Point at a reading until the chart names it."""
    box = page.locator(".js-plotly-plot").bounding_box()
    assert box is not None

    def point_and_look() -> bool:
        x, y = page.evaluate(_READING)
        page.mouse.move(box["x"] + x + 1, box["y"] + y)
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.wait_for_timeout(200)
        return page.locator(".plot .hovertext").count() > 0

    wait_until(point_and_look, 15, "words at the pointer")


def test_one_press_changes_every_time_on_the_page(visit: Visit, bus: Bus) -> None:
    """Axis, words at the pointer, alerts and a zoom's caption, without waiting for a tick; the lines stay on them."""
    with bus.run("processors", "alert"):
        visitor = visit(timezone_id=_ZONE)
        visitor.forgive("willReadFrequently")  # the test looks at the canvas twice
        page = visitor.open("?devices=zoned")
        tell(bus, "zoned", 35, _AGES_MS)
        expect(page.locator("#episodes tbody tr").first).to_contain_text("zoned", timeout=30_000)
        wait_js(page, f"{_GRAPH}?.data?.[0]?.x.length > 10", "a line")
        page.locator("#pause").click()
        _zoom(page)
        _point(page)
        assert page.evaluate(_IS_INKED, page.evaluate(_READING))
        local, axis = {place: _times(page, place) for place in _PLACES}, _times(page, ".plot .xtick")
        assert all(_is_now(time, _AHEAD) for times in (*local.values(), axis) for time in times), (local, axis)
        assert all(local.values()), local
        assert axis != []
        page.route(re.compile("/_dash-update-component"), lambda _: None)  # no tick from now on
        page.locator("#zone").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#zone-value")).to_have_text("UTC")
        page.wait_for_timeout(200)
        keep(page, "zone-utc")
        for place, times in local.items():
            assert _times(page, place) == [_utc(time) for time in times], place
        assert all(_is_now(time, timedelta(0)) for time in _times(page, ".plot .xtick"))
        assert page.evaluate(_IS_INKED, page.evaluate(_READING))
        page.close()


def test_a_file_is_of_utc_whatever_the_page_shows(visit: Visit, bus: Bus, tmp_path: Path) -> None:
    """And of the span that the page shows in its own zone."""
    page = visit(timezone_id=_ZONE).open("?devices=filed")
    tell(bus, "filed", 20, _AGES_MS)
    wait_js(page, f"{_GRAPH}?.data?.[0]?.x.length > 10", "a line")
    expect(page.locator("#zone-value")).to_have_text("local")
    _zoom(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV", exact=True).click()
    download.value.save_as(tmp_path / "view.csv")
    with (tmp_path / "view.csv").open(encoding="utf-8", newline="") as file:
        times = [datetime.fromisoformat(row["time_utc"]) for row in csv.DictReader(file)]
    first, last = map(_utc, _times(page, "#caption"))
    assert len(times) > 10
    assert all(timedelta(0) <= datetime.now(UTC) - time < timedelta(minutes=3) for time in times)
    assert all(first <= f"{time:%H:%M:%S}" <= last for time in times) or first > last  # over midnight


def test_the_rows_of_a_device_change_with_their_heading(visit: Visit, bus: Bus) -> None:
    """On the page of one device."""
    tell(bus, "rowed", 20, (2_000, 1_000, 0))
    page = visit(timezone_id=_ZONE).open(path="device/rowed")
    rows = page.locator("#device-rows tbody tr")
    expect(rows).to_have_count(3)
    heading = page.locator("#device-rows th").first
    expect(heading).to_have_text("Time, local")
    local = _times(page, "#device-rows td")
    page.get_by_role("button", name="Time zone", exact=True).click()
    expect(heading).to_have_text("Time, UTC")
    assert _times(page, "#device-rows td") == [_utc(time) for time in local]
    assert all(_is_now(time, _AHEAD) for time in local)


def test_axis_and_pointer_tell_the_time_of_their_instants_where_clocks_have_changed(visit: Visit, bus: Bus) -> None:
    """The visitor's were put ahead by an hour 3 s before the page was loaded."""
    tell(bus, "changed", 20, _AGES_MS)
    visitor = visit(timezone_id="UTC")
    visitor.context.add_init_script(_CLOCKS_CHANGE)
    page = visitor.open("?devices=changed&window=30")
    wait_js(page, f"{_GRAPH}?.data?.[0]?.x.length > 10", "a line")

    def are_ahead() -> list[bool]:
        return [_is_now(time, timedelta(hours=1)) for time in _times(page, ".plot .xtick")]

    wait_until(lambda: any(are_ahead()), 15, "a label of after the change")
    page.locator("#pause").click()
    page.wait_for_timeout(200)
    assert are_ahead() == sorted(are_ahead()), "a label of before the change is told as if it were after it"
    assert not are_ahead()[0]
    _point(page)
    assert [_is_now(time, timedelta(0)) for time in _times(page, ".plot .hovertext")] == [True]
