"""What every request must pass, and what every answer carries."""

import json
import logging
import re
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard_app import guard, ids
from dashboard_app.app import create_app
from dashboard_app.arrival import MAX_BODY_BYTES
from sensorbus.contract.settings import Settings
from tests.support.held_parts import StillFeed

NOW_MS = 1_769_860_800_000
PREFIX = "/x/"
PATH = f"{PREFIX}_dash-update-component"
TICK: dict[str, Any] = {
    "output": f"{ids.DELTA}.data",
    "outputs": {"id": ids.DELTA, "property": "data"},
    "inputs": [{"id": ids.TICK, "property": "n_intervals", "value": 3}],
    "state": [{"id": ids.CURSOR, "property": "data", "value": {"cursor": None, "detail": ["a"], "history": []}}],
    "changedPropIds": [f"{ids.TICK}.n_intervals"],
    "parsedChangedPropsIds": [ids.TICK],
}


def page() -> Dash:
    """Return a page below a prefix."""
    of = Settings(dashboard_url_prefix=PREFIX)
    return create_app(of, StillFeed(of), lambda: NOW_MS)


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """Give a client of a page."""
    client: FlaskClient = page().server.test_client()
    return client


def post(client: FlaskClient, body: bytes | str | dict[str, Any], **headers: str) -> int:
    """Return the status of a callback's request."""
    data = json.dumps(body) if isinstance(body, dict) else body
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(PATH, data=data, headers={"Content-Type": "application/json", **given}).status_code


@pytest.mark.parametrize("origin", [None, "http://localhost", "https://localhost"])
def test_the_pages_own_tick_gets_through(client: FlaskClient, origin: str | None) -> None:
    """From the same host; behind a proxy that ends TLS too."""
    assert post(client, TICK, **({"Origin": origin} if origin else {})) == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "", "http://localhost.evil.example", "http://localhost:81", "http://[", "//"],
)
def test_a_request_of_another_site_is_refused(client: FlaskClient, origin: str) -> None:
    """403, whatever the header holds."""
    assert post(client, TICK, Origin=origin) == 403
    assert post(client, TICK, Sec_Fetch_Site="cross-site") == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_the_api_is_only_read(client: FlaskClient, method: str) -> None:
    """Refused as its clients expect it."""
    answer = client.open(f"{PREFIX}api/v1/devices", method=method)
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_fault_of_the_api_says_nothing_of_the_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Problem details, too."""
    monkeypatch.setattr(StillFeed, "readiness", _fail)
    with caplog.at_level(logging.ERROR):
        answer = page().server.test_client().get(f"{PREFIX}api/v1/devices")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "secret path" in caplog.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_another_content_type_is_refused(client: FlaskClient, kind: str) -> None:
    """415: a form of another site cannot send JSON."""
    assert post(client, TICK, Content_Type=kind) == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE"])
def test_another_method_is_refused(client: FlaskClient, method: str) -> None:
    """405; to the page everything but GET."""
    assert client.open(PATH, method=method).status_code == 405
    if method != "GET":
        assert client.open(PREFIX, method=method).status_code == 405


def test_a_body_has_a_bound(client: FlaskClient) -> None:
    """413 beyond 256 KB."""
    assert post(client, b'"' + b"x" * MAX_BODY_BYTES + b'"') == 413


def _with(**changes: object) -> dict[str, Any]:
    return {**TICK, **changes}


def _deep(depth: int) -> Any:
    return [_deep(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 50_000 + b"]" * 50_000,
        b"NaN",
        "[]",
        "7",
        "null",
        _with(output="other.data"),
        _with(output=["delta.data"]),
        _with(output="..delta.data...page.children.."),
        _with(outputs=[{"id": ids.DELTA, "property": "data"}]),
        _with(inputs=[]),
        _with(inputs=None),
        _with(inputs=[{"id": "other", "property": "n_intervals", "value": 1}]),
        _with(inputs=[{"id": {"type": "x"}, "property": "n_intervals", "value": 1}]),
        _with(state=[]),
        _with(state={"id": ids.CURSOR}),
        _with(state=[{"id": ids.CURSOR, "property": "data", "value": 1, "more": 1}]),
        _with(state=[{"id": ids.CURSOR, "property": "data", "value": _deep(100)}]),
        _with(changedPropIds="tick.n_intervals"),
        _with(changedPropIds=[{}]),
        _with(cancelJob=["1"]),
        {name: value for name, value in TICK.items() if name != "outputs"},
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_body_that_is_not_the_tick_is_refused(client: FlaskClient, body: bytes | str | dict[str, Any]) -> None:
    """400 before Dash sees it; Dash would answer most of them with a traceback."""
    assert post(client, body) == 400


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
_STATES = _JSON.map(lambda value: [{"id": ids.CURSOR, "property": "data", "value": value}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from(list(TICK)), _JSON).map(lambda more: {**TICK, **more})
    | _STATES.map(lambda state: {**TICK, "state": state})
)
def test_no_body_is_answered_with_a_500(client: FlaskClient, body: bytes | dict[str, Any]) -> None:
    """Refused or answered, through all of Dash."""
    assert post(client, body) in (200, 400)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (PREFIX, 200),
        (f"{PREFIX}_dash-layout", 200),
        (f"{PREFIX}_dash-dependencies", 200),
        (f"{PREFIX}assets/theme_boot.js", 200),
        (f"{PREFIX}_favicon.ico", 200),
        (f"{PREFIX}device/a", 200),
        (f"{PREFIX}device/a%2F%2Fb%25", 200),
        (f"{PREFIX}device/?id=..", 200),
        (f"{PREFIX}device", 404),
        (f"{PREFIX}api/v1/openapi.json", 200),
        (f"{PREFIX}api/v1/readings", 503),
        (f"{PREFIX}api/v1/", 404),
        (f"{PREFIX}api/v1/readings/a", 404),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/", 404),
        (f"{PREFIX}nowhere", 404),
        (f"{PREFIX}_reload-hash", 404),
        (f"{PREFIX}_mcp", 404),
        (f"{PREFIX}assets/none.js", 404),
        (f"{PREFIX}assets/../app.py", 404),
        (f"{PREFIX}assets/./theme_boot.js", 404),
        (f"{PREFIX}assets//theme_boot.js", 404),
        (f"{PREFIX}assets/model/../theme_boot.js", 404),
        (f"{PREFIX}assets/", 404),
        (f"{PREFIX}_dash-component-suites/none/x.js", 404),
        (f"{PREFIX}_dash-component-suites/dash/../../x.js", 404),
        (f"{PREFIX}_dash-component-suites/", 404),
        (PATH, 405),
    ],
)
def test_every_answer_carries_the_headers(client: FlaskClient, path: str, status: int) -> None:
    """The page, a file, a refusal; what a page in production does not need is not there."""
    answer = client.get(path)
    headers = answer.headers
    assert answer.status_code == status
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"].startswith("'self' 'sha256-")
    assert "unsafe" not in policy["script-src"]
    assert "http" not in str(policy)
    answer.close()


def test_a_fault_says_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback, the answer does not."""
    app = page()
    app._layout_value = _fail  # type: ignore[method-assign]  # what Dash calls for the layout
    with caplog.at_level(logging.ERROR):
        answer = app.server.test_client().get(f"{PREFIX}_dash-layout")
    assert (answer.status_code, answer.json) == (500, {"error": "internal error"})
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "secret path" in caplog.text


