"""The chart where it is more than lines on a screen.

Under a finger, on paper, in colours that the system chooses.
"""

import itertools
import re
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Bus, Visit, keep, tell, wait_js
from tests.support.waiting import wait_until

_AGES_MS: Final = tuple(range(20_000, -1, -1_000))
_GRAPH: Final = "document.querySelector('.js-plotly-plot')"
_CANVAS: Final = "document.querySelector('.plot canvas')"
#: The pixels, within the plot, of a reading in the middle of the only line.
_MIDDLE: Final = f"""(() => {{
  const {{ xaxis, yaxis }} = {_GRAPH}._fullLayout;
  const {{ x, y }} = {_GRAPH}.data[0];
  const at = Math.floor(x.length / 2);
  return [xaxis._offset + xaxis.d2p(x[at]), yaxis._offset + yaxis.d2p(y[at])];
}})()"""


@pytest.fixture(autouse=True)
def _told(bus: Bus) -> None:
    tell(bus, "steady", 21.5, _AGES_MS)


def _wait_drawn(page: Page) -> None:
    wait_js(page, f"{_GRAPH}?.data?.[0]?.x.length >= 10 && {_CANVAS} !== null", "a line")


def _middle(page: Page) -> tuple[float, float]:
    """Return where a reading is on the screen."""
    page.locator(".plot").scroll_into_view_if_needed()
    box = page.locator(".js-plotly-plot").bounding_box()
    assert box is not None
    x, y = page.evaluate(_MIDDLE)
    return box["x"] + x, box["y"] + y


def test_a_finger_asks_and_the_words_stay_until_it_asks_for_something_else(visit: Visit) -> None:
    """The finger leaves at once, the words do not; they do when another place is touched."""
    page = visit(viewport={"width": 360, "height": 780}, has_touch=True).open("?devices=steady")
    _wait_drawn(page)
    words = page.locator(".plot .hovertext")

    def tap_and_look() -> bool:
        page.touchscreen.tap(*_middle(page))
        page.wait_for_timeout(600)
        return words.count() > 0

    wait_until(tap_and_look, 15, "words at the finger")  # just after it was loaded a plot is drawn twice
    expect(words).to_contain_text("steady")
    page.wait_for_timeout(2_500)
    expect(words).to_contain_text("steady")
    page.locator("#caption").tap()
    expect(words).to_have_count(0)


def test_a_pointer_that_left_costs_nothing_more(visit: Visit) -> None:
    """Plotly holds the readings only while someone points at them."""
    page = visit().open("?devices=steady")
    _wait_drawn(page)
    assert page.evaluate(f"{_GRAPH}.calcdata.length") == 0
    page.mouse.move(*_middle(page))
    wait_js(page, f"{_GRAPH}.calcdata.length > 0", "readings for Plotly")
    page.mouse.move(5, 5)
    wait_js(page, f"{_GRAPH}.calcdata.length === 0", "Plotly without readings")


def _span_s(page: Page) -> int:
    """Return how much time the axis shows."""
    from_ms, to_ms = page.evaluate(f"{_GRAPH}.layout.xaxis.range.map((end) => Date.parse(end.replace(' ', 'T') + 'Z'))")
    return round((float(to_ms) - float(from_ms)) / 1000)


