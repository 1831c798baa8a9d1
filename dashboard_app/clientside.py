"""Joins Dash and the scripts in assets/.

Two clientside callbacks; nothing is drawn by the server.
Dash writes each function into the page as an inline script, whose hash the Content-Security-Policy allows; so they
only call what stands in a file.
"""

from typing import Final

from dash import Dash, Input, Output

from dashboard_app import ids

_INGEST: Final = "(delta, config) => globalThis.sensorbus.page.tick(delta, config)"
_BEGIN: Final = "(config) => globalThis.sensorbus.page.begin(config)"
_ACT: Final = "() => globalThis.sensorbus.page.act(dash_clientside.callback_context.triggered_id)"


def register(app: Dash) -> None:
    """Add the page's clientside callbacks; call it before the app's hashes are taken."""
    app.clientside_callback(  # type: ignore[no-untyped-call]  # Dash publishes no type of it
        _INGEST,
        Output(ids.CURSOR, "data"),
        Input(ids.DELTA, "data"),
        Input(ids.CONFIG, "data"),
    )
    # The one above waits for the first answer, whether that comes or not.
    app.clientside_callback(_BEGIN, Input(ids.CONFIG, "data"))  # type: ignore[no-untyped-call]  # the same
    app.clientside_callback(  # type: ignore[no-untyped-call]  # the same
        _ACT,
        *(Input(action, "n_clicks") for action in ids.ACTIONS),
        prevent_initial_call=True,
    )
