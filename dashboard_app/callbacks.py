"""The one callback that the server answers: the tick.

Filter, unit, theme, pause and zoom are the browser's own (clientside.py) and cost the server nothing.
"""

from typing import Any, Final

import orjson
from dash import Dash, Input, Output, State
from flask import Response, request

from dashboard_app import ids
from dashboard_app.answers import Answers
from dashboard_app.feed import Feed
from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.metrics import TICK_SECONDS

#: The callback's (id, property) pairs; the guard lets no other through.
OUTPUT: Final = (ids.DELTA, "data")
INPUT: Final = (ids.TICK, "n_intervals")
STATE: Final = (ids.CURSOR, "data")
#: The path, behind the page's prefix, that Dash's renderer posts to.
PATH: Final = "_dash-update-component"


def register(app: Dash, feed: Feed, now_ms: ClockMs, prefix: str) -> None:
    """Add the tick to the app."""
    answers = Answers(feed, now_ms)

    @app.callback(
        Output(*OUTPUT),
        Input(*INPUT),
        State(*STATE),
        # A browser that waits for an answer asks nothing more: a slow answer must not pile up others behind it.
        running=[(Output(ids.TICK, "disabled"), True, False)],
    )
    def tick(_intervals: int | None, body: Any) -> str:
        feed.start()  # gunicorn's hook has done it; under another server the first tick does
        return answers.text(body)

    def view() -> Response:
        """Answer as Dash does, without what it does for callbacks of any kind: a third of a tick's CPU."""
        with TICK_SECONDS.time():
            feed.start()
            (state,) = orjson.loads(request.get_data())["state"]  # the guard has seen that this is a tick
            is_packed = bool(request.accept_encodings["gzip"])
            response = Response(
                answers.response(state.get("value"), is_packed=is_packed), content_type="application/json"
            )
            response.headers["Cache-Control"] = "no-store"
            if is_packed:
                response.headers["Content-Encoding"] = "gzip"
            return response

    app.server.view_functions[f"{prefix}{PATH}"] = view
