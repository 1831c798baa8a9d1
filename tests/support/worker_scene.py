"""A worker of the page without a server: one connection, a poller, a client."""

import os
import selectors
import socket
from concurrent.futures import Future
from typing import Any

from gunicorn.config import Config

from dashboard_app.gunicorn_connection import Connection
from dashboard_app.gunicorn_log import RootLogger
from dashboard_app.gunicorn_worker import Worker
from tests.support.waiting import wait_until

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
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

    def answer_with(self, body: bytes) -> None:
        """Let an application stand behind the worker that answers all with this."""
        config = self.worker.cfg
        config.set("keepalive", 20)
        self.worker.log = RootLogger(config)
        self.worker.wsgi = lambda _environ, start: start("200 OK", [("Content-Length", str(len(body)))]) and [body]

    def is_ending(self) -> bool:
        """Turn once, and tell whether the worker ends the connection."""
        self.turn()
        return self.connection in self.worker._ending

    def is_over(self) -> bool:
        """Turn once, and tell whether the worker has let go of the connection."""
        self.turn()
        return bool(self.worker.nr_conns == 0)

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
