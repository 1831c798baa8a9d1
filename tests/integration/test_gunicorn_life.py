"""The life of the page's server under load.

Reload, kill, stop, hang; and what it believes of a request.
"""

import base64
import http.client
import os
import signal
import time
import urllib.error
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from werkzeug.security import generate_password_hash

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka
from tests.support.dashboards import Dashboard, dashboard, send_readings
from tests.support.load import Load
from tests.support.ticks import get
from tests.support.waiting import wait_until

BROWSERS = 200
PERIOD_S = 2.0
HANGS_FOUND_WITHIN_S = 60

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give a bus with 200 readings of 20 devices."""
    with EmbeddedBroker() as broker:
        settings = Settings(
            kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=tmp_path_factory.mktemp("state")
        )
        kafka.ensure_topics(settings, "test")
        send_readings(settings, 0, 200, devices=20)
        yield settings


def wait_for_answers(load: Load, more: int) -> None:
    """Wait until so many more ticks were answered."""
    wanted = load.outcome.answers + more
    wait_until(lambda: load.outcome.answers >= wanted or load.outcome.failures, 60, f"{more} answers")


def all_replaced(page: Dashboard, before: list[int]) -> bool:
    """Tell whether there are as many workers as before, and none of them."""
    now = page.worker_pids()
    return len(now) == len(before) and not set(now) & set(before)


def test_a_reload_fails_no_request(bus: Settings, tmp_path: Path) -> None:
    """SIGHUP twice while 200 browsers tick: every worker is another one, and each tick was answered."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    with page.part:
        page.wait_ready()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            wait_for_answers(load, 2 * BROWSERS)
            for _ in range(2):
                before = page.worker_pids()
                page.part.signal(signal.SIGHUP)
                wait_until(partial(all_replaced, page, before), 30, "other workers", page.part.log)
                wait_for_answers(load, BROWSERS)
            wait_for_answers(load, BROWSERS)
        assert load.outcome.failures == []
        page.part.stop(within_s=7)
    assert "Traceback" not in page.part.said()
    assert list(tmp_path.glob("sensorbus-metrics-*")) == []


def test_a_killed_worker_fails_no_request(bus: Settings, tmp_path: Path) -> None:
    """Kill -9 of one of two workers: what it held is sent again, once, and answered by the other."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    with page.part:
        page.wait_ready()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            wait_for_answers(load, BROWSERS)
            before = page.worker_pids()
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: set(page.worker_pids()) - set(before), 10, "another worker", page.part.log)
            wait_for_answers(load, 2 * BROWSERS)
        assert load.outcome.failures == []
        assert load.outcome.sent_again < 2 * BROWSERS


def test_a_stop_answers_what_was_asked(bus: Settings, tmp_path: Path) -> None:
    """SIGTERM under load: exit code 0 in 5 s; nobody who was let in goes without an answer."""
    page = dashboard(bus, tmp_path, dashboard_workers=4)
    with page.part:
        page.wait_ready()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S, may_be_refused=True) as load:
            wait_for_answers(load, BROWSERS)
            page.part.stop(within_s=7)
            wait_until(lambda: load.outcome.refused > BROWSERS, 15, "all to be turned away")
        assert load.outcome.failures == []
    assert "Traceback" not in page.part.said()


@pytest.mark.long
def test_a_worker_that_hangs_is_replaced(bus: Settings, tmp_path: Path) -> None:
    """Frozen for longer than gunicorn's timeout: killed, and another one has the history."""
    page = dashboard(bus, tmp_path, dashboard_workers=1)
    with page.part:
        page.wait_ready()
        (frozen,) = page.worker_pids()
        os.kill(frozen, signal.SIGSTOP)
        wait_until(lambda: page.worker_pids() not in ([frozen], []), HANGS_FOUND_WITHIN_S, "another", page.part.log)
        page.wait_ready()
        browser = page.ticker()
        browser.tick()
        assert len(browser.readings) == 200


def headers_of(page: Dashboard, path: str = "/", **sent: str) -> tuple[int, http.client.HTTPMessage]:
    """Return status and headers of an answer of the page's port."""
    connection = http.client.HTTPConnection("127.0.0.1", page.settings.dashboard_port, timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in sent.items()})
    with connection.getresponse() as answer:
        answer.read()
        found = answer.status, answer.headers
    connection.close()
    return found


