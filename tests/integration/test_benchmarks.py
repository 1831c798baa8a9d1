"""The pages of the benchmarks start and have what is measured; results are equal."""

import os
import subprocess
import sys
from pathlib import Path

import orjson

from sensorbus.contract.topics import SENSOR
from tests.bench.bench_windows import Stream, alerts_of, differences, records_of
from tests.bench.page_servers import serving
from tests.support.parts import REPOSITORY
from tests.support.ticks import get
from tests.support.waiting import wait_until


def test_our_page_has_the_devices_that_are_measured(tmp_path: Path) -> None:
    """Behind gunicorn, fed from the worker's start."""
    with serving("ours", 5, tmp_path) as server:
        wait_until(lambda: len(_devices(server.url)) == 5, 10, "the fleet")


def test_the_plain_page_starts(tmp_path: Path) -> None:
    """The one that ours is measured against."""
    with serving("naive Dash", 5, tmp_path) as server:
        assert get(f"{server.url}_dash-layout")[0] == 200


def test_contenders_are_compared_window_by_window() -> None:
    """Two errors that cancel each other out are found, and a window for another; a rounding is no difference."""
    wanted = {(b"a", 0): 20.0, (b"a", 1_000): 22.0}
    assert differences(wanted, {(b"a", 1_000): 22.000001, (b"a", 0): 20.0}) == ""
    swapped = {(b"a", 0): 22.0, (b"a", 1_000): 20.0}
    assert differences(wanted, swapped) == "2 results, a from 0: 22.0, not 20.0; a from 1000: 20.0, not 22.0"
    another = {(b"a", 0): 20.0, (b"b", 1_000): 22.0}
    assert differences(wanted, another) == "2 results, a from 1000: None, not 22.0; b from 1000: 22.0, not None"


def test_a_share_of_the_stream_is_hot() -> None:
    """None, a share or all; whatever it is, the others are the same, so contenders without alerts stay comparable."""
    cold, warm, storm = (Stream(2_000, hot) for hot in (0.0, 0.05, 1.0))
    assert alerts_of(cold) == {}
    assert 50 < len(alerts_of(warm)) < 150
    assert len(alerts_of(storm)) == 2_000
    pairs = list(zip(records_of(cold, SENSOR), records_of(warm, SENSOR), strict=True))
    assert sum(one != other for one, other in pairs) == len(alerts_of(warm))


def test_the_alert_job_is_measured_against_quix_that_does_nothing() -> None:
    """One table has both with the ratio that is wanted, and the job's alerts are those that the stream leads to."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.bench_windows", "--only=alert:", "--readings=4000", "--rounds=1"],
        cwd=REPOSITORY,
        env=os.environ | {"COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, "other results" in done.stdout) == (0, False), done.stdout + done.stderr
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "alert:" in line]
    assert [(cells_[0], cells_[-1]) for cells_ in cells] == [
        ("alert: ours", f"{len(alerts_of(Stream(4_000)))}"),
        ("alert: Quix doing nothing", "0"),
    ]
    ours, nothing = (float(cells_[1]) for cells_ in cells)
    assert abs(float(cells[1][3]) - ours / nothing) < 0.02


def _devices(url: str) -> list[object]:
    rows: list[object] = orjson.loads(get(f"{url}api/v1/devices")[1])["devices"]
    return rows
