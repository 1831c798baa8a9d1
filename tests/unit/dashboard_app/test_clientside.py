"""The two callbacks that run in the browser."""

import re

from dash import Dash

from dashboard_app import clientside, ids, layout
from sensorbus.contract.settings import Settings


def _page() -> Dash:
    app = Dash(__name__)
    app.layout = layout.build(Settings())
    clientside.register(app)
    return app


def test_an_answer_becomes_the_next_request() -> None:
    """DELTA in, CURSOR out, in the browser."""
    callbacks = {entry["output"]: entry for entry in _page()._callback_list}
    entry = callbacks[f"{ids.CURSOR}.data"]
    assert [part["id"] for part in entry["inputs"]] == [ids.DELTA, ids.CONFIG]
    assert entry["clientside_function"] is not None


def test_every_control_acts() -> None:
    """Each action of ids.py is a control in the layout, and a click on it is heard."""
    app = _page()
    heard = {part["id"] for entry in app._callback_list for part in entry["inputs"] if part["property"] == "n_clicks"}
    assert heard == set(ids.ACTIONS)


def test_the_inline_scripts_only_call_what_stands_in_files() -> None:
    """Their hashes are in the Content-Security-Policy, so they stay short."""
    app = _page()
    app.csp_hashes()
    for script in app._inline_scripts:
        body = re.search(r"\] = (.*);", script)
        assert body is not None
        assert len(body.group(1)) < 100
