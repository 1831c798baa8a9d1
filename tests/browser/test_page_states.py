"""The page in each state that is not plainly live.

Empty, silent, hostile, cut off.
"""

import re
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Bus, Visit, keep, open_bus, tell, tell_until
from tests.support.axe import serious_faults
from tests.support.waiting import wait_until

_NOTHING: Final = "\N{EN DASH}"
_HOSTILE: Final = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example")',
    "<a href='http://evil.example'>free</a> &amp; &lt;",
    "👩🏽\u200d💻 office",
)
#: Of which nobody else tells: their chart has a line each.
_HOSTILE_LINES: Final = (
    "<img src=x onerror=alert(2)>",
    '=HYPERLINK("x")',
    '<a href="https://x.example">x</a>',
    "<b>bold</b>&amp;<br>",
)
_LINE_MS: Final = tuple(range(40_000, 10_000, -1_000))
#: The pixels, within the plot, of a reading in the middle of a device's line, or of its newest alert.
_PLACE_ON_CHART: Final = """([name, kind]) => {
  const graph = document.querySelector(".js-plotly-plot");
  const { xaxis, yaxis } = graph._fullLayout;
  const escaped = name.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const trace = graph.data.find((one) => one.name === (kind === "alert" ? kind : escaped));
  const at = kind === "alert" ? trace.text.lastIndexOf(escaped) : Math.floor(trace.x.length / 2);
  return [xaxis._offset + xaxis.l2p(trace.x[at]), yaxis._offset + yaxis.l2p(trace.y[at])];
}"""


def _wait_text(page: Page, selector: str, pattern: str, timeout_ms: int = 15_000) -> None:
    expect(page.locator(selector)).to_have_text(re.compile(pattern), timeout=timeout_ms)


def test_an_empty_bus_says_what_it_waits_for_then_shows_the_first_device(visit: Visit, tmp_path: Path) -> None:
    """Where it looks and since when; the first message makes a card."""
    with open_bus(tmp_path) as empty:
        page = visit(empty).open()
        address = re.escape(empty.settings.bootstrap_servers)
        _wait_text(page, "#notice", rf"^Waiting for the first reading on topic sensor at {address}, \d+ s$")
        keep(page, "empty")
        assert serious_faults(page) == []
        tell(empty, "first", 21.5)
        expect(page.get_by_role("article", name="first", exact=True)).to_be_visible()
        expect(page.locator("#notice")).to_be_hidden()


def test_a_silent_device_turns_stale_then_offline(visit: Visit, bus: Bus) -> None:
    """After 3 and 10 periods, in words, with its age; its temperature is not taken for live."""
    page = visit().open("?devices=silent")
    card = page.get_by_role("article", name="silent", exact=True)
    tell_until(bus, "silent", 22, card.locator(".word", has_text="OK"))
    expect(card.locator(".word")).to_have_text("STALE")
    expect(card.locator(".word")).to_have_text("OFFLINE")
    expect(card.locator(".age")).to_have_text(re.compile(r"^1\d s ago$"))
    expect(card.locator(".average")).to_have_text(_NOTHING)
    expect(page.locator(".tile-mean .tile-value")).to_have_text(_NOTHING)


def test_an_average_of_before_says_how_old_it_is_and_leaves_the_count_its_room(visit: Visit, tmp_path: Path) -> None:
    """On the card of a device that is late."""
    with open_bus(tmp_path, SENSORBUS_READING_PERIOD_MS="10000") as own, own.run("processors", "all"):
        tell(own, "late", 35, tuple(range(70_000, 31_000, -1_000)))
        page = visit(own).open("?unit=K")
        card = page.get_by_role("article", name="late", exact=True)
        expect(card.locator(".age")).to_have_text(re.compile(r"^\d\d s ago, average \d\d s ago$"), timeout=40_000)
        expect(card.locator(".word")).to_have_text("STALE")
        expect(card.locator(".average")).to_have_text("308.1 K")
        card.locator(".alerts").evaluate("one => { one.textContent = '88'; }")
        cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
        assert card.locator(".age, .windows dd").evaluate_all(cut) == []
        page.close()  # before its server: a request that breaks off is a complaint


