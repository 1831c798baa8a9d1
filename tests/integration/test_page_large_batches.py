"""A batch that is decompressed to gigabytes stops the page for one start only.

A worker that takes more memory than a container of its would have is killed here as the system does it.
"""

import os
import signal
from pathlib import Path
from typing import Final

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.dashboards import dashboard, send_readings
from tests.support.memory_bound import Bounded
from tests.support.raw_records import batch, produce_batch, zeros_in_gzip
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(300)]

_READINGS: Final = 200
_BOMB_BYTES: Final = 1_000_000_000
_BACK_WITHIN_S: Final = 60.0


@pytest.mark.slow
def test_the_page_begins_behind_a_batch_of_gigabytes(real_settings: Settings, tmp_path: Path) -> None:
    """With readings around it: the worker is killed once or twice, and the page shows what stands behind."""
    bomb = batch(zeros_in_gzip(_BOMB_BYTES), attributes=1)
    send_readings(real_settings, 0, _READINGS)
    produce_batch(real_settings.bootstrap_servers, real_settings.topic_name(SENSOR), bomb)
    behind = send_readings(real_settings, _READINGS, _READINGS)
    page = dashboard(real_settings, tmp_path)

    def running() -> dict[str, int]:
        return {str(pid): pid for pid in page.worker_pids()}

    def kill(pid: str) -> None:
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: pid not in running(), 10, "the worker's end")

    with page.part, Bounded(running, kill) as bounded:
        page.wait_ready(_BACK_WITHIN_S)
        browser = page.ticker()
        browser.tick()
        page.part.stop()
    assert 1 <= len(bounded.killed) <= 2, "memory was not short, or it did not help"
    assert set(behind) <= set(browser.readings)
    said = page.part.said()
    assert said.count("is left out, for it is too large without its compression") == 1, said
