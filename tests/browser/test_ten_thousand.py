"""Ten thousand devices by the one command, on the embedded broker.

All parts run, and a browser looks at them.
"""

import json
import logging
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from sensorbus.contract.settings import Settings
from tests.browser.conftest import wait_js
from tests.support.parts import Part, child_pids, cpu_s, environment_of, resident_bytes
from tests.support.ticks import Ticker, get
from tests.support.waiting import wait_until
from tests.support.whole_system import command_of, processes_of, up

_DEVICES: Final = 10_000
#: Half a minute of them: the bound in rows is reached soon.
_RING_ROWS: Final = 300_000
_KNOWN_WITHIN_S: Final = 90.0
_MEASURED_S: Final = 30
_VERIFIED_WITHIN_S: Final = 240.0
_COMMAND: Final = (sys.executable, "-m", "sensorbus", "verify")
_TIMEOUT_MS: Final = 30_000
_LONG_TASKS: Final = """
  window.longMs = [];
  new PerformanceObserver((list) => window.longMs.push(...list.getEntries().map((one) => one.duration)))
    .observe({ type: "longtask" });
"""

_log = logging.getLogger(__name__)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[tuple[Part, str]]:
    """Give the whole system, its history full, and its page's address; it must leave nothing."""
    with up(tmp_path, 0, "--devices", str(_DEVICES), SENSORBUS_DASHBOARD_RING_ROWS=str(_RING_ROWS)) as running:
        wait_until(lambda: "the page is at" in running.said(), 60, "the page", running.log)
        (url,) = re.findall(r"the page is at (\S+)", running.said())
        took_s = wait_until(lambda: _devices_of(url) == _DEVICES, _KNOWN_WITHIN_S, "all devices", running.log)
        _log.info("%d devices known %.1f s after the page", _DEVICES, took_s)
        bound = 'sensorbus_ring_full{bound="rows"'
        wait_until(lambda: re.search(rf"{re.escape(bound)}[^\n]* 1\.0", _metrics(url)), 90, "a full ring", running.log)
        yield running, url
        assert running.process is not None
        supervisor = running.process.pid
        running.stop(within_s=20)
        assert processes_of(supervisor) == []
    assert list(tmp_path.glob("embedded-*")) == []
    assert "Traceback" not in running.said()
    assert "started again" not in running.said()


def _metrics(url: str) -> str:
    return get(f"{url}metrics")[1]


def _devices_of(url: str) -> int:
    """Return how many devices the API lists, over all its pages."""
    number, place = 0, f"{url}api/v1/devices?limit=1000"
    while place:
        status, text = get(place)
        if status != 200:
            return 0
        answer = json.loads(text)
        number += len(answer["devices"])
        place = url + answer["next"].removeprefix("/") if answer.get("next") else ""
    return number


def _measure(running: Part, url: str) -> None:
    """Note what each part takes while a browser without a screen ticks."""
    assert running.process is not None
    names = {pid: " ".join(command_of(pid)[2:4]) for pid in processes_of(running.process.pid)}
    before = {pid: cpu_s(pid) for pid in names}
    ticker, took_s, begin_s = Ticker(url), [], time.monotonic()
    ticker.tick([])
    while time.monotonic() - begin_s < _MEASURED_S:
        time.sleep(1)
        asked_s = time.monotonic()
        ticker.tick([])
        took_s.append(time.monotonic() - asked_s)
    all_s = time.monotonic() - begin_s
    for pid, name in names.items():
        share, size = (cpu_s(pid) - before[pid]) / all_s, resident_bytes(pid) / 1e6
        _log.info(
            "%s (%d, children %d): %.0f %% of a core, %.0f MB", name, pid, len(child_pids(pid)), share * 100, size
        )
    _log.info(
        "ticks: median %.0f ms, p95 %.0f ms",
        statistics.median(took_s) * 1e3,
        statistics.quantiles(took_s, n=20)[-1] * 1e3,
    )
    assert len(ticker.roster[1]) == _DEVICES


def _use(page: Page) -> None:
    """Look at all, find one of ten thousand, and see its line."""
    count = f"{_DEVICES:,}"
    expect(page.locator("#filter-value")).to_have_text(f"All {count}")
    note = rf"^Lowest to highest, 10 % to 90 % and median of all {count} devices per second, with the lines of the 5 "
    limit = r"Readings go back to \d\d:\d\d:\d\d: the dashboard holds no more \(SENSORBUS_DASHBOARD_RING_ROWS\)\.$"
    alerts = r"▲ counts the devices in alert per \d+ s\."
    expect(page.locator("#chart-note")).to_have_text(re.compile(rf"{note}hottest\. {alerts}.* {limit}"))
    expect(page.locator("#cards-note")).to_have_text(
        re.compile(rf"^{count}; those out of view are updated every \d+ s$")
    )
    names = "document.querySelector('.js-plotly-plot')?.data?.map((one) => one.name)"
    wait_js(page, f"{names}?.includes('median')", "bands on the chart", 30)
    page.evaluate("window.longMs.length = 0")
    page.wait_for_timeout(15_000)
    _log.info("long tasks of 15 s, ms: %s", page.evaluate("window.longMs.map(Math.round)"))
    _log.info(
        "the page's numbers: %s",
        " | ".join(text.replace("\n", " ") for text in page.locator(".tile").all_inner_texts()),
    )
    page.get_by_label("Devices").click()
    page.get_by_role("button", name="Deselect all", exact=True).click()
    page.get_by_role("combobox", name="Search by name").fill("7777")
    page.get_by_role("button", name="Select all", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(1)
    wait_js(page, f"{names}?.some((name) => name.endsWith('7777'))", "its line on the chart", 30)
    expect(page.locator("#banner")).to_be_hidden()


def _verify(running: Part, log: Path) -> None:
    """Compare what the broker holds, some 20 s; no reading comes, or a busy machine read slower than it cuts."""
    (address,) = re.findall(r"embedded Kafka at ([^\s;]+)", running.said())
    assert running.process is not None
    (simulator,) = (pid for pid in processes_of(running.process.pid) if "simulator" in command_of(pid))
    os.kill(simulator, signal.SIGSTOP)
    try:
        with Part(
            [*_COMMAND, "--since", "1m"], environment_of(Settings(kafka_bootstrap_servers=address)), log
        ) as verify:
            verify.wait(0, within_s=_VERIFIED_WITHIN_S)
    finally:
        os.kill(simulator, signal.SIGCONT)
    _log.info("%s", verify.said())
    rows = {row.split()[1]: row.split() for row in verify.said().splitlines() if row.startswith("ok")}
    assert all(rows[topic][3] != "0" for topic in ("alert", "alert-count", "avg-temp"))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_thousand_devices_by_one_command(system: tuple[Part, str], chromium: Browser, tmp_path: Path) -> None:
    """All known, the page usable and frank about its limits, the results right, nothing left behind."""
    running, url = system
    assert re.search(rf"it holds about the last \d+ s of {_DEVICES} devices", running.said())
    _measure(running, url)
    page = chromium.new_context(viewport={"width": 1440, "height": 900}).new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.set_default_timeout(_TIMEOUT_MS)
    expect.set_options(timeout=_TIMEOUT_MS)
    page.add_init_script(_LONG_TASKS)
    page.goto(f"{url}?window=900")
    _use(page)
    page.context.close()
    assert complaints == []
    _verify(running, tmp_path / "verify")
