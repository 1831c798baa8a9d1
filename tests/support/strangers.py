"""Sends hostile requests to a listener and looks at each answer.

What comes is an answer in a word: no 5xx, nothing of the inside.
"""

import http.client
import re
import socket
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from tests.support.hostile import Hostile, Request

LOG_BYTES: Final = 100_000
MEMORY_BYTES: Final = 50_000_000
#: What tells of the inside.
TOLD: Final = (b"Traceback", b'File "', b"site-packages", b"werkzeug", b"Error: ", b"CPython", b"Python/")
#: The words for a method, a transfer coding and a version of HTTP that there are not.
_UNKNOWN_TO_US: Final = {501, 505}
_STATUS: Final = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)
_ANSWER_WITHIN_S: Final = 10.0
_SOON_S: Final = 0.05
_LOCALHOST: Final = "127.0.0.1"
#: On loopback so many addresses call, where one would be slowed down.
_ADDRESSES: Final = 200


@dataclass(frozen=True)
class Listener:
    """Where the requests go; `trust` is for TLS, `from_many` lets them come from several addresses of loopback."""

    port: int
    trust: ssl.SSLContext | None = None
    from_many: bool = False

    def client(self, number: int = 0) -> http.client.HTTPConnection:
        """Return a client that has not connected yet."""
        source = (self._source(number), 0)
        if self.trust is None:
            return http.client.HTTPConnection(_LOCALHOST, self.port, _ANSWER_WITHIN_S, source)
        return http.client.HTTPSConnection(
            _LOCALHOST, self.port, timeout=_ANSWER_WITHIN_S, source_address=source, context=self.trust
        )

    def connect(self, number: int = 0) -> socket.socket:
        """Return a connection."""
        plain = socket.create_connection((_LOCALHOST, self.port), _ANSWER_WITHIN_S, (self._source(number), 0))
        return self.trust.wrap_socket(plain, server_hostname="localhost") if self.trust else plain

    def _source(self, number: int) -> str:
        return f"127.0.0.{1 + number % _ADDRESSES}" if self.from_many else _LOCALHOST


def answer_to(connection: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
    """Return status and body; status 0 when the server closed the connection without an answer."""
    try:
        connection.putrequest(
            request.method, request.path, skip_accept_encoding=True, skip_host="Host" in request.headers
        )
        for name, value in request.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        with connection.getresponse() as answer:
            return answer.status, answer.read()
    except (http.client.HTTPException, ConnectionError, ssl.SSLError):
        connection.close()
        return 0, b""


def answer_to_bytes(listener: Listener, data: bytes, number: int = 0) -> bytes:
    """Return all that comes back to bytes after which nothing more comes; over TLS, what comes soon."""
    answer = bytearray()
    with listener.connect(number) as connection:
        try:
            connection.sendall(data)
            if listener.trust is None:
                connection.shutdown(socket.SHUT_WR)
            else:  # it has no end of one side alone
                connection.settimeout(_SOON_S)
            while piece := connection.recv(65_536):
                answer += piece
        except TimeoutError:
            if listener.trust is None:
                raise
        except OSError:  # closed before all was read, which is an answer too
            pass
    return bytes(answer)


def send(listener: Listener, hostile: Hostile, number: int) -> Counter[int]:
    """Send so many and return how often each status came; fails at the first answer that is none."""
    statuses = Counter[int]()
    connection = listener.client()
    for count in range(number):
        if hostile.is_raw():
            statuses.update(_checked_bytes(listener, hostile.raw(), count))
            continue
        if listener.from_many:
            connection.close()
            connection = listener.client(count)
        request = hostile.request()
        status, body = answer_to(connection, request)
        if status == 0:  # an idle or refused connection was closed: once more on a new one
            status, body = answer_to(connection, request)
        assert 200 <= status < 500 or _is_not_ready(status, request.path), (count, status, request)
        assert status != 200 or request.path != "/_dash-update-component" or body.startswith(b'{"multi"'), request
        assert not any(told in body for told in TOLD if status != 200), (count, body)
        statuses[status] += 1
    connection.close()
    return statuses


def _checked_bytes(listener: Listener, data: bytes, number: int) -> list[int]:
    answer = answer_to_bytes(listener, data, number)
    assert not any(told in answer for told in TOLD), (data, answer)
    statuses = [int(found) for found in _STATUS.findall(answer)]
    faults = {status for status in statuses if status >= 500} - _UNKNOWN_TO_US
    assert all(_is_not_ready(status, data.decode("latin-1")) for status in faults), (data, answer)
    return statuses


def _is_not_ready(status: int, asked: str) -> bool:
    """Tell whether an answer is what a part that still starts, or is behind, says of itself."""
    return status == HTTPStatus.SERVICE_UNAVAILABLE and "/readyz" in asked


@contextmanager
def held_open(listener: Listener, data: bytes, count: int) -> Iterator[None]:
    """Hold so many connections on which somebody sent this and then does nothing."""
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(listener.connect(number))
            connection.sendall(data)
        yield
