"""How the worker begins and ends connections: with a poller, without a server."""

import logging
import os
import selectors
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from gunicorn.config import Config

from dashboard_app import gunicorn_worker
from dashboard_app.arrival import MAX_BODY_BYTES, MAX_HEAD_BYTES
from dashboard_app.gunicorn_log import RootLogger
from dashboard_app.gunicorn_worker import Connection, Worker
from tests.support.waiting import wait_until

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 6\r\n\r\n"


class Scene:
    """A worker, one connection of its own, and the client at the other end."""

    def __init__(self) -> None:
        """Connect them."""
        config = Config()
        self.worker: Any = Worker(1, os.getppid(), [], None, 30, config, None)
        self.worker.poller, self.worker.nr_conns = selectors.DefaultSelector(), 1
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname(), timeout=5)
            ours, address = listener.accept()
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = Connection(config, ours, address, ("127.0.0.1", 2))
        #: What was given to a thread.
        self.given: list[Connection] = []
        self.worker.enqueue_req = self.given.append

    def begin(self) -> None:
        """Let the worker take the connection in."""
        self.worker._take(self.connection)

    def send(self, data: bytes) -> None:
        """Send as a client, and let the worker look at what has come."""
        held = self.held()
        self.client.sendall(data)
        wait_until(lambda: self.held() == held + len(data), 5, "what was sent")
        self.turn()

    def held(self) -> int:
        """Return how many bytes the worker's end holds unread."""
        try:
            return len(self.connection.sock.recv(1_000_000, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return 0

    def hang_up(self) -> None:
        """Close the client's end, and let the worker see it."""
        self.client.close()
        wait_until(lambda: bool(self.worker.poller.select(0)), 5, "the end")
        self.turn()

    def is_ending(self) -> bool:
        """Turn once, and tell whether the worker ends the connection."""
        self.turn()
        return self.connection in self.worker._ending

    def answer(self) -> bytes:
        """Return the first line of what the worker answers."""
        return self.client.recv(10_000).partition(b"\r\n")[0]

    def end(self) -> None:
        """Let the request be answered, as the last one of the connection."""
        done: Future[bool] = Future()
        done.set_result(False)
        self.worker.finish_request(self.connection, done)

    def turn(self) -> None:
        """Do what the worker's loop does once."""
        for key, _ in self.worker.poller.select(0):
            key.data(key.fileobj)
        self.worker.murder_pending()

    def close(self) -> None:
        """Free what is left."""
        self.client.close()
        self.connection.sock.close()
        self.worker.poller.close()
        self.worker.tmp.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Give a worker with one connection."""
    made = Scene()
    yield made
    made.close()


def test_a_client_is_told_at_once_and_nobody_waits_for_it(scene: Scene) -> None:
    """It sees the end of the answer; what it still sends is taken, until it hangs up."""
    scene.end()
    assert (scene.client.recv(1), scene.worker.nr_conns) == (b"", 1)
    scene.turn()
    scene.client.sendall(b"x" * 1_000)
    scene.turn()
    assert scene.worker.nr_conns == 1
    scene.hang_up()
    assert (scene.worker.nr_conns, scene.connection.sock.fileno()) == (0, -1)


def test_who_does_not_hang_up_is_let_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its time is over."""
    monkeypatch.setattr(gunicorn_worker, "_LINGER_S", 0.0)
    scene.end()
    scene.turn()
    assert (scene.worker.nr_conns, scene.connection.sock.fileno()) == (0, -1)


def test_who_goes_on_sending_is_let_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast: the loop has others."""
    monkeypatch.setattr(gunicorn_worker, "_MOST_READ_BYTES", 1_000)
    scene.end()
    for _ in range(2):
        assert scene.worker.nr_conns == 1
        scene.client.sendall(b"x" * 600)
        scene.turn()
    assert (scene.worker.nr_conns, scene.connection.sock.fileno()) == (0, -1)


@pytest.mark.parametrize("by", ["client", "worker"])
def test_a_connection_that_is_closed_already_is_counted_once(scene: Scene, by: str) -> None:
    """By whom does not matter."""
    (scene.client if by == "client" else scene.connection.sock).close()
    scene.end()
    scene.turn()
    assert (scene.worker.nr_conns, scene.connection.sock.fileno()) == (0, -1)


def test_a_connection_that_goes_on_is_gunicorns(scene: Scene) -> None:
    """It waits for the next request."""
    scene.connection.init()
    done: Future[bool] = Future()
    done.set_result(True)
    scene.worker.finish_request(scene.connection, done)
    assert list(scene.worker.keepalived_conns) == [scene.connection]
    assert scene.worker.nr_conns == 1


def test_a_request_that_is_none_is_refused_as_the_page_refuses(scene: Scene) -> None:
    """With the headers of every answer, and without what was wrong: gunicorn would repeat it in a page of HTML."""
    gunicorn_worker.refuse(scene.connection.sock, 431, "Request Header Fields Too Large", "<script>")
    head, _, body = scene.client.recv(10_000).decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    assert status == "HTTP/1.1 431 Request Header Fields Too Large"
    assert {"X-Content-Type-Options: nosniff", "X-Frame-Options: DENY", f"Content-Length: {len(body)}"} <= {*lines}
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'" in lines
    assert body == '{"error":"request header fields too large"}'


def test_a_request_that_is_here_gets_a_thread_at_once(scene: Scene) -> None:
    """The loop need not be asked."""
    scene.send(b"GET / HTTP/1.1\r\n\r\n")
    scene.begin()
    assert (scene.given, len(scene.worker.poller.get_map())) == ([scene.connection], 0)


def test_a_request_gets_a_thread_when_all_of_it_is_here(scene: Scene) -> None:
    """However small the pieces are; then a thread reads as usual."""
    scene.begin()
    for byte in HEAD + b'{"a":':
        scene.send(bytes((byte,)))
        assert scene.given == []
    scene.send(b"}")
    assert (scene.given, len(scene.worker.poller.get_map())) == ([scene.connection], 0)
    assert scene.connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


def test_the_loop_is_woken_by_the_last_byte_alone(scene: Scene) -> None:
    """Of a body whose length is known; and by one more byte of a head."""
    scene.begin()
    scene.send(HEAD[:20])
    assert scene.worker.poller.select(0) == []
    scene.send(HEAD[20:])
    scene.client.sendall(b"12345")
    wait_until(lambda: scene.held() == len(HEAD) + 5, 5, "the body")
    assert scene.worker.poller.select(0) == []
    scene.client.sendall(b"6")
    wait_until(lambda: bool(scene.worker.poller.select(0)), 5, "the last byte")


def test_a_client_that_hangs_up_gets_a_thread(scene: Scene) -> None:
    """What it reads ends, so that it does not wait."""
    scene.begin()
    scene.send(HEAD[:20])
    scene.hang_up()
    assert scene.given == [scene.connection]


@pytest.mark.parametrize("sent", [b"", HEAD[:9], HEAD + b"123"])
def test_who_does_not_go_on_is_let_go(scene: Scene, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """With 408 to who had begun."""
    monkeypatch.setattr(gunicorn_worker, "_ARRIVES_WITHIN_S", 0.2)
    scene.begin()
    if sent:
        scene.send(sent)
    wait_until(scene.is_ending, 5, "the end")
    assert (scene.given, scene.answer()) == ([], b"HTTP/1.1 408 Request Timeout" if sent else b"")
    scene.turn()
    scene.hang_up()
    assert (scene.worker.nr_conns, scene.connection.sock.fileno()) == (0, -1)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD_BYTES, b"431 Request Header Fields Too Large"),
        (HEAD.replace(b"6", b"%d" % (MAX_BODY_BYTES + 1)), b"413 Request Entity Too Large"),
        (HEAD.replace(b"Content-Length: 6", b"Transfer-Encoding: chunked"), b"411 Length Required"),
    ],
)
def test_a_request_that_will_be_refused_is_not_waited_for(scene: Scene, sent: bytes, status: bytes) -> None:
    """No thread has to do with it."""
    scene.begin()
    scene.send(sent)
    assert (scene.given, scene.answer()) == ([], b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("rest", "goes_on"), [(b"GET /", False), (b"GET / HTTP/1.1\r\n\r\n", True), (b"", True)])
def test_a_part_of_another_request_ends_the_connection(scene: Scene, rest: bytes, goes_on: bool) -> None:
    """Nobody can wait for the rest of what is read already; what is whole is answered."""
    scene.connection.init()
    scene.connection.parser.unreader.unread(rest)
    done: Future[bool] = Future()
    done.set_result(True)
    scene.worker.finish_request(scene.connection, done)
    kept = scene.given if rest else list(scene.worker.keepalived_conns)
    assert (kept == [scene.connection], scene.connection in scene.worker._ending) == (goes_on, not goes_on)


def test_what_comes_on_a_kept_connection_is_waited_for_too(scene: Scene) -> None:
    """In the loop."""
    scene.connection.init()
    done: Future[bool] = Future()
    done.set_result(True)
    scene.worker.finish_request(scene.connection, done)
    scene.send(HEAD)
    assert (scene.given, list(scene.worker.keepalived_conns)) == ([], [])
    scene.send(b"123456")
    assert scene.given == [scene.connection]


def test_who_does_not_take_its_answer_is_let_go(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a while, so that its thread is another one's; that is no mistake with a traceback."""
    monkeypatch.setattr(gunicorn_worker, "_TAKEN_WITHIN_S", 0.1)
    scene.worker.log = RootLogger(scene.worker.cfg)
    scene.worker.wsgi = lambda _environ, start_response: start_response("200 OK", []) and [b"x" * 50_000_000]
    scene.send(b"GET / HTTP/1.1\r\n\r\n")
    scene.begin()
    with caplog.at_level(logging.INFO):
        assert scene.worker.handle(scene.connection) is False
    (said,) = caplog.records
    assert (said.levelname, said.exc_info) == ("INFO", None)
    assert said.getMessage() == "a client did not take its answer, and is let go"
