"""The page with the small plotly.js of `make plotly`."""

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Final

import pytest

from sensorbus.contract import messages
from sensorbus.contract.topics import SENSOR
from tests.browser.conftest import Bus, Visit, open_bus, wait_js
from tests.support.needs import need
from tests.support.parts import REPOSITORY, Part
from tests.support.topics import Record, produce

_PACKAGE: Final = REPOSITORY / "deploy" / "plotly"
_BUNDLE: Final = _PACKAGE / "node_modules" / "plotly.js-cartesian-dist-min" / "plotly-cartesian.min.js"
#: Starts the dashboard of another folder, whose assets are its own.
_START: Final = "import sys; sys.path.insert(0, {!r}); from dashboard_app.__main__ import main; main()"


@pytest.fixture(scope="module")
def partial_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    """Give a bus whose dashboard has the small plotly.js among its assets."""
    need(None if _BUNDLE.is_file() else f"{_BUNDLE.name} is missing; `make plotly` brings it")
    folder = tmp_path_factory.mktemp("partial")
    shutil.copytree(REPOSITORY / "dashboard_app", folder / "dashboard_app")
    vendor = folder / "dashboard_app" / "assets" / "vendor"
    vendor.mkdir(exist_ok=True)
    shutil.copy(_BUNDLE, vendor)

    def changed(part: Part) -> Part:
        return dataclasses.replace(part, command=[sys.executable, "-c", _START.format(str(folder))])

    with open_bus(folder, changed) as started:
        yield started


@pytest.mark.parametrize(("devices", "drawn"), [(2, "small-0"), (20, ""), (120, "median")])
def test_every_kind_of_chart_is_drawn_by_the_small_bundle(
    visit: Visit, partial_bus: Bus, devices: int, drawn: str
) -> None:
    """Lines, groups and bands; the full bundle is not asked for."""
    now_ms = time.time_ns() // 1_000_000
    readings = [(f"small-{number}", now_ms - age_ms) for age_ms in (1_000, 0) for number in range(devices)]
    values = ((name, messages.encode_reading(name, messages.iso_timestamp(ms), 20)) for name, ms in readings)
    produce(partial_bus.settings, SENSOR, (Record(messages.encode_key(name), value) for name, value in values))
    page = visit(partial_bus).context.new_page()
    paths: list[str] = []
    page.on("request", lambda request: paths.append(request.url))
    names = [f"small-{number}" for number in range(devices)]
    page.goto(partial_bus.url + (f"?devices={','.join(names)}" if devices < 120 else ""))
    shown = "document.querySelector('.js-plotly-plot')?.data?.map((one) => one.name)"
    wait_js(page, f"{shown}?.includes({json.dumps(drawn)})", "the chart")
    wait_js(page, "document.querySelectorAll('.js-plotly-plot .ytick').length > 0", "its axes")
    wait_js(page, "document.querySelector('.js-plotly-plot canvas') !== null", "its lines")
    assert any("/assets/vendor/plotly-cartesian.min.js" in path for path in paths)
    assert not any("package_data/plotly" in path for path in paths)
