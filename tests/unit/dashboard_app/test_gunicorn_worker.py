"""When the worker gives a thread to a request: with a poller, without a server."""

import errno
import socket
import time
from concurrent.futures import Future
from unittest.mock import Mock

import pytest

from dashboard_app import gunicorn_worker
from dashboard_app.arrival import MAX_BODY_BYTES, MAX_HEAD_BYTES
from dashboard_app.gunicorn_log import RootLogger
from tests.support.waiting import wait_until
from tests.support.worker_scene import GET, HEAD, Scene


def test_a_request_that_is_here_gets_a_thread_at_once(scene: Scene) -> None:
    """The loop need not be asked."""
    scene.send(GET)
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


def test_too_many_open_files_end_no_worker(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It lets nobody in for a while, without asking all the time, and then goes on."""
    monkeypatch.setattr(gunicorn_worker, "_LETS_IN_AGAIN_AFTER_S", 0.2)
    scene.worker.log = RootLogger(scene.worker.cfg)
    full = Mock(accept=Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scene.worker.sockets = [listener]
        scene.worker.set_accept_enabled(True)
        scene.worker.accept(full)
        scene.worker.set_accept_enabled(True)
        assert (scene.worker._accepting, scene.worker.nr_conns, len(scene.worker.poller.get_map())) == (False, 1, 0)
        time.sleep(0.2)
        scene.worker.set_accept_enabled(True)
        assert (scene.worker._accepting, len(scene.worker.poller.get_map())) == (True, 1)
    assert "Too many open files" in caplog.text


def test_a_loop_that_has_answered_for_long_lets_threads_do_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has come round: what looks quick may ask for all that is held, and many may ask at once."""
    monkeypatch.setattr(gunicorn_worker, "_ANSWERS_FOR_S", 0.0)
    scene.worker._is_quick = lambda _: True
    scene.send(GET)
    scene.begin()
    assert scene.given == [scene.connection]


def test_each_turn_of_the_loop_answers_anew(scene: Scene) -> None:
    """However long the one before has answered."""
    scene.answer_with(b"quick")
    scene.worker._is_quick = lambda _: True
    scene.send(GET)
    scene.begin()
    scene.worker._answering_s = 60.0
    scene.send(GET)
    assert scene.given == [scene.connection]
    done: Future[bool] = Future()
    done.set_result(True)
    scene.connection.sock.recv(len(GET))
    scene.worker.finish_request(scene.connection, done)
    scene.send(GET)
    assert scene.given == [scene.connection]


def test_what_a_refused_client_goes_on_to_send_is_taken(scene: Scene) -> None:
    """However much it was waited for before; closing over it would cut off the answer."""
    scene.begin()
    scene.send(b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_HEAD_BYTES - 100))
    scene.send(b"x" * 1_000)
    scene.turn()
    scene.turn()
    scene.send(b"x")
    assert scene.held() == 0


@pytest.mark.parametrize("before", [HEAD[:20], HEAD + b"123"], ids=["head", "body"])
def test_urgent_data_gets_no_thread(scene: Scene, before: bytes) -> None:
    """It counts as come, but whoever reads would wait for it; no browser sends it."""
    scene.begin()
    scene.send(before)
    scene.client.send(b"4", socket.MSG_OOB)
    scene.client.sendall(b"56")
    wait_until(lambda: bool(scene.worker.poller.select(0)), 5, "what was sent")
    scene.turn()
    assert (scene.given, scene.answer()) == ([], b"HTTP/1.1 400 Bad Request")


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


def test_a_quick_request_is_answered_without_a_thread(scene: Scene) -> None:
    """And the connection waits for the next one."""
    scene.answer_with(b"quick")
    scene.worker._is_quick = lambda request: request == GET
    scene.send(GET)
    scene.begin()
    assert scene.client.recv(10_000).endswith(b"\r\n\r\nquick")
    assert (scene.given, list(scene.worker.keepalived_conns)) == ([], [scene.connection])
    scene.send(GET.replace(b"/", b"/slow", 1))
    assert scene.given == [scene.connection]
    assert isinstance(scene.connection.sock, socket.socket)


@pytest.mark.parametrize("begun_before", [True, False])
def test_a_worker_that_stops_waits_for_the_rest_of_no_request(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, begun_before: bool
) -> None:
    """Nor for one that begins then; 408 comes before the worker is gone."""
    monkeypatch.setattr(gunicorn_worker, "_ARRIVES_BEFORE_STOP_S", 0.2)
    if not begun_before:
        scene.worker._cap_keepalive(0.0)
    scene.begin()
    scene.send(HEAD)
    if begun_before:
        scene.worker._cap_keepalive(0.0)
    wait_until(scene.is_ending, 5, "the end")
    assert (scene.given, scene.answer()) == ([], b"HTTP/1.1 408 Request Timeout")
