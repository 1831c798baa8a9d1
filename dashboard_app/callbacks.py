"""The page's one server callback: a tick asks, a delta answers.

`running` keeps ticks from overlapping: a callback slower than its interval would otherwise never be shown.
"""

from dash import Dash, Input, Output, State

from dashboard_app import ids
from dashboard_app.delta import Answers, parse_request
from dashboard_app.feed import Feed
from sensorbus.runtime.metrics import TICK_SECONDS


def register(app: Dash, answers: Answers, feed: Feed) -> None:
    """Add the callback; called before the page's hashes are taken."""

    @app.callback(
        Output(ids.DELTA, "data"),
        Input(ids.TICK, "n_intervals"),
        State(ids.CURSOR, "data"),
        running=[(Output(ids.TICK, "disabled"), True, False)],
    )
    def tick(_number: int | None, request: object) -> str:
        with TICK_SECONDS.time():
            cluster = feed.cluster
            return answers.delta(parse_request(request, cluster), cluster, feed.pipeline()).decode()
