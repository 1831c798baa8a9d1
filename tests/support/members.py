"""Members of consumer groups, request by request, as no library sends them."""

import contextlib
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sensorbus.runtime.wire import JOIN_GROUP, LEAVE_GROUP, SYNC_GROUP
from tests.support.hostile_frames import frame, one, text

SESSION_MS: Final = 6_000
_TIMEOUT_S: Final = 15.0


def join(group: str, member: str, assignor: str = "range") -> bytes:
    """Return a JoinGroup request."""
    start = text(group) + struct.pack(">ii", SESSION_MS, SESSION_MS) + text(member) + text("consumer")
    return frame(JOIN_GROUP, 2, start + one(text(assignor) + struct.pack(">i", 2) + b"\0\0"))


def sync(group: str, member: str, generation: int) -> bytes:
    """Return a SyncGroup request of a leader who gives nobody that there is anything, so that it waits."""
    start = text(group) + struct.pack(">i", generation) + text(member)
    return frame(SYNC_GROUP, 1, start + one(text("nobody") + struct.pack(">i", 0)))


def leave(group: str, member: str) -> bytes:
    """Return a LeaveGroup request."""
    return frame(LEAVE_GROUP, 1, text(group) + text(member))


class Member:
    """A connection on which one request is sent after the other."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._connection = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)

    def __enter__(self) -> Self:
        """Do nothing more."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._connection.close()

    def send(self, request: bytes) -> None:
        """Send a request; its answer is not awaited."""
        self._connection.sendall(request)

    def answer(self) -> tuple[int, bytes]:
        """Return the error of the next answer, and what follows it; the error is -1 when the connection is closed."""
        try:
            (length,) = struct.unpack(">i", self._read(4))
            answer = self._read(length)
        except (EOFError, ConnectionError):
            return -1, b""
        return struct.unpack_from(">h", answer, 8)[0], answer[10:]

    def _read(self, size: int) -> bytes:
        data = self._connection.recv(size, socket.MSG_WAITALL)
        if len(data) < size:
            raise EOFError
        return data


def joined(member: Member, group: str, assignor: str = "range") -> tuple[str, int]:
    """Join a group as somebody new and return the name that was given, and the generation."""
    member.send(join(group, "", assignor))
    error, rest = member.answer()
    assert error == 0
    (generation,) = struct.unpack_from(">i", rest)
    place, name = 4, ""
    for _ in range(3):  # the way to share out, the leader, this member
        (length,) = struct.unpack_from(">h", rest, place)
        name = rest[place + 2 : place + 2 + length].decode()
        place += 2 + length
    return name, generation


def cut_connections(port: int) -> int:
    """Shut down what this process has open to a port, as a network does, and return how many connections that were."""
    found = 0
    for number in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(number.name))) as connection:
            if connection.type == socket.SOCK_STREAM and connection.getpeername()[1] == port:
                connection.shutdown(socket.SHUT_RDWR)
                found += 1
    return found
