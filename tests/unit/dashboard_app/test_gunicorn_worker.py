"""How the worker ends connections: with a poller, without a server."""

import os
import selectors
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from dashboard_app import gunicorn_worker
from dashboard_app.gunicorn_worker import Worker


class Scene:
    """A worker, one connection of its own, and the client at the other end."""

    def __init__(self) -> None:
        """Connect them."""
        config = Config()
        self.worker: Any = Worker(1, os.getppid(), [], None, 30, config, None)
        self.worker.poller, self.worker.nr_conns = selectors.DefaultSelector(), 1
        ours, self.client = socket.socketpair()
        self.client.settimeout(5)
        self.connection = TConn(config, ours, ("127.0.0.1", 1), ("127.0.0.1", 2))

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
    scene.client.close()
    scene.turn()
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
