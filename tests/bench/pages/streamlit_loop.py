"""The page of tutorials: a Streamlit loop that writes everything anew."""

import os
import statistics
import time
from collections import deque
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from tests.bench.pages import fleet
from tests.bench.pages.fleet import LINES, WINDOW_S, Readings

DEVICES = int(os.environ["BENCH_DEVICES"])
_COLUMNS = 5


def _fed_window() -> Mapping[str, deque[tuple[int, float]]]:
    """Return the last 100 s of each device, one for all sessions."""
    window: dict[str, deque[tuple[int, float]]] = {name: deque(maxlen=WINDOW_S) for name in fleet.names(DEVICES)}

    def take(readings: Readings) -> None:
        for name, time_ms, celsius in readings:
            window[name].append((time_ms, celsius))

    fleet.run(DEVICES, take)
    return window


def _draw(window: Mapping[str, deque[tuple[int, float]]]) -> None:
    columns = st.columns(_COLUMNS)
    for number, (name, points) in enumerate(window.items()):
        values = [celsius for _, celsius in points]
        average = statistics.fmean(values[-10:])
        columns[number % _COLUMNS].metric(
            name, f"{values[-1]:.2f} °C", f"{values[-1] - values[-2]:+.2f}", help=f"avg 10 s {average:.2f} °C"
        )
    shown = list(window)[:LINES]
    st.line_chart(pd.DataFrame({name: [celsius for _, celsius in window[name]] for name in shown}))


st.title("Temperatures")
window = st.cache_resource(_fed_window)()
place = st.empty()
while True:
    with place.container():
        _draw(window)
    fleet.count_tick()
    time.sleep(1)
