"""How the worker ends connections: with a poller, without a server."""

from concurrent.futures import Future

import pytest

from dashboard_app import gunicorn_ending
from tests.support.waiting import wait_until
from tests.support.worker_scene import Scene


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
    monkeypatch.setattr(gunicorn_ending, "_LINGER_S", 0.0)
    scene.end()
    scene.turn()
    assert (scene.worker.nr_conns, scene.connection.sock.fileno()) == (0, -1)


def test_who_goes_on_sending_is_let_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast: the loop has others."""
    monkeypatch.setattr(gunicorn_ending, "_MOST_READ_BYTES", 1_000)
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
    gunicorn_ending.refuse(scene.connection.sock, 431, "Request Header Fields Too Large", "<script>")
    head, _, body = scene.client.recv(10_000).decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    assert status == "HTTP/1.1 431 Request Header Fields Too Large"
    assert {"X-Content-Type-Options: nosniff", "X-Frame-Options: DENY", f"Content-Length: {len(body)}"} <= {*lines}
    assert "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'" in lines
    assert body == '{"error":"request header fields too large"}'


def test_who_does_not_hang_up_is_let_go_sooner_when_the_worker_stops(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever came before or after the order."""
    monkeypatch.setattr(gunicorn_ending, "_LINGER_S", 60.0)
    monkeypatch.setattr(gunicorn_ending, "_GONE_WITHIN_S", 0.2)
    scene.end()
    scene.worker._cap_keepalive(0.0)
    wait_until(scene.is_over, 5, "the end")
    later = Scene()
    later.worker._cap_keepalive(0.0)
    later.end()
    wait_until(later.is_over, 5, "the end")
    later.close()
