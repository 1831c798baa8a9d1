"""The states of the page, each brought about for a picture.

Every scene is a bus of its own; what it shows is in the names of the pictures.
"""

import base64
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page
from werkzeug.security import generate_password_hash

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.oidc_provider import Provider
from tests.support.parts import part
from tests.support.topics import Record, produce

HISTORY_S: Final = 105
_SETTLED_MS: Final = 2_500
_SAID_MS: Final = 60_000
_OFFLINE_AFTER_S: Final = 12  # ten periods of a reading, and a tick
_WRONG_PASSWORDS: Final = 8  # more than are looked at
_FLEET: Final = 1_500
_DESK: Final[Any] = {"width": 1280, "height": 900}
_LOOKS: Final[dict[str, Any]] = {
    "light": {"viewport": _DESK, "color_scheme": "light"},
    "dark": {"viewport": _DESK, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 780}, "has_touch": True, "is_mobile": True},
}
_TOP: Final[Any] = {"x": 0, "y": 0, "width": 360, "height": 1_400}
_CHOSEN: Final = ",".join(f"device-{number:04d}" for number in range(1, 121))
Pages = list[tuple[str, Page]]
Prepare = Callable[[Page], object]


@dataclass
class Bus:
    """A bus whose page answers at `url`."""

    url: str
    broker: EmbeddedBroker
    page: Dashboard


@dataclass
class Camera:
    """Takes pictures into a folder."""

    browser: Browser
    folder: Path

    def shoot(self, state: str, url: str, prepare: Prepare | None = None) -> None:
        """Open an address in each look, do what is to be done there, and take its picture."""
        for look in _LOOKS:
            page = self.opened(url, look)
            if prepare:
                prepare(page)
                page.wait_for_timeout(500)
            self.take(state, [(look, page)])

    def pages(self, url: str) -> Pages:
        """Open an address in each look."""
        return [(look, self.opened(url, look)) for look in _LOOKS]

    def opened(self, url: str, look: str) -> Page:
        """Open an address."""
        page = self.browser.new_context(**_LOOKS[look]).new_page()
        page.goto(url)
        page.wait_for_timeout(_SETTLED_MS)
        if page.locator("#figure:visible").count():  # a busy machine takes longer to draw it
            page.locator(".drawn-lines").wait_for(timeout=_SAID_MS)
        return page

    def take(self, state: str, pages: Pages, *, then_close: bool = True) -> None:
        """Take pictures of pages as they are."""
        for look, page in pages:
            path = self.folder / f"{state}-{look}.png"
            # The image of a whole page would be that of 1,000 cards; one with a dialog is what is in view.
            is_tall = look == "phone" and not page.locator("dialog[open]").count()
            page.screenshot(path=path, full_page=is_tall, clip=_TOP if is_tall else None)
            if then_close:
                page.context.close()


@contextmanager
def bus_of(devices: int) -> Iterator[Bus]:
    """Run a bus with all jobs and so many simulated devices."""
    with tempfile.TemporaryDirectory() as name, EmbeddedBroker() as broker:
        folder = Path(name)
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=folder / "state")
        kafka.ensure_topics(settings, "pictures")
        page = dashboard(settings, folder)
        jobs = part(settings, folder / "jobs.log", "processors", "all")
        simulator = part(settings, folder / "simulator.log", "simulator", "--devices", str(devices or 1), "--seed", "7")
        with page.part, jobs:
            page.wait_ready()
            with simulator if devices else nullcontext():
                yield Bus(page.url, broker, page)


def _empty(camera: Camera) -> None:
    """Take nothing yet: before the first tick, without JavaScript, on an empty bus."""
    with bus_of(0) as bus:
        camera.shoot("empty", bus.url)
        camera.shoot("loading", bus.url, _without_an_answer)
        camera.shoot("device-unknown", f"{bus.url}device/nope")
        context = camera.browser.new_context(java_script_enabled=False, viewport=_DESK)
        page = context.new_page()
        page.goto(bus.url)
        camera.take("no-script", [("light", page)])


def _without_an_answer(page: Page) -> None:
    page.route(re.compile("/_dash-update-component"), lambda _: None)  # asked, and never answered
    page.reload()
    page.wait_for_timeout(_SETTLED_MS)


def _few(camera: Camera) -> None:
    """Take five devices: live, as the visitor changes it, paused, and cut off."""
    with bus_of(5) as bus:
        time.sleep(HISTORY_S)
        for state, (address, prepare) in _OF_FEW.items():
            camera.shoot(state, bus.url + address, prepare)
        pages = camera.pages(bus.url)
        for _, page in pages:
            page.route("**/*", lambda route: route.fulfill(status=401))
        _take_when(camera, "signed-out", pages, "Signed out")
        for _, page in pages:
            page.unroute_all()
            page.context.set_offline(True)
        _take_when(camera, "browser-offline", pages, "This browser is offline")
        for look, page in pages:
            page.context.set_offline(False)
            page.locator(".banner-back").wait_for(timeout=_SAID_MS)
            camera.take("back", [(look, page)], then_close=False)
        bus.page.part.stop()
        _take_when(camera, "dashboard-gone", pages, "Connection to the dashboard lost")
        time.sleep(_OFFLINE_AFTER_S)
        camera.take("dashboard-long-gone", pages)


def _press(selector: str) -> Prepare:
    return lambda page: page.locator(selector).click()


def _export_nothing(page: Page) -> None:
    page.locator("#export").click()


def _zoom(page: Page) -> None:
    page.locator("#figure").focus()
    page.keyboard.press("+")


