"""/healthz, /readyz and /metrics as a WSGI application, without a socket."""

import socket
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from sensorbus.contract.settings import Settings
from sensorbus.runtime import health, process
from sensorbus.runtime.metrics import JOB_FAMILIES


def ask(
    path: str, reasons: dict[str, str] | None = None, method: str = "GET", **more: str
) -> tuple[str, dict[str, str], bytes]:
    """Return status, headers and body of an answer."""
    started: list[Any] = []
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "", **more}
    body = health.application(lambda: reasons or {}, JOB_FAMILIES)(environ, lambda *start: started.extend(start))  # type: ignore[arg-type]  # no writer
    status, headers = started
    return status, dict(headers), b"".join(body)


def test_a_process_that_answers_is_alive_even_when_it_is_not_ready() -> None:
    """`/healthz` asks nothing: it is what a restart is decided by."""
    status, headers, body = ask("/healthz", {"kafka": "away"})
    assert (status, orjson.loads(body)) == ("200 OK", {"status": "alive"})
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "sensorbus"


def test_ready_is_200() -> None:
    """No reason against it is ready."""
    status, _, body = ask("/readyz")
    assert (status, orjson.loads(body)) == ("200 OK", {"status": "ready", "reasons": {}})


def test_not_ready_is_503_with_the_reasons() -> None:
    """Each reason stands under its name."""
    status, _, body = ask("/readyz", {"kafka": "no partitions yet"})
    assert status == "503 Service Unavailable"
    assert orjson.loads(body) == {"status": "not ready", "reasons": {"kafka": "no partitions yet"}}


def test_readiness_is_asked_anew_each_time() -> None:
    """What was wrong and is right again is ready again."""
    reasons = {"kafka": "away"}
    application = health.application(lambda: dict(reasons), JOB_FAMILIES)
    statuses: list[str] = []
    environ = {"PATH_INFO": "/readyz", "REQUEST_METHOD": "GET"}
    application(environ, lambda status, _headers: statuses.append(status))  # type: ignore[arg-type]  # no writer
    reasons.clear()
    application(environ, lambda status, _headers: statuses.append(status))  # type: ignore[arg-type]  # no writer
    assert [status[:3] for status in statuses] == ["503", "200"]


def test_metrics_are_prometheus_text() -> None:
    """Every metric of the part is in it, with those of the process, and none of another part."""
    status, headers, body = ask("/metrics")
    assert status == "200 OK"
    assert headers["Content-Type"].startswith("text/plain")
    for family in REGISTRY.collect():
        if family.name.startswith("sensorbus_"):
            is_own = family.name.startswith("sensorbus_job_")
            assert (f"# TYPE {family.name}".encode() in body) is is_own
    assert b"process_resident_memory_bytes" in body


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=x", "text/plain; version=1.0.0; escaping=x"])
def test_metrics_are_the_same_whatever_is_asked_for(accept: str) -> None:
    """prometheus_client's own application raises for a version that is no number."""
    status, headers, body = ask("/metrics", HTTP_ACCEPT=accept, QUERY_STRING="name[]=x")
    assert (status, headers["Content-Type"]) == ("200 OK", ask("/metrics")[1]["Content-Type"])
    assert b"process_resident_memory_bytes" in body


def test_only_get_is_answered() -> None:
    """HEAD is GET without the body."""
    assert ask("/healthz", method="BREW")[0] == "405 Method Not Allowed"
    assert ask("/metrics", method="POST")[0] == "405 Method Not Allowed"
    status, headers, body = ask("/healthz", method="HEAD")
    assert (status, headers["Content-Length"], body) == ("200 OK", "18", b"")


@pytest.mark.parametrize("path", ["/", "/readyz/", "/metrics/x", "/../etc/passwd", ""])
def test_another_path_is_404_and_says_the_known_ones(path: str) -> None:
    """The answer repeats nothing of the question."""
    status, _, body = ask(path)
    assert status == "404 Not Found"
    assert orjson.loads(body) == {"error": "known paths: /healthz /readyz /metrics"}


def test_port_0_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a port nothing listens."""
    monkeypatch.setattr(health, "make_server", lambda *_arguments, **_options: pytest.fail("it listens"))
    health.serve(Settings(ops_port=0), dict)


@pytest.mark.parametrize("request_line", [b"GET /healthz HTTP/1.1", b"nonsense", b"GET / HTTP/9.9", b"G" * 70_000])
def test_no_answer_tells_what_runs_here(request_line: bytes) -> None:
    """Neither ours nor those of the server underneath, which would say it in HTML."""
    port = process.listenable_port("127.0.0.1", 0)
    health.serve(Settings(ops_host="127.0.0.1", ops_port=port), dict)
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(request_line + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer
    assert b"Python" not in answer
    assert b"<html" not in answer.lower()
