"""What every request must pass and what every answer carries.

Dash sends no security headers and answers hostile callback bodies with a traceback; this stands before and after it.
"""

import logging
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from flask import Flask, Response, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from dashboard_app import ids

MAX_BODY_BYTES: Final = 262_144
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_log = logging.getLogger(__name__)


def content_security_policy(script_hashes: list[str]) -> str:
    """Return the policy: our own files and the inline scripts with these hashes, no other host, no frames."""
    rules = {
        "default-src": "'self'",
        "script-src": " ".join(["'self'", *script_hashes]),
        "style-src": "'self' 'unsafe-inline'",  # Dash and Plotly set styles on elements
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def install(server: Flask, prefix: str, policy: str) -> None:
    """Put the guard before and after every request of the server; `prefix` is the path of the page."""
    server.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    callback_path = f"{prefix}_dash-update-component"

    @server.before_request
    def check() -> Response | None:
        if request.path == callback_path and request.method == "POST":
            return check_callback(request.headers, request.content_length, request.get_data())
        return None

    @server.after_request
    def complete(response: Response) -> Response:
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = policy
        if response.status_code == 200 and _never_changes(prefix):  # noqa: PLR2004  # OK
            response.headers["Cache-Control"] = _FOR_EVER
        elif "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response

    @server.errorhandler(Exception)
    def explain(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return refusal(error.code or 500, error.name)
        if request.path.startswith(f"{prefix}_dash-component-suites/"):
            return refusal(404, "Not Found")  # Dash raises for a package that it does not know
        _log.error("cannot answer %s", request.path, exc_info=error)
        return refusal(500, "internal error; the log of the dashboard says more")


def check_callback(headers: Headers, length: int | None, body: bytes) -> Response | None:
    """Return why a callback's request is refused, or None: only the page's own tick gets through."""
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("Host"):
        return refusal(403, "a request of another site")
    if not str(headers.get("Content-Type", "")).startswith("application/json"):
        return refusal(415, "the body must be application/json")
    if length is None or length > MAX_BODY_BYTES:
        return refusal(413, f"the body may have {MAX_BODY_BYTES} bytes")
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        return refusal(400, "the body is not JSON")
    return None if _is_tick(fields) else refusal(400, "not a callback of this page")


def refusal(status: int, reason: str) -> Response:
    """Return a JSON answer that says why, and nothing of the inside."""
    return Response(orjson.dumps({"error": reason}), status, content_type="application/json")


def _is_tick(fields: object) -> bool:
    if not isinstance(fields, dict) or fields.get("output") != f"{ids.DELTA}.data":
        return False
    inputs = fields.get("inputs")
    expected_output = {"id": ids.DELTA, "property": "data"}
    return (
        fields.keys() <= {"output", "outputs", "inputs", "state", "changedPropIds", "parsedChangedPropsIds", "running"}
        and fields.get("outputs") == expected_output
        and _is_list_of(inputs, ids.TICK, "n_intervals")
        and _is_list_of(fields.get("state"), ids.CURSOR, "data")
        and fields.get("changedPropIds") in ([], [f"{ids.TICK}.n_intervals"])
        and fields.get("parsedChangedPropsIds", []) in ([], [ids.TICK], [f"{ids.TICK}.n_intervals"])
    )


def _is_list_of(value: Any, of: str, name: str) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 1
        and isinstance(value[0], dict)
        and value[0].keys() <= {"id", "property", "value"}
        and (value[0].get("id"), value[0].get("property")) == (of, name)
    )


def _never_changes(prefix: str) -> bool:
    """Tell whether the address names one version of a file: Dash's fingerprints, and assets by their time."""
    if request.path.startswith(f"{prefix}_dash-component-suites/"):
        return ".v" in request.path
    return request.path.startswith(f"{prefix}assets/") and "m" in request.args
