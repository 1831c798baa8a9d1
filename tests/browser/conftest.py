"""Browser tests: real gunicorn, real jobs, real Chromium.

Every page is watched for errors and foreign requests.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.parts import Part, part
from tests.support.ticks import get
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

ARTIFACTS: Final = Path(__file__).parents[1] / "artifacts"
_READY_WITHIN_S: Final = 20.0
#: Longer than anything takes; a busy machine may need it.
_TIMEOUT_MS: Final = 15_000
_SEEN_WITHIN_S: Final = 40.0
#: Of a live bus.
DEVICES: Final = 12


@dataclass
class Bus:
    """A bus on an embedded broker with a dashboard that answers at `url`."""

    settings: Settings
    broker: EmbeddedBroker
    dashboard: Part
    folder: Path

    @property
    def url(self) -> str:
        """Return the page's address."""
        return f"http://127.0.0.1:{self.settings.dashboard_port}/"

    def run(self, module: str, *arguments: str) -> Part:
        """Return another part of this bus, not yet started."""
        return part(self.settings, self.folder / f"{module}.log", module, *arguments)

    def wait_ready(self) -> None:
        """Wait until the dashboard answers and holds its history."""
        wait_until(lambda: get(f"{self.url}readyz")[0] == 200, _READY_WITHIN_S, "the dashboard", self.dashboard.log)


@dataclass
class Visitor:
    """One browser of one person: pages of it share nothing with another visitor's."""

    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    forgiven: list[str] = field(default_factory=list)

    def open(self, query: str = "", path: str = "") -> Page:
        """Open the page, and write down what the browser complains about and whom it asks."""
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.add(urlsplit(request.url).netloc))
        page.goto(self.url + path + query)
        return page

    def forgive(self, *words: str) -> None:
        """Take no notice of complaints that hold one of the words: the test causes them."""
        self.forgiven += words

    @property
    def faults(self) -> list[str]:
        """Return the complaints that nothing forgives."""
        return [one for one in self.complaints if not any(word in one for word in self.forgiven)]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


Visit = Callable[..., Visitor]


@contextmanager
def open_bus(folder: Path, changed: Callable[[Part], Part] = lambda part: part, **variables: str) -> Iterator[Bus]:
    """Start an embedded broker and a dashboard that looks at it; `changed` may start that in another way."""
    with EmbeddedBroker() as broker:
        settings = Settings(
            kafka_bootstrap_servers=broker.address,
            embedded_broker=True,
            state_dir=folder / "state",
            dashboard_port=_free_port(),
        )
        kafka.ensure_topics(settings, "test")
        with changed(part(settings, folder / "dashboard.log", "dashboard_app", **variables)) as dashboard:
            started = Bus(settings, broker, dashboard, folder)
            started.wait_ready()
            yield started


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    """Give a bus of the module's own on which nothing is sent yet."""
    with open_bus(tmp_path_factory.mktemp("bus")) as started:
        yield started


@pytest.fixture(scope="module")
def live_bus(bus: Bus) -> Iterator[Bus]:
    """Give a bus with simulated devices, each of which has reported twice, and all jobs."""
    with bus.run("processors", "all"), bus.run("simulator", "--devices", str(DEVICES), "--seed", "7") as simulator:
        wait_until(lambda: _reported(bus) >= 2 * DEVICES, _SEEN_WITHIN_S, "two readings of each device", simulator.log)
        yield bus


def _reported(bus: Bus) -> int:
    """Return how many readings the page's API holds, of devices that report in turn."""
    status, text = get(f"{bus.url}api/v1/readings.csv")
    return text.count("\n") - 1 if status == 200 else 0


@pytest.fixture
def visit(chromium: Browser, bus: Bus) -> Iterator[Visit]:
    """Give a function that opens a browser of its own; at the end none may have complained or asked a foreign host."""
    visitors: list[Visitor] = []
    expect.set_options(timeout=_TIMEOUT_MS)

    def new_visitor(of: Bus = bus, **options: Any) -> Visitor:
        given = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light", **options}
        context = chromium.new_context(**given)
        context.set_default_timeout(_TIMEOUT_MS)
        visitors.append(Visitor(context, of.url))
        return visitors[-1]

    yield new_visitor
    for visitor in visitors:
        visitor.context.close()
    assert [fault for visitor in visitors for fault in visitor.faults] == []
    asked = {(host, visitor.url) for visitor in visitors for host in visitor.asked if host}
    assert asked <= {(urlsplit(visitor.url).netloc, visitor.url) for visitor in visitors}


def tell(bus: Bus, device_id: str, celsius: float, ages_ms: tuple[int, ...] = (0,)) -> None:
    """Send readings of a device, as old as said."""
    now_ms = time.time_ns() // 1_000_000
    produce(
        bus.settings,
        SENSOR,
        [
            Record(
                messages.encode_key(device_id),
                messages.encode_reading(device_id, messages.iso_timestamp(now_ms - age_ms), celsius),
            )
            for age_ms in ages_ms
        ],
    )


def tell_until(bus: Bus, device_id: str, celsius: float, seen: Locator) -> None:
    """Send a reading every half second until something is seen on the page."""

    def tell_and_look() -> bool:
        tell(bus, device_id, celsius)
        seen.page.wait_for_timeout(500)
        return seen.is_visible()

    wait_until(tell_and_look, _SEEN_WITHIN_S, f"{device_id} on the page", bus.dashboard.log)


def wait_js(page: Page, expression: str, describe: str, timeout_s: float = 15.0) -> None:
    """Wait until an expression is true in the page; Playwright's own way would need `unsafe-eval`."""
    wait_until(lambda: page.evaluate(expression), timeout_s, describe)


def keep(page: Page, name: str) -> None:
    """Keep a screenshot of the page for people to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
