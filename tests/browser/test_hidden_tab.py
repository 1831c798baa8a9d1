"""The page in a tab that nobody looks at, and when somebody looks again."""

import json
import re
from typing import Any, Final

import pytest
from playwright.sync_api import Page, Request, expect

from dashboard_app import ids
from tests.browser.conftest import DEVICES, Visit
from tests.support.ticks import whole

pytestmark = pytest.mark.usefixtures("live_bus")

_HIDDEN_TICK_S: Final = 10
_AWAY_S: Final = 6  # longer than a page in view waits before it calls the connection lost
#: As a browser does it, which Playwright has no word for.
_SHOW: Final = """(isShown) => {
  const states = { hidden: !isShown, visibilityState: isShown ? "visible" : "hidden" };
  for (const [name, value] of Object.entries(states)) {
    Object.defineProperty(document, name, { configurable: true, get: () => value });
  }
  document.dispatchEvent(new Event("visibilitychange"));
}"""
_WATCH_BANNER: Final = """() => {
  globalThis.banners = [];
  const banner = document.querySelector("#banner");
  new MutationObserver(() => { if (!banner.hidden) globalThis.banners.push(banner.innerText); })
    .observe(banner, { attributes: true, childList: true });
}"""


def _is_tick(request: Request) -> bool:
    return bool(re.search(r"/_dash-update-component\b", request.url))


def test_a_hidden_tab_asks_seldom_and_catches_up_at_once_when_it_is_shown(visit: Visit) -> None:
    """Every 10 s; back in view with one request, no banner, and a tick a second from then on."""
    page = visit().open()
    expect(page.get_by_role("article")).to_have_count(DEVICES)
    page.evaluate(_WATCH_BANNER)
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if _is_tick(request) else None)
    page.evaluate(_SHOW, arg=False)
    page.wait_for_timeout((_HIDDEN_TICK_S - 2) * 1_000)
    assert len(asked) <= 1  # one may have been due when it was hidden
    del asked[:]
    with page.expect_request(_is_tick):  # seldom, but it does ask
        pass
    page.wait_for_timeout(_AWAY_S * 1_000)
    assert len(asked) == 1
    told = _told_on_return(page)
    assert not told["reset"]
    assert len(told["readings"]) + len(told["devices"]["age_ms"]) > (_AWAY_S - 2) * DEVICES
    assert len(asked) == 2
    page.wait_for_timeout(4_000)
    assert 2 <= len(asked) - 2 <= 5
    assert page.evaluate("globalThis.banners") == []


def _told_on_return(page: Page) -> dict[str, Any]:
    """Bring the tab into view; return what its first answer has told, half a second later."""
    with page.expect_response(lambda response: _is_tick(response.request)) as caught:
        page.evaluate(_SHOW, arg=True)
    body = json.loads(caught.value.text())
    page.wait_for_timeout(500)
    return whole(json.loads(body["response"][ids.DELTA]["data"]))