def test_keys_move_and_zoom_the_chart_that_has_the_focus(visit: Visit) -> None:
    """Earlier, closer, wider, live; what the caption tells is read out; no key does so elsewhere."""
    page = visit().open("?devices=steady")
    _wait_drawn(page)
    caption, chip = page.locator("#caption"), page.get_by_role("button", name="Back to live", exact=True)
    page.get_by_role("button", name="Help", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(chip).to_be_hidden()
    page.keyboard.press("Tab")
    expect(page.get_by_role("figure")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(chip).to_be_visible()
    expect(caption).to_have_text(re.compile(" to "))
    expect(page.locator("#announcer")).to_have_text(caption.inner_text())
    wait_until(lambda: _span_s(page) == 100, 5, "the same span")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    wait_until(lambda: _span_s(page) == 50, 5, "half of the span")
    page.wait_for_timeout(1_500)
    keep(page, "chart-by-keyboard")
    assert _span_s(page) == 50
    page.keyboard.press("-")
    page.keyboard.press("-")
    wait_until(lambda: _span_s(page) == 200, 5, "twice the span")
    page.keyboard.press("0")
    expect(caption).to_have_text("Temperature, last 100 s")
    page.keyboard.press("u")
    expect(page.locator("#unit-value")).to_have_text("°F")
    page.keyboard.press("-")
    expect(chip).to_be_visible()
    page.keyboard.press("Escape")
    expect(chip).to_be_hidden()
    page.get_by_role("button", name="Help", exact=True).focus()
    page.mouse.click(*_middle(page))
    page.keyboard.press("ArrowLeft")
    expect(chip).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_contain_text("on the chart: earlier, later")
    keep(page, "help")


def test_an_axis_that_is_dragged_beyond_now_ends_with_now(visit: Visit) -> None:
    """No reading is later; the span is as long as it was, and stands."""
    page = visit().open("?devices=steady")
    _wait_drawn(page)
    page.locator(".plot").scroll_into_view_if_needed()
    box = page.locator(".plot .ewdrag").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - box["width"] / 2, y, steps=5)
    assert _seconds_beyond_now(page) > 30
    page.mouse.up()
    expect(page.get_by_role("button", name="Back to live", exact=True)).to_be_visible()
    wait_until(lambda: _seconds_beyond_now(page) < 1, 5, "the axis to end with now")
    assert _span_s(page) == 100


def _seconds_beyond_now(page: Page) -> float:
    """Return how much of the axis is still to come; the page's clock is the server's, on this machine the same."""
    return float(
        page.evaluate(f"""(() => {{
      const {{ xaxis }} = {_GRAPH}._fullLayout;
      return (xaxis.r2l(xaxis.range[1]) + new Date().getTimezoneOffset() * 60_000 - Date.now()) / 1000;
    }})()""")
    )


def test_times_below_the_chart_are_whole_on_a_phone_at_every_zoom(visit: Visit) -> None:
    """Upright, side by side, within the chart."""
    page = visit(viewport={"width": 360, "height": 780}).open("?devices=steady")
    _wait_drawn(page)
    page.get_by_role("figure").focus()
    for _ in range(5):
        page.keyboard.press("+")
        page.wait_for_timeout(300)
        boxes = page.locator(".plot .xtick text").evaluate_all("all => all.map((one) => one.getBoundingClientRect())")
        plot = page.locator(".js-plotly-plot").bounding_box()
        assert plot is not None
        assert len(boxes) >= 2, "of one time alone nobody reads how long the span is"
        boxes.sort(key=lambda box: box["left"])
        assert all(box["height"] < 20 and box["bottom"] <= plot["y"] + plot["height"] for box in boxes)
        assert all(one["right"] < other["left"] for one, other in itertools.pairwise(boxes))


#: What the chart is told of its width where Plotly has not drawn yet, and where it has.
_WIDTHS: Final = f"""() => new Promise((resolve) => {{
  const {{ chartData }} = globalThis.sensorbus;
  const {{ build }} = chartData;
  const axis = {_GRAPH}._fullLayout.xaxis;
  const widths = [axis._length];
  delete axis._length;
  chartData.build = (model, view) => {{
    widths.unshift(view.widthPx);
    chartData.build = build;
    resolve(widths);
    return build(model, view);
  }};
}})"""


def test_times_are_whole_from_the_first_drawing_on(visit: Visit) -> None:
    """A phone's chart that is drawn before Plotly knows its width has no more times than there is room for."""
    page = visit(viewport={"width": 360, "height": 780}).open("?devices=steady")
    expect(page.locator(".xtick text").first).to_be_visible()
    drawn_px, known_px = page.evaluate(_WIDTHS)
    assert abs(drawn_px - known_px) < 20


def test_on_paper_the_page_is_light_and_the_chart_sharp_and_as_wide_as_paper(visit: Visit, tmp_path: Path) -> None:
    """While it is printed; afterwards all is as it was."""
    page = visit(color_scheme="dark").open("?devices=steady")
    _wait_drawn(page)
    now = f"[document.documentElement.dataset.theme, {_CANVAS}.width, {_CANVAS}.style.width]"
    before = page.evaluate(now)
    page.evaluate(f"addEventListener('beforeprint', () => {{ globalThis.printed = {now}; }})")
    page.pdf(path=tmp_path / "page.pdf")
    assert page.evaluate("globalThis.printed") == ["light", 1920, "640px"]
    wait_js(page, f"{now}.join() === {','.join(map(str, before))!r}", "the screen's page again")


def test_where_the_system_chooses_the_colours_the_chart_follows_it(visit: Visit) -> None:
    """Whatever theme is chosen: the ground is the system's; the range that is chosen can be told."""
    page = visit(color_scheme="dark", forced_colors="active").open("?devices=steady&theme=light")
    _wait_drawn(page)
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    grounds = [
        page.get_by_role("button", name=name, exact=True).evaluate("one => getComputedStyle(one).backgroundColor")
        for name in ("100 s", "30 s")
    ]
    assert grounds[0] != grounds[1]
    keep(page, "forced-colours")
