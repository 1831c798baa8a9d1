"""The page in a tab that nobody looks at, and when somebody looks again."""

import json
import re
import time
from typing import Any, Final

import pytest
from playwright.sync_api import Page, Request, Route, expect

from dashboard_app import ids
from tests.browser.conftest import DEVICES, Visit
from tests.support.ticks import whole

pytestmark = pytest.mark.usefixtures("live_bus")

_TICKS: Final = re.compile(r"/_dash-update-component\b")
_HIDDEN_TICK_S: Final = 10
_TOOK_MS: Final = 700  # of its first answer: the page looks four times a second for what is lost
_AWAY_S: Final = 6  # longer than a page in view waits before it calls the connection lost
#: As a browser does it, which Playwright has no word for.
_SHOW: Final = """(isShown) => {
  const states = { hidden: !isShown, visibilityState: isShown ? "visible" : "hidden" };
  for (const [name, value] of Object.entries(states)) {
    Object.defineProperty(document, name, { configurable: true, get: () => value });
  }
  globalThis.changedMs = performance.now();
  document.dispatchEvent(new Event("visibilitychange"));
}"""
#: When the page has asked for ticks since then, in ms.
_ASKED_MS: Final = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => name.includes("_dash-update-component"))
  .map(({ startTime }) => startTime - globalThis.changedMs)
  .filter((ms) => ms >= 0)"""
_WATCH_BANNER: Final = """() => {
  globalThis.banners = [];
  const banner = document.querySelector("#banner");
  new MutationObserver(() => { if (!banner.hidden) globalThis.banners.push(banner.innerText); })
    .observe(banner, { attributes: true, childList: true });
}"""


def test_a_hidden_tab_asks_seldom_and_catches_up_at_once_when_it_is_shown(visit: Visit) -> None:
    """Every 10 s; back in view with one request, no banner, and a tick a second from then on."""
    page = visit().open()
    expect(page.get_by_role("article")).to_have_count(DEVICES)
    page.evaluate(_WATCH_BANNER)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if _TICKS.search(request.url) else None)
    page.evaluate(_SHOW, arg=False)
    page.wait_for_timeout((_HIDDEN_TICK_S - 2) * 1_000)
    assert len(asked) <= 1  # one may have been due when it was hidden
    del asked[:]
    with page.expect_request(_TICKS):  # seldom, but it does ask
        pass
    page.wait_for_timeout(_AWAY_S * 1_000)
    assert len(asked) == 1
    told = _told_on_return(page)
    assert not told["reset"]
    assert len(told["readings"]) + len(told["devices"]["age_ms"]) > (_AWAY_S - 2) * DEVICES
    page.wait_for_timeout(4_000)
    asked_ms = page.evaluate(_ASKED_MS)
    assert len([ms for ms in asked_ms if ms < 900]) == 1  # by the tick of 1 s it would be later
    assert 3 <= len(asked_ms) <= 6
    assert page.evaluate("globalThis.banners") == []


def test_choices_ask_the_server_nothing(visit: Visit) -> None:
    """Filter, range, unit, zone, theme, order, zoom and pause are drawn from what the browser has.

    In a hidden tab, which asks by itself once in 10 s.
    """
    page = visit().open()
    expect(page.get_by_role("article")).to_have_count(DEVICES)
    page.evaluate(_SHOW, arg=False)
    page.wait_for_timeout(1_500)  # a tick may have been due when it was hidden
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "favicon" not in request.url else None)
    began_s = time.monotonic()
    for name in ("Unit", "Time zone", "Theme", "Order", "5 min", "Pause"):
        page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("figure").press("+")
    page.keyboard.press("/")
    page.keyboard.type("0003")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article")).to_have_count(DEVICES - 1)
    for name, text in (("unit", "°F"), ("zone", "UTC"), ("theme", "light"), ("sort", "hottest first")):
        expect(page.locator(f"#{name}-value")).to_have_text(text)
    expect(page.locator("#caption")).to_have_text(re.compile(" to "))
    expect(page.locator(".temperature").first).to_contain_text("°F")
    expect(page.locator("#pause-note")).to_have_text(re.compile("^paused "))
    ticks = [url for url in asked if _TICKS.search(url)]
    assert len(ticks) <= 1 + (time.monotonic() - began_s) // _HIDDEN_TICK_S
    assert ticks == asked


def _told_on_return(page: Page) -> dict[str, Any]:
    """Bring the tab into view; return what its first answer has told, which takes its time."""

    def hold(route: Route) -> None:
        page.wait_for_timeout(_TOOK_MS)
        route.continue_()

    page.route(_TICKS, hold, times=1)
    with page.expect_response(_TICKS) as caught:
        page.evaluate(_SHOW, arg=True)
    body = json.loads(caught.value.text())
    return whole(json.loads(body["response"][ids.DELTA]["data"]))
