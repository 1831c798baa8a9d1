"""axe-core's judgement of states that no other test brings about."""

import re
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Bus, Visit, keep, tell
from tests.support.axe import serious_faults
from tests.support.waiting import wait_until

#: State of a live page: the query of its address.
_LIVE: Final = {
    "of three devices": "?devices=device-0001,device-0002,device-0003",
    "paused": "?paused=1",
    "kiosk": "?kiosk=1",
    "other units": "?unit=F&zone=utc&sort=hottest",
}


def _send(bus: Bus) -> None:
    """Send one cold and one hot device with some history, one that is silent, and one that is gone."""
    for name, celsius, silent_s in (("cold", 20.0, 0), ("hot", 35.0, 0), ("silent", 20.0, 5), ("gone", 20.0, 20)):
        tell(bus, name, celsius, tuple(age_s * 1_000 for age_s in range(silent_s, 30)))


def test_a_page_of_no_device_has_no_serious_fault(visit: Visit) -> None:
    """Nothing chosen, nothing to see, still readable."""
    page = visit().open("?devices=")
    expect(page.locator("#notice")).to_be_visible()
    assert serious_faults(page) == []


def test_a_page_with_every_state_of_a_device_has_no_serious_fault(visit: Visit, bus: Bus) -> None:
    """OK, HIGH, STALE and OFFLINE cards, then the filter, the table and the help open."""
    page = visit().open("?devices=cold,hot,silent,gone")

    def send_and_look() -> bool:
        _send(bus)
        page.wait_for_timeout(500)
        words = page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('article')].map((one) => "
            "[one.getAttribute('aria-label'), one.dataset.state]))"
        )
        return bool(words == {"cold": "OK", "hot": "HIGH", "silent": "STALE", "gone": "OFFLINE"})

    wait_until(send_and_look, 40, "a card in each state", bus.dashboard.log)
    keep(page, "states")
    assert serious_faults(page) == []
    page.get_by_role("button", name="Show as table").click()
    page.get_by_role("figure").press("+")
    expect(page.get_by_role("button", name="Back to live")).to_be_visible()
    page.keyboard.press("/")
    assert serious_faults(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert serious_faults(page) == []


def test_a_page_that_waits_for_its_first_answer_has_no_serious_fault(visit: Visit) -> None:
    """It says that it loads, shows no number, and says when nobody answers."""
    visitor = visit()
    visitor.context.route(re.compile("/_dash-update-component"), lambda _: None)
    page = visitor.open()
    expect(page.locator("#notice")).to_have_text("Loading.")
    expect(page.locator("#fleet strong").first).to_have_text("\N{EN DASH}")
    keep(page, "loading")
    assert serious_faults(page) == []
    expect(page.locator("#notice")).to_have_text("No answer from the dashboard yet.")
    expect(page.get_by_role("alert")).to_contain_text("Connection to the dashboard lost")


def test_a_page_that_refuses_has_no_serious_fault(visit: Visit) -> None:
    """Of a wrong address, as of a wrong password: a way back, in the system's colours."""
    visitor = visit()
    visitor.forgive("404")
    page = visitor.open(path="nowhere")
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    grounds = []
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]
    assert serious_faults(page, has_script=False) == []
    page.get_by_role("link", name="To the page").click()
    expect(page.get_by_role("heading", name="Sensorbus")).to_be_visible()


def test_a_browser_without_network_has_no_serious_fault(visit: Visit, bus: Bus) -> None:
    """Dimmed values under a banner."""
    visitor = visit()
    page = visitor.open()
    _send(bus)
    expect(page.get_by_role("article", name="cold", exact=True)).to_be_visible()
    visitor.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text(re.compile("offline"), timeout=10_000)
    keep(page, "offline")
    assert serious_faults(page) == []
    visitor.forgive("ERR_INTERNET_DISCONNECTED", "the server did not respond")


@pytest.mark.parametrize("state", _LIVE)
def test_a_live_page_has_no_serious_fault(visit: Visit, live_bus: Bus, state: str) -> None:
    """With lines on its chart and cards that change meanwhile."""
    page = visit(live_bus).open(_LIVE[state])
    expect(page.get_by_role("article").first).to_be_visible()
    if state == "kiosk":
        expect(page.get_by_role("button")).to_have_count(0)
        expect(page.locator("#chart-note")).to_be_visible()
        page.keyboard.press("/")
        assert page.locator("#filter-panel").get_attribute("hidden") is not None, "it would be open and not seen"
    assert serious_faults(page) == []