def _fail(*_: object, **__: object) -> None:
    raise LookupError("secret path")


def test_the_policy_lists_the_scripts_that_stand_in_the_page() -> None:
    """One hash each; nothing else inline runs."""
    assert "script-src 'self' 'sha256-a' 'sha256-b'; " in guard.policy(["'sha256-a'", "'sha256-b'"])


def test_the_policy_names_no_other_host_and_lets_nothing_run_that_is_not_ours(client: FlaskClient) -> None:
    """Of all rules of the page's own policy; styles may stand in the page, scripts may not."""
    rules = [rule.split() for rule in client.get(PREFIX).headers["Content-Security-Policy"].split("; ")]
    allowed = {name: set(sources) for name, *sources in rules}
    assert len(allowed) == len(rules)
    hashes = {source for source in allowed["script-src"] if re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", source)}
    assert (allowed.pop("script-src") - hashes, allowed.pop("style-src")) == ({"'self'"}, {"'self'", "'unsafe-inline'"})
    assert allowed.pop("img-src") == {"'self'", "data:"}
    assert all(sources in ({"'self'"}, {"'none'"}) for sources in allowed.values())
    assert allowed.keys() >= {"default-src", "connect-src", "object-src", "base-uri", "form-action", "frame-ancestors"}


def test_browsers_are_told_to_stay_with_https_only_where_it_is(client: FlaskClient) -> None:
    """Over plain HTTP the header means nothing, and on a developer's machine it would shut other pages out."""
    assert "Strict-Transport-Security" not in client.get(PREFIX).headers
    secure = client.get(PREFIX, base_url="https://localhost")
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_person_at_a_wrong_address_has_a_page_and_a_program_has_json(client: FlaskClient) -> None:
    """404 for both, with a way to the page for the person; the API's are problem details for everybody."""
    shown = client.get(f"{PREFIX}nowhere", headers={"Accept": "text/html,*/*;q=0.8"})
    assert (shown.status_code, shown.mimetype) == (404, "text/html")
    assert f'href="{PREFIX}"' in shown.get_data(as_text=True)
    assert client.get(f"{PREFIX}nowhere").mimetype == "application/json"
    of_api = client.get(f"{PREFIX}api/v1/nowhere", headers={"Accept": "text/html"})
    assert of_api.mimetype == "application/problem+json"
