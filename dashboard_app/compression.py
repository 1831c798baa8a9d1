"""Makes answers small: files well and once, others fast.

Ticks come compressed (answers.py). Dash would compress its files anew on every load. Their compressed form is kept for
the life of the worker; by the browser for a year where the address holds a version, else the browser asks whether it is
still the same.
"""

import gzip
import hashlib
from typing import Final, NamedTuple

import brotli
from dash.fingerprint import check_fingerprint
from flask import Flask, Response, request

_TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")
_MIN_BYTES: Final = 500
#: For what is made anew for each request: a tenth smaller than 1, for 0.1 ms more at 1000 devices.
QUICK_LEVEL: Final = 4
_FILE_LEVEL: Final = 6
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_FILE_QUALITY: Final = 6  # of brotli: 0.2 s for plotly.js; 9 takes 0.7 s for 3 % less


class _File(NamedTuple):
    """A file as it is sent; `encoding` is "" where it is not compressed, `tag` tells it from others."""

    body: bytes
    content_type: str
    encoding: str
    tag: str


class Compression:
    """Compresses a server's answers. Called from request threads, who at worst do the same file twice."""

    def __init__(self, prefix: str) -> None:
        """Files are what is below these folders of `prefix`."""
        self._suites, self._assets = f"{prefix}_dash-component-suites/", f"{prefix}assets/"
        self._icon = f"{prefix}_favicon.ico"  # asked for again whenever the page writes its address
        self._files: dict[tuple[str, str], _File] = {}  # without versions in the names: bounded by the files there are

    def install(self, server: Flask) -> None:
        """Put it before and behind the server's own functions; the guard stands before it."""
        server.before_request(self.held)
        server.after_request(self.compress)

    def held(self) -> Response | None:
        """Return the answer for a file that was asked for before."""
        name, has_version = self._file_name()
        file = self._files.get((name, _file_encoding())) if name else None
        return _response(file, has_version) if file else None

    def compress(self, response: Response) -> Response:
        """Return the answer compressed, if that helps."""
        response.vary.add("Accept-Encoding")
        if "Content-Encoding" in response.headers:
            return response
        name, has_version = self._file_name() if response.status_code == 200 else (None, False)  # noqa: PLR2004  # OK
        if name:
            response.direct_passthrough = False
            file = _compressed_file(response.get_data(), response.content_type or "")
            self._files[name, _file_encoding()] = file
            return _response(file, has_version)
        stored = request.method != "POST" and not response.cache_control.no_store
        response.headers["Cache-Control"] = "no-cache" if stored else "no-store"
        is_text = (response.mimetype or "").startswith(_TEXT)
        if response.is_streamed or not is_text or not request.accept_encodings["gzip"]:
            return response
        body = response.get_data()
        if len(body) >= _MIN_BYTES:
            response.set_data(gzip.compress(body, QUICK_LEVEL, mtime=0))
            response.headers["Content-Encoding"] = "gzip"
        return response

    def _file_name(self) -> tuple[str | None, bool]:
        """Return the name, without version, of the file that the request is for, and whether it named a version.

        Of our own files only a version is sure; those of packages stay what they are while the worker lives. The
        guard lets only names through that there are.
        """
        if request.method != "GET":
            return None, False
        if request.path.startswith(self._assets):
            return (request.path, True) if request.query_string.startswith(b"m=") else (None, False)
        if request.path == self._icon:
            return request.path, request.query_string.startswith(b"v=")
        if request.path.startswith(self._suites):
            name, has_version = check_fingerprint(request.path)  # type: ignore[no-untyped-call]  # Dash gives none
            return name, has_version
        return None, False


def _compressed_file(body: bytes, content_type: str) -> _File:
    encoding = _file_encoding() if content_type.startswith(_TEXT) and len(body) >= _MIN_BYTES else ""
    if encoding == "br":
        body = brotli.compress(body, quality=_FILE_QUALITY)
    elif encoding == "gzip":
        body = gzip.compress(body, _FILE_LEVEL, mtime=0)
    return _File(body, content_type, encoding, hashlib.blake2s(body, digest_size=12).hexdigest())


def _file_encoding() -> str:
    accepted = request.accept_encodings
    return "br" if accepted["br"] else "gzip" if accepted["gzip"] else ""


def _response(file: _File, has_version: bool) -> Response:
    response = Response(file.body, content_type=file.content_type)
    response.headers["Cache-Control"] = _FOR_EVER if has_version else "no-cache"
    response.vary.add("Accept-Encoding")
    if file.encoding:
        response.headers["Content-Encoding"] = file.encoding
    if not has_version:
        response.set_etag(file.tag)
        response.make_conditional(request)
    return response
