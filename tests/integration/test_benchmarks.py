"""The pages of the benchmarks start and have what is measured; results are equal."""

from pathlib import Path

import orjson

from tests.bench.bench_windows import differences
from tests.bench.page_servers import serving
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
    assert differences(wanted, swapped) == "2 windows, a from 0: 22.0, not 20.0; a from 1000: 20.0, not 22.0"
    another = {(b"a", 0): 20.0, (b"b", 1_000): 22.0}
    assert differences(wanted, another) == "2 windows, a from 1000: None, not 22.0; b from 1000: 22.0, not None"


def _devices(url: str) -> list[object]:
    rows: list[object] = orjson.loads(get(f"{url}api/v1/devices")[1])["devices"]
    return rows
