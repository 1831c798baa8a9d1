"""A page on a Bokeh server that shows what ours does.

Fleet row, chart with bands, alerts, and a table in place of the cards.
"""

import statistics
import time
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, DataTable, Div, LayoutDOM, Span, TableColumn
from bokeh.palettes import Category10_10

from tests.bench.pages import bokeh_page, fleet
from tests.bench.pages.bokeh_page import DEVICES, TICK_MS
from tests.bench.pages.fleet import WINDOW_S, Readings

_ALARM_CELSIUS: Final = 29.85
_HOTTEST: Final = 5
_EPISODES: Final = 50
_COUNTED: Final = 5
_BANDS: Final = ("min", "p10", "median", "p90", "max")
_DEVICE_COLUMNS: Final = ("state", "now", "change", "mean", "alerts")
_EPISODE_COLUMNS: Final = ("id", "start", "lasted", "peak", "end")


class Episode(NamedTuple):
    """Readings above the threshold, one after the other."""

    id: str
    start_ms: int
    end_ms: int
    peak: float


class Whole(bokeh_page.Window):
    """The last 100 s of each device, the fleet's bands of each second, and the newest alerts."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        super().__init__()
        self.seconds: deque[dict[str, Any]] = deque(maxlen=WINDOW_S)
        self._next_ms = 0
        self.open: dict[str, Episode] = {}
        self.ended: deque[Episode] = deque(maxlen=_EPISODES)

    def take(self, readings: Readings) -> None:
        """Keep the last 100 s, and note the bands of each second, and where alerts begin and end."""
        super().take(readings)
        newest_ms = max((time_ms for _, time_ms, _ in readings), default=0)
        if newest_ms >= self._next_ms and all(self.held.values()):
            self._next_ms = newest_ms + 1_000
            self.seconds.append(self._bands(newest_ms))
        for name, time_ms, celsius in readings:
            known = self.open.pop(name, None)
            if celsius > _ALARM_CELSIUS:
                self.open[name] = Episode(
                    name, known.start_ms if known else time_ms, time_ms, max(celsius, known.peak if known else 0)
                )
            elif known:
                self.ended.append(known)

    def _bands(self, time_ms: int) -> dict[str, Any]:
        values = self.newest()
        bands = np.percentile(values, (0, 10, 50, 90, 100)).tolist()
        number = sum(value > _ALARM_CELSIUS for value in values)
        return {"x": time_ms, "number": number, **dict(zip(_BANDS, bands, strict=True))}

    def newest(self) -> list[float]:
        """Return each device's newest temperature."""
        return [held[-1][1] for held in self.held.values()]

    def devices(self) -> dict[str, list[Any]]:
        """Return the columns of the table of devices."""
        columns: dict[str, list[Any]] = {name: [] for name in _DEVICE_COLUMNS}
        for held in self.held.values():
            values = [celsius for _, celsius in held.copy()]  # another thread puts in
            texts = (
                "HIGH" if values[-1] > _ALARM_CELSIUS else "OK",
                f"{values[-1]:.1f} °C",
                f"{values[-1] - values[-2]:+.1f}",
                f"{statistics.fmean(values[-10:]):.1f} °C",
                sum(value > _ALARM_CELSIUS for value in values[-_COUNTED:]),
            )
            for name, text in zip(_DEVICE_COLUMNS, texts, strict=True):
                columns[name].append(text)
        return columns

    def episodes(self) -> dict[str, list[Any]]:
        """Return the columns of the table of alerts, the newest first."""
        newest = sorted([*self.ended, *self.open.values()], key=lambda one: one.start_ms, reverse=True)[:_EPISODES]
        rows = [
            (
                one.id,
                _clock(one.start_ms),
                f"{(one.end_ms - one.start_ms) // 1_000 + 1} s",
                f"{one.peak:.1f} °C",
                "now" if one.id in self.open else _clock(one.end_ms),
            )
            for one in newest
        ]
        return {name: [values[at] for values in rows] for at, name in enumerate(_EPISODE_COLUMNS)}

    def summary(self) -> str:
        """Return the row above the chart."""
        values = self.newest()
        hottest = max(self.held, key=lambda name: self.held[name][-1][1])
        high = sum(value > _ALARM_CELSIUS for value in values)
        mean = statistics.fmean(values)
        return (
            f"<b>{len(values) - high}</b> OK <b>{high}</b> HIGH | average now <b>{mean:.1f} °C</b> | "
            f"hottest <b>{max(values):.1f} °C</b> {hottest} | <b>{len(values)}/s</b>"
        )


