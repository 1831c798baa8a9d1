"""The tick in front of Flask: what Flask would say, or nothing."""

import gzip
import io
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app import guard
from dashboard_app.answers import Answers
from dashboard_app.app import create_app
from dashboard_app.arrival import MAX_BODY_BYTES, QUICK
from dashboard_app.fast_tick import FastTick
from sensorbus.contract.settings import Settings
from tests.support.held_parts import StillFeed
from tests.support.ticks import tick_body

NOW_MS: Final = 1_769_860_800_000
PATH: Final = "/x/_dash-update-component"
ASKED: Final = {"cursor": "x", "detail": ["a"], "history": []}
TICK: Final = json.dumps(tick_body(ASKED)).encode()
NO_CHANGE: Final[Mapping[str, str | None]] = {}
Answer = tuple[str, dict[str, str], bytes]


def page(**changes: Any) -> Any:
    """Return the server of a page below a prefix."""
    of = Settings(dashboard_url_prefix="/x/", **changes)
    return create_app(of, StillFeed(of), lambda: NOW_MS).server


SERVER: Final = page()
FAST: Final[FastTick] = SERVER.wsgi_app


def environment(changes: Mapping[str, str | None] = NO_CHANGE, body: bytes = TICK) -> dict[str, Any]:
    """Return what a WSGI server says of a browser's tick, with changes; None: without."""
    usual = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": PATH,
        "QUERY_STRING": "",
        "SERVER_NAME": "here",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "here",
        "HTTP_ORIGIN": "http://here",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "http",
    }
    given_ = {name: value for name, value in {**usual, **changes}.items() if value is not None}
    length = given_.get("CONTENT_LENGTH", "")
    body = body[: int(length)] if length.isdecimal() else body  # as servers give it
    return {**given_, "wsgi.input": io.BytesIO(body), "wsgi.errors": io.StringIO(), "wsgi.input_terminated": True}


def ask(app: Any, environ: dict[str, Any]) -> Answer:
    """Return status, headers and body of an application's answer."""
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        told.extend((status, dict(headers)))
        assert len(told[1]) == len(headers)

    body = b"".join(app(environ, start_response))
    return told[0], told[1], body


def takes(environ: dict[str, Any]) -> bool:
    """Tell whether it answers itself."""
    asked: list[Any] = []

    def rest(*given_: Any) -> list[bytes]:
        asked.extend(given_)
        return []

    alone: Any = FastTick(rest, FAST._answers, PATH, {})
    alone(environ, lambda *_: None)
    return not asked


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("origin", ["http://here", "https://here", None])
def test_a_browsers_tick_is_answered_as_flask_does(scheme: str, origin: str | None) -> None:
    """To the byte, with every header."""
    changes = {"wsgi.url_scheme": scheme, "HTTP_ORIGIN": origin}
    assert takes(environment(changes))
    status, headers, body = ask(FAST, environment(changes))
    assert (status, headers, body) == ask(FAST._rest, environment(changes))
    assert ("Strict-Transport-Security" in headers) == (scheme == "https")
    assert json.loads(gzip.decompress(body))["response"]["delta"]


HEADERS: Final = st.fixed_dictionaries(
    {},
    optional={
        "REQUEST_METHOD": st.sampled_from(["GET", "PUT", "post"]),
        "PATH_INFO": st.sampled_from([f"{PATH}/", "/healthz", "/_dash-update-component"]),
        "HTTP_HOST": st.sampled_from(["here", "here:80", "evil.example", "", None]),
        "HTTP_ORIGIN": st.sampled_from(["http://evil.example", "null", "", "http://here:81", "here", "//here", None]),
        "HTTP_SEC_FETCH_SITE": st.sampled_from(["same-origin", "cross-site", "none"]),
        "HTTP_ACCEPT_ENCODING": st.sampled_from(["", "br", "gzip;q=0", "gzip;q=0.5", "identity, gzip", None]),
        "CONTENT_TYPE": st.sampled_from(["text/plain", "application/json; charset=utf-8", "", None]),
        "CONTENT_LENGTH": st.sampled_from(["", "-1", "0", "3", "x", "²", str(MAX_BODY_BYTES + 1), "9" * 20, None]),
    },
)
BODIES: Final = st.one_of(
    st.binary(max_size=20),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.tuples(inner)).map(
        lambda asked: json.dumps(tick_body(asked)).encode()
    ),
    st.sampled_from([json.dumps({**tick_body(ASKED), "output": "other.data"}).encode(), b"{}", b"[" * 1_000]),
)


@given(HEADERS, BODIES | st.just(TICK))
def test_it_takes_nothing_that_flask_would_refuse(changes: dict[str, Any], body: bytes) -> None:
    """Whatever is sent: what it answers, Flask answers alike; the rest goes to Flask with its body."""
    answer = ask(FAST, environment(changes, body))
    assert answer == ask(FAST._rest, environment(changes, body))


@pytest.mark.parametrize("host", ["here:80", "here/x", "you@here", "here?x", "here:0"])
def test_it_takes_a_host_as_flask_does(host: str) -> None:
    """Flask leaves out the usual port, and takes no host with characters that no host has."""
    changes = {"HTTP_HOST": host, "HTTP_ORIGIN": f"http://{host}"}
    answer = ask(FAST, environment(changes))
    assert answer == ask(FAST._rest, environment(changes))
    assert answer[0] == "403 FORBIDDEN"


def test_who_must_sign_in_is_asked_first() -> None:
    """By Flask: there is nothing in front of it."""
    server = page(dashboard_sign_in="proxy")
    assert not isinstance(server.wsgi_app, FastTick)
    assert QUICK not in server.extensions


def test_what_fails_is_told_by_flask(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """500 with nothing of the inside, and the reason in the log."""
    monkeypatch.setattr(Answers, "response", lambda *_, **__: 1 // 0)
    with caplog.at_level(logging.ERROR):
        status, headers, body = ask(FAST, environment())
    assert (status, json.loads(gzip.decompress(body) if "Content-Encoding" in headers else body)) == (
        "500 INTERNAL SERVER ERROR",
        {"error": "internal error"},
    )
    assert "ZeroDivisionError" in caplog.text


def test_only_what_is_new_is_quick() -> None:
    """Of the tick's own path."""
    is_quick = SERVER.extensions[QUICK]
    assert is_quick(b'POST /x/_dash-update-component HTTP/1.1\r\n\r\n{"cursor":"x","history":[]}')
    past = b'{"cursor":"x","history":["a"]}'
    for whole in (b'{"cursor":null,"history":[]}', b'{"cursor": null}', b"{}", past):
        assert not is_quick(b"POST /x/_dash-update-component HTTP/1.1\r\n\r\n" + whole)
    assert not is_quick(b"POST /x/_dash-update-components HTTP/1.1\r\n\r\n")
    assert not is_quick(b"GET /x/_dash-update-component HTTP/1.1\r\n\r\n")


def test_a_policy_is_of_every_answer() -> None:
    """As the guard gives it."""
    assert guard.HEADERS.items() <= ask(FAST, environment())[1].items()
