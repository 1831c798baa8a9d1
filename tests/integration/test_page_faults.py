"""Faults inside a worker of the page, under gunicorn as it is deployed.

Its consumer thread throws or hangs, or a tick takes seconds; everything around it is real.
"""

import logging
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from sensorbus.contract.settings import Settings
from tests.support.dashboards import Dashboard, dashboard, fed_bus, send_readings, written_readings
from tests.support.faulty_page import SLOW_S, order, who_had
from tests.support.load import Load
from tests.support.parts import part
from tests.support.small_disk import fill, small_disk
from tests.support.ticks import by_device, get
from tests.support.waiting import wait_until

BROWSERS: Final = 20
PERIOD_S: Final = 1.0
BACK_WITHIN_S: Final = 5.0
SAID_WITHIN_S: Final = 15.0
REPLACED_WITHIN_S: Final = 70.0
OTHERS_WITHIN_S: Final = 1.0
FROZEN_S: Final = 33.0
_ASKED: Final = 20  # the kernel chooses which of two workers answers
_log = logging.getLogger(__name__)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Settings]:
    """Give a bus with 200 readings of 5 devices."""
    with fed_bus(tmp_path, 200) as settings:
        yield settings


def faulty(bus: Settings, folder: Path, workers: int) -> Dashboard:
    """Return a dashboard that has faults to order."""
    page = dashboard(bus, folder, dashboard_workers=workers)
    log = folder / "dashboard.log"
    page.part = part(page.settings, log, "tests.support.faulty_page", str(folder), TMPDIR=str(folder))
    return page


def reasons(page: Dashboard) -> dict[str, str]:
    """Return all that the workers say why they are not ready."""
    return {name: why for _ in range(_ASKED) for name, why in page.ready()[1].items()}


def all_hold(page: Dashboard, count: int, newest: list[tuple[str, int, float]]) -> bool:
    """Tell whether each worker says that it holds so many readings, and whoever answers shows the topic's, in order."""
    held = re.findall(r'^sensorbus_ring_readings{pid="\d+"} (\S+)', get(f"{page.root}/metrics")[1], re.MULTILINE)
    if [float(text) for text in held] != [count] * page.settings.dashboard_workers:
        return False
    written = by_device(written_readings(page.settings))
    assert all(written[device][-len(rows) :] == rows for device, rows in by_device(newest).items())
    for _ in range(_ASKED):
        browser = page.ticker()
        browser.tick()
        assert by_device(browser.readings) == written
    return True


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.parametrize("fault", ["raise", "raise-late"])
def test_a_consumer_thread_that_throws_is_back_with_the_whole_history(
    bus: Settings, tmp_path: Path, fault: str
) -> None:
    """In 5 s, in the same worker; /readyz says so meanwhile, no tick fails, and the batch of that moment is there."""
    page = faulty(bus, tmp_path, 2)
    with page.part:
        page.wait_ready()
        workers = page.worker_pids()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            order(tmp_path, fault)
            send_readings(bus, 200, 50)
            wait_until(lambda: who_had(tmp_path, fault), 10, "the fault", page.part.log)
            started_s = time.monotonic()
            wait_until(lambda: "feed" in reasons(page), BACK_WITHIN_S, "the reason", page.part.log)
            sent = send_readings(bus, 250, 50)
            wait_until(lambda: all_hold(page, 300, sent), BACK_WITHIN_S, "the history", page.part.log)
            whole_s = time.monotonic() - started_s
            wait_until(lambda: not reasons(page), BACK_WITHIN_S, "all to be ready", page.part.log)
            ready_s = time.monotonic() - started_s
        _log.info("after %s whole in %.1f s, ready in %.1f s", fault, whole_s, ready_s)
        assert ready_s < BACK_WITHIN_S
        assert load.outcome.failures == []
        assert load.outcome.answers > BROWSERS
        assert page.worker_pids() == workers
        assert "sensorbus_feed_restarts_total 1.0" in get(f"{page.root}/metrics")[1]
    assert page.part.said().count("Traceback") == 1
    assert "reading failed, again in 1 s: ordered by the test" in page.part.said()


@pytest.mark.embedded
@pytest.mark.long
@pytest.mark.timeout(150)
def test_a_worker_whose_consumer_thread_hangs_is_replaced(bus: Settings, tmp_path: Path) -> None:
    """Named by /readyz after 10 s, replaced in 70 s; no tick fails, and another worker has the whole history."""
    page = faulty(bus, tmp_path, 2)
    with page.part:
        page.wait_ready()
        before = page.worker_pids()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            order(tmp_path, "hang")
            wait_until(lambda: who_had(tmp_path, "hang"), 5, "the fault", page.part.log)
            started_s = time.monotonic()
            wait_until(lambda: "has not polled" in reasons(page).get("poll", ""), SAID_WITHIN_S, "it", page.part.log)
            said_s = time.monotonic() - started_s
            wait_until(lambda: set(page.worker_pids()) - set(before), REPLACED_WITHIN_S, "another", page.part.log)
            replaced_s = time.monotonic() - started_s
            sent = send_readings(bus, 200, 50)
            page.wait_ready()
            wait_until(lambda: all_hold(page, 250, sent), BACK_WITHIN_S, "the history", page.part.log)
        _log.info("said after %.1f s, replaced after %.1f s; %s", said_s, replaced_s, load.outcome)
        assert replaced_s < REPLACED_WITHIN_S
        assert load.outcome.failures == []
        assert load.outcome.sent_again <= 2 * BROWSERS
        assert set(before) - set(page.worker_pids()) == {who_had(tmp_path, "hang")}
    assert "the consumer thread hangs; this worker ends so that another takes its place" in page.part.said()
    assert "Traceback" not in page.part.said()


