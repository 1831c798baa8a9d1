"""The page's server: Dash's app with everything around it.

`create_app` is the only place where the parts of the page meet; it starts no thread and asks no Kafka.
"""

from typing import Final

from dash import Dash

from dashboard_app import api, bundles, callbacks, clientside, guard, layout, ops
from dashboard_app.answers import Answers
from dashboard_app.arrival import QUICK
from dashboard_app.compression import Compression
from dashboard_app.fast_tick import FastTick
from dashboard_app.feed import Feed
from sensorbus.contract.settings import Settings
from sensorbus.runtime.clock import ClockMs, wall_clock_ms

#: Under this name the feed stands in the server's `extensions`, where gunicorn's hooks find it.
FEED: Final = "sensorbus_feed"


def create_app(settings: Settings, feed: Feed, now_ms: ClockMs = wall_clock_ms) -> Dash:
    """Return the app; `app.server` is what a WSGI server runs."""
    app = Dash(
        "dashboard_app",
        assets_folder=str(bundles.FOLDER),
        assets_ignore=bundles.IGNORED_FILES,
        assets_path_ignore=list(bundles.IGNORED_FOLDERS),
        title="Sensorbus",
        update_title="",
        url_base_pathname=settings.dashboard_url_prefix,
        serve_locally=True,
        compress=False,
        add_log_handler=False,
        enable_mcp=False,  # else a variable of the environment opens the page's inside without sign-in
    )
    app.server.debug = False  # whatever FLASK_DEBUG says
    app.server.extensions[FEED] = feed
    own = bundles.build(settings.dashboard_url_prefix)
    bundles.serve(app.server, own)
    app.index_string = layout.index_string(settings.dashboard_url_prefix, own)
    app.layout = layout.build(settings)
    answers = Answers(feed, now_ms)
    callbacks.register(app, answers, settings.dashboard_url_prefix)
    clientside.register(app)
    ops.register(app.server, feed)
    api.register(app.server, settings, feed, now_ms)
    headers = guard.protect(app, settings.dashboard_url_prefix)
    Compression(settings.dashboard_url_prefix).install(app.server)
    if settings.dashboard_sign_in == "off":  # else Flask asks first who is there
        path = f"{settings.dashboard_url_prefix}{callbacks.PATH}"
        fast = FastTick(app.server.wsgi_app, answers, path, headers)
        app.server.wsgi_app = fast
        app.server.extensions[QUICK] = fast.is_quick
    _set_up(app)
    return app


def _set_up(app: Dash) -> None:
    """Have Dash set its server up now: it would with the first request, and answer a second one meanwhile with 404."""
    with app.server.test_request_context():
        app.server.preprocess_request()
