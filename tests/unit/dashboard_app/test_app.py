"""The page put together, without a thread and without Kafka."""

import json
import re
import threading
from typing import Any

import pytest
from flask.testing import FlaskClient

from dashboard_app import ids
from dashboard_app.app import create_app
from sensorbus.contract.settings import Settings
from tests.support.held_parts import StillFeed

NOW_MS = 1_769_860_800_000
TICK: dict[str, Any] = {
    "output": f"{ids.DELTA}.data",
    "outputs": {"id": ids.DELTA, "property": "data"},
    "inputs": [{"id": ids.TICK, "property": "n_intervals", "value": 3}],
    "state": [{"id": ids.CURSOR, "property": "data", "value": {"cursor": None}}],
    "changedPropIds": [f"{ids.TICK}.n_intervals"],
}


def client(**changes: Any) -> tuple[FlaskClient, StillFeed]:
    """Return a client of a page, and its feed."""
    settings = Settings(**changes)
    feed = StillFeed(settings)
    return create_app(settings, feed, lambda: NOW_MS).server.test_client(), feed


@pytest.fixture(scope="module")
def page() -> FlaskClient:
    """Give a page with the default settings."""
    return client()[0]


def test_making_a_page_starts_no_thread() -> None:
    """Threads and Kafka clients do not survive gunicorn's fork."""
    before = threading.active_count()
    _, feed = client()
    assert (threading.active_count(), feed.starts) == (before, 0)


@pytest.mark.parametrize("prefix", ["/", "/temperature/"])
def test_a_page_is_set_up_before_its_first_request(prefix: str) -> None:
    """A worker whose first two requests came at once answered the second one, a script's, with 404."""
    settings = Settings(dashboard_url_prefix=prefix)
    app = create_app(settings, StillFeed(settings), lambda: NOW_MS)
    assert [path for path in app.registered_paths["dash"] if "react" in path]


def test_the_first_tick_starts_the_feed_under_any_server() -> None:
    """Gunicorn's hook does it before; another server has no hook."""
    page, feed = client()
    page.post("/_dash-update-component", json=TICK)
    assert feed.starts == 1


def test_a_tick_is_answered_as_text_before_kafka_is_there(page: FlaskClient) -> None:
    """The page says what it waits for."""
    answer = page.post("/_dash-update-component", json=TICK)
    assert answer.status_code == 200
    assert answer.json is not None
    delta = json.loads(answer.json["response"][ids.DELTA]["data"])
    assert (delta["v"], delta["now"], delta["reset"], delta["devices"]["id"]) == (7, NOW_MS, True, [])
    assert delta["pipeline"]["kafka"]["ok"] is False


def test_ticks_do_not_overlap(page: FlaskClient) -> None:
    """The interval is off while an answer is under way: a slow server would otherwise never show anything."""
    callbacks = page.get("/_dash-dependencies").json
    assert callbacks is not None
    tick = next(one for one in callbacks if one["output"] == f"{ids.DELTA}.data")
    switched = {"running": {f"{ids.TICK}.disabled": True}, "runningOff": {f"{ids.TICK}.disabled": False}}
    assert tick["running"] == switched


def test_debug_variables_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that was meant for something else opens no door."""
    for name in ("DASH_DEBUG", "FLASK_DEBUG", "DASH_HOT_RELOAD", "DASH_MCP_ENABLED", "DASH_UI"):
        monkeypatch.setenv(name, "1")
    page, _ = client()
    assert page.application.debug is False
    assert page.get("/_mcp").status_code == 404
    assert "_dash_reload" not in page.get("/").text
    assert page.get("/_reload-hash").status_code == 404


def test_the_prefix_is_where_the_page_is() -> None:
    """Page, tick and assets; the probes stay at the root, where an orchestrator asks the process itself."""
    page, _ = client(dashboard_url_prefix="/temperature/")
    assert page.get("/temperature/").status_code == 200
    assert page.post("/temperature/_dash-update-component", json=TICK).status_code == 200
    assert page.get("/healthz").status_code == 200
    assert page.get("/").status_code == 404
    assert "/temperature/assets/" in page.get("/temperature/").text


def test_a_worker_without_kafka_is_alive_and_not_ready(page: FlaskClient) -> None:
    """The reason is named."""
    answer = page.get("/readyz")
    assert (answer.status_code, page.get("/healthz").status_code) == (503, 200)
    assert answer.json is not None
    assert "localhost:9092" in answer.json["reasons"]["kafka"]


def test_the_icon_is_fetched_once(page: FlaskClient) -> None:
    """A browser asks for it whenever the page writes its address; HEAD, the page's own question, is not kept."""
    index = page.get("/").text
    address = re.search(r'href="(/_favicon\.ico\?v=[^"]+)"', index)
    assert address is not None
    icon = page.get(address[1])
    assert (icon.status_code, len(icon.data) > 1_000) == (200, True)
    assert "immutable" in icon.headers["Cache-Control"]
    assert "immutable" not in page.head(address[1]).headers["Cache-Control"]
