"""The page of a dashboard that answers slowly."""

import re
from typing import Any, Final

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.conftest import Visit
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("live_bus")

_TOOK_MS: Final = 2_500
_TICKS: Final = re.compile(r"/_dash-update-component\b")


class SlowAnswers:
    """A page's ticks, each held back for 2.5 s; how many were answered, and how many on their way at once."""

    def __init__(self, page: Page) -> None:
        """Begin."""
        self.answered, self.under_way, self.most_under_way = 0, 0, 0
        page.route(_TICKS, self._hold)
        page.on("request", lambda request: self._count(request, 1))
        page.on("requestfinished", lambda request: self._count(request, -1))

    def _hold(self, route: Route) -> None:
        page: Any = route.request.frame.page
        page.wait_for_timeout(_TOOK_MS)
        route.continue_()

    def _count(self, request: Request, change: int) -> None:
        if not _TICKS.search(request.url):
            return
        self.under_way += change
        self.answered += change < 0
        self.most_under_way = max(self.most_under_way, self.under_way)

    def wait_for(self, page: Page, answered: int) -> None:
        """Wait for so many more answers."""
        aim = self.answered + answered

        def look() -> bool:
            page.wait_for_timeout(100)
            return self.answered >= aim

        wait_until(look, 60, f"{answered} slow answers")


def test_answers_that_take_longer_than_a_tick_neither_pile_up_nor_hold_the_page(visit: Visit) -> None:
    """One request at a time; the page does what it is told meanwhile, and does not call each answer a loss."""
    page = visit().open()
    expect(page.get_by_role("article").first).to_be_visible()
    with page.expect_request(lambda request: request.method == "HEAD"):  # is the dashboard alive?
        slow = SlowAnswers(page)
    slow.wait_for(page, 3)  # on a busy machine the first of them may be called a loss
    expect(page.locator("#banner")).to_be_hidden(timeout=20_000)
    slow.most_under_way = slow.under_way
    page.evaluate(
        """() => {
            globalThis.banners = 0;
            const banner = document.querySelector("#banner");
            new MutationObserver(() => { globalThis.banners += Number(!banner.hidden); })
                .observe(banner, { attributes: true, childList: true });
        }"""
    )
    told = page.locator("#cards").inner_text()
    for unit in ("°F", "K", "°C"):
        page.keyboard.press("u")
        expect(page.locator("#unit-value")).to_have_text(unit, timeout=1_000)
        slow.wait_for(page, 1)
    assert page.locator("#cards").inner_text() != told
    assert slow.most_under_way == 1
    assert page.evaluate("globalThis.banners") == 0
    page.unroute_all(behavior="wait")
