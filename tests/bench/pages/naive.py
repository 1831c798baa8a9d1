"""The plain Dash page: each tick builds every card and the whole figure anew."""

import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final

import dash_bootstrap_components as dbc
import numpy as np  # noqa: F401  # Plotly takes it when it is loaded, which another thread may just be doing
import plotly.graph_objects as go
from dash import Dash, Input, Output, dcc, html

from tests.bench.pages import fleet
from tests.bench.pages.fleet import LINES, WINDOW_S, Readings

#: What Dash's renderer sends for a tick of this page.
TICK: Final = {
    "output": "..chart.figure...cards.children..",
    "outputs": [{"id": "chart", "property": "figure"}, {"id": "cards", "property": "children"}],
    "inputs": [{"id": "tick", "property": "n_intervals", "value": 1}],
    "changedPropIds": ["tick.n_intervals"],
}


class Whole:
    """The last 100 s of each device, and the app that shows them."""

    def __init__(self, names: Sequence[str]) -> None:
        """Hold nothing yet."""
        self.held: dict[str, list[tuple[int, float]]] = {name: [] for name in names}
        self.app = Dash(__name__, add_log_handler=False, serve_locally=True)
        self.app.layout = html.Div([dcc.Interval(id="tick"), dcc.Graph(id="chart"), html.Div(id="cards")])

        @self.app.callback(Output("chart", "figure"), Output("cards", "children"), Input("tick", "n_intervals"))
        def tick(_ticks: int) -> tuple[go.Figure, list[Any]]:
            return self.draw(), self._cards()

    def take(self, readings: Readings) -> None:
        """Keep the last 100 s."""
        for name, time_ms, celsius in readings:
            self.held[name].append((time_ms, celsius))
            del self.held[name][:-WINDOW_S]

    def draw(self) -> go.Figure:
        """Return the whole figure."""
        figure = go.Figure()
        for name, points in list(self.held.items())[:LINES]:
            figure.add_trace(
                go.Scatter(x=[time_ms for time_ms, _ in points], y=[celsius for _, celsius in points], name=name)
            )
        return figure

    def _cards(self) -> list[Any]:
        cards = []
        for name, points in self.held.items():
            average = statistics.fmean(celsius for _, celsius in points[-10:])
            texts = [html.H4(name), html.P(f"{points[-1][1]:.2f} °C"), html.P(f"avg 10 s {average:.2f} °C")]
            cards.append(dbc.Card(dbc.CardBody(texts)))
        return cards


def build() -> Callable[..., object]:
    """Return the server, fed with BENCH_DEVICES devices."""
    devices = int(os.environ["BENCH_DEVICES"])
    page = Whole(fleet.names(devices))
    fleet.run(devices, page.take)
    server: Callable[..., object] = page.app.server
    return server