@pytest.mark.embedded
@pytest.mark.long
@pytest.mark.timeout(150)
def test_a_page_that_is_frozen_and_goes_on_shows_each_reading_once(bus: Settings, tmp_path: Path) -> None:
    """All of it, as a machine that sleeps: 33 s, longer than gunicorn waits for a worker, while others write."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        browser.tick()
        assert page.part.process is not None
        os.killpg(page.part.process.pid, signal.SIGSTOP)
        frozen_s = time.monotonic()
        sent = send_readings(bus, 200, 50)
        wait_until(lambda: time.monotonic() - frozen_s > FROZEN_S, FROZEN_S + 5, "the night to be over")
        os.killpg(page.part.process.pid, signal.SIGCONT)
        browser.tick()  # the first question is answered too
        wait_until(lambda: all_hold(page, 250, sent), SAID_WITHIN_S, "the history", page.part.log)
        _log.info("whole %.1f s after it woke", time.monotonic() - frozen_s - FROZEN_S)
        browser.tick()
        assert by_device(browser.readings) == by_device(written_readings(bus))
        page.part.stop(within_s=5)
    assert "Traceback" not in page.part.said()


@pytest.mark.embedded
@pytest.mark.long
@pytest.mark.timeout(150)
@pytest.mark.parametrize("moved", [False, True])
def test_a_full_disk_for_temporary_files(bus: Settings, tmp_path: Path, *, moved: bool) -> None:
    """It is not where workers count; moved there by TMPDIR, one line names the folder, and with room all is well."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    others = {name: value for name, value in page.part.environment.items() if name != "TMPDIR"}
    with small_disk(tmp_path / "small", 4) as disk:
        page.part.environment = {**others, **({"TMPDIR": str(disk)} if moved else {})}
        judge_a_full_disk(page, disk, moved=moved)


def judge_a_full_disk(page: Dashboard, disk: Path, *, moved: bool) -> None:
    """Fill it and kill a worker; then make room again."""
    with page.part:
        page.wait_ready()
        before = page.worker_pids()
        (counts_in,) = set(re.findall(r"(/\S+/sensorbus-metrics-\w+)/", Path(f"/proc/{before[0]}/maps").read_text()))
        assert Path(counts_in).parent == (disk if moved else Path("/dev/shm"))  # noqa: S108  # where it must be
        ballast = fill(disk)
        os.kill(before[0], signal.SIGKILL)
        if moved:
            said = f"no room in {disk}"
            wait_until(lambda: page.part.said().count(said) > 1, SAID_WITHIN_S * 2, "the line again", page.part.log)
            ballast.unlink()
        wait_until(lambda: page.ready()[0] == 200, 30, "the page", page.part.log)
        wait_until(lambda: all_hold(page, 200, []), 30, "the whole history in both", page.part.log)
        assert ("no room" in page.part.said()) is moved
        page.part.stop(within_s=5)
    assert not Path(counts_in).exists()
    assert "Traceback" not in page.part.said()


@pytest.mark.embedded
def test_a_tick_that_takes_seconds_keeps_nobody_waiting(bus: Settings, tmp_path: Path) -> None:
    """One worker: whoever asks meanwhile, for a tick, the page or a probe, is answered within a second."""
    page = faulty(bus, tmp_path, 1)
    with page.part, ThreadPoolExecutor(1) as pool:
        page.wait_ready()
        browser = page.ticker()
        browser.tick()
        order(tmp_path, "slow")
        started_s = time.monotonic()
        slow = pool.submit(page.ticker().tick)
        wait_until(lambda: who_had(tmp_path, "slow"), 5, "the slow tick", page.part.log)
        slowest_s, asked = 0.0, 0
        while not slow.done():
            for ask in (browser.tick, page.ticker().tick, lambda: get(page.url), page.ready):
                asked_s = time.monotonic()
                ask()
                slowest_s, asked = max(slowest_s, time.monotonic() - asked_s), asked + 1
        _log.info("%d answers beside a tick of %.1f s, the slowest in %.2f s", asked, SLOW_S, slowest_s)
        assert time.monotonic() - started_s >= SLOW_S
        assert len(slow.result()["devices"]["id"]) == 5
        assert slowest_s < OTHERS_WITHIN_S
        assert asked > 4
