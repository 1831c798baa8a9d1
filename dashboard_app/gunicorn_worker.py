"""gunicorn's worker of threads, which gives them only to requests that need one.

gunicorn gives a thread to each client that begins a request, and for 5 s to each that connects: 16 that stop in the
middle keep everybody waiting. Here a thread is for a request that has come whole, and what is quick has none.
"""

import math
import socket
import time
from concurrent.futures import Future
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any, Final

from dashboard_app.arrival import QUICK, RefusedError
from dashboard_app.gunicorn_connection import Connection
from dashboard_app.gunicorn_ending import EndingWorker

if TYPE_CHECKING:
    from collections.abc import Callable

_ARRIVES_WITHIN_S: Final = 10.0
#: After the order to stop: what comes whole until then is answered, and 408 is said to the others while they are there.
_ARRIVES_BEFORE_STOP_S: Final = 1.5
_LETS_IN_AGAIN_AFTER_S: Final = 1.0
#: So long the loop answers, at a turn, before threads do: gunicorn ends a worker whose loop does not come round.
_ANSWERS_FOR_S: Final = 0.5


class Worker(EndingWorker):
    """All of this runs in gunicorn's loop, in one thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Have no connection yet."""
        super().__init__(*args, **kwargs)
        self._arriving: dict[Connection, None] = {}  # the oldest first
        self._is_quick: Callable[[bytes], bool] = lambda _: False
        self._answering_s = 0.0  # at this turn of the loop
        self._lets_in_from_s = 0.0
        self._arrives_by_s = math.inf

    def load_wsgi(self) -> None:
        """Ask the page which requests it answers quickly."""
        super().load_wsgi()
        self._is_quick = self.wsgi.extensions.get(QUICK, self._is_quick)

    def accept(self, listener: socket.socket) -> None:
        """Let a client in."""
        try:
            if self.cfg.is_ssl:  # only a thread can tell what comes
                super().accept(listener)
                return
            connection, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker has it, or nobody
            return
        except OSError as error:  # mostly too many open files; gunicorn would end the worker, and so all its clients
            self.log.warning("no client is let in for %.0f s: %s", _LETS_IN_AGAIN_AFTER_S, error)
            self._lets_in_from_s = time.monotonic() + _LETS_IN_AGAIN_AFTER_S
            self.set_accept_enabled(False)
            return
        self.nr_conns += 1
        self._take(Connection(self.cfg, connection, address, listener.getsockname()))

    def set_accept_enabled(self, enabled: bool) -> None:
        """Let clients in, or wait until the system can; gunicorn asks at each turn."""
        super().set_accept_enabled(enabled and time.monotonic() >= self._lets_in_from_s)

    def on_client_socket_readable(self, conn: Any, client: socket.socket) -> None:
        """Look at what comes on a connection that was kept."""
        if self.cfg.is_ssl:
            super().on_client_socket_readable(conn, client)
            return
        self.keepalived_conns.remove(conn)
        self._take_more(conn, client)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """End the connection also if a part of another request was read already: nobody waits for its rest."""
        if not self.cfg.is_ssl and conn.holds_part_of_next():
            self.end(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Let go also who has not gone on in time; gunicorn calls it at each turn, once a second at least."""
        super().murder_pending()
        self._answering_s = 0.0
        while (conn := next(iter(self._arriving), None)) and conn.timeout <= time.monotonic():
            del self._arriving[conn]
            self.poller.unregister(conn.sock)
            status = HTTPStatus.REQUEST_TIMEOUT if conn.has_begun else None
            conn.want_anything()
            self.end(conn, status)

    def _cap_keepalive(self, deadline: float) -> None:
        """Wait for the rest of no request for long: gunicorn calls it when the worker stops."""
        super()._cap_keepalive(deadline)
        self._arrives_by_s = time.monotonic() + _ARRIVES_BEFORE_STOP_S
        for conn in self._arriving:
            conn.timeout = min(conn.timeout, self._arrives_by_s)

    def _take_more(self, conn: Connection, client: socket.socket) -> None:
        self.poller.unregister(client)
        self._take(conn)

    def _take(self, conn: Connection) -> None:
        """Give a thread to a request that is whole, and wait for the rest of another one."""
        try:
            is_whole = conn.is_whole(self._is_quick)
        except RefusedError as refused:
            self._arriving.pop(conn, None)
            conn.want_anything()
            self.end(conn, refused.status)
            return
        if is_whole:
            self._arriving.pop(conn, None)
            conn.data_ready = True
            if conn.is_quick and self._answering_s < _ANSWERS_FOR_S:
                started_s = time.monotonic()
                self._answer_here(conn)
                self._answering_s += time.monotonic() - started_s
            else:
                self.enqueue_req(conn)
            return
        if conn not in self._arriving:
            conn.sock.setblocking(False)
            conn.timeout = min(time.monotonic() + _ARRIVES_WITHIN_S, self._arrives_by_s)
            self._arriving[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._take_more, conn))

    def _answer_here(self, conn: Connection) -> None:
        """Answer without a thread, which would cost as much again; one sends what the system does not take at once."""
        conn.collect()
        goes_on = self.handle(conn)
        if rest := conn.send_collected():
            sent = self.tpool.submit(conn.send_rest, rest, goes_on)
            sent.add_done_callback(lambda future: self.method_queue.defer(self.finish_request, conn, future))
            return
        answered: Future[bool] = Future()
        answered.set_result(goes_on)
        self.finish_request(conn, answered)
