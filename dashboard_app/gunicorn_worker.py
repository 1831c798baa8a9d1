"""gunicorn's worker of threads, which waits for no client.

Neither for one that stops in the middle of its request: gunicorn gives a thread to each that begins one, and to each
that connects for 5 s, so that 16 of them keep everybody waiting. Here a thread is for a request that has come whole.
Nor for one that keeps its end open: gunicorn 27 ends a connection in the loop that also takes in new ones, and gives
the client up to 2 s to hang up; 20 clients with a wrong request each, which then did nothing, kept everybody waiting
for 40 s, longer than gunicorn lets a worker be silent. Here the loop goes on, and looks at such a connection when
something comes on it or its time is over.
"""

import contextlib
import socket
import time
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any, Final

import orjson
from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from dashboard_app.arrival import MAX_HEAD_BYTES, RefusedError, request_bytes

if TYPE_CHECKING:
    from concurrent.futures import Future

_ARRIVES_WITHIN_S: Final = 10.0
_TAKEN_WITHIN_S: Final = 60.0
_LINGER_S: Final = 2.0
_READ_BYTES: Final = 65_536
_MOST_READ_BYTES: Final = 1_048_576


class Connection(TConn):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's connection, which knows whether a request has come whole."""

    def __init__(self, *args: Any) -> None:
        """Wait for the first byte."""
        super().__init__(*args)
        self._wanted_bytes = 1
        self._is_length_known = False

    def init(self) -> None:
        """Let a thread wait, but not for ever, for a client that does not take its answer."""
        super().init()
        self.sock.settimeout(_TAKEN_WITHIN_S)

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of a request has come."""
        return self._wanted_bytes > 1

    def is_whole(self) -> bool:
        """Tell whether a thread would wait for nothing; if not, the poller tells when more has come, or the end.

        Raises `RefusedError` of a request that need not come to its end.
        """
        try:
            received = self.sock.recv(MAX_HEAD_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a thread finds the same, and ends it
        if not self._is_length_known and len(received) >= self._wanted_bytes:
            size = request_bytes(received)
            if size is None or size > len(received):
                self._is_length_known = size is not None
                self._want(size or len(received) + 1)
                return False
        self.want_anything()
        return True

    def want_anything(self) -> None:
        """Let the next byte be told, or given to who waits for it."""
        self._is_length_known = False
        if self.has_begun:
            self._want(1)

    def holds_part_of_next(self) -> bool:
        """Tell whether more was read than the request, but not the whole of another one."""
        rest = self.parser.unreader.buf.getvalue() if self.parser else b""
        if not rest:
            return False
        try:
            size = request_bytes(rest)
        except RefusedError:
            return True
        return size is None or size > len(rest)

    def _want(self, number: int) -> None:
        self._wanted_bytes = number
        with contextlib.suppress(OSError):  # the client has broken it off, which the poller tells
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, number)


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn publishes no types
    """All of this runs in gunicorn's loop, in one thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Have no connection yet."""
        super().__init__(*args, **kwargs)
        # Of both the oldest first.
        self._arriving: dict[Connection, None] = {}
        self._ending: dict[Connection, None] = {}

    def init_process(self) -> None:
        """Have gunicorn refuse what is no HTTP, or too much of it, as the page refuses."""
        util.write_error = refuse
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Let a client in."""
        if self.cfg.is_ssl:  # only a thread can tell what comes
            super().accept(listener)
            return
        try:
            connection, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker has it, or nobody
            return
        self.nr_conns += 1
        self._take(Connection(self.cfg, connection, address, listener.getsockname()))

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Look at what comes on a connection that was kept."""
        if self.cfg.is_ssl:
            super().on_client_socket_readable(conn, client)
            return
        self.keepalived_conns.remove(conn)
        self._take_more(conn, client)

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """Say that nothing more comes, where the connection ends; all else is gunicorn's."""
        goes_on = not fs.cancelled() and (fs.exception() is not None or fs.result())
        if goes_on and (self.cfg.is_ssl or not conn.holds_part_of_next()):
            super().finish_request(conn, fs)
        else:
            self._end(conn)

    def murder_pending(self) -> None:
        """Let go also who has not gone on, or hung up, in time; gunicorn calls it once a second at least."""
        super().murder_pending()
        now_s = time.monotonic()
        while (conn := next(iter(self._arriving), None)) and conn.timeout <= now_s:
            del self._arriving[conn]
            self.poller.unregister(conn.sock)
            status = HTTPStatus.REQUEST_TIMEOUT if conn.has_begun else None
            conn.want_anything()
            self._end(conn, status)
        while (conn := next(iter(self._ending), None)) and conn.timeout <= now_s:
            self._let_go(conn)

    def _take_more(self, conn: Connection, client: socket.socket) -> None:
        self.poller.unregister(client)
        self._take(conn)

    def _take(self, conn: Connection) -> None:
        """Give a thread to a request that is whole, and wait for the rest of another one."""
        try:
            is_whole = conn.is_whole()
        except RefusedError as refused:
            self._arriving.pop(conn, None)
            self._end(conn, refused.status)
            return
        if is_whole:
            self._arriving.pop(conn, None)
            conn.data_ready = True
            self.enqueue_req(conn)
            return
        if conn not in self._arriving:
            conn.sock.setblocking(False)
            conn.timeout = time.monotonic() + _ARRIVES_WITHIN_S
            self._arriving[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._take_more, conn))

    def _end(self, conn: Any, status: HTTPStatus | None = None) -> None:
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
            conn.timeout = time.monotonic() + _LINGER_S

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
