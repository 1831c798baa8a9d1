"""The page by keyboard alone: every control is reached, seen and used.

A control that is new is found by the page's own list of what can have the focus, and needs an entry here.
"""

import re
from collections.abc import Callable
from typing import Final

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Bus, Visit, tell, wait_js

_MOST_TABS: Final = 120
_HOT: Final = "boiler"
#: The name of a control, alike for all cards and for all alerts; what Tab should reach now; what it has reached.
_SCRIPT: Final = """
(() => {
  const tabbable = "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]";
  const touched = new Set();
  const name = (one) => one.id || (one.closest("article") && "card") || (one.closest("#banner") && "banner-link")
    || (/^(alert-device|back|skip)$/.test(one.className) && one.className) || one.ariaLabel || one.textContent.trim();
  const wanted = () => [...(document.querySelector("dialog[open]") ?? document).querySelectorAll(tabbable)].filter(
    (one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true }));
  globalThis.keyboardTest = {
    begin() { touched.clear(); document.activeElement.blur(); },
    names: () => [...new Set(wanted().map(name))],
    missed: () => wanted().filter((one) => !touched.has(one)).map(name),
    here() {
      const one = document.activeElement;
      const isNew = one !== document.body && !touched.has(one);
      touched.add(one);
      const { outlineStyle, outlineWidth } = getComputedStyle(one);
      const box = one.getBoundingClientRect();
      const top = document.querySelector(".top");
      const coveredTo = top.contains(one) || one.closest("dialog, .skip") ? 0 : top.getBoundingClientRect().bottom;
      return { name: name(one), isNew, isOutlined: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
        isSeen: box.bottom > coveredTo + 4 && box.top < innerHeight - 4 && box.right > 0 && box.left < innerWidth };
    },
  };
})()
"""


def _walk(page: Page, key: str = "Tab") -> set[str]:
    """Go round with Tab; return the names of what can have the focus, all of which had it, in view and outlined."""
    page.evaluate(_SCRIPT)
    page.evaluate("keyboardTest.begin()")
    for _ in range(_MOST_TABS):
        page.keyboard.press(key)
        here = page.evaluate("keyboardTest.here()")
        if here["isNew"]:
            assert (here["isOutlined"], here["isSeen"]) == (True, True), here
        elif not page.evaluate("keyboardTest.missed()"):
            break
    assert page.evaluate("keyboardTest.missed()") == []
    return set(page.evaluate("keyboardTest.names()"))


def _go(page: Page, name: str) -> None:
    """Go on with Tab to a control, from wherever the focus is."""
    page.evaluate(_SCRIPT)
    for _ in range(_MOST_TABS):
        if page.evaluate("keyboardTest.here()")["name"] == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {name}")


def _press(page: Page, name: str, key: str = "Enter") -> None:
    _go(page, name)
    page.keyboard.press(key)


def _changes(value: str) -> Callable[[Page, str], None]:
    """Return what presses a button twice, with Enter and with Space; each changes a text."""

    def press(page: Page, name: str) -> None:
        place = page.locator(value)
        for key in ("Enter", "Space"):
            before = place.inner_text()
            _press(page, name, key)
            expect(place).not_to_have_text(before)

    return press


def _range(words: str) -> Callable[[Page, str], None]:
    def press(page: Page, name: str) -> None:
        _press(page, name, "Space")
        expect(page.locator("#caption")).to_have_text(f"Temperature, last {words}")
        expect(page.locator(f"#{name}")).to_have_attribute("aria-pressed", "true")

    return press


def _skips(page: Page, name: str) -> None:
    _press(page, name)
    wait_js(page, "['cards', 'device'].includes(document.activeElement.id)", "the focus at the devices")


def _pauses(page: Page, name: str) -> None:
    for key, word in (("Space", "Resume"), ("Enter", "Pause")):
        _press(page, name, key)
        expect(page.get_by_role("button", name=word, exact=True)).to_be_visible()


def _exports(page: Page, name: str) -> None:
    with page.expect_download() as download:
        _press(page, name)
    assert download.value.suggested_filename.endswith(".csv")


def _leaves(path: str) -> Callable[[Page, str], None]:
    """Return what follows a link to an address that holds the pattern, and comes back."""

    def follow(page: Page, name: str) -> None:
        _go(page, name)
        with page.expect_navigation(wait_until="commit"):
            page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(path))
        page.go_back()
        expect(page.locator("#chart-note")).to_have_text(re.compile("."))

    return follow


def _scrolls(page: Page, name: str) -> None:
    """Scroll, in a box that is made lower than what it holds."""
    page.locator(f"#{name}").evaluate("one => { one.style.cssText = 'flex: none; height: 40px'; }")
    _press(page, name, "ArrowDown")
    wait_js(page, f"document.getElementById('{name}').scrollTop > 0", f"{name} to scroll")
    page.locator(f"#{name}").evaluate("one => one.removeAttribute('style')")


def _opens_filter(page: Page, name: str) -> None:
    _press(page, name)
    expect(page.get_by_role("combobox", name="Search by name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#filter-panel")).to_be_hidden()
    expect(page.locator("#filter-button")).to_be_focused()


def _opens_help(page: Page, name: str) -> None:
    _press(page, name, "Space")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


def _zooms(page: Page, name: str) -> None:
    caption = page.locator("#caption")
    before = caption.inner_text()
    _press(page, name, "+")
    expect(caption).not_to_have_text(before)
    expect(caption).to_have_text(re.compile(" to "))


def _goes_live(page: Page, name: str) -> None:
    _press(page, name)
    expect(page.locator("#caption")).to_have_text(re.compile("last"))


