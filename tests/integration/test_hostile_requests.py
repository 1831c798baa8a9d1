"""Thousands of hostile requests to the page as it is deployed.

Refused in a word, nothing told, nothing kept.
"""

import http.client
from collections import Counter
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from tests.support.dashboards import Dashboard, dashboard, send_readings
from tests.support.hostile import Hostile, Request
from tests.support.parts import resident_bytes

LOG_BYTES = 100_000
MEMORY_BYTES = 50_000_000
#: What tells of the inside.
TOLD = (b"Traceback", b'File "', b"site-packages", b"werkzeug", b"Error: ")


def answer_to(connection: http.client.HTTPConnection, request: Request) -> tuple[int, bytes]:
    """Return status and body; status 0 when the server closed the connection without an answer."""
    try:
        connection.putrequest(request.method, request.path, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body)
        with connection.getresponse() as answer:
            return answer.status, answer.read()
    except (http.client.HTTPException, ConnectionError):
        connection.close()
        return 0, b""


def send(page: Dashboard, seed: int, number: int) -> Counter[int]:
    """Send so many and return how often each status came; fails at the first answer that is none."""
    connection = http.client.HTTPConnection("127.0.0.1", page.settings.dashboard_port, timeout=10)
    hostile, statuses = Hostile(seed), Counter[int]()
    for count in range(number):
        request = hostile.request()
        status, body = answer_to(connection, request)
        if status == 0:  # an idle or refused connection was closed: once more on a new one
            status, body = answer_to(connection, request)
        assert 200 <= status < 500, (seed, count, status, request)
        assert status != 200 or request.path != "/_dash-update-component" or body.startswith(b'{"multi"'), request
        assert not any(told in body for told in TOLD if status != 200), (seed, count, body)
        statuses[status] += 1
    connection.close()
    return statuses


@pytest.mark.embedded
@pytest.mark.parametrize("number", [1_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_hostile_requests_are_refused(fresh_settings: Settings, tmp_path: Path, number: int) -> None:
    """No 500, no traceback, no growth of log or memory; whoever ticks properly is served as before."""
    send_readings(fresh_settings, 0, 100)
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        (worker,) = page.worker_pids()
        send(page, seed=0, number=300)  # what is loaded once
        before = resident_bytes(worker)
        statuses = send(page, seed=number, number=number)
        assert {400, 403, 404, 405, 415} <= statuses.keys()
        assert resident_bytes(worker) - before < MEMORY_BYTES
        assert page.worker_pids() == [worker]
        browser = page.ticker()
        browser.tick()
        assert len(browser.readings) == 100
    assert "Traceback" not in page.part.said()
    assert len(page.part.said()) < LOG_BYTES