def _clock(time_ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time_ms / 1_000))


class Chart:
    """The fleet's bands with the hottest devices' lines, and below how many are in alert."""

    def __init__(self, window: Whole) -> None:
        """Draw what is held."""
        self._window = window
        self._bands = ColumnDataSource(self._new(0))
        self._told_ms = window.seconds[-1]["x"]
        self._lines = [ColumnDataSource({"x": [], "y": []}) for _ in range(_HOTTEST)]
        self._shown: list[str] = [""] * _HOTTEST
        above = bokeh_page.plot(250)
        above.varea("x", "min", "max", source=self._bands, fill_alpha=0.1)
        above.varea("x", "p10", "p90", source=self._bands, fill_alpha=0.2)
        for name in ("min", "median", "max"):
            above.line("x", name, source=self._bands)
        for source, colour in zip(self._lines, Category10_10, strict=False):
            above.line("x", "y", source=source, color=colour)
        above.add_layout(Span(location=_ALARM_CELSIUS, dimension="width", line_dash="dashed"))
        below = bokeh_page.plot(90)
        below.x_range = above.x_range
        below.vbar("x", top="number", width=800, source=self._bands)
        self.root = column(above, below, sizing_mode="stretch_width")

    def tick(self) -> None:
        """Tell what is new."""
        self._bands.stream(new := self._new(self._told_ms), rollover=WINDOW_S)
        self._told_ms = max([self._told_ms, *new["x"]])
        held = self._window.held
        hottest = sorted(held, key=lambda name: held[name][-1][1] + (name in self._shown) / 2)[-_HOTTEST:]
        free = [name for name in hottest if name not in self._shown]
        for at, (source, name) in enumerate(zip(self._lines, self._shown, strict=True)):
            if name in hottest:
                source.stream(bokeh_page.points(self._window, name, source.data["x"][-1]), rollover=WINDOW_S)
            else:
                self._shown[at] = free.pop()
                source.data = bokeh_page.points(self._window, self._shown[at], 0)

    def _new(self, after_ms: int) -> dict[str, list[Any]]:
        seconds = [second for second in self._window.seconds.copy() if second["x"] > after_ms]
        return {name: [second[name] for second in seconds] for name in ("x", "number", *_BANDS)}


def page(window: Whole, document: Document) -> None:
    """Lay the page out and tell it what is new each second."""
    summary = Div(text=window.summary())
    chart: Chart | bokeh_page.Lines = Chart(window) if DEVICES > bokeh_page.ALL_LINES else bokeh_page.Lines(window)
    alerts = ColumnDataSource(window.episodes())
    devices = ColumnDataSource({"id": list(window.held), **window.devices()})

    def table(source: ColumnDataSource, **options: Any) -> LayoutDOM:
        columns = [TableColumn(field=name, title=name) for name in source.data]
        return DataTable(source=source, columns=columns, **options)

    def tick() -> None:
        fleet.count_tick()
        summary.text = window.summary()
        chart.tick()
        alerts.data = window.episodes()
        whole = slice(0, len(window.held))
        devices.patch({name: [(whole, values)] for name, values in window.devices().items()})

    beside = row(chart.root, table(alerts, width=360, height=400), sizing_mode="stretch_width")
    below = table(devices, sizing_mode="stretch_width")
    document.add_root(column(summary, beside, below, sizing_mode="stretch_width"))
    document.add_periodic_callback(tick, TICK_MS)


if __name__ == "__main__":
    bokeh_page.serve(Whole(), page)
