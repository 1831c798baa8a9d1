"""What a tick costs the server.

Our delta beside a Dash callback that sends whole figures and cards.

`python -m tests.bench.bench_tick [--ticks 30] [--devices 5 100 1000]`

Both hold the same seeded readings of the last 100 s and get a new one of each device before each tick. CPU is this
process's over the request alone, through Flask and Dash but without a socket; the writer's share, which all browsers
of a worker share, has a column of its own. The contenders take turns; the table has medians.
"""

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table

from dashboard_app.app import create_app
from sensorbus.contract.settings import Settings
from tests.bench.pages import fleet, naive
from tests.bench.pages.fleet import LINES, WINDOW_S, Readings, seconds
from tests.bench.pages.naive import Whole
from tests.bench.pages.ours import FedFeed
from tests.support.ticks import Follower, tick_body

_START_MS: Final = 1_769_860_800_000
_GZIP_LEVEL: Final = 4  # the server's
_PATH: Final = "/_dash-update-component"

_Result = TypeVar("_Result")


class Contender(Protocol):
    """A page that takes readings and answers ticks."""

    def take(self, readings: Readings) -> None:
        """Hold a second's readings."""

    def ask(self) -> bytes:
        """Answer a tick."""


class Cost(NamedTuple):
    """One tick's cost."""

    cpu_ms: float
    writer_cpu_ms: float
    answer_bytes: float
    gzip_bytes: float


class Delta:
    """Our page: a store filled as the consumer thread does it, and a browser that keeps its cursor."""

    def __init__(self, names: Sequence[str]) -> None:
        """Draw the first lines."""
        settings, self._now_ms = Settings(), _START_MS
        self._feed = FedFeed(settings, lambda: self._now_ms)
        self._client = create_app(settings, self._feed, lambda: self._now_ms).server.test_client()
        self._follower = Follower(list(names[:LINES]))
        self._last = b""

    def take(self, readings: Readings) -> None:
        """Put records into the store and let it do what it does once a second."""
        if self._last:  # the browser's part of the last tick
            self._follower.take(json.loads(json.loads(self._last)["response"]["delta"]["data"]))
        self._now_ms = max(time_ms for _, time_ms, _ in readings)
        self._feed.take(readings)

    def ask(self) -> bytes:
        """Ask for what is new."""
        self._last = _post(self._client, tick_body(self._follower.asked))
        return self._last


class Plain(Whole):
    """The plain way: each tick builds every card and the whole figure anew."""

    def ask(self) -> bytes:
        """Ask for everything."""
        return _post(self.app.server.test_client(), naive.TICK)


def main() -> None:
    """Run the contenders in turn and print the table."""
    parser = argparse.ArgumentParser(description="Server CPU and bytes per tick.")
    parser.add_argument("--ticks", type=int, default=30)
    parser.add_argument("--devices", type=int, nargs="+", default=[5, 100, 1000])
    arguments = parser.parse_args()
    table = Table("devices", "tick", "CPU ms", "bytes", "gzip", "writer CPU ms per s", title="Server cost of a tick")
    for devices in arguments.devices:
        costs = measure(devices, arguments.ticks)
        for kind, cost in costs.items():
            cells = (
                f"{cost.cpu_ms:.2f}",
                f"{cost.answer_bytes:,}",
                f"{cost.gzip_bytes:,}",
                f"{cost.writer_cpu_ms:.2f}",
            )
            table.add_row(str(devices), kind, *cells)
        ratio = costs["whole figures"].cpu_ms / costs["delta"].cpu_ms
        table.add_row("", "ratio", f"{ratio:.0f}", "", "", "", end_section=True)
    Console().print(table)


def measure(devices: int, ticks: int) -> dict[str, Cost]:
    """Return the median costs by contender."""
    names = fleet.names(devices)
    contenders: dict[str, Contender] = {"delta": Delta(names), "whole figures": Plain(names)}
    costs: dict[str, list[Cost]] = {kind: [] for kind in contenders}
    source = seconds(devices, _START_MS)
    for second in range(WINDOW_S + ticks):
        readings = next(source)
        for kind, contender in contenders.items():
            writer_ms, _ = _cpu_ms(partial(contender.take, readings))
            if second < WINDOW_S:
                if second >= WINDOW_S - 2:  # the page's first load and its roster are another matter
                    contender.ask()
                continue
            cpu_ms, answer = _cpu_ms(contender.ask)
            packed = len(gzip.compress(answer, _GZIP_LEVEL))
            costs[kind].append(Cost(cpu_ms, writer_ms, len(answer), packed))
    return {kind: Cost(*map(statistics.median, zip(*found, strict=True))) for kind, found in costs.items()}


def _cpu_ms(action: Callable[[], _Result]) -> tuple[float, _Result]:
    before_s = time.process_time()
    result = action()
    return (time.process_time() - before_s) * 1_000, result


def _post(client: FlaskClient, body: dict[str, Any]) -> bytes:
    answer = client.post(_PATH, data=json.dumps(body), content_type="application/json")
    if answer.status_code != 200:  # OK
        raise RuntimeError(answer.text)
    return bytes(answer.data)


if __name__ == "__main__":
    main()