def test_forwarded_headers_are_believed_of_named_proxies_only(bus: Settings, tmp_path: Path) -> None:
    """From this machine by default; not when another is named, whatever gunicorn's own variable says."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        assert "Strict-Transport-Security" not in headers_of(page)[1]
        assert "Strict-Transport-Security" in headers_of(page, X_Forwarded_Proto="https")[1]
        assert "Strict-Transport-Security" not in headers_of(page, X_Forwarded_Ssl="on")[1]
    other = dashboard(bus, tmp_path, dashboard_proxies="10.0.0.1")
    other.part.environment = {**other.part.environment, "FORWARDED_ALLOW_IPS": "*"}
    with other.part:
        other.wait_ready()
        assert "Strict-Transport-Security" not in headers_of(other, X_Forwarded_Proto="https")[1]


def test_switches_of_others_change_nothing(bus: Settings, tmp_path: Path) -> None:
    """Variables that open a developer's doors in Dash and Flask, or move gunicorn, are not read."""
    page = dashboard(bus, tmp_path)
    doors = dict.fromkeys(("DASH_DEBUG", "FLASK_DEBUG", "DASH_HOT_RELOAD", "DASH_MCP_ENABLED", "DASH_UI"), "1")
    page.part.environment = {**page.part.environment, **doors, "WEB_CONCURRENCY": "3", "HOME": str(tmp_path / "home")}
    with page.part:
        page.wait_ready()
        assert len(page.worker_pids()) == 1
        for path in ("/_mcp", "/_reload-hash", "/_alive_x", "/console", "/?__debugger__=yes&cmd=resource&f=style.css"):
            status, headers = headers_of(page, path)
            assert status in ({404} if "?" not in path else {200})
            assert "Content-Security-Policy" in headers
        assert not (tmp_path / "home").exists()


def test_every_answer_carries_the_headers(bus: Settings, tmp_path: Path) -> None:
    """The page, what it loads, the probes and what is not there."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        for path in ("/", "/_dash-layout", "/_favicon.ico", "/healthz", "/readyz", "/metrics", "/none"):
            headers = headers_of(page, path)[1]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert "unsafe-eval" not in headers["Content-Security-Policy"]
            assert "script-src 'self'" in headers["Content-Security-Policy"]


def test_large_headers_and_addresses_are_refused(bus: Settings, tmp_path: Path) -> None:
    """By gunicorn itself; the page goes on."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        assert headers_of(page, f"/?{'x' * 9_000}")[0] in {400, 414}
        assert headers_of(page, X_Large="x" * 9_000)[0] in {400, 431}
        started_s = time.monotonic()
        assert page.ready()[0] == 200
        assert time.monotonic() - started_s < 2
    assert "Traceback" not in page.part.said()


def test_sign_in_stands_before_everything(bus: Settings, tmp_path: Path) -> None:
    """401 with the usual headers for all but the probes, and the page with its ticks for who has a password."""
    password_hash = generate_password_hash("right", method="scrypt:1024:8:1")
    (tmp_path / "users").write_text(f"ann:viewer:{password_hash}\n")
    page = dashboard(bus, tmp_path, dashboard_sign_in="basic", dashboard_users_file=tmp_path / "users")
    right = f"Basic {base64.b64encode(b'ann:right').decode()}"
    with page.part:
        wait_until(lambda: get(f"{page.root}/healthz")[0] == 200, 30, "the page", page.part.log)
        for path in ("/", "/_dash-layout", "/assets/dom.js", "/metrics", "/none"):
            status, headers = headers_of(page, path)
            assert (status, headers["X-Content-Type-Options"]) == (401, "nosniff")
            assert headers["WWW-Authenticate"].startswith("Basic")
        wait_until(lambda: headers_of(page, "/readyz", Authorization=right)[0] == 200, 30, "ready", page.part.log)
        assert get(f"{page.root}/readyz") == (200, '{"status":"ready"}')
        assert headers_of(page, "/", Authorization=right)[0] == 200
        assert headers_of(page, "/", Authorization=right.lower())[0] == 401
        with pytest.raises(urllib.error.HTTPError) as refused:
            page.ticker().tick()
        refused.value.close()
        assert refused.value.code == 401


def test_a_file_of_users_that_is_of_no_use_ends_the_page_with_one_line(bus: Settings, tmp_path: Path) -> None:
    """Before it listens, with the exit code of a wrong setting."""
    page = dashboard(bus, tmp_path, dashboard_sign_in="basic")
    with page.part:
        page.part.wait(2, within_s=20)
    (line,) = page.part.said().splitlines()
    assert "SENSORBUS_DASHBOARD_USERS_FILE is not set" in line
