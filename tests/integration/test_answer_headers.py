"""The headers of every answer of the page, under gunicorn as it is deployed.

Whatever its status is, and whether the page, its sign-in or gunicorn itself refuses; and that it tells nothing of the
inside, no version and no path of a file.
"""

import base64
import http.client
import io
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import requests
from werkzeug.security import generate_password_hash

from dashboard_app.guard import HEADERS, ONLY_TLS
from sensorbus.contract.settings import Settings
from tests.support.dashboards import Dashboard, dashboard
from tests.support.faulty_page import order
from tests.support.oidc_provider import Provider
from tests.support.parts import part
from tests.support.real_kafka import free_ports
from tests.support.strangers import TOLD, Listener, answer_to_bytes
from tests.support.ticks import tick_body

pytestmark = pytest.mark.embedded
TICK: Final = "/_dash-update-component"
JSON: Final = {"Content-Type": "application/json"}
BODY: Final = json.dumps(tick_body({"cursor": None, "detail": [], "history": []}))
HTML: Final = {"Accept": "text/html"}
WRONG: Final = [{"Authorization": f"Basic {base64.b64encode(f'ann:wrong {n}'.encode()).decode()}"} for n in range(10)]
#: gunicorn, werkzeug, Flask, Dash and Python are not named with a version, nor is where a file lies.
_VERSION_OR_PATH: Final = re.compile(rb"(?i)(gunicorn|werkzeug|flask|dash|python)[/ -]?v?\d|/[\w./-]+\.py\b")


class Answer(NamedTuple):
    """One answer, as it came."""

    status: int
    headers: http.client.HTTPMessage
    text: bytes


def answer_in(text: bytes) -> Answer:
    """Return the answer in what came over a connection."""
    line, _, rest = text.partition(b"\r\n")
    return Answer(int(line.split()[1]), http.client.parse_headers(io.BytesIO(rest)), text)


def ask(page: Dashboard, method: str, path: str, body: str = "", **headers: str) -> Answer:
    """Ask as a proxy does that was reached by TLS."""
    given = {"Host": "here", "X-Forwarded-Proto": "https", "Connection": "close", **headers}
    if method == "POST":
        given.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in given.items())]
    return ask_bytes(page, "\r\n".join([*lines, "", body]).encode())


def ask_bytes(page: Dashboard, data: bytes) -> Answer:
    """Send bytes and return what comes back."""
    return answer_in(answer_to_bytes(Listener(page.settings.dashboard_port), data))


def check(answer: Answer, status: int, *, by_gunicorn: bool = False) -> None:
    """Fail unless the answer has this status, all the headers, and nothing of the inside."""
    assert answer.status == status, answer.text[:500]
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    # What gunicorn refuses it has not read to the end: nobody has said that a proxy was reached by TLS.
    assert answer.headers["Strict-Transport-Security"] == (None if by_gunicorn else ONLY_TLS[1])
    assert answer.headers["Server"] in (None, "gunicorn")
    if status != 200:
        assert not any(told in answer.text for told in TOLD), answer.text
        assert not _VERSION_OR_PATH.search(answer.text), answer.text


@pytest.fixture
def lonely(tmp_path: Path) -> Settings:
    """Give settings of a bus whose broker is not there; a page answers all the same."""
    return Settings(kafka_bootstrap_servers=f"127.0.0.1:{free_ports()[0]}", state_dir=tmp_path)


@pytest.fixture
def page(lonely: Settings, tmp_path: Path) -> Iterator[Dashboard]:
    """Give a running page without sign-in that may be told to fail."""
    made = dashboard(lonely, tmp_path)
    made.part = part(made.settings, tmp_path / "dashboard.log", "tests.support.faulty_page", str(tmp_path))
    with made.part:
        made.wait_listening()
        yield made


