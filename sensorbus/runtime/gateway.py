"""Gives the embedded broker an address that is known beforehand.

It listens on a port of our choice and speaks for the broker behind it, whose own port the operating system picked: it
names itself as the only broker, and answers the two requests that programs need to name their topics and that the
broker lacks (CreateTopics, DescribeConfigs). It names the members of groups, and refuses what the broker does not
survive of them (groups.py). Every other frame passes as it is. Each connection has a thread, which serves one request
at a time, in order, as Kafka does.
"""

import contextlib
import dataclasses
import logging
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Collection, Iterable
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Final, Self

from kio.schema.errors import ErrorCode
from kio.serial.errors import SerialError

from sensorbus.runtime import wire
from sensorbus.runtime.groups import Groups

#: Kafka's own `socket.request.max.bytes`: what claims to be longer is no Kafka client.
_LONGEST_FRAME_BYTES: Final = 104_857_600
_LENGTH: Final = struct.Struct(">i")
_STOP_CHECK_S: Final = 0.05
_STOP_TIMEOUT_S: Final = 2.0
_FORGET_TIMEOUT_S: Final = 5.0
#: Closing tells the other side at once, also one that does not read.
_CLOSE_BY_RESET: Final = struct.pack("ii", 1, 0)

_log = logging.getLogger(__name__)


class Gateway:
    """Listens on `host:port` for the broker at `target`; a context manager. Raises `OSError` when the port is taken.

    `jobs` are the groups whose members are our jobs, which come to the broker's own port.
    """

    def __init__(self, host: str, port: int, target: tuple[str, int], jobs: Iterable[str] = ()) -> None:
        """Remember the addresses; entering opens the port."""
        self._address, self._target, self._groups = (host, port), target, Groups(jobs)
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        """Open the port."""
        self._server = _Server(self._address, self._target, self._groups)
        serve = self._server.serve_forever
        threading.Thread(target=serve, args=(_STOP_CHECK_S,), name="gateway", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.stop()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128  # with 5, the base class's, whoever comes with some others waits for a second
    daemon_threads = True

    def __init__(self, address: tuple[str, int], target: tuple[str, int], groups: Groups) -> None:
        self.target, self.groups = target, groups
        self.connections: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Connection)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection, thread in list(self.connections.items()):
            with contextlib.suppress(OSError):  # closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_STOP_TIMEOUT_S)


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.server.connections[self.connection] = threading.current_thread()
        try:
            with socket.create_connection(self.server.target) as far:
                self._serve(_Broker(far, self.connection))
        except (OSError, EOFError):
            pass  # one side went away
        except (SerialError, ValueError, struct.error) as error:
            port = self.server.server_address[1]
            _log.warning("port %s: closed a connection that does not speak Kafka: %s", port, error)
        finally:
            del self.server.connections[self.connection]

    def _serve(self, broker: "_Broker") -> None:
        while True:
            answer = self._answer(wire.read_request(_read_frame(self.rfile)), broker)
            if answer is not None:
                _send_frame(self.connection, answer)

    def _answer(self, request: wire.Request, broker: "_Broker") -> bytes | None:
        body = wire.body(wire.readable(request))
        if request.api_key in wire.OF_MEMBERS:
            return self._of_member(request, body, broker)
        if request.api_key == wire.CREATE_TOPICS:
            return _create_topics(request, body, broker)
        if request.api_key == wire.DESCRIBE_CONFIGS:
            names = wire.topic_names(body.resources)
            return wire.description(request, body.resources, broker.topics(request, names))
        if request.api_key == wire.PRODUCE and body.acks == 0:
            broker.send(request.frame)
            return None
        host, port = self.connection.getsockname()
        return wire.translated(request, broker.ask(wire.readable(request).frame), host, port)

    def _of_member(self, request: wire.Request, body: Any, broker: "_Broker") -> bytes:
        groups = self.server.groups
        if request.api_key == wire.JOIN_GROUP:
            if error := groups.refusal(body):
                return wire.refused(request, error)
            if not body.member_id:
                body = dataclasses.replace(body, member_id=groups.new_member())
                request = wire.with_body(request, body)
        member_id = getattr(body, "member_id", "")  # newer versions of LeaveGroup, which the broker lacks, have more
        if not groups.is_ours(member_id):
            return wire.refused(request, ErrorCode.unknown_member_id)
        if request.api_key == wire.LEAVE_GROUP:
            return broker.ask(request.frame)
        if not groups.enter(body.group_id, member_id):  # the member gets another name and comes again
            return wire.refused(request, ErrorCode.unknown_member_id)
        try:
            answer = broker.ask(request.frame)
        except (OSError, EOFError):
            broker.close_by_reset()
            _forget(self.server.target, body.group_id, member_id)
            groups.leave(body.group_id, member_id)
            raise
        groups.leave(body.group_id, member_id)
        return answer


class _Broker:
    """The broker's end of one connection of a client."""

    def __init__(self, connection: socket.socket, client: socket.socket) -> None:
        self._connection, self._file = connection, connection.makefile("rb")
        self._client = client

    def send(self, frame: bytes) -> None:
        _send_frame(self._connection, frame)

    def close_by_reset(self) -> None:
        """Close; the broker, which does not read while a member waits there, would not see another end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_BY_RESET)
        self._file.close()
        self._connection.close()

    def ask(self, frame: bytes) -> bytes:
        self.send(frame)
        self._wait()
        return _read_frame(self._file)

    def _wait(self) -> None:
        """Return when the broker answers; a JoinGroup may wait for days, but not for a client that went away."""
        awaited = select.poll()
        for connection in (self._connection, self._client):
            awaited.register(connection, select.POLLIN)
        while self._connection.fileno() not in {number for number, _ in awaited.poll()}:
            if not self._client.recv(1, socket.MSG_PEEK):
                raise EOFError
            awaited.unregister(self._client)  # it has sent its next request

    def topics(self, request: wire.Request, names: Collection[str], *, create: bool = False) -> set[str]:
        """Return which of the topics exist, or make them."""
        if not names:
            return set()
        return wire.topics_in(self.ask(wire.metadata_request(request.correlation_id, names, create=create)))


def _forget(target: tuple[str, int], group_id: str, member_id: str) -> None:
    """Let the broker forget a member that went away while it waited; raises `OSError` or `EOFError`.

    The broker serves its connections in any order. With the answer to the first request it has read what was sent
    before on another connection, so it knows the member.
    """
    with socket.create_connection(target, _FORGET_TIMEOUT_S) as connection, connection.makefile("rb") as answers:
        for frame in (wire.metadata_request(0, (), create=False), wire.leave_request(group_id, member_id)):
            _send_frame(connection, frame)
            _read_frame(answers)


def _create_topics(request: wire.Request, wanted: Any, broker: _Broker) -> bytes:  # of CreateTopics in wire.ADDED
    existing = broker.topics(request, [topic.name for topic in wanted.topics])
    errors = {topic.name: wire.creation_error(topic, existing) for topic in wanted.topics}
    fine = [name for name, (_, message) in errors.items() if message is None]
    if not wanted.validate_only:
        broker.topics(request, fine, create=True)
    return wire.creation_answer(request, errors)


def _read_frame(file: BufferedIOBase) -> bytes:
    """Return the next frame; raises `EOFError` when the stream ends."""
    (length,) = _LENGTH.unpack(_read(file, _LENGTH.size))
    if not 0 <= length <= _LONGEST_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    return _read(file, length)


def _read(file: BufferedIOBase, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _send_frame(connection: socket.socket, frame: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(frame)) + frame)
