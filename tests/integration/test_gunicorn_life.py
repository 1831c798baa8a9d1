"""The life of the page's server under load.

Reload, kill, stop, hang; and what it believes of a request.
"""

import base64
import contextlib
import http.client
import logging
import os
import re
import signal
import sys
import time
import urllib.error
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from werkzeug.security import generate_password_hash

from sensorbus.contract.settings import Settings
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.load import Load
from tests.support.ticks import get
from tests.support.waiting import wait_until

BROWSERS = 200
PERIOD_S = 1.0
HANGS_FOUND_WITHIN_S = 60
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # of this machine, behind a port that nobody knows

_log = logging.getLogger(__name__)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give a bus with 200 readings of 20 devices."""
    with fed_bus(tmp_path_factory.mktemp("state"), 200, devices=20) as settings:
        yield settings


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
            load.wait_for_answers(2 * BROWSERS, within_s=60)
            for _ in range(2):
                before = page.worker_pids()
                page.part.signal(signal.SIGHUP)
                wait_until(partial(all_replaced, page, before), 30, "other workers", page.part.log)
                load.wait_for_answers(BROWSERS, within_s=60)
            load.wait_for_answers(BROWSERS, within_s=60)
        _log.info("%s", load.outcome)
        assert load.outcome.failures == []
        page.part.stop(within_s=5)
    assert "Traceback" not in page.part.said()
    assert list(tmp_path.glob("sensorbus-metrics-*")) == []


def test_a_killed_worker_fails_no_request(bus: Settings, tmp_path: Path) -> None:
    """Kill -9 of one of two workers: what it held is sent again, once, and answered by the other."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    with page.part:
        page.wait_ready()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            load.wait_for_answers(BROWSERS, within_s=60)
            before = page.worker_pids()
            os.kill(before[0], signal.SIGKILL)
            wait_until(lambda: set(page.worker_pids()) - set(before), 10, "another worker", page.part.log)
            load.wait_for_answers(2 * BROWSERS, within_s=60)
        _log.info("%s", load.outcome)
        assert load.outcome.failures == []
        assert load.outcome.sent_again < 2 * BROWSERS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_other_signals_stop_it_too(bus: Settings, tmp_path: Path, number: signal.Signals) -> None:
    """In 5 s with exit code 0, connections open, under load; SIGUSR2, gunicorn's change of programs, does nothing."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    port = page.settings.dashboard_port
    with page.part, contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as open_:
        page.wait_ready()
        open_.request("GET", "/healthz")
        assert open_.getresponse().read()
        page.part.signal(signal.SIGUSR2)
        assert page.ready()[0] == 200
        with Load(port, BROWSERS, PERIOD_S, may_be_refused=True) as load:
            load.wait_for_answers(BROWSERS, within_s=60)
            page.part.signal(number)
            page.part.wait(0, within_s=5)
    assert "Traceback" not in page.part.said()


def test_a_stop_answers_what_was_asked(bus: Settings, tmp_path: Path) -> None:
    """SIGTERM under load: exit code 0 in 5 s; nobody who was let in goes without an answer."""
    page = dashboard(bus, tmp_path, dashboard_workers=4)
    with page.part:
        page.wait_ready()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S, may_be_refused=True) as load:
            load.wait_for_answers(BROWSERS, within_s=60)
            page.part.stop(within_s=5)
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
    """From this machine by default; not when another is named, whatever gunicorn's own variables say."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        assert "Strict-Transport-Security" not in headers_of(page)[1]
        assert "Strict-Transport-Security" in headers_of(page, X_Forwarded_Proto="https")[1]
        assert "Strict-Transport-Security" not in headers_of(page, X_Forwarded_Ssl="on")[1]
    other = dashboard(bus, tmp_path, dashboard_proxies="10.0.0.1")
    gunicorns = {"FORWARDED_ALLOW_IPS": "*", "GUNICORN_CMD_ARGS": "--forwarded-allow-ips=* --workers=3"}
    other.part.environment = {**other.part.environment, **gunicorns}
    with other.part:
        other.wait_ready()
        assert "Strict-Transport-Security" not in headers_of(other, X_Forwarded_Proto="https")[1]
        assert len(other.worker_pids()) == 1
    assert other.part.said().count("GUNICORN_CMD_ARGS is ignored; set SENSORBUS_DASHBOARD_HOST") == 1


