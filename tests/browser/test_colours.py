"""The colours of devices, the same for everybody who follows a link."""

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit, keep, open_bus, tell, wait_js
from tests.support.waiting import wait_until

_AGES_MS: Final = tuple(range(10_000, -1, -1_000))
_SETTLED_AFTER_MS: Final = 6_000  # 5 s from the first reading on, and a tick
_LOOKS: Final = """(places) => Object.fromEntries([...document.querySelectorAll(places)].map((one) => [
  one.getAttribute("aria-label") ?? one.textContent,
  [one.querySelector(".swatch path").style.stroke, one.querySelector(".swatch").getAttribute("class")],
]))"""
_LINES: Final = """Object.fromEntries((document.querySelector(".js-plotly-plot")?.data ?? [])
  .filter((one) => one.line && one.name !== "alert").map((one) => [one.name, [one.line.color, one.line.dash]]))"""


def _looks(page: Page) -> dict[str, list[str]]:
    """Return colour and dash of each device, which card and legend show alike."""
    cards: dict[str, list[str]] = page.evaluate(_LOOKS, "article")
    assert page.evaluate(_LOOKS, ".legend-item") == cards
    return cards


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_link_shows_the_same_colours_though_a_device_joined_in_between(
    visit: Visit, tmp_path: Path, theme: str
) -> None:
    """In the page that was open all the time nobody changes; who opens its link later sees what it shows."""
    names = ["boiler", "oven-1", "oven-2", "oven-4", "oven-5", "oven-6"]
    with open_bus(tmp_path) as own:
        page = visit(own).open(f"?theme={theme}&zone=utc")
        for name in names:
            tell(own, name, 20 + len(name) + names.index(name), _AGES_MS)
        expect(page.get_by_role("article")).to_have_count(len(names))
        page.wait_for_timeout(_SETTLED_AFTER_MS)
        before = _looks(page)
        assert len({colour for colour, _ in before.values()}) == len(names)
        tell(own, "oven-3", 25, _AGES_MS)
        expect(page.get_by_role("article")).to_have_count(len(names) + 1)
        after = _looks(page)
        assert {name: after[name] for name in names} == before
        assert len({colour for colour, _ in after.values()}) == len(after)
        later = visit(own, viewport={"width": 360, "height": 780}).open(page.url.removeprefix(own.url))
        expect(later.get_by_role("article")).to_have_count(len(after))
        assert _looks(later) == after
        for shown in (page, later):
            wait_js(shown, f"Object.keys({_LINES}).length === {len(after)}", "all lines")
        wait_until(lambda: page.evaluate(_LINES) == later.evaluate(_LINES), 10, "the same lines")
        keep(page, f"colours-{theme}")
        keep(later, f"colours-{theme}-phone")
        for shown in (page, later):
            shown.context.close()  # before their page is gone, which they would complain of
