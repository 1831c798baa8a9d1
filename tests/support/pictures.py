"""Takes pictures of the page, for the README and for who changed its look.

`python -m tests.support.pictures docs/images` takes the README's two after 100 s of a bus with 20 devices;
`--every FOLDER` takes the page's states instead, each light, dark and on a phone of 360 px.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka
from tests.support.browser import chromium
from tests.support.dashboards import dashboard
from tests.support.parts import part

_HISTORY_S: Final = 105
_SETTLED_MS: Final = 2_500
_DESK: Final = {"width": 1280, "height": 900}
_LOOKS: Final[dict[str, Any]] = {
    "light": {"viewport": _DESK, "color_scheme": "light"},
    "dark": {"viewport": _DESK, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True},
}
_TOP: Final[Any] = {"x": 0, "y": 0, "width": 360, "height": 1_400}
#: State: (what the address says, the button that is pressed).
_LIVE_STATES: Final = {
    "live": ("", None),
    "some": ("?devices=device-0001,device-0002,device-0003,device-0004,device-0009,device-0016", None),
    "none": ("?devices=", None),
    "device": ("device/device-0007", None),
    "filter": ("", "#filter-button"),
    "table": ("?devices=device-0001,device-0002", "#table"),
    "paused": ("?paused=1", None),
    "kiosk": ("?kiosk=1", None),
}


def main() -> None:
    """Take what is asked for."""
    parser = argparse.ArgumentParser(description="Take pictures of the page.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", action="store_true", help="of every state, not only the README's two")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        if arguments.every:
            _take_every(browser, arguments.folder)
            return
        with _bus(20) as (url, _):
            time.sleep(_HISTORY_S)
            for look in ("light", "dark"):
                page = _opened(browser, url, look)
                page.screenshot(path=arguments.folder / f"page-{look}.png")
                page.context.close()


def _take_every(browser: Browser, folder: Path) -> None:
    with _bus(20) as (url, broker):
        time.sleep(_HISTORY_S)
        for state, (address, pressed) in _LIVE_STATES.items():
            _take_looks(browser, url + address, folder, state, pressed)
        pages = {look: _opened(browser, url, look) for look in _LOOKS}
        for look, page in pages.items():
            page.route("**/*", lambda route: route.fulfill(status=401))
            page.get_by_role("alert").wait_for()
            page.screenshot(path=folder / f"signed-out-{look}.png")
            page.unroute_all()
        broker.__exit__(None, None, None)
        for look, page in pages.items():
            page.get_by_text("cannot be reached").first.wait_for(timeout=60_000)
            page.screenshot(path=folder / f"kafka-gone-{look}.png")
            page.context.close()
    with _bus(0) as (url, _):
        _take_looks(browser, url, folder, "empty")
    with _bus(1_000) as (url, _):
        time.sleep(_HISTORY_S)
        _take_looks(browser, url, folder, "fleet")


@contextmanager
def _bus(devices: int) -> Iterator[tuple[str, EmbeddedBroker]]:
    """Run a bus with all jobs; give the page's address and the broker."""
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker() as broker:
        folder = Path(name)
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=folder / "state")
        kafka.ensure_topics(settings, "pictures")
        page = dashboard(settings, folder)
        jobs = part(settings, folder / "jobs.log", "processors", "all")
        simulator = part(settings, folder / "simulator.log", "simulator", "--devices", str(devices or 1), "--seed", "7")
        with page.part, jobs:
            page.wait_ready()
            if not devices:
                yield page.url, broker
                return
            with simulator:
                yield page.url, broker


def _take_looks(browser: Browser, url: str, folder: Path, state: str, pressed: str | None = None) -> None:
    for look in _LOOKS:
        page = _opened(browser, url, look)
        if pressed:
            page.locator(pressed).click()
            page.wait_for_timeout(500)
        page.screenshot(
            path=folder / f"{state}-{look}.png", full_page=look == "phone", clip=_TOP if look == "phone" else None
        )
        page.context.close()


def _opened(browser: Browser, url: str, look: str) -> Page:
    page = browser.new_context(**_LOOKS[look]).new_page()
    page.goto(url)
    page.wait_for_timeout(_SETTLED_MS)
    return page


if __name__ == "__main__":
    main()
