"""The tick as most browsers send it, answered in front of Flask.

Flask's request and response with the checks and the compression around them take two thirds of a tick's CPU. What
here is not surely a tick that the guard lets through goes to Flask, which judges, refuses and explains.
"""

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import orjson
from werkzeug.datastructures import EnvironHeaders
from werkzeug.sansio.utils import get_host

from dashboard_app import callbacks, guard
from dashboard_app.answers import Answers
from dashboard_app.arrival import MAX_BODY_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_MOST_DIGITS: Final = len(str(MAX_BODY_BYTES))


class FastTick:
    """A WSGI application in front of another one."""

    def __init__(self, rest: "WSGIApplication", answers: Answers, path: str, headers: Mapping[str, str]) -> None:
        """Answer ticks at `path`, with these headers; all else is for `rest`."""
        self._rest, self._answers, self._path = rest, answers, path
        self._begin = b"POST %b " % path.encode()
        self._headers = [
            ("Content-Type", "application/json"),
            ("Content-Encoding", "gzip"),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept-Encoding"),
            *headers.items(),
        ]

    def is_quick(self, request: bytes) -> bool:
        """Tell whether a request is a tick that asks for what is new alone: for what is held it is not quick."""
        return request.startswith(self._begin) and b'"cursor":"' in request and b'"history":[]' in request

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        if environ["PATH_INFO"] != self._path or not _has_usual_headers(environ):
            return self._rest(environ, start_response)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        answer = self._answer(body)
        if answer is None:
            environ["wsgi.input"] = io.BytesIO(body)
            return self._rest(environ, start_response)
        headers = [*self._headers, ("Content-Length", str(len(answer)))]
        if environ["wsgi.url_scheme"] == "https":
            headers.append(guard.ONLY_TLS)
        start_response("200 OK", headers)
        return [answer]

    def _answer(self, body: bytes) -> bytes | None:
        try:
            fields = orjson.loads(body)
            return callbacks.answer_to(fields, self._answers, is_packed=True) if guard.is_tick(fields) else None
        except Exception:  # noqa: BLE001  # no JSON, or a fault of ours: Flask meets it again, and tells
            return None


def _has_usual_headers(environ: "WSGIEnvironment") -> bool:
    """Tell whether a request is what a browser's own page sends and the guard lets through; others may be as good."""
    length = environ.get("CONTENT_LENGTH", "")
    if environ["REQUEST_METHOD"] != "POST" or not length.isdecimal() or len(length) > _MOST_DIGITS:
        return False
    host = get_host(environ["wsgi.url_scheme"], environ.get("HTTP_HOST"))
    return (
        bool(host)
        and guard.check_headers(EnvironHeaders(environ), host, int(length)) is None
        and "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "").split(", ")
    )