#: What is cut off of the longest that a list of alerts can say, put in by hand.
_CUT_OFF: Final = """(() => {
  const cells = [...document.querySelectorAll("#episodes tbody tr:first-child td")];
  const texts = ["device-0001", "<16:39:05", ">119 s", "-40.5 °C", "16:39:56"];
  texts.forEach((text, index) => { (cells[index].firstElementChild ?? cells[index]).textContent = text; });
  return cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent);
})()"""


def test_the_count_goes_back_to_0_when_alerts_stop(visit: Visit, bus: Bus) -> None:
    """Though no new message comes; the list of alerts names the device in full, on a phone too, and leads to it."""
    with bus.run("processors", "all"):
        name = "boiler-in-the-cellar"
        page = visit().open(f"?devices={name}")
        count = page.get_by_role("article", name=name, exact=True).locator(".alerts")
        tell_until(bus, name, 35, count.filter(has_text=re.compile("[1-9]")))
        expect(count).to_have_text("0", timeout=9_000)
        assert page.evaluate(_CUT_OFF) == []
        alert = page.locator("#episodes").get_by_role("link", name=name, exact=True).first
        page.set_viewport_size({"width": 360, "height": 780})
        assert page.evaluate(_CUT_OFF) == []
        assert alert.evaluate("one => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight")
        alert.click()
        expect(page.get_by_role("heading", level=2, name=name)).to_be_visible()


def test_alerts_that_come_and_go_leave_focus_and_selection_where_they_are(visit: Visit, bus: Bus) -> None:
    """The row of an alert stays its own while someone is at it, though others rise or sink."""
    with bus.run("processors", "all"):
        page = visit().open("?devices=ends,stays")
        going_on = page.locator("#episodes tbody tr[data-on=true]")
        tell_until(bus, "stays", 40, going_on.filter(has_text="stays"))

        def both_go_on() -> bool:
            tell(bus, "stays", 40)
            tell(bus, "ends", 40)
            page.wait_for_timeout(300)
            return going_on.locator("a").all_inner_texts() == ["ends", "stays"]

        wait_until(both_go_on, 20, "two alerts, the newer one first", bus.dashboard.log)
        going_on.locator("a", has_text="stays").focus()
        tell_until(bus, "stays", 40, page.locator("#episodes tbody tr[data-on=false]", has_text="ends"))
        assert going_on.locator("a").all_inner_texts() == ["stays"]
        assert page.evaluate("document.activeElement.textContent") == "stays"
        page.evaluate("document.activeElement.blur()")
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#episodes tbody tr'))")
        tell_until(bus, "ends", 40, going_on.filter(has_text="ends"))
        assert page.evaluate("getSelection().toString()").startswith("stays")


def test_alerts_are_counted_while_the_page_is_paused(visit: Visit, bus: Bus) -> None:
    """On the tile and in the list, down to 0 again; the card and the numbers of the states stand still."""
    with bus.run("processors", "all"):
        page = visit().open("?devices=kettle")
        card = page.get_by_role("article", name="kettle", exact=True)
        tell_until(bus, "kettle", 20, card.locator(".average", has_text="20.0"))  # one of before may come later
        expect(card.locator(".word")).to_have_text("OK")
        page.get_by_role("button", name="Pause", exact=True).click()
        _wait_text(page, "#pause-note", "^paused ")
        parts = card.locator(".word, .temperature, .age, .average")
        held = parts.all_inner_texts()
        tile, alert = page.locator(".tile-alerts .tile-value"), page.locator("#episodes tbody tr", has_text="kettle")
        expect(alert).to_have_count(0)
        assert not re.search("[1-9]", tile.inner_text())
        tell_until(bus, "kettle", 40, tile.filter(has_text=re.compile("[1-9]")))
        expect(alert).to_contain_text("40.0 °C")
        expect(tile).to_have_text("0", timeout=9_000)
        assert parts.all_inner_texts() == held
        expect(page.locator("[data-state=HIGH] strong")).to_have_text("0")
        page.get_by_role("button", name="Resume", exact=True).click()
        tell_until(bus, "kettle", 40, card.locator(".word", has_text="HIGH"))