def test_what_the_page_answers(page: Dashboard, tmp_path: Path) -> None:
    """200 of each kind, 304, 400, 403, 404, 405, 413, 415, 500 and 503."""
    for path in ("/", "/device/x", "/_dash-layout", "/_favicon.ico", "/healthz", "/metrics", "/api/v1/openapi.json"):
        check(ask(page, "GET", path), 200)
        check(ask(page, "HEAD", path), 200)
    check(ask(page, "POST", TICK, BODY, **JSON), 200)
    check(ask(page, "POST", TICK, BODY, Accept_Encoding="gzip, deflate", **JSON), 200)
    for path in ("/assets/dom.js", "/_favicon.ico", "/api/v1/openapi.json"):
        tag = ask(page, "GET", path).headers["ETag"]
        check(ask(page, "GET", path, If_None_Match=tag), 304)
    check(ask(page, "POST", TICK, "{", **JSON), 400)
    check(ask(page, "POST", TICK, "{}", **JSON), 400)
    check(ask(page, "GET", "/api/v1/readings?limit=x"), 400)
    check(ask(page, "POST", TICK, BODY, Origin="http://evil.example", **JSON), 403)
    for path in ("/none", "/assets/none.js", "/assets/../app.py", "/api/v1/none", "/_dash-component-suites/dash/x.js"):
        check(ask(page, "GET", path), 404)
    check(ask(page, "GET", TICK), 405)
    for method in ("POST", "PUT", "OPTIONS", "TRACE", "BREW"):
        check(ask(page, method, "/"), 405)
    check(ask(page, "POST", TICK, BODY, Content_Type="text/plain"), 415)
    for path in ("/readyz", "/api/v1/devices"):  # without a broker
        check(ask(page, "GET", path), 503)
    order(tmp_path, "fail")
    check(ask(page, "POST", TICK, BODY, **JSON), 500)
    check(ask(page, "POST", TICK, BODY, Accept_Encoding="gzip, deflate", **JSON), 500)
    assert "RuntimeError: ordered by the test" in page.part.said()  # there it belongs


def test_what_gunicorn_refuses(page: Dashboard) -> None:
    """400, 408, 411, 413, 414, 417 and 431."""
    whole = b"GET / HTTP/1.1\r\nHost: here\r\nX-Forwarded-Proto: https\r\n"
    posted = b"POST / HTTP/1.1\r\nHost: here\r\n"
    refused = [
        (b"no request\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost here\r\n\r\n", 400),
        (posted + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (posted + b"\r\n", 411),
        (posted + b"Transfer-Encoding: chunked\r\n\r\n", 411),
        (posted + b"Content-Length: 999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n", 414),
        (whole + b"X: " + b"x" * 9_000 + b"\r\n\r\n", 431),
        (whole + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431),
        (whole + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/9.9\r\nHost: here\r\n\r\n", 400),
        (whole + b"Expect: x\r\n\r\n", 417),
    ]
    for data, status in refused:
        check(ask_bytes(page, data), status, by_gunicorn=True)
    with socket.create_connection(("127.0.0.1", page.settings.dashboard_port), 5) as half_open:
        half_open.sendall(whole)
        ask_bytes(page, refused[0][0])  # whose connection is taken after this one: a reset would be the kernel's
        page.part.stop(within_s=5)
        with half_open.makefile("rb") as answer:
            check(answer_in(answer.read()), 408, by_gunicorn=True)


def test_what_the_sign_in_by_password_answers(lonely: Settings, tmp_path: Path) -> None:
    """401, and 429 for who goes on."""
    (tmp_path / "users").write_text(f"ann:viewer:{generate_password_hash('right', method='scrypt:1024:8:1')}\n")
    page = dashboard(lonely, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    with page.part:
        page.wait_listening()
        for path in ("/", "/none", "/metrics", "/api/v1/devices"):
            check(ask(page, "GET", path), 401)
        check(ask(page, "POST", TICK, BODY, **JSON), 401)
        answers = [ask(page, "GET", "/", **wrong) for wrong in WRONG]
        check(answers[0], 401)
        check(answers[-1], 429)


def test_what_the_sign_in_at_a_provider_answers(lonely: Settings, tmp_path: Path) -> None:
    """302 there and 303 back, 400 without a way there, 401 for programs."""
    with Provider({"preferred_username": "ann", "roles": ["sensorbus-viewer"]}) as provider:
        page = dashboard(lonely, tmp_path, **provider.of_a_page())
        with page.part:
            page.wait_listening()
            sent = ask(page, "GET", "/", **HTML)
            check(sent, 302)
            back = requests.get(sent.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
            cookie = sent.headers["Set-Cookie"].partition(";")[0]
            check(ask(page, "GET", f"/{back.partition('://here/')[2]}", Cookie=cookie, **HTML), 303)
            check(ask(page, "GET", "/sign-in/back?state=x&code=y", **HTML), 400)
            check(ask(page, "GET", "/"), 401)
