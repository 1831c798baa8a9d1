"""What gunicorn is told beside the settings: its own --bind, and signals."""

import contextlib
import os
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from tests.support.dashboards import Dashboard, dashboard, fed_bus
from tests.support.load import Load
from tests.support.real_kafka import free_ports
from tests.support.ticks import get
from tests.support.waiting import wait_until

BROWSERS = 50
PERIOD_S = 0.5

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give a bus with 200 readings of 20 devices."""
    with fed_bus(tmp_path_factory.mktemp("state"), 200, devices=20) as settings:
        yield settings


@pytest.fixture
def taken() -> Iterator[int]:
    """Give a port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def started_by_gunicorn(page: Dashboard, *arguments: str) -> Dashboard:
    """Return the page as it is when gunicorn is started with these arguments."""
    configuration = "dashboard_app/gunicorn_conf.py"
    command = [sys.executable, "-m", "gunicorn", "-c", configuration, *arguments, "dashboard_app.wsgi:server"]
    page.part.command = command
    return page


def test_the_port_of_the_setting_may_be_taken_where_bind_names_another(
    bus: Settings, tmp_path: Path, taken: int
) -> None:
    """Only what gunicorn listens on is looked at."""
    own = free_ports()[0]
    page = started_by_gunicorn(dashboard(bus, tmp_path, dashboard_port=taken), "-b", f"127.0.0.1:{own}")
    with page.part:
        wait_until(lambda: get(f"http://127.0.0.1:{own}/healthz")[0] == 200, 30, "the page", page.part.log)
        page.part.stop(within_s=5)


def test_a_port_that_is_taken_is_said_with_who_named_it(bus: Settings, tmp_path: Path, taken: int) -> None:
    """One line and exit code 1, at once: gunicorn would try for 5 s."""
    page = dashboard(bus, tmp_path, dashboard_port=taken)
    by_setting = rf"cannot listen on 127.0.0.1:{taken} \(SENSORBUS_DASHBOARD_HOST, SENSORBUS_DASHBOARD_PORT\): Address"
    with page.part:
        page.part.wait(1, within_s=20)
    assert len(re.findall(by_setting, page.part.said())) == 1
    other = started_by_gunicorn(dashboard(bus, tmp_path), "-b", f"127.0.0.1:{taken}")
    with other.part:
        other.part.wait(1, within_s=20)
    said = other.part.said()
    assert len(re.findall(rf"cannot listen on 127.0.0.1:{taken} \(gunicorn's own --bind\): Address", said)) == 1
    assert "Traceback" not in said


def test_workers_come_and_go_by_signals_and_the_numbers_with_them(bus: Settings, tmp_path: Path) -> None:
    """SIGTTIN, SIGTTOU under load: no tick fails, all are counted; gauges are of who is there. SIGHUP ends it."""
    page = dashboard(bus, tmp_path, dashboard_workers=2)
    with page.part:
        page.wait_ready()
        first = set(page.worker_pids())
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            load.wait_for_answers(2 * BROWSERS)
            page.part.signal(signal.SIGTTIN)
            wait_until(partial(are_counted, page, 3), 60, "a third worker's gauges", page.part.log)
            for left in (2, 1):
                page.part.signal(signal.SIGTTOU)
                wait_until(partial(are_counted, page, left), 30, "one worker less", page.part.log)
            assert not set(page.worker_pids()) & first  # the oldest go
            load.wait_for_answers(BROWSERS)
            page.part.signal(signal.SIGHUP)
            wait_until(partial(are_counted, page, 2), 60, "as many as are set", page.part.log)
        assert (load.outcome.failures, load.outcome.sent_again) == ([], 0)
        assert ticks_counted(page) == load.outcome.answers
        page.part.stop(within_s=5)
    assert "Traceback" not in page.part.said()


def test_a_page_of_one_worker_stays_one(bus: Settings, tmp_path: Path) -> None:
    """A second one would count for itself, and /metrics be of whoever answers; one line says what to set."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        before = page.worker_pids()
        page.part.signal(signal.SIGTTIN)
        wait_until(lambda: "SIGTTIN does nothing" in page.part.said(), 10, "the line", page.part.log)
        assert "set SENSORBUS_DASHBOARD_WORKERS" in page.part.said()
        page.part.signal(signal.SIGUSR2)
        wait_until(lambda: "SIGUSR2 does nothing" in page.part.said(), 10, "the line", page.part.log)
        assert (page.worker_pids(), page.ready()[0]) == (before, 200)
        page.part.stop(within_s=5)


def consumers(pid: int) -> int:
    """Return how many Kafka clients a process has, by the names of librdkafka's threads."""
    return sum(name.read_text() == "rdk:main\n" for name in Path(f"/proc/{pid}/task").glob("*/comm"))


