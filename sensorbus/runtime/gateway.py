"""Gives the embedded broker an address that is known beforehand.

It listens on a port of our choice and speaks for the broker behind it, whose own port the operating system picked: it
names itself as the only broker, and answers the two requests that programs need to name their topics and that the
broker lacks (CreateTopics, DescribeConfigs). Every other frame passes as it is. Each connection has a thread, which
serves one request at a time, in order, as Kafka does.
"""

import contextlib
import logging
import select
import socket
import socketserver
import struct
import threading
from collections.abc import Collection
from io import BufferedIOBase
from types import TracebackType
from typing import Any, Final, Self

from kio.serial.errors import SerialError

from sensorbus.runtime import wire

#: Kafka's own `socket.request.max.bytes`: what claims to be longer is no Kafka client.
_LONGEST_FRAME_BYTES: Final = 104_857_600
_LENGTH: Final = struct.Struct(">i")
_STOP_CHECK_S: Final = 0.05
_STOP_TIMEOUT_S: Final = 2.0

_log = logging.getLogger(__name__)


class Gateway:
    """Listens on `host:port` for the broker at `target`; a context manager. Raises `OSError` when the port is taken."""

    def __init__(self, host: str, port: int, target: tuple[str, int]) -> None:
        """Remember the addresses; entering opens the port."""
        self._address, self._target = (host, port), target
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        """Open the port."""
        self._server = _Server(self._address, self._target)
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

    def __init__(self, address: tuple[str, int], target: tuple[str, int]) -> None:
        self.target = target
        self.connections: dict[socket.socket, threading.Thread] = {}
        self._assignors: dict[str, str] = {}  # by group
        super().__init__(address, _Connection)

    def may_join(self, join: Any) -> bool:  # any version of kio's JoinGroupRequest
        """Tell whether a member shares out partitions as the first of its group did.

        The mock cluster ends the process where two members do not, or where one names no way at all.
        """
        names = [protocol.name for protocol in join.protocols]
        return bool(names) and self._assignors.setdefault(join.group_id, names[0]) == names[0]

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
        if request.api_key == wire.JOIN_GROUP and not self.server.may_join(body):
            return wire.refused_join(request)
        if request.api_key == wire.CREATE_TOPICS:
            return _create_topics(request, broker)
        if request.api_key == wire.DESCRIBE_CONFIGS:
            resources = wire.resources_to_describe(request)
            return wire.description(request, resources, broker.topics(request, wire.topic_names(resources)))
        if not wire.is_answered(request):
            broker.send(request.frame)
            return None
        host, port = self.connection.getsockname()
        return wire.translated(request, broker.ask(wire.readable(request).frame), host, port)


class _Broker:
    """The broker's end of one connection of a client."""

    def __init__(self, connection: socket.socket, client: socket.socket) -> None:
        self._connection, self._file = connection, connection.makefile("rb")
        self._client = client

    def send(self, frame: bytes) -> None:
        _send_frame(self._connection, frame)

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


def _create_topics(request: wire.Request, broker: _Broker) -> bytes:
    wanted = wire.topics_to_create(request)
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
