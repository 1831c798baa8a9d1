"""Puts the page together: store, feed, Dash, guard.

Starts no thread: gunicorn's workers do that after the fork (gunicorn_conf.py).
"""

from pathlib import Path
from typing import Final, NamedTuple

from dash import Dash
from flask import Flask
from flask_compress import Compress

from dashboard_app import callbacks, clientside, guard, layout, ops
from dashboard_app.delta import TOPICS, Answers
from dashboard_app.feed import Feed
from dashboard_app.store import Store
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime.clock import ClockMs, wall_clock_ms

_RESULT_ROWS: Final = 500_000


class Page(NamedTuple):
    """The parts that live as long as the worker."""

    server: Flask
    feed: Feed
    store: Store


def create(settings: Settings, now_ms: ClockMs = wall_clock_ms) -> Page:
    """Return the page, its feed not started."""
    capacities = {topic: min(_RESULT_ROWS, settings.dashboard_ring_rows) for topic in TOPICS}
    capacities[SENSOR.name] = settings.dashboard_ring_rows
    store = Store(capacities, readings=SENSOR.name)
    feed = Feed(settings, store, now_ms)
    server = Flask("dashboard_app", static_folder=None)
    prefix = settings.dashboard_url_prefix
    app = Dash(
        "dashboard_app",
        server=server,  # type: ignore[arg-type]  # Dash takes a Flask, its types forget it
        assets_folder=str(Path(__file__).with_name("assets")),
        url_base_pathname=prefix,
        title="Sensorbus",
        update_title="",
        serve_locally=True,
        add_log_handler=False,
        enable_mcp=False,
    )
    app.layout = layout.build(settings)
    app.index_string = layout.index_string(app.get_asset_url("theme_boot.js"))
    callbacks.register(app, Answers(store, settings.dashboard_history_ms, now_ms), feed)
    clientside.register(app)
    guard.install(server, prefix, guard.content_security_policy(list(app.csp_hashes())))
    ops.install(server, prefix, feed.why_not_ready)
    server.config.update(COMPRESS_ALGORITHM=["gzip"], COMPRESS_LEVEL=4, COMPRESS_MIN_SIZE=400)
    Compress(server)
    return Page(server, feed, store)
