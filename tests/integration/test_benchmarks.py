"""The pages of the benchmarks start, and have what is measured."""

from pathlib import Path

import orjson

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


def _devices(url: str) -> list[object]:
    rows: list[object] = orjson.loads(get(f"{url}api/v1/devices")[1])["devices"]
    return rows
