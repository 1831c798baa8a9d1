"""The page cut off, and back again.

Its dashboard dead or hung, its network gone, Kafka gone.
"""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka
from tests.browser.conftest import Bus, Visit, keep, open_bus, tell, tell_until
from tests.support.axe import serious_faults
from tests.support.dashboards import dashboard
from tests.support.real_kafka import free_ports

_BACK_WITHIN_MS: Final = 30_000
_SAID_WITHIN_MS: Final = 15_000  # 3 s by the clock of tests/js; here a busy machine may starve the browser
_OFFLINE_AFTER_MS: Final = 11_000  # 10 periods of a reading
_NOTHING: Final = "\N{EN DASH}"
_IS_BANNER_SEEN: Final = """() => {
  const { top } = document.querySelector("#banner").getBoundingClientRect();
  return scrollY > 0 && Boolean(document.elementFromPoint(innerWidth / 2, top + 10)?.closest("#banner"));
}"""


@pytest.fixture
def up_bus(bus: Bus) -> Iterator[Bus]:
    """Give the bus, and start its dashboard again if the test left it stopped."""
    yield bus
    if not bus.dashboard.is_running():
        bus.dashboard.start()
    bus.wait_ready()


def _fleet_row(page: Page) -> set[str]:
    """Return the numbers of the fleet row."""
    return {
        text.strip()
        for text in page.locator("#fleet strong, #fleet .tile-value, #fleet .tile-detail").all_inner_texts()
    } - {""}


def _signal_group(bus: Bus, number: signal.Signals) -> None:
    """Signal gunicorn and its workers."""
    assert bus.dashboard.process is not None
    os.killpg(bus.dashboard.process.pid, number)


def test_a_dashboard_that_dies_is_said_in_3_s_and_caught_up_with_later(visit: Visit, up_bus: Bus) -> None:
    """Banner with since when, values dimmed, nobody called offline, no reload; then what was missed."""
    visitor = visit()
    page = visitor.open()
    tell(up_bus, "survivor", 20)
    card = page.get_by_role("article", name="survivor", exact=True)
    expect(card).to_be_visible()
    up_bus.dashboard.stop()
    expect(page.get_by_role("alert")).to_contain_text(
        re.compile("^Connection to the dashboard lost since"), timeout=_SAID_WITHIN_MS
    )
    expect(page.get_by_role("alert")).to_contain_text("What you see is as of then.")
    expect(page.locator("html")).to_have_attribute("data-lost", "")
    expect(page.get_by_role("status", name="Pipeline")).to_contain_text("The dashboard does not answer")
    expect(page.locator(".alerts").first).to_have_text(_NOTHING)
    keep(page, "lost")
    page.wait_for_timeout(_OFFLINE_AFTER_MS)
    expect(card.locator(".word")).to_have_text("STALE")
    assert serious_faults(page) == []
    tell(up_bus, "survivor", 21)
    up_bus.dashboard.start()
    up_bus.wait_ready()
    expect(page.locator("#banner")).to_have_text(
        re.compile(r"^Back, caught up \d+ readings?\.$"), timeout=_BACK_WITHIN_MS
    )
    expect(page.get_by_role("alert")).to_have_count(0)
    visitor.forgive(
        "ERR_CONNECTION_REFUSED", "the server did not respond", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"
    )


def test_a_dashboard_that_hangs_is_said_and_comes_back(visit: Visit, up_bus: Bus) -> None:
    """A stopped process holds the request open: the page asks anew instead of waiting for ever."""
    page = visit().open()
    tell(up_bus, "waiter", 20)
    expect(page.get_by_role("article", name="waiter", exact=True)).to_be_visible()
    _signal_group(up_bus, signal.SIGSTOP)
    expect(page.get_by_role("alert")).to_contain_text("Connection to the dashboard lost", timeout=_SAID_WITHIN_MS)
    _signal_group(up_bus, signal.SIGCONT)
    expect(page.locator("#banner")).to_have_text(re.compile(r"^Back, caught up"), timeout=_BACK_WITHIN_MS)


def test_a_browser_without_network_says_so(visit: Visit, up_bus: Bus) -> None:
    """Its own fault is not called the dashboard's; it is in view on a page that is scrolled, however wide."""
    visitor = visit()
    page = visitor.open()
    tell(up_bus, "quiet", 20)
    expect(page.get_by_role("article", name="quiet", exact=True)).to_be_visible()
    visitor.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("This browser is offline", timeout=_SAID_WITHIN_MS)
    for width in (1440, 800, 360):
        page.set_viewport_size({"width": width, "height": 600})
        page.evaluate("scrollTo(0, 200)")
        assert page.evaluate(_IS_BANNER_SEEN), f"the banner at {width} px"
    visitor.context.set_offline(False)
    expect(page.locator("#banner")).to_have_text(re.compile(r"^Back, caught up"), timeout=_BACK_WITHIN_MS)
    visitor.forgive("ERR_INTERNET_DISCONNECTED", "the server did not respond")


def test_a_kafka_that_is_gone_is_named_with_its_address(visit: Visit, tmp_path: Path) -> None:
    """The page stays, says what is broken and since when, and shows no number of now."""
    with open_bus(tmp_path) as bus:
        page = visit(bus).open()
        tell(bus, "orphan", 20)
        expect(page.get_by_role("article", name="orphan", exact=True)).to_be_visible()
        bus.broker.__exit__(None, None, None)
        said = re.compile(f"^Kafka at {re.escape(bus.settings.bootstrap_servers)} cannot be reached since")
        expect(page.get_by_role("alert")).to_contain_text(said, timeout=_BACK_WITHIN_MS)
        expect(page.get_by_role("status", name="Pipeline").locator("[data-link=broken]")).to_contain_text("Kafka")
        expect(page.locator(".alerts").first).to_have_text(_NOTHING)
        keep(page, "kafka-gone")
        assert serious_faults(page) == []


def test_a_kafka_that_comes_late_is_waited_for(visit: Visit, tmp_path: Path) -> None:
    """The page is there without it, says what is missing, and goes on by itself."""
    port = free_ports()[0]
    address = f"127.0.0.1:{port}"
    settings = Settings(kafka_bootstrap_servers=address, embedded_broker=True, state_dir=tmp_path / "state")
    page_of = dashboard(settings, tmp_path)
    with page_of.part:
        page_of.wait_listening()
        broker = EmbeddedBroker(port)
        bus = Bus(page_of.settings, broker, page_of.part, tmp_path)
        page = visit(bus).open()
        said = re.compile(f"^Kafka at {re.escape(address)} cannot be reached since")
        expect(page.get_by_role("alert")).to_contain_text(said, timeout=_BACK_WITHIN_MS)
        assert _fleet_row(page) == {_NOTHING}
        expect(page.get_by_role("alert")).not_to_contain_text("What you see")
        keep(page, "kafka-late")
        assert serious_faults(page) == []
        with broker:
            kafka.ensure_topics(settings, "test")
            tell_until(bus, "late", 20, page.get_by_role("article", name="late", exact=True))
            expect(page.get_by_role("alert")).to_have_count(0, timeout=_BACK_WITHIN_MS)
            expect(page.locator(".count[data-state=HIGH] strong")).to_have_text("0")
            page.close()  # before its server: a request that breaks off is a complaint
