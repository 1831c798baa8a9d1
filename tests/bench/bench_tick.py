"""What a tick costs the server: our delta beside a Dash callback that sends whole figures and cards.

`python -m tests.bench.bench_tick [--ticks 30] [--devices 5 100 1000]`

Both hold the same seeded readings of the last 100 s and get a new one of each device before each tick. CPU is this
process's over the request alone, through Flask and Dash but without a socket; the writer's share, which all browsers
of a worker share, has a column of its own. The contenders take turns; the table has medians.
"""

import argparse
import gzip
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import dash_bootstrap_components as dbc
import plotly.graph_objects as go
from dash import Dash, Input, Output, dcc, html
from flask.testing import FlaskClient
from rich.console import Console
from rich.table import Table

from dashboard_app.app import create_app
from dashboard_app.feed import Feed
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.ring import Records, encode
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.ticks import tick_body

WINDOW_S: Final = 100
LINES: Final = 10  # what a chart shows one by one
_START_MS: Final = 1_769_860_800_000
_GZIP_LEVEL: Final = 4  # the server's
_PATH: Final = "/_dash-update-component"

_Result = TypeVar("_Result")

#: A second of the fleet: (device, event time in ms, °C).
Readings = Sequence[tuple[str, int, float]]


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
        self._settings = Settings()
        self._feed = _StillFeed(self._settings)
        self._feed.store.clear("bench")
        for topic in CURSOR_TOPICS:
            self._feed.store.begin(topic, 0, 0)
        self._offset, self._now_ms = 0, _START_MS
        self._client = create_app(self._settings, self._feed, lambda: self._now_ms).server.test_client()
        self._asked: dict[str, Any] = {"cursor": None, "detail": list(names[:LINES]), "history": []}
        self._last = b""

    def take(self, readings: Readings) -> None:
        """Put records into the store and let it do what it does once a second."""
        if self._last:  # the browser's part of the last tick
            told = json.loads(json.loads(self._last)["response"]["delta"]["data"])
            self._asked["cursor"] = told["cursor"]
            if told["roster"]:
                self._asked["roster"] = told["roster"][0]
        count = len(readings)
        offsets = list(range(self._offset, self._offset + count))
        self._offset, self._now_ms = self._offset + count, max(time_ms for _, time_ms, _ in readings)
        times_ms, fragments = [time_ms for _, time_ms, _ in readings], [encode(reading) for reading in readings]
        columns = ([0] * count, offsets, times_ms, [r[0] for r in readings], times_ms, [r[2] for r in readings])
        self._feed.store.append(SENSOR.name, Records(*columns, fragments))
        self._feed.store.drop_old(self._now_ms)
        self._feed.store.settle()
        self._feed.overview.update(self._now_ms)

    def ask(self) -> bytes:
        """Ask for what is new."""
        self._last = _post(self._client, tick_body(self._asked))
        return self._last


class Whole:
    """The plain way: each tick builds every card and the whole figure anew."""

    def __init__(self, names: Sequence[str]) -> None:
        """Hold the window of each device."""
        self._held: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        app = Dash(__name__, compress=False, add_log_handler=False)
        app.layout = html.Div([dcc.Interval(id="tick"), dcc.Graph(id="chart"), html.Div(id="cards")])

        @app.callback(Output("chart", "figure"), Output("cards", "children"), Input("tick", "n_intervals"))
        def tick(_ticks: int) -> tuple[go.Figure, list[Any]]:
            return self._figure(), self._cards()

        self._client = app.server.test_client()

    def take(self, readings: Readings) -> None:
        """Keep the last 100 s."""
        for name, time_ms, celsius in readings:
            self._held[name].append((time_ms, celsius))
            del self._held[name][:-WINDOW_S]

    def ask(self) -> bytes:
        """Ask for everything."""
        body = {
            "output": "..chart.figure...cards.children..",
            "outputs": [{"id": "chart", "property": "figure"}, {"id": "cards", "property": "children"}],
            "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
            "changedPropIds": ["tick.n_intervals"],
        }
        return _post(self._client, body)

    def _figure(self) -> go.Figure:
        figure = go.Figure()
        for name, points in list(self._held.items())[:LINES]:
            figure.add_trace(
                go.Scatter(x=[time_ms for time_ms, _ in points], y=[celsius for _, celsius in points], name=name)
            )
        return figure

    def _cards(self) -> list[Any]:
        cards = []
        for name, points in self._held.items():
            average = statistics.fmean(celsius for _, celsius in points[-10:])
            texts = [html.H4(name), html.P(f"{points[-1][1]:.2f} °C"), html.P(f"avg 10 s {average:.2f} °C")]
            cards.append(dbc.Card(dbc.CardBody(texts)))
        return cards


class _StillFeed(Feed):
    def start(self) -> None:
        """Ask no Kafka."""


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
    names = [f"device-{number:04d}" for number in range(devices)]
    contenders: dict[str, Contender] = {"delta": Delta(names), "whole figures": Whole(names)}
    costs: dict[str, list[Cost]] = {kind: [] for kind in contenders}
    generator = random.Random(7)  # noqa: S311  # readings, not secrets
    for second in range(WINDOW_S + ticks):
        at_ms = _START_MS + 1_000 * second
        # Each device has its own place in the second, as real ones do: equal times would compress to nothing.
        readings = [
            (name, at_ms + 37 * number % 997, round(generator.gauss(25, 3), 2)) for number, name in enumerate(names)
        ]
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
