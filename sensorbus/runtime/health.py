"""/healthz, /readyz and /metrics of a process that serves nothing else.

One daemon thread; the checks are called from it, so they must be quick and safe from any thread.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from sensorbus.contract.errors import PortInUseError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.runtime import metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: Returns the reasons why the part is not ready, each under its name; none: ready.
Check = Callable[[], dict[str, str]]

_JSON: Final = (("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"))
_log = logging.getLogger(__name__)


def serve(settings: Settings, readiness: Check, families: tuple[str, ...] = metrics.JOB_FAMILIES) -> None:
    """Start answering on `ops_host:ops_port`; does nothing when the port is 0. `families` are the part's metrics."""
    if not settings.ops_port:
        return
    try:
        server = make_server(
            settings.ops_host,
            settings.ops_port,
            application(readiness, families),
            server_class=ThreadingWSGIServer,
            handler_class=_QuietHandler,
        )
    except OSError as error:
        raise PortInUseError(
            f"cannot listen on {settings.ops_host}:{settings.ops_port} ({variable_name('ops_port')}): {error.strerror}"
        ) from None
    threading.Thread(target=server.serve_forever, name="ops", daemon=True).start()


def application(
    readiness: Check, families: tuple[str, ...]
) -> Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]:
    """Return the WSGI application behind the three paths."""
    exposition = make_wsgi_app(metrics.registry_of(families))

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            return cast("Iterable[bytes]", exposition(environ, start_response))
        status, body = _answer(path, readiness)
        start_response(status, list(_JSON))  # a new list each time: the server adds Content-Length to it
        return [orjson.dumps(body)]

    return answer


def _answer(path: str, readiness: Check) -> tuple[str, dict[str, object]]:
    if path == "/healthz":
        return "200 OK", {"status": "alive"}
    if path == "/readyz":
        reasons = readiness()
        if reasons:
            return "503 Service Unavailable", {"status": "not ready", "reasons": reasons}
        return "200 OK", {"status": "ready", "reasons": {}}
    return "404 Not Found", {"error": "known paths: /healthz /readyz /metrics"}


class _QuietHandler(WSGIRequestHandler):
    """A probe every few seconds is no event."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        _log.debug(format, *args)
