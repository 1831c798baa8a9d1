"""A fleet of which no answer tells everything.

Every device is told in its turn; what is in view, and the fleet's numbers, do not wait for it.
"""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Bus, Visit, keep, tell_until, wait_js
from tests.support.parts import Part

_DEVICES: Final = 1_500
_SIZES: Final = (
    "performance.getEntriesByType('resource').filter((one) => one.name.includes('_dash-update'))"
    ".map((one) => one.encodedBodySize)"
)
_TOLD: Final = "1,500; those out of view are updated every 2 s"


@pytest.fixture
def simulator(bus: Bus) -> Iterator[Part]:
    """Give 1500 devices that report once a second."""
    with bus.run("simulator", "--devices", str(_DEVICES), "--seed", "7") as running:
        yield running


def test_a_fleet_is_told_in_turn(visit: Visit, bus: Bus, simulator: Part) -> None:
    """Nobody looks silent between its turns, one that joins is seen at once, and silence of all is."""
    page = visit().open()
    count = {state: page.locator(f"[data-state={state}] strong") for state in ("OK", "STALE", "OFFLINE")}
    expect(page.locator("#cards-note")).to_have_text(_TOLD)
    few = visit().open("?devices=device-0001,device-0002&paused=1")
    expect(few.locator("#cards-note")).to_have_text("2 of 1,500")  # none of them is out of view
    expect(few.locator("#pause-note")).to_have_text(re.compile(r"^paused \d+ s, [1-9]\d? new readings?$"))
    few.close()
    wait_js(page, f"{_SIZES}.length > 12", "a dozen ticks")
    assert max(page.evaluate(_SIZES)[-6:]) < 16_000
    states = page.evaluate("[...document.querySelectorAll('.card')].map((card) => card.dataset.state)")
    assert set(states) <= {"OK", "HIGH"}
    expect(count["STALE"]).to_have_text("0")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last = page.locator(f".card[aria-label=device-{_DEVICES:04d}]")
    expect(last).to_have_attribute("data-state", re.compile("OK|HIGH"))
    expect(last.locator(".age")).to_have_text(re.compile(r"^(now|\d(\.\d)? s ago)$"))
    keep(page, "told-in-turn")
    tell_until(bus, "a-newcomer", 200, page.locator(".tile-hottest", has_text="a-newcomer"))
    expect(page.locator("#cards-note")).to_have_text(_TOLD.replace("1,500", "1,501"))
    simulator.stop()
    expect(count["OFFLINE"]).to_have_text("1,501")
    expect(last).to_have_attribute("data-state", "OFFLINE")
