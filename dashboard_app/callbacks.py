"""The one callback that the server answers: the tick.

Filter, unit, theme, pause and zoom are the browser's own (clientside.py) and cost the server nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from dash import Dash, Input, Output, State
from flask import Response, request

from dashboard_app import ids
from dashboard_app.answers import Answers
from sensorbus.runtime.metrics import TICK_SECONDS

#: The callback's (id, property) pairs; the guard lets no other through.
OUTPUT: Final = (ids.DELTA, "data")
INPUT: Final = (ids.TICK, "n_intervals")
STATE: Final = (ids.CURSOR, "data")
#: The path, behind the page's prefix, that Dash's renderer posts to.
PATH: Final = "_dash-update-component"


def answer_to(fields: Mapping[str, Any], answers: Answers, *, is_packed: bool) -> bytes:
    """Return what a tick is answered with; `fields` are what Dash's renderer sends, seen by the guard."""
    with TICK_SECONDS.time():
        (state,) = fields["state"]
        return answers.response(state.get("value"), is_packed=is_packed)


def register(app: Dash, answers: Answers, prefix: str) -> None:
    """Add the tick to the app."""

    @app.callback(
        Output(*OUTPUT),
        Input(*INPUT),
        State(*STATE),
        # A browser that waits for an answer asks nothing more: a slow answer must not pile up others behind it.
        running=[(Output(ids.TICK, "disabled"), True, False)],
    )
    def tick(_intervals: int | None, body: Any) -> str:
        return answers.text(body)

    def view() -> Response:
        """Answer as Dash does, without what it does for callbacks of any kind: a third of a tick's CPU."""
        is_packed = bool(request.accept_encodings["gzip"])
        answer = answer_to(orjson.loads(request.get_data()), answers, is_packed=is_packed)
        response = Response(answer, content_type="application/json")
        response.headers["Cache-Control"] = "no-store"
        if is_packed:
            response.headers["Content-Encoding"] = "gzip"
        return response

    app.server.view_functions[f"{prefix}{PATH}"] = view
