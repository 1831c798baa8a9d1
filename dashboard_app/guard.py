"""What every request must pass and what every answer carries.

Dash sends no security headers and answers hostile callback bodies with a traceback; this stands before and after it.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from posixpath import normpath
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from dash import Dash
from dash.fingerprint import check_fingerprint
from flask import Flask, Response, request
from werkzeug.datastructures import Authorization, Headers
from werkzeug.exceptions import HTTPException

from dashboard_app import api_problems, callbacks, plain_pages
from dashboard_app.api_problems import ProblemError
from dashboard_app.api_table import BASE, ROUTES
from dashboard_app.arrival import MAX_BODY_BYTES

_MAX_DEPTH: Final = 8
_FIELDS: Final = frozenset(
    {"output", "outputs", "inputs", "state", "changedPropIds", "parsedChangedPropsIds", "running"}
)
_ASSETS: Final = "assets/"
_SUITES: Final = "_dash-component-suites/"
#: What the app answers behind the prefix besides those; "" is the page.
_PATHS: Final = frozenset({"", "_dash-layout", "_dash-dependencies", "_favicon.ico"})
_API: Final = f"{BASE.partition('/')[0]}/"
_API_PATHS: Final = frozenset(f"{BASE}{route.path}" for route in ROUTES)
#: The page of one device; what follows is its id, whatever characters that has.
DEVICE: Final = "device/"
_OPERATIONS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
#: What every answer carries besides its policy.
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: And, where the browser came by TLS, that it must from now on.
ONLY_TLS: Final = ("Strict-Transport-Security", "max-age=31536000")

_log = logging.getLogger(__name__)


def protect(app: Dash, prefix: str) -> dict[str, str]:
    """Put the guard before and after every request; return the headers that it gives every answer.

    Call it when the last callback was added, for their hashes.
    """
    server: Flask = app.server
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    server.url_map.merge_slashes = False  # else a device's id with two slashes in it is redirected to another one
    headers = HEADERS | {"Content-Security-Policy": policy(app.csp_hashes())}

    @server.before_request
    def check() -> Response | None:
        if request.path == f"{prefix}{callbacks.PATH}":
            if request.method != "POST":
                return refusal(405, "only POST")  # Dash would answer GET with the page
            refused = check_headers(request.headers, request.host, request.content_length)
            return refused or check_body(request.get_data())
        if request.method not in {"GET", "HEAD"}:
            return explained(405, "only GET", request.path, prefix)
        if _is_there(request.path, prefix, app):
            return None
        return explained(404, f"nothing here; the page is at {prefix}", request.path, prefix)

    @server.after_request
    def complete(response: Response) -> Response:
        response.headers.update(headers)
        if request.is_secure:  # said by one of the named proxies (dashboard_proxies)
            response.headers.set(*ONLY_TLS)
        return response

    @server.errorhandler(Exception)
    def explain(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return explained(error.code or 500, error.name, request.path, prefix)
        _log.error("cannot answer %s", request.path, exc_info=error)
        return explained(500, "internal error", request.path, prefix)

    return headers


def policy(script_hashes: Sequence[str]) -> str:
    """Return the Content-Security-Policy: our own files and the inline scripts with these hashes, no other host."""
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *script_hashes]),
        "style-src": "'self' 'unsafe-inline'",  # Dash and Plotly set styles on elements
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def check_headers(headers: Headers, host: str, length: int | None) -> Response | None:
    """Return why a callback's request is refused by its headers, or None."""
    if not _is_same_site(headers, host):
        return refusal(403, "a request of another site")
    if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        return refusal(415, "the body must be application/json")
    if (length or 0) > MAX_BODY_BYTES:
        return refusal(413, f"the body may have {MAX_BODY_BYTES} bytes")
    return None


def check_body(body: bytes) -> Response | None:
    """Return why a callback's body is refused, or None: only the page's own tick gets through."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return refusal(400, "the body is not JSON")
    return None if is_tick(fields) else refusal(400, "not a callback of this page")


def explained(status: int, reason: str, path: str, prefix: str) -> Response:
    """Return a refusal in the form that belongs to the path: the API's are problem details."""
    if not path.startswith(f"{prefix}{_API}"):
        if status == HTTPStatus.NOT_FOUND and plain_pages.is_for_a_person():
            return plain_pages.page(status, "Nothing here", ("The address is not one of this page.",), prefix)
        return refusal(status, reason)
    where = f"; the API is described at {prefix}{BASE}/openapi.json" if status == HTTPStatus.NOT_FOUND else ""
    return api_problems.response(ProblemError(status, f"{reason}{where}"))


def authorization() -> Authorization | None:
    """Return the credentials that came with the request; None: there are none, or they cannot be read."""
    try:
        return request.authorization
    except ValueError:  # of `Basic` with a character that is not ASCII, which werkzeug does not expect
        return None


def refusal(status: int, reason: str) -> Response:
    """Return a JSON answer that says why, and nothing of the inside."""
    return Response(orjson.dumps({"error": reason}), status, content_type="application/json")


def _is_there(path: str, prefix: str, app: Dash) -> bool:
    """Tell whether a path is one of the app's; Dash would answer any other with the page, or with 500."""
    if path in _OPERATIONS:
        return True
    if not path.startswith(prefix):
        return False
    name = path.removeprefix(prefix)
    if name.startswith(_ASSETS):
        return normpath(name) == name  # a file of many names would be kept compressed under each of them
    if not name.startswith(_SUITES):
        return name in _PATHS or name in _API_PATHS or name.startswith(DEVICE)
    package, _, file = name.removeprefix(_SUITES).partition("/")
    file, _ = check_fingerprint(file)  # type: ignore[no-untyped-call]  # Dash publishes no type for it
    return file in app.registered_paths.get(package, ())


def _is_same_site(headers: Headers, host: str) -> bool:
    origin = headers.get("Origin")
    if origin is None:
        return headers.get("Sec-Fetch-Site", "same-origin") in {"same-origin", "none"}
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # such as "http://["
        return False


def is_tick(fields: object) -> bool:
    """Tell whether a body is what Dash's renderer sends for the tick, and not deeper than that needs."""
    if not isinstance(fields, dict) or not fields.keys() <= _FIELDS or not _is_shallow(fields, _MAX_DEPTH):
        return False
    output, name = callbacks.OUTPUT, callbacks.INPUT
    joined = f"{name[0]}.{name[1]}"
    return (
        fields.get("output") == f"{output[0]}.{output[1]}"
        and fields.get("outputs") == {"id": output[0], "property": output[1]}
        and _is_only(fields.get("inputs"), name)
        and _is_only(fields.get("state"), callbacks.STATE)
        and fields.get("changedPropIds") in ([], [joined])
        and fields.get("parsedChangedPropsIds", []) in ([], [name[0]], [joined])
    )


def _is_only(value: Any, name: tuple[str, str]) -> bool:
    """Tell whether a list holds one value, that of this (id, property)."""
    return (
        isinstance(value, list)
        and len(value) == 1
        and isinstance(value[0], dict)
        and value[0].keys() <= {"id", "property", "value"}
        and (value[0].get("id"), value[0].get("property")) == name
    )


def _is_shallow(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(one, depth - 1) for one in inner)
