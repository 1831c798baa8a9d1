"""The one callback that the server answers: the tick.

Filter, unit, theme, pause and zoom are the browser's own (clientside.py) and cost the server nothing.
"""

from typing import Any, Final

import orjson
from dash import Dash, Input, Output, State
from flask import Response, request

from dashboard_app import ids
from dashboard_app.delta import delta, epoch_in, no_news, question_in
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

    @app.callback(
        Output(*OUTPUT),
        Input(*INPUT),
        State(*STATE),
        # A browser that waits for an answer asks nothing more: a slow answer must not pile up others behind it.
        running=[(Output(ids.TICK, "disabled"), True, False)],
    )
    def tick(_intervals: int | None, body: Any) -> str:
        return _answer(feed, body, now_ms())

    def view() -> Response:
        """Answer as Dash does, without what it does for callbacks of any kind: a third of a tick's CPU."""
        (state,) = orjson.loads(request.get_data())["state"]  # the guard has seen that this is a tick
        told = {"multi": True, "response": {OUTPUT[0]: {OUTPUT[1]: _answer(feed, state.get("value"), now_ms())}}}
        return Response(orjson.dumps(told), content_type="application/json")

    app.server.view_functions[f"{prefix}{PATH}"] = view


def _answer(feed: Feed, body: Any, now: int) -> str:
    with TICK_SECONDS.time():
        feed.start()  # gunicorn's hook has done it; under another server the first tick does
        epoch, pipeline = feed.store.epoch, feed.pipeline(now)
        other = epoch_in(body, epoch)
        if other is not None and not feed.can_judge(other):
            # Another worker may have seen new topics first: ours may be the old ones, which must not come back.
            return no_news(body["cursor"], feed.overview, pipeline, now).decode()
        return delta(feed.store, question_in(body, epoch), feed.overview, pipeline, now).decode()
