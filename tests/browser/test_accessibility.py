"""axe-core's judgement of the page in its states, in light and dark."""

import re
import time
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from sensorbus.contract import messages
from sensorbus.contract.topics import SENSOR
from tests.browser.conftest import Bus, Visit, keep
from tests.support.needs import need
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

_AXE: Final = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
_THEMES: Final = ("light", "dark")


@pytest.fixture(scope="module")
def axe() -> str:
    """Give axe-core's script."""
    need(None if _AXE.exists() else "axe-core is missing; `npm ci --prefix tests/js` brings it")
    return _AXE.read_text(encoding="utf-8")


def serious_faults(page: Page, axe: str) -> list[str]:
    """Return the serious and critical faults, each with the first element that has it."""
    page.evaluate(axe)
    report: dict[str, Any] = page.evaluate("axe.run()")
    assert len(report["passes"]) > 10, "axe looked at nothing"
    return [
        f"{fault['id']}: {fault['nodes'][0]['target']} {fault['nodes'][0]['failureSummary']}"
        for fault in report["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


def _send(bus: Bus) -> None:
    """Send one cold and one hot device with some history, and one that is silent."""
    now_ms = time.time_ns() // 1_000_000
    rows = [("cold", 20.0, age_s) for age_s in range(30)] + [("hot", 35.0, age_s) for age_s in range(30)]
    rows += [("silent", 20.0, age_s) for age_s in range(5, 30)] + [("gone", 20.0, age_s) for age_s in range(20, 30)]
    produce(
        bus.settings,
        SENSOR,
        [
            Record(messages.encode_key(name), messages.encode_reading(name, _iso(now_ms, age_s), celsius))
            for name, celsius, age_s in rows
        ],
    )


def _iso(now_ms: int, age_s: int) -> str:
    return messages.iso_timestamp(now_ms - age_s * 1_000)


@pytest.mark.parametrize("theme", _THEMES)
def test_an_empty_page_has_no_serious_fault(visit: Visit, axe: str, theme: str) -> None:
    """Nothing chosen, nothing to see, still readable."""
    page = visit(color_scheme=theme).open("?devices=")
    expect(page.locator("#notice")).to_be_visible()
    assert serious_faults(page, axe) == []


@pytest.mark.parametrize("theme", _THEMES)
def test_a_page_with_every_state_of_a_device_has_no_serious_fault(visit: Visit, bus: Bus, axe: str, theme: str) -> None:
    """OK, HIGH, STALE and OFFLINE cards, then the filter, the table and the help open."""
    page = visit(color_scheme=theme).open()

    def send_and_look() -> bool:
        _send(bus)
        page.wait_for_timeout(500)
        words = page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('article')].map((one) => "
            "[one.getAttribute('aria-label'), one.dataset.state]))"
        )
        return bool(words == {"cold": "OK", "hot": "HIGH", "silent": "STALE", "gone": "OFFLINE"})

    wait_until(send_and_look, 40, "a card in each state", bus.dashboard.log)
    keep(page, f"states-{theme}")
    assert serious_faults(page, axe) == []
    page.get_by_role("button", name="Show as table").click()
    page.keyboard.press("/")
    assert serious_faults(page, axe) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert serious_faults(page, axe) == []


@pytest.mark.parametrize("theme", _THEMES)
def test_a_phone_and_a_lost_connection_have_no_serious_fault(visit: Visit, bus: Bus, axe: str, theme: str) -> None:
    """360 px; then dimmed values under a banner."""
    visitor = visit(color_scheme=theme, viewport={"width": 360, "height": 780})
    page = visitor.open()
    _send(bus)
    expect(page.get_by_role("article", name="cold", exact=True)).to_be_visible()
    assert serious_faults(page, axe) == []
    visitor.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text(re.compile("offline"), timeout=10_000)
    keep(page, f"offline-phone-{theme}")
    assert serious_faults(page, axe) == []
    visitor.forgive("ERR_INTERNET_DISCONNECTED", "the server did not respond")
