"""gunicorn's connection, for a loop that gives a thread only to who needs one."""

import contextlib
import select
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.gthread import TConn

from dashboard_app.arrival import MAX_HEAD_BYTES, RefusedError, request_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

#: So long a thread waits for a client that does not take its answer.
TAKEN_WITHIN_S: Final = 60.0


class Outbox:
    """A socket that keeps what is sent, so that nobody waits for a client that does not take it."""

    def __init__(self, connection: socket.socket) -> None:
        """Have kept nothing."""
        self.connection = connection
        self.kept: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self.kept.append(bytes(data))

    def setblocking(self, _flag: bool) -> None:
        """Stay as it is: nothing waits."""

    def settimeout(self, _timeout_s: float | None) -> None:
        """Stay as it is: nothing waits."""

    def __getattr__(self, name: str) -> Any:
        """Be the socket in all else."""
        return getattr(self.connection, name)


class Connection(TConn):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's, which knows whether a request has come whole."""

    sock: Any  # a socket, or an outbox before it

    def __init__(self, *args: Any) -> None:
        """Wait for the first byte."""
        super().__init__(*args)
        self._wanted_bytes = 1
        self._is_length_known = False
        self.is_quick = False

    def init(self) -> None:
        """Let a thread wait, but not for ever, for a client that does not take its answer."""
        super().init()
        self.sock.settimeout(TAKEN_WITHIN_S)

    @property
    def has_begun(self) -> bool:
        """Tell whether a part of a request has come."""
        return self._wanted_bytes > 1

    def is_whole(self, is_quick: "Callable[[bytes], bool]") -> bool:
        """Tell whether a thread would wait for nothing; if not, the poller tells when more has come, or the end.

        What `is_quick` says of the request is kept. Raises `RefusedError` of one that need not come to its end.
        """
        self.is_quick = False
        try:
            received = self.sock.recv(MAX_HEAD_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a thread finds the same, and ends it
        is_here = len(received) >= self._wanted_bytes
        if is_here and not self._is_length_known:
            size = request_bytes(received)
            if size is None or size > len(received):
                self._is_length_known = size is not None
                self._want(size or len(received) + 1)
                return False
        elif self._is_urgent():
            raise RefusedError(HTTPStatus.BAD_REQUEST)
        self.want_anything()
        self.is_quick = is_here and is_quick(received)  # else a thread finds the end, or waits: a poller may tell early
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

    def _is_urgent(self) -> bool:
        """Tell whether there is urgent data: the poller counts it as come, and a thread would wait for it in vain."""
        look = select.poll()
        look.register(self.sock, select.POLLPRI)
        return any(seen & select.POLLPRI for _, seen in look.poll(0))

    def _want(self, number: int) -> None:
        self._wanted_bytes = number
        with contextlib.suppress(OSError):  # the client has broken it off, which the poller tells
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, number)

    def collect(self) -> None:
        """Keep what is sent from now on."""
        self.init()
        self.sock.setblocking(False)
        self.sock = Outbox(self.sock)

    def send_collected(self) -> bytes:
        """Send what was kept, as far as the system takes it at once; return the rest."""
        outbox, self.sock = self.sock, self.sock.connection
        kept = b"".join(outbox.kept)
        try:
            return kept[self.sock.send(kept) :]
        except BlockingIOError:
            return kept
        except OSError:
            return b""  # the client has broken it off, which the next look at the connection finds

    def send_rest(self, rest: bytes, goes_on: bool) -> bool:
        """Send in a thread of its own what the system did not take at once; return `goes_on`, if it could."""
        try:
            self.sock.settimeout(TAKEN_WITHIN_S)
            self.sock.sendall(rest)
        except OSError:
            return False
        return goes_on
