"""How a connection waits for requests, and how answers leave it."""

import logging
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard_app import gunicorn_connection
from tests.support.waiting import wait_until
from tests.support.worker_scene import GET, HEAD, Scene


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


@pytest.mark.parametrize("part_sent", [HEAD[:20], HEAD + b"123"], ids=["head", "body"])
def test_what_has_not_come_is_not_quick(scene: Scene, part_sent: bytes) -> None:
    """A unix socket tells of each byte; then a thread waits, as the loop must not."""
    scene.worker._is_quick = lambda _: True
    scene.begin()
    scene.send(part_sent)
    scene.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    scene.turn()
    assert (scene.given, scene.connection.is_quick) == ([scene.connection], False)


def test_who_does_not_take_its_answer_is_let_go(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After a while, so that its thread is another one's; that is no mistake with a traceback."""
    monkeypatch.setattr(gunicorn_connection, "TAKEN_WITHIN_S", 0.1)
    scene.answer_with(b"x" * 50_000_000)
    scene.send(GET)
    scene.begin()
    with caplog.at_level(logging.INFO):
        assert scene.worker.handle(scene.connection) is False
    (said,) = caplog.records
    assert (said.levelname, said.exc_info) == ("INFO", None)
    assert said.getMessage() == "a client did not take its answer, and is let go"


def test_a_thread_sends_what_a_client_does_not_take(scene: Scene) -> None:
    """The loop goes on at once; nothing of the answer is lost."""
    body = os.urandom(1_000) * 20_000
    scene.answer_with(body)
    scene.worker._is_quick = lambda _: True
    scene.worker.tpool = ThreadPoolExecutor(1)
    scene.worker.method_queue.init()
    scene.send(GET)
    scene.begin()
    assert list(scene.worker.keepalived_conns) == []
    taken = b""
    while not taken.endswith(body):
        taken += scene.client.recv(1_000_000)
    scene.worker.tpool.shutdown()
    scene.worker.method_queue.run_callbacks(None)
    assert list(scene.worker.keepalived_conns) == [scene.connection]


def test_a_client_that_goes_before_its_answer_ends_the_connection(scene: Scene) -> None:
    """Whether the loop finds it or the thread that sends."""
    scene.answer_with(b"x" * 50_000_000)
    scene.worker._is_quick = lambda _: True
    scene.worker.tpool = ThreadPoolExecutor(1)
    scene.worker.method_queue.init()
    scene.send(GET)
    scene.begin()
    scene.client.close()
    scene.worker.tpool.shutdown()
    scene.worker.method_queue.run_callbacks(None)
    wait_until(scene.is_over, 5, "the end")