#: State of a page of few devices: what its address says, what is done there.
_OF_FEW: Final[dict[str, tuple[str, Prepare | None]]] = {
    "live": ("", None),
    "two": ("?devices=device-0001,device-0002", None),
    "none": ("?devices=", _export_nothing),
    "unknown": ("?devices=nope", None),
    "unknown-too": ("?devices=nope,device-0001", None),
    "device": ("device/device-0003", None),
    "other-units": ("?unit=F&zone=utc&sort=hottest&window=900", None),
    "filter": ("", _press("#filter-button")),
    "table": ("", _press("#table")),
    "help": ("", lambda page: page.keyboard.press("?")),
    "zoomed": ("", _zoom),
    "paused": ("?paused=1", None),
    "kiosk": ("?kiosk=1", None),
    "kiosk-device": ("device/device-0003?kiosk=1", None),
}


def _take_when(camera: Camera, state: str, pages: Pages, said: str) -> None:
    """Take what is seen once a page says so; the pages stay open."""
    for _, page in pages:
        page.get_by_text(said).first.wait_for(timeout=_SAID_MS)
        page.wait_for_timeout(500)
    camera.take(state, pages, then_close=False)


def _states(camera: Camera) -> None:
    """Take a device in each state; then Kafka gone."""
    with bus_of(0) as bus:
        address = f"{bus.url}?devices=cold,hot,silent,gone"
        pages = camera.pages(address)
        device = camera.pages(f"{bus.url}device/gone")
        for name, celsius, silent_s in (("cold", 20, 0), ("hot", 35, 0), ("silent", 20, 5), ("gone", 20, 20)):
            _tell(bus, name, celsius, range(silent_s, 60))
        for _ in range(_OFFLINE_AFTER_S - 7):
            _tell(bus, "cold", 20.4, range(1))
            _tell(bus, "hot", 36, range(1))
            time.sleep(1)
        camera.take("states", pages, then_close=False)
        for _, page in device:
            page.locator("#device .state[data-state=OFFLINE]").wait_for(timeout=_SAID_MS)
        camera.take("device-offline", device)
        bus.broker.__exit__(None, None, None)
        _take_when(camera, "kafka-gone", pages, "cannot be reached")
        camera.shoot("kafka-gone-opened", bus.url)
        for _, page in pages:
            page.context.close()


def _tell(bus: Bus, device_id: str, celsius: float, ages_s: range) -> None:
    now_ms = time.time_ns() // 1_000_000
    values = (
        messages.encode_reading(device_id, messages.iso_timestamp(now_ms - age_s * 1_000), celsius + age_s % 7 / 10)
        for age_s in reversed(ages_s)
    )
    produce(bus.page.settings, SENSOR, [Record(messages.encode_key(device_id), value) for value in values])


def _many(camera: Camera) -> None:
    """Take twenty devices, as on the README's pictures."""
    with bus_of(20) as bus:
        time.sleep(HISTORY_S)
        camera.shoot("twenty", bus.url)


def _fleet(camera: Camera) -> None:
    """Take a large one: all of it, 120 chosen ones, the filter, far down."""
    with bus_of(_FLEET) as bus:
        time.sleep(HISTORY_S)
        camera.shoot("fleet", bus.url)
        camera.shoot("fleet-chosen", f"{bus.url}?devices={_CHOSEN}")
        camera.shoot("fleet-some", f"{bus.url}?devices={_CHOSEN[: 40 * 12 - 1]}")
        camera.shoot("fleet-filter", bus.url, _press("#filter-button"))
        camera.shoot("fleet-table", bus.url, _press("#table"))
        pages = camera.pages(bus.url)
        for look, page in pages:
            page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)")
            page.wait_for_timeout(_SETTLED_MS)
            page.screenshot(path=camera.folder / f"fleet-scrolled-{look}.png")
            page.context.close()


def _sign_in(camera: Camera) -> None:
    """Take the pages around a sign-in: account, refused, nobody can, and too many wrong passwords."""
    with tempfile.TemporaryDirectory() as name, Provider({"preferred_username": "ann"}) as provider:
        folder = Path(name)
        with fed_bus(folder, 50) as settings:
            page = dashboard(settings, folder, **provider.of_a_page())
            with page.part:
                page.wait_listening()
                camera.shoot("no-role", page.url)
                provider.claims["roles"] = ["sensorbus-operator"]
                camera.shoot("account", page.url, lambda tab: tab.goto(f"{page.url}account"))
                camera.shoot("with-account", page.url)
            _wrong_passwords(camera, settings, folder)


def _wrong_passwords(camera: Camera, settings: Settings, folder: Path) -> None:
    users = folder / "users"
    users.write_text(f"ann:viewer:{generate_password_hash('right')}\n")
    page = dashboard(settings, folder, dashboard_sign_in="basic", dashboard_users_file=users)
    with page.part:
        page.wait_listening()
        for look, options in _LOOKS.items():
            wrong = {"Authorization": f"Basic {base64.b64encode(b'ann:wrong').decode()}"}
            context = camera.browser.new_context(**options, extra_http_headers=wrong)
            for _ in range(_WRONG_PASSWORDS):  # and once more when the wait of the looks before is over
                context.request.get(page.url)
            tab = context.new_page()
            tab.set_content(context.request.get(page.url, headers={"Accept": "text/html"}).text())
            camera.take("too-many", [(look, tab)])


#: Name of a bus: what takes its pictures.
SCENES: Final[dict[str, Callable[[Camera], None]]] = {
    "empty": _empty,
    "few": _few,
    "states": _states,
    "many": _many,
    "fleet": _fleet,
    "sign-in": _sign_in,
}
