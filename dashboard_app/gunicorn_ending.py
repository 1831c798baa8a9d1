"""gunicorn's worker of threads, which waits for no client that keeps its end open.

gunicorn 27 ends a connection in the loop that also takes in new ones, and gives the client up to 2 s to hang up: 20
clients with a wrong request each, which then did nothing, kept everybody waiting for 40 s, longer than gunicorn lets a
worker be silent. Here the loop goes on, and looks at such a connection when something comes on it or its time is over.
"""

import contextlib
import math
import socket
import time
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any, Final

import orjson
from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

_LINGER_S: Final = 2.0
#: After the order to stop. gunicorn's master kills a worker after 3 s, and closing the consumer takes its time.
_GONE_WITHIN_S: Final = 2.0
_STOPS_EVERY_S: Final = 0.1
_READ_BYTES: Final = 65_536
_MOST_READ_BYTES: Final = 1_048_576


class EndingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """All of this runs in gunicorn's loop, in one thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """End nothing yet."""
        super().__init__(*args, **kwargs)
        self._ending: dict[Any, None] = {}  # gunicorn's connections, the oldest first
        self._gone_by_s = math.inf

    def init_process(self) -> None:
        """Have gunicorn refuse what is no HTTP, or too much of it, as the page refuses."""
        util.write_error = refuse
        super().init_process()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Say that nothing more comes, where the connection ends; all else is gunicorn's."""
        if not fs.cancelled() and (fs.exception() is not None or fs.result()):
            super().finish_request(conn, fs)
        else:
            self.end(conn)

    def murder_pending(self) -> None:
        """Let go also who has not hung up in time; gunicorn calls it once a second at least."""
        super().murder_pending()
        while (conn := next(iter(self._ending), None)) and conn.timeout <= time.monotonic():
            self._let_go(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Look more often at who must go when the worker stops; gunicorn would once a second."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, _STOPS_EVERY_S))

    def _cap_keepalive(self, deadline: float) -> None:
        """Let nobody stay for long: gunicorn calls it when the worker stops, and forgets who has not hung up."""
        super()._cap_keepalive(deadline)
        self._gone_by_s = time.monotonic() + _GONE_WITHIN_S
        for conn in self._ending:
            conn.timeout = min(conn.timeout, self._gone_by_s)

    def end(self, conn: Any, status: HTTPStatus | None = None) -> None:
        """Refuse with a status, if one is given; then say that nothing more comes, and read on for a while."""
        self._ending[conn] = None
        conn.unread_bytes = 0
        try:
            if status:
                refuse(conn.sock, status.value, status.phrase, "")
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, EVENT_READ, partial(self._read_on, conn))
        except (OSError, ValueError):  # the client was faster
            self._let_go(conn)
        else:
            conn.timeout = min(time.monotonic() + _LINGER_S, self._gone_by_s)

    def _read_on(self, conn: Any, connection: socket.socket) -> None:
        """Take what was not read, a megabyte at most: closing before that would cut off the answer."""
        try:
            received = len(connection.recv(_READ_BYTES))
        except BlockingIOError:
            return
        except OSError:
            received = 0  # the client has broken it off
        conn.unread_bytes += received
        if not received or conn.unread_bytes > _MOST_READ_BYTES:
            self._let_go(conn)

    def _let_go(self, conn: Any) -> None:
        del self._ending[conn]
        with contextlib.suppress(KeyError, ValueError):  # it was never registered, for it was closed
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()


def refuse(connection: socket.socket, status: int, reason: str, _message: str) -> None:
    """Answer a request that does not reach the page; what was wrong in it is not repeated."""
    from dashboard_app.guard import HEADERS  # noqa: PLC0415  # only in a worker: it loads what counts

    body = orjson.dumps({"error": reason.lower()})
    headers = HEADERS | {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    util.write_nonblock(connection, "\r\n".join(lines).encode() + body)
