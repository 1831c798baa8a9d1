"""/healthz, /readyz and /metrics of a process that serves nothing else.

One daemon thread; the checks are called from it, so they must be quick and safe from any thread.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import orjson
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.exposition import ThreadingWSGIServer

from sensorbus.contract.errors import PortInUseError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.runtime import metrics

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: Returns the reasons why the part is not ready, each under its name; none: ready.
Check = Callable[[], dict[str, str]]

_JSON: Final = "application/json"
_SERVER: Final = "sensorbus"
#: Who stays silent for so long in the middle of a request is let go: each connection has a thread and a descriptor.
_SILENT_S: Final = 10.0
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
            server_class=_Server,
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
    registry = metrics.registry_of(families)

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        status, kind, body = "200 OK", CONTENT_TYPE_LATEST, b""
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            status, kind, body = "405 Method Not Allowed", _JSON, orjson.dumps({"error": "only GET"})
        elif environ["PATH_INFO"] == "/metrics":
            body = generate_latest(registry)  # one format, whatever is asked for: as the page does
        else:
            status, told = _answer(environ["PATH_INFO"], readiness)
            kind, body = _JSON, orjson.dumps(told)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "X-Content-Type-Options": "nosniff",
            "Server": _SERVER,  # the server's own names Python's version
        }
        start_response(status, list(headers.items()))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

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


class _Server(ThreadingWSGIServer):
    """One thread for each connection."""

    request_queue_size = 128  # with 5, the base class's, whoever comes with some others waits for a second

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away or fell silent: the base class prints a traceback for each."""
        del request, client_address
        if not isinstance(sys.exception(), OSError):
            _log.exception("cannot answer a request")


class _QuietHandler(WSGIRequestHandler):
    """A probe every few seconds is no event."""

    timeout = _SILENT_S
    error_content_type = _JSON
    error_message_format = '{"error": "%(message)s"}'  # of what is no HTTP: the standard library's own words

    def version_string(self) -> str:
        """Return what its own refusals call the server."""
        return _SERVER

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        _log.debug(format, *args)