def _shows_table(page: Page, name: str) -> None:
    _press(page, name)
    expect(page.locator("#chart-table")).to_be_hidden()
    _press(page, name, "Space")
    expect(page.locator("#chart-table")).to_be_visible()


Operation = Callable[[Page, str], None]
_TOOLS: Final[dict[str, Operation]] = {
    "skip": _skips,
    "pause": _pauses,
    "unit": _changes("#unit-value"),
    "zone": _changes("#zone-value"),
    "theme": _changes("#theme-value"),
    "export": _exports,
    "help": _opens_help,
    "figure": _zooms,
    "live": _goes_live,
    "range-30": _range("30 s"),
    "range-100": _range("100 s"),
    "range-300": _range("5 min"),
    "range-900": _range("15 min"),
    "table": _shows_table,
    "chart-table": _scrolls,
}
_OF_ALL: Final[dict[str, Operation]] = {
    **_TOOLS,
    "filter-button": _opens_filter,
    "episodes": _scrolls,
    "alert-device": _leaves("/device/"),
    "sort": _changes("#sort-value"),
    "card": _leaves("/device/"),
}
_OF_ONE: Final[dict[str, Operation]] = {
    **_TOOLS,
    "episodes": _scrolls,
    "alert-device": _leaves("/device/"),
    "back": _leaves("/\\?"),
    "CSV": _exports,
    "JSON": _leaves("/api/v1/readings"),
    "device-rows": _scrolls,
}


@pytest.fixture(scope="module")
def hot_bus(live_bus: Bus) -> Bus:
    """Give a bus one of whose devices has readings and alerts enough to scroll."""
    tell(live_bus, _HOT, 40, tuple(range(60_000, -1, -1_000)))
    return live_bus


def _opened(visit: Visit, bus: Bus, path: str = "") -> Page:
    """Open the page with all that it can show: an alert, a zoom, the table."""
    visitor = visit(bus, viewport={"width": 1280, "height": 600})
    visitor.forgive("404")  # of a browser that shows JSON and asks for an icon of it
    page = visitor.open(path=path)
    expect(page.locator(".alert-device").first).to_be_visible()
    wait_js(page, "document.querySelector('.js-plotly-plot')?.data?.length > 1", "a chart with lines")
    _press(page, "figure", "+")
    _press(page, "table")
    expect(page.locator("#live")).to_be_visible()
    return page


@pytest.mark.parametrize(("path", "operations"), [("", _OF_ALL), (f"device/{_HOT}", _OF_ONE)])
def test_every_control_is_reached_and_does_what_it_is_for(
    visit: Visit, hot_bus: Bus, path: str, operations: dict[str, Operation]
) -> None:
    """Forwards and backwards, never under the header; then each one is used, of the fleet's page and of a device's."""
    page = _opened(visit, hot_bus, path)
    assert _walk(page) == set(operations)
    assert _walk(page, "Shift+Tab") == set(operations)
    for name, operate in operations.items():
        operate(page, name)


def test_the_filter_is_used_by_keyboard(visit: Visit, hot_bus: Bus) -> None:
    """Search, choose, none, all; keys are letters there; Esc leads back to where it was opened."""
    page = visit(hot_bus).open()
    value = page.locator("#filter-value")
    expect(value).to_have_text(re.compile("^All 1"))
    everything = value.inner_text()
    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Search by name")
    expect(search).to_be_focused()
    _press(page, "Deselect all")
    expect(value).to_have_text(re.compile("^None of"))
    page.keyboard.press("Shift+Tab")
    _press(page, "Select all", "Space")
    expect(value).to_have_text(everything)
    page.keyboard.press("Shift+Tab")
    expect(search).to_be_focused()
    page.keyboard.type("device-0004 u?t")
    expect(page.locator("#unit-value")).to_have_text("°C")
    for _ in " u?t":
        page.keyboard.press("Backspace")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(value).to_have_text(re.compile(" of "))
    page.keyboard.press("Escape")
    expect(page.locator("#filter-panel")).to_be_hidden()
    expect(page.locator("#filter-button")).to_be_focused()


def test_keys_alone_pause_choose_unit_and_theme_and_help(visit: Visit, hot_bus: Bus) -> None:
    """Wherever the focus is; the dialog keeps it, and Close gives it back."""
    page = visit(hot_bus).open()
    expect(page.get_by_role("article").first).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("#unit-value")).to_have_text("°F")
    page.keyboard.down("t")
    page.keyboard.down("t")  # again, as a key is that is held down
    page.keyboard.up("t")
    expect(page.locator("#theme-value")).to_have_text("light")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Resume", exact=True)).to_be_visible()
    page.keyboard.press("?")
    assert _walk(page) == {"Close"}
    page.keyboard.press("t")  # nothing while a dialog is open
    expect(page.locator("#theme-value")).to_have_text("light")
    _press(page, "Close")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()


def test_who_is_signed_out_signs_in_again_by_keyboard(visit: Visit, hot_bus: Bus) -> None:
    """The banner's link is reached as all else is."""
    visitor = visit(hot_bus)
    visitor.forgive("401", "body stream already read")  # the second is Dash's, of a 401
    page = visitor.open()
    expect(page.get_by_role("article").first).to_be_visible()
    session: list[str] = []

    def answer(route: Route) -> None:
        """Refuse what its scripts ask, until the page itself is asked for anew."""
        if route.request.resource_type == "document":
            session.append("new")
        route.continue_() if session else route.fulfill(status=401)

    page.route("**/*", answer)
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    assert "banner-link" in _walk(page)
    _press(page, "banner-link")
    expect(page.get_by_role("article").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