def test_preloading_changes_nothing(bus: Settings, tmp_path: Path) -> None:
    """Each worker starts its consumer after the fork, ticks with all there is and counts with the other; one line."""
    page = started_by_gunicorn(dashboard(bus, tmp_path, dashboard_workers=2), "--preload")
    with page.part:
        page.wait_listening()
        assert page.part.process is not None
        wait_until(lambda: all(map(consumers, page.worker_pids())), 30, "both workers' consumers", page.part.log)
        page.wait_ready()  # only now: before, the other one may have answered each time
        assert (len(page.worker_pids()), consumers(page.part.process.pid)) == (2, 0)
        for _ in range(8):  # over new connections, so of either worker
            browser = page.ticker()
            browser.tick()
            assert len(browser.readings) == 200
        wait_until(partial(are_counted, page, 2), 30, "both workers' gauges", page.part.log)
        page.part.stop(within_s=5)
    assert page.part.said().count("--preload is ignored") == 1
    assert "Traceback" not in page.part.said()
    assert list(tmp_path.glob("sensorbus-metrics-*")) == []


def test_a_reload_reads_the_users_anew_with_preloading_too(bus: Settings, tmp_path: Path) -> None:
    """Else the page would be forked that was loaded at the start, with the users of then."""
    file = tmp_path / "users"
    file.write_text("ann:operator:\n")
    page = dashboard(bus, tmp_path, dashboard_sign_in="proxy", dashboard_users_file=file)
    with started_by_gunicorn(page, "--preload").part:
        page.wait_listening()
        assert role_of_ann(page) == "operator"
        file.write_text("ann:viewer:\n")
        page.part.signal(signal.SIGHUP)
        wait_until(lambda: role_of_ann(page) == "viewer", 60, "the new role", page.part.log)
        page.part.stop(within_s=5)


def role_of_ann(page: Dashboard) -> str:
    """Return the role that the page says ann has."""
    asked = urllib.request.Request(f"{page.url}account", headers={"X-Forwarded-User": "ann"})  # noqa: S310  # http
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  # the same
        (role,) = re.findall(r"signed in as ann, with the role (\w+)", answer.read().decode())
    return str(role)


def frozen_at_birth(page: Dashboard) -> int:
    """Send SIGHUP to a page of one worker, and freeze the new one before it has loaded; return the process."""
    before = set(page.worker_pids())
    page.part.signal(signal.SIGHUP)
    wait_until(lambda: set(page.worker_pids()) - before, 20, "a new worker", page.part.log)
    (new,) = set(page.worker_pids()) - before
    os.kill(new, signal.SIGSTOP)
    return new


@contextlib.contextmanager
def reload_with_a_frozen_worker(bus: Settings, folder: Path) -> Iterator[tuple[Dashboard, Load, int]]:
    """Give a page under load, whose old worker goes on answering, and the new one; afterwards no tick has failed."""
    page = dashboard(bus, folder)
    with page.part:
        page.wait_ready()
        with Load(page.settings.dashboard_port, BROWSERS, PERIOD_S) as load:
            new = frozen_at_birth(page)
            yield page, load, new
            load.wait_for_answers(BROWSERS, log=page.part.log)  # of the new one
        assert load.outcome.failures == []
        page.part.stop(within_s=5)
    assert "Traceback" not in page.part.said()


def test_a_reload_goes_on_answering_while_the_new_worker_loads(bus: Settings, tmp_path: Path) -> None:
    """However long that takes: the old one is there until the new one answers."""
    with reload_with_a_frozen_worker(bus, tmp_path) as (page, load, new):
        load.wait_for_answers(5 * BROWSERS, log=page.part.log)
        os.kill(new, signal.SIGCONT)
        wait_until(lambda: page.worker_pids() == [new], 60, "the new one alone", page.part.log)


def test_a_new_worker_that_dies_is_replaced_before_the_old_one_goes(bus: Settings, tmp_path: Path) -> None:
    """As for want of memory, since a reload has twice as many; signals that change nothing end no wait."""
    with reload_with_a_frozen_worker(bus, tmp_path) as (page, load, dead):
        before = {*page.worker_pids()}
        for harmless in (signal.SIGTTIN, signal.SIGUSR2, signal.SIGWINCH):
            page.part.signal(harmless)
        load.wait_for_answers(5 * BROWSERS, log=page.part.log)
        assert ({*page.worker_pids()}, len(before), dead in before) == (before, 2, True)
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: not before & {*page.worker_pids()}, 60, "another new one alone", page.part.log)


def test_a_stop_does_not_wait_for_a_reload(bus: Settings, tmp_path: Path) -> None:
    """SIGTERM while a new worker is loading: exit code 0 in 5 s."""
    page = dashboard(bus, tmp_path)
    with page.part:
        page.wait_ready()
        frozen_at_birth(page)
        page.part.stop(within_s=5)


def are_counted(page: Dashboard, workers: int) -> bool:
    """Tell whether there are so many workers, and /metrics shows the gauges of them and of nobody else."""
    metrics = get(f"{page.root}/metrics")[1]
    shown = {int(pid) for pid in re.findall(r'^sensorbus_ring_devices{pid="(\d+)"}', metrics, re.MULTILINE)}
    return len(shown) == workers and shown == set(page.worker_pids())


def ticks_counted(page: Dashboard) -> int:
    """Return how many ticks the page says it has answered, of all its workers that ever were."""
    (count,) = re.findall(r"^sensorbus_tick_seconds_count (\S+)", get(f"{page.root}/metrics")[1], re.MULTILINE)
    return int(float(count))