def test_a_proxy_of_ipv4_is_believed_where_the_page_listens_on_all_of_ipv6(bus: Settings, tmp_path: Path) -> None:
    """There its address is ::ffff:127.0.0.1: it may say https, and who is there."""
    page = dashboard(bus, tmp_path, dashboard_host="::", dashboard_proxies="127.0.0.0/8", dashboard_sign_in="proxy")
    with page.part:
        page.wait_listening()
        status, headers = headers_of(page, X_Forwarded_Proto="https", X_Forwarded_User="ann")
        assert (status, "Strict-Transport-Security" in headers) == (200, True)


@pytest.mark.parametrize(
    ("changes", "bind", "warned"),
    [
        ({}, None, None),
        ({"dashboard_host": EVERY_ADDRESS, "dashboard_sign_in": "proxy"}, None, None),
        ({"dashboard_host": EVERY_ADDRESS}, None, f"{EVERY_ADDRESS}:{{port}}"),
        ({"dashboard_host": "::"}, None, ":::{port}"),
        ({}, f"{EVERY_ADDRESS}:{{port}}", f"{EVERY_ADDRESS}:{{port}}"),
        ({}, "unix:{folder}/page.sock", None),
    ],
)
def test_a_page_that_is_open_to_others_says_so(
    bus: Settings, tmp_path: Path, changes: dict[str, str], bind: str | None, warned: str | None
) -> None:
    """By what gunicorn listens on, whoever said so; behind a sign-in or on loopback it is not open."""
    page = dashboard(bus, tmp_path, dashboard_proxies="127.0.0.1", **changes)
    names = {"port": str(page.settings.dashboard_port), "folder": str(tmp_path)}
    if bind:
        configuration = "dashboard_app/gunicorn_conf.py"
        page.part.command = [sys.executable, "-m", "gunicorn", "-c", configuration, "dashboard_app.wsgi:server"]
        page.part.command += ["-b", bind.format(**names)]
    with page.part:
        wait_until(lambda: "Listening at" in page.part.said(), 30, "the page to listen", page.part.log)
    said = re.findall(r"has no sign-in and listens on (\S+): everybody", page.part.said())
    assert said == ([warned.format(**names)] if warned else [])


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


def test_workers_of_gunicorns_own_option_have_one_set_of_numbers(bus: Settings, tmp_path: Path) -> None:
    """`gunicorn -w 2` is not the setting; any worker answers for both all the same, and nothing is left behind."""
    page = dashboard(bus, tmp_path)
    configuration = "dashboard_app/gunicorn_conf.py"
    page.part.command = [sys.executable, "-m", "gunicorn", "-w", "2", "-c", configuration, "dashboard_app.wsgi:server"]
    with page.part:
        page.wait_listening()
        wait_until(lambda: shown_pids(page) == set(page.worker_pids()), 30, "both workers' gauges", page.part.log)
        assert len(page.worker_pids()) == 2
        before = page.worker_pids()
        page.part.signal(signal.SIGHUP)
        wait_until(partial(all_replaced, page, before), 30, "other workers", page.part.log)
        wait_until(lambda: shown_pids(page) == set(page.worker_pids()), 30, "their gauges", page.part.log)
        page.part.stop(within_s=5)
    assert list(tmp_path.glob("sensorbus-metrics-*")) == []


def shown_pids(page: Dashboard) -> set[int]:
    """Return the workers whose gauges one of them shows."""
    return {int(pid) for pid in re.findall(r'^sensorbus_ring_devices{pid="(\d+)"}', metrics_of(page), re.MULTILINE)}


def metrics_of(page: Dashboard) -> str:
    """Return the text of /metrics."""
    return get(f"{page.root}/metrics")[1]


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


