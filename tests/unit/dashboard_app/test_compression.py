"""Answers made small: files once and for ever, ticks fast."""

import gzip
import json
import re
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from dashboard_app.compression import Compression

FILE = "x = 1;\n" * 1_000
SUITE = "/x/_dash-component-suites/dash/dcc/dash.v4_4_1m1769860800.min.js"
calls: list[str] = []


def server() -> FlaskClient:
    """Return a client of a server with files and answers, compressed."""
    flask = Flask("test", static_folder=None)

    def file(name: str) -> Response:
        calls.append(name)
        return Response(FILE, mimetype="text/javascript") if "none" not in name else Response("no", 404)

    flask.add_url_rule("/x/_dash-component-suites/<path:name>", "suite", file)
    flask.add_url_rule("/x/assets/<path:name>", "asset", file)
    flask.add_url_rule(
        "/x/tick", "tick", lambda: Response(json.dumps([1] * 999), mimetype="application/json"), methods=["POST"]
    )
    flask.add_url_rule("/x/small", "small", lambda: Response("{}", mimetype="application/json"))
    flask.add_url_rule("/x/picture", "picture", lambda: Response(b"\x89" * 9_999, mimetype="image/png"))
    Compression("/x/").install(flask)
    return flask.test_client()


@pytest.fixture
def client() -> FlaskClient:
    """Give a client of such a server."""
    calls.clear()
    return server()


def accept(encoding: str) -> dict[str, Any]:
    """Return the request's headers."""
    return {"Accept-Encoding": encoding}


@pytest.mark.parametrize("path", [SUITE, "/x/assets/page.js?m=1769860800.0"])
@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, deflate, br"])
def test_a_file_of_one_version_is_compressed_once_and_kept_for_ever(
    client: FlaskClient, path: str, encoding: str
) -> None:
    """By the worker and by the browser."""
    first, second = (client.get(path, headers=accept(encoding)) for _ in range(2))
    assert first.data == second.data
    assert len(first.data) < len(FILE) / 20
    assert (
        first.headers["Content-Encoding"]
        == second.headers["Content-Encoding"]
        == ("br" if "br" in encoding else "gzip")
    )
    assert "immutable" in first.headers["Cache-Control"]
    assert second.headers["Cache-Control"] == first.headers["Cache-Control"]
    assert "Accept-Encoding" in second.headers["Vary"]
    assert second.content_type == first.content_type
    assert len(calls) == 1


def test_a_browser_that_takes_no_compression_gets_the_plain_file(client: FlaskClient) -> None:
    """Before and after another one asked for the compressed one."""
    for _ in range(2):
        plain = client.get(SUITE, headers=accept("identity"))
        assert (plain.text, plain.headers.get("Content-Encoding")) == (FILE, None)
        client.get(SUITE, headers=accept("gzip"))


def test_a_packages_file_without_a_version_is_compressed_once_and_asked_about(client: FlaskClient) -> None:
    """As plotly.js, the largest of all: the worker keeps it, the browser asks whether it is still the same."""
    path = re.sub(r"\.v4_4_1m\d+", "", SUITE)
    first, second = (client.get(path, headers=accept("br")) for _ in range(2))
    assert (first.data, len(calls)) == (second.data, 1)
    assert (first.headers["Content-Encoding"], first.headers["Cache-Control"]) == ("br", "no-cache")
    again = client.get(path, headers={**accept("br"), "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(path, headers={**accept("gzip"), "If-None-Match": first.headers["ETag"]}).status_code == 200


@pytest.mark.parametrize("path", ["/x/assets/page.js", "/x/assets/none.js?m=1"])
def test_what_names_no_version_or_is_not_there_is_not_kept(client: FlaskClient, path: str) -> None:
    """It may be another file tomorrow; a hostile browser cannot fill the memory with names either."""
    for _ in range(2):
        assert "immutable" not in client.get(path, headers=accept("gzip")).headers["Cache-Control"]
    assert len(calls) == 2


def test_a_tick_is_compressed_and_never_kept(client: FlaskClient) -> None:
    """At the fast level."""
    answer = client.post("/x/tick", headers=accept("gzip, br"))
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.data)) == [1] * 999
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/x/small", "/x/picture"])
def test_what_does_not_get_smaller_is_left_as_it_is(client: FlaskClient, path: str) -> None:
    """A few bytes, or a picture."""
    assert "Content-Encoding" not in client.get(path, headers=accept("gzip")).headers


def test_the_kept_files_do_not_grow_with_made_up_versions(client: FlaskClient) -> None:
    """Each version of a name is the same file."""
    for version in range(5):
        client.get(f"/x/assets/page.js?m={version}", headers=accept("gzip"))
        client.get(SUITE.replace("1769860800", str(version)), headers=accept("gzip"))
    assert len(calls) == 2
