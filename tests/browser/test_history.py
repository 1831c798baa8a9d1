"""The page while its dashboard still reads the history."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from sensorbus.contract import messages
from sensorbus.contract.topics import SENSOR
from tests.browser.conftest import Visit, keep, open_bus, tell
from tests.support.axe import serious_faults
from tests.support.ticks import get
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

_DEVICES: Final = 300
#: More than a dashboard reads while a page loads.
_READINGS: Final = 500_000
_HISTORY_MS: Final = 800_000
_READ_WITHIN_MS: Final = 60_000


def _history() -> Iterator[Record]:
    now_ms = time.time_ns() // 1_000_000
    names = [f"unit-{number:03d}" for number in range(_DEVICES)]
    keys = [messages.encode_key(name) for name in names]
    for number in range(_READINGS):
        name = names[number % _DEVICES]
        time_ms = now_ms - _HISTORY_MS + number * _HISTORY_MS // _READINGS
        yield Record(
            keys[number % _DEVICES],
            messages.encode_reading(name, messages.iso_timestamp(time_ms), 20 + number % 40 / 10),
        )


def test_history_that_is_being_read_is_said_with_how_much_there_is_to_go(visit: Visit, tmp_path: Path) -> None:
    """In the strip too; what is read already is shown, and when all is read nothing more is said."""
    with open_bus(tmp_path) as bus:
        page = visit(bus).open()
        expect(page.locator("#notice")).to_have_text(re.compile("^Waiting for the first reading"))
        page.goto("about:blank")  # what it shows is cached by now
        bus.dashboard.stop()
        produce(bus.settings, SENSOR, _history())
        bus.dashboard.start()
        wait_until(lambda: get(f"{bus.url}healthz")[0] == 200, 20, "a dashboard that listens", bus.dashboard.log)
        page.goto(f"{bus.url}?paused=1")  # a link to a page that holds still
        expect(page.locator("#notice")).to_have_text(re.compile(r"Loading history, [\d,]+ records to go\.$"))
        numbers = page.locator("#fleet strong, #fleet .tile-value").all_inner_texts()
        assert set(numbers) == {"\N{EN DASH}"}
        assert set(page.locator("article .word").all_inner_texts()) == {"LOADING"}
        assert page.locator("#episodes .empty").inner_text() == "Not known yet: history is being read."
        strip = page.get_by_role("status", name="Pipeline")
        expect(strip).to_contain_text(re.compile(r"Dashboard\s*[\d,]+ behind"))
        expect(strip.locator("[data-link=broken]")).to_have_count(0)
        keep(page, "history")
        assert serious_faults(page) == []
        expect(page.locator("#notice")).to_be_hidden(timeout=_READ_WITHIN_MS)
        expect(strip).to_contain_text(re.compile(r"Dashboard\s*answers"))
        expect(page.locator("#filter-value")).to_have_text(f"All {_DEVICES}")
        expect(page.locator("#pause-note")).to_have_text(re.compile("^paused"))
        expect(page.locator("article .word", has_text="LOADING")).to_have_count(0)
        assert "min" not in page.locator("article .age").first.inner_text()
        page.close()  # before its server: a request that breaks off is a complaint


@pytest.mark.slow
def test_a_dashboard_that_holds_less_than_is_shown_says_why(visit: Visit, tmp_path: Path) -> None:
    """Since when it holds readings, and with which setting it holds more; what a file lacks of it is said too."""
    with open_bus(tmp_path, SENSORBUS_DASHBOARD_RING_ROWS="1000") as bus:
        page = visit(bus).open("?window=900")
        tell(bus, "unit-1", 20, (60_000,))
        temperature = page.get_by_role("article", name="unit-1", exact=True).locator(".temperature")
        for celsius in (21.0, 22.0, 23.0):  # one after the other: a page that misses some begins anew
            now_ms = time.time_ns() // 1_000_000
            value = messages.encode_reading("unit-1", messages.iso_timestamp(now_ms), celsius)
            produce(bus.settings, SENSOR, [Record(messages.encode_key("unit-1"), value)] * 400)
            expect(temperature).to_have_text(f"{celsius:.1f} °C")
        said = re.compile(
            r" Readings go back to \d\d:\d\d:\d\d: the dashboard holds no more \(SENSORBUS_DASHBOARD_RING_ROWS\)\.$"
        )
        expect(page.locator("#chart-note")).to_have_text(said)
        assert serious_faults(page) == []
        page.get_by_role("button", name="Export CSV", exact=True).click()
        cut = re.compile(r"^Exported in part: the dashboard holds none of before \d\d:\d\d:\d\d\.$")
        expect(page.locator("#export-note")).to_have_text(cut)
        page.close()  # before its server: a request that breaks off is a complaint