def test_a_page_without_workers_ends(bus: Settings, tmp_path: Path) -> None:
    """`gunicorn -w 0` would listen, and let everybody wait."""
    page = dashboard(bus, tmp_path)
    configuration = "dashboard_app/gunicorn_conf.py"
    page.part.command = [sys.executable, "-m", "gunicorn", "-w", "0", "-c", configuration, "dashboard_app.wsgi:server"]
    with page.part:
        page.part.wait(2, within_s=30)
    assert "0 workers cannot answer anybody" in page.part.said()
    assert "Traceback" not in page.part.said()


def test_large_headers_and_addresses_are_refused(bus: Settings, tmp_path: Path) -> None:
    """Above 8 KB, by gunicorn itself; the page goes on."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        assert headers_of(page, f"/?{'x' * 8_100}")[0] == 200
        assert headers_of(page, X_Large="x" * 8_100)[0] == 200
        refused = [headers_of(page, f"/?{'x' * 9_000}"), headers_of(page, X_Large="x" * 9_000)]
        assert [status for status, _ in refused] == [414, 431]
        for _, headers in refused:
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Content-Security-Policy"].startswith("default-src 'none'")
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


def status_of(page: Dashboard, name: str) -> int:
    """Return the page's status for a user whose password is `right`."""
    given = base64.b64encode(f"{name}:right".encode()).decode()
    return headers_of(page, "/", Authorization=f"Basic {given}")[0]


def test_a_reload_reads_the_users_anew_or_changes_nothing(bus: Settings, tmp_path: Path) -> None:
    """A broken file at SIGHUP is one line; no worker is the worse for it, nor one that follows. Then it is mended."""
    line = f":viewer:{generate_password_hash('right', method='scrypt:1024:8:1')}\n"
    file = tmp_path / "users"
    file.write_text(f"ann{line}")
    page = dashboard(bus, tmp_path, dashboard_sign_in="basic", dashboard_users_file=file)
    with page.part:
        page.wait_listening()
        before = page.worker_pids()
        file.write_text(f"bob{line}nonsense\n")
        page.part.signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded" in page.part.said(), 10, "the line", page.part.log)
        (said,) = [each for each in page.part.said().splitlines() if "not reloaded" in each]
        assert "the page goes on as it was: SENSORBUS_DASHBOARD_USERS_FILE: line 2 is not" in said
        assert (page.worker_pids(), status_of(page, "ann"), status_of(page, "bob")) == (before, 200, 401)
        os.kill(before[0], signal.SIGKILL)
        wait_until(partial(all_replaced, page, before), 10, "another worker", page.part.log)
        wait_until(lambda: status_of(page, "ann") == 200, 30, "the page", page.part.log)
        before = page.worker_pids()
        file.write_text(f"bob{line}")
        page.part.signal(signal.SIGHUP)
        wait_until(partial(all_replaced, page, before), 30, "other workers", page.part.log)
        assert (status_of(page, "bob"), status_of(page, "ann")) == (200, 401)
        page.part.stop(within_s=5)
    assert "Traceback" not in page.part.said()


def test_a_secret_that_cannot_be_read_at_a_reload_changes_nothing(bus: Settings, tmp_path: Path) -> None:
    """Nor does a setting from a file that is of no use; at the start it ends the page."""
    secret = tmp_path / "session"
    secret.write_text("x" * 32)
    page = dashboard(bus, tmp_path)
    page.part.environment = {**page.part.environment, "SENSORBUS_DASHBOARD_SESSION_SECRET_FILE": str(secret)}
    with page.part:
        page.wait_ready()
        before = page.worker_pids()
        secret.write_text("short")
        page.part.signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded" in page.part.said(), 10, "the line", page.part.log)
        assert (page.worker_pids(), page.ready()[0]) == (before, 200)
        page.part.stop(within_s=5)
        page.part.start()
        page.part.wait(2, within_s=20)
    assert page.part.said().count("SENSORBUS_DASHBOARD_SESSION_SECRET cannot be used: it should have at least 32") == 2
