"""A page on a Bokeh server: lines that grow, and a table."""

import itertools
import os
import statistics
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, DataTable, TableColumn
from bokeh.palettes import Category10_10
from bokeh.plotting import figure
from bokeh.server.server import Server

from tests.bench.pages import fleet
from tests.bench.pages.fleet import LINES, WINDOW_S, Readings

DEVICES: Final = int(os.environ.get("BENCH_DEVICES", "5"))
ALL_LINES: Final = 100  # as ours, up to so many devices
TICK_MS: Final = 1_000


class Window:
    """The last 100 s of each device."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.held: dict[str, deque[tuple[int, float]]] = {name: deque(maxlen=WINDOW_S) for name in fleet.names(DEVICES)}

    def take(self, readings: Readings) -> None:
        """Keep the last 100 s."""
        for name, time_ms, celsius in readings:
            self.held[name].append((time_ms, celsius))

    def row(self, name: str) -> tuple[float, float]:
        """Return a device's newest temperature and its mean of 10 s."""
        values = [celsius for _, celsius in self.held[name]]
        return values[-1], round(statistics.fmean(values[-10:]), 2)


_Window = TypeVar("_Window", bound=Window)


def plot(height_px: int) -> figure:
    """Return a chart of the last 100 s that moves on."""
    made = figure(x_axis_type="datetime", sizing_mode="stretch_width", height=height_px, output_backend="canvas")
    made.x_range.follow = "end"
    made.x_range.follow_interval = WINDOW_S * 1_000
    return made


class Lines:
    """A line for each of some devices."""

    def __init__(self, window: Window) -> None:
        """Draw what is held."""
        self._window = window
        shown = list(window.held)[: ALL_LINES if DEVICES <= ALL_LINES else LINES]
        self._sources = {name: ColumnDataSource(points(window, name, 0)) for name in shown}
        self._told = {name: window.held[name][-1][0] for name in shown}
        self.root = plot(320)
        for name, colour in zip(shown, itertools.cycle(Category10_10), strict=False):
            self.root.line("x", "y", source=self._sources[name], color=colour)

    def tick(self) -> None:
        """Tell what is new."""
        for name, source in self._sources.items():
            new = points(self._window, name, self._told[name])
            if new["x"]:
                self._told[name] = new["x"][-1]
                source.stream(new, rollover=WINDOW_S)


def page(window: Window, document: Document) -> None:
    """Lay the page out and stream to it each second."""
    lines = Lines(window)
    rows = [window.row(name) for name in window.held]
    table = ColumnDataSource({"id": list(window.held), "now": [r[0] for r in rows], "mean": [r[1] for r in rows]})
    columns = [TableColumn(field=field, title=field) for field in ("id", "now", "mean")]
    document.add_root(column(lines.root, DataTable(source=table, columns=columns), sizing_mode="stretch_width"))

    def tick() -> None:
        lines.tick()
        now = [window.row(name) for name in window.held]
        whole = slice(0, len(now))
        fleet.count_tick()
        table.patch({"now": [(whole, [r[0] for r in now])], "mean": [(whole, [r[1] for r in now])]})

    document.add_periodic_callback(tick, TICK_MS)


def points(window: Window, name: str, after_ms: int) -> dict[str, list[Any]]:
    """Return a device's readings after that time, as Bokeh's columns."""
    held = window.held[name].copy()  # another thread puts in
    new = [(time_ms, celsius) for time_ms, celsius in held if time_ms > after_ms]
    return {"x": [time_ms for time_ms, _ in new], "y": [celsius for _, celsius in new]}


def serve(window: _Window, page: Callable[[_Window, Document], None]) -> None:
    """Serve until told to stop."""
    fleet.run(DEVICES, window.take)
    port = int(os.environ["BENCH_PORT"])
    server = Server(
        {"/": Application(FunctionHandler(lambda document: page(window, document)))},
        address="127.0.0.1",
        port=port,
        allow_websocket_origin=[f"127.0.0.1:{port}"],
    )
    server.start()
    server.io_loop.start()


if __name__ == "__main__":
    serve(Window(), page)