def test_an_average_that_comes_while_the_page_is_paused_is_not_of_then(visit: Visit, bus: Bus) -> None:
    """Neither on the card nor on the page of the device, where it would have ended ahead of the page's clock."""
    with bus.run("processors", "all"):
        card = (page := visit().open("?devices=oven")).get_by_role("article", name="oven", exact=True)
        tell_until(bus, "oven", 20, card.locator(".average", has_text="20.0"))
        single = visit().open("device/oven?devices=oven")
        tile = single.locator(".tile-average")
        expect(tile).to_contain_text("20.0")
        for one in (page, single):
            one.get_by_role("button", name="Pause", exact=True).click()
            _wait_text(one, "#pause-note", "^paused ")
        held = tile.inner_text()
        later = visit().open("?devices=oven").locator(".average")
        tell_until(bus, "oven", 29, later.filter(has_text=re.compile("2[1-9]")))
        page.get_by_role("button", name="Unit", exact=True).click()
        expect(card.locator(".average")).to_have_text("68.0 °F")
        assert tile.inner_text() == held


def test_hostile_names_are_only_text(visit: Visit, bus: Bus) -> None:
    """In cards, filter, legend, hover, alerts and title: no link, no picture, no dialog."""
    visitor = visit()
    page = visitor.open()
    opened: list[str] = []
    page.on("dialog", lambda dialog: opened.append(dialog.message))
    for name in _HOSTILE:
        tell(bus, name, 35, (2_000, 1_000, 0))
    for name in _HOSTILE:
        expect(page.get_by_role("article", name=name, exact=True)).to_be_visible()
    page.get_by_label("Devices").click()
    expect(page.get_by_role("option", name=_HOSTILE[0], exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    box = page.locator(".plot").bounding_box()
    assert box is not None
    for step in range(12):
        page.mouse.move(box["x"] + box["width"] - 60 + step * 4, box["y"] + 60 + step * 12)
    page.wait_for_timeout(1_200)
    assert page.locator("img, .plot a, .plot svg a").count() == 0
    links = [str(link.evaluate("link => link.href")) for link in page.locator("a").all()]
    alerts = page.locator("#episodes tbody tr").count()  # of another test
    assert len(links) == 1 + page.get_by_role("article").count() + alerts  # the skip link, and to each device's page
    assert all(link.startswith(bus.url) for link in links)
    assert opened == []
    keep(page, "hostile")


def test_hostile_names_are_only_text_in_legend_hover_alerts_and_table(visit: Visit, bus: Bus) -> None:
    """Letter by letter what the device calls itself, wherever a chart of lines and the alerts name it."""
    with bus.run("processors", "alert"):
        visitor = visit()
        page = visitor.open(f"?devices={','.join(quote(name, safe='') for name in _HOSTILE_LINES)}")
        opened: list[str] = []
        page.on("dialog", lambda dialog: opened.append(dialog.message))
        for number, name in enumerate(_HOSTILE_LINES):
            tell(bus, name, 20 + number, _LINE_MS)
            tell(bus, name, 40 + number)
        alerts = page.locator("#episodes tbody tr td:first-child")
        expect(alerts).to_have_count(len(_HOSTILE_LINES), timeout=40_000)
        assert sorted(alerts.all_inner_texts()) == sorted(_HOSTILE_LINES)
        legend = page.locator(".legend-item span")
        expect(legend).to_have_count(len(_HOSTILE_LINES))
        assert sorted(legend.all_inner_texts()) == sorted(_HOSTILE_LINES)
        page.get_by_role("button", name="Show as table", exact=True).click()
        rows = page.locator("#chart-table tbody tr td:first-child")
        expect(rows).to_have_count(len(_HOSTILE_LINES))
        assert sorted(rows.all_inner_texts()) == sorted(_HOSTILE_LINES)
        page.keyboard.press("Space")  # on the button, as Enter is: the table is hidden again
        page.get_by_role("button", name="Pause", exact=True).click()
        for name in _HOSTILE_LINES:
            assert _named_by_pointer(page, name, "line") == name
            assert _named_by_pointer(page, name, "alert") == f"{name}, alert"
        keep(page, "hostile-hover")
        assert page.locator("img, .plot a, .plot svg a").count() == 0
        assert opened == []


def _named_by_pointer(page: Page, name: str, kind: str) -> str:
    """Return what the chart says at the pointer over a device's line, or over its alert: its first row."""
    box = page.locator(".js-plotly-plot").bounding_box()
    assert box is not None
    words = page.locator(".plot .hovertext .nums, .plot .hovertext .name")

    def point_and_look() -> bool:
        x, y = page.evaluate(_PLACE_ON_CHART, [name, kind])
        page.mouse.move(5, 5)
        page.mouse.move(box["x"] + x, box["y"] + y)
        page.wait_for_timeout(200)
        return words.count() > 0

    wait_until(point_and_look, 15, f"words at the {kind} of {name}")
    return str(page.locator(".plot .hovertext .nums tspan.line").first.text_content())


def test_a_device_of_the_address_that_nobody_knows_is_said(visit: Visit, bus: Bus) -> None:
    """And shown as soon as it speaks."""
    tell(bus, "known", 20)  # on an empty bus the page waits for the first reading of all
    longest = "z" * 128  # in one word, which a phone has to break
    page = visit().open(f"?devices=stranger,{longest}")
    _wait_text(page, "#notice", f"^Not heard of: stranger, {longest}. Shown as soon as a reading comes.$")
    _wait_text(page, "#filter-value", "^0 of ")
    assert serious_faults(page) == []
    tell(bus, "stranger", 20)
    expect(page.get_by_role("article", name="stranger", exact=True)).to_be_visible()


def test_a_new_device_joins_all_but_not_a_choice(visit: Visit, bus: Bus) -> None:
    """All is a state of its own; the quickest of five is there within 2 s, for a busy machine may hold up some."""
    tell(bus, "early", 20)
    everything, chosen = visit().open(), visit().open("?devices=early")
    expect(chosen.get_by_role("article")).to_have_count(1)
    expect(everything.get_by_role("article", name="early", exact=True)).to_be_visible()
    took_s = []
    for name in (f"joiner-{number}" for number in range(5)):
        began_s = time.monotonic()
        tell(bus, name, 20)
        expect(everything.get_by_role("article", name=name, exact=True)).to_be_visible()
        took_s.append(time.monotonic() - began_s)
    assert min(took_s) < 2
    chosen.wait_for_timeout(1_500)
    expect(chosen.get_by_role("article")).to_have_count(1)


def _without_cursor(route: Route) -> None:
    """Ask as a page that has nothing: the answer makes it forget what it had."""
    asked = re.sub(r'"cursor":"(?:[^"\\]|\\.)*"', '"cursor":null', route.request.post_data or "")
    route.continue_(post_data=asked)


def test_a_card_that_rises_keeps_the_focus(visit: Visit, bus: Bus) -> None:
    """It is the same card, and the others move around it; made anew, its link has the focus again."""
    tell(bus, "stays", 30)
    tell(bus, "rises", 20)
    page = visit().open("?sort=hottest&devices=rises,stays")
    link = page.get_by_role("article").nth(1).get_by_role("link", name="rises")
    link.focus()
    page.evaluate("document.activeElement.closest('article').dataset.held = 'yes'")
    tell_until(bus, "rises", 50, page.locator("article:first-child[aria-label=rises]"))
    assert page.evaluate("document.activeElement.closest('article')?.dataset.held") == "yes"
    page.route(re.compile("/_dash-update-component"), _without_cursor)
    expect(page.locator("article[data-held]")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent") == "rises"
