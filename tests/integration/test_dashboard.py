"""The page's server as it is deployed: gunicorn in front of each kind of broker."""

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Final

import pytest

from dashboard_app.delta import VERSION
from dashboard_app.feed import Feed
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, TOPICS
from sensorbus.runtime import kafka
from tests.support.dashboards import START_MS, Dashboard, dashboard, send_readings
from tests.support.ticks import Ticker, by_device, get, rows
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

#: Before it is compressed: a name, a time and a temperature.
MOST_BYTES_PER_READING: Final = 40


@pytest.mark.parametrize("workers", [1, 4])
def test_a_browser_sees_every_reading_once_whichever_worker_answers(
    fresh_settings: Settings, tmp_path: Path, workers: int
) -> None:
    """In the order of each device: what was there before, and what comes while it ticks over new connections."""
    sent = send_readings(fresh_settings, 0, 300)
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=workers)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        wait_until(lambda: browser.tick() and len(browser.readings) == 300, 15, "the history", page.part.log)
        resets = browser.resets
        for batch in range(20):
            sent += send_readings(fresh_settings, 300 + 10 * batch, 10)
            browser.tick()
        wait_until(lambda: browser.tick() and len(browser.readings) >= 500, 15, "the last readings", page.part.log)
        assert by_device(browser.readings) == by_device(sent)
        assert browser.resets == resets
        page.part.stop(within_s=10)


def test_the_history_is_there_within_two_seconds_of_a_tick(fresh_settings: Settings, tmp_path: Path) -> None:
    """100 s of 20 devices, from Kafka alone; a new browser has it in its first answer."""
    send_readings(fresh_settings, 0, 2_000, devices=20)
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        browser.tick()
        assert (len(browser.readings), len(browser.devices), browser.last["fleet"]["devices"]) == (2_000, 20, 20)


def test_each_topic_comes_out_where_the_page_looks_for_it(fresh_settings: Settings, tmp_path: Path) -> None:
    """Readings, alerts, counts and averages; their ages; what cannot be read is left out."""
    reading = messages.Reading("a", messages.iso_timestamp(START_MS), START_MS, 40.0)
    written = {
        SENSOR: messages.encode_reading(*reading[:2], 40.0),
        ALERT: messages.encode_alert(messages.alert_from_reading(reading, 313.15)),
        ALERT_COUNT: messages.encode_alert_count(messages.AlertCount("a", START_MS, START_MS + 5_000, 1)),
        AVG_TEMP: messages.encode_avg_temp(messages.AvgTemp("a", START_MS, START_MS + 10_000, 40.0)),
    }
    for topic, value in written.items():
        produce(fresh_settings, topic, [Record(b"a", b"\xff{"), Record(b"a", value), Record(None, None)])
    produce(fresh_settings, SENSOR, [Record(b"another key", written[SENSOR])])
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        answer = page.ticker().tick()
    assert rows(answer["devices"], answer["now"]) == [("a", START_MS, 40.0)]
    assert (answer["readings"], answer["devices"]["previous"]) == ([], [])
    assert rows(answer["alerts"], answer["now"]) == [("a", START_MS, 40.0)]
    assert rows(answer["counts"], answer["now"]) == [("a", START_MS, 1)]
    assert rows(answer["averages"], answer["now"]) == [("a", START_MS + 10_000, 40.0)]
    ages_ms = answer["pipeline"]["topics"]
    assert set(ages_ms) == {topic.name for topic in TOPICS}
    assert ages_ms["dead-letter"] is None
    assert all(ages_ms[topic.name] < 60_000 for topic in written)


def test_topics_that_are_made_later_are_waited_for(kafka_settings: Settings, tmp_path: Path) -> None:
    """The page only reads: it makes no topic, says what is missing, and goes on by itself."""
    page = dashboard(kafka_settings, tmp_path)
    with page.part:
        if not kafka_settings.embedded_broker:  # where asking for a topic makes it
            wait_until(lambda: "topics" in page.ready()[1], 15, "the missing topics to be named", page.part.log)
            assert kafka_settings.topic_prefix in page.ready()[1]["topics"]
        kafka.ensure_topics(kafka_settings, "test")
        page.wait_ready()
        sent = send_readings(kafka_settings, 0, 10)
        browser = page.ticker()
        wait_until(lambda: browser.tick() and len(browser.readings) == 10, 15, "the readings", page.part.log)
        assert sorted(browser.readings) == sorted(sent)


def test_a_killed_worker_is_replaced_with_its_history(fresh_settings: Settings, tmp_path: Path) -> None:
    """With two workers no request fails for longer than the kill itself; the new one has everything in 5 s."""
    send_readings(fresh_settings, 0, 200)
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=2)
    with page.part:
        page.wait_ready()
        before = page.worker_pids()
        os.kill(before[0], signal.SIGKILL)
        _wait_for_another(page, set(before))
        browser = page.ticker()
        for _ in range(20):
            browser.cursor = None
            wait_until(lambda: browser.tick() and len(browser.readings) == 200, 20, "the history", page.part.log)
        assert len(page.worker_pids()) == 2


def test_a_browser_goes_on_where_it_was_when_workers_are_killed(fresh_settings: Settings, tmp_path: Path) -> None:
    """It keeps its cursor, as the page does: the others go on from there, and so do those that take their places."""
    sent = send_readings(fresh_settings, 0, 300)
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=4)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        wait_until(lambda: browser.tick() and len(browser.readings) == 300, 15, "the history", page.part.log)
        ended = Event()
        with ThreadPoolExecutor(1) as pool:
            unanswered = pool.submit(_follow, browser, ended)
            try:
                for pid in page.worker_pids()[:2]:
                    others = set(page.worker_pids())
                    sent += send_readings(fresh_settings, len(sent), 50)
                    os.kill(pid, signal.SIGKILL)
                    sent += send_readings(fresh_settings, len(sent), 50)
                    _wait_for_another(page, others)
                    sent += send_readings(fresh_settings, len(sent), 50)  # the new one still reads its history
            finally:
                ended.set()
        assert unanswered.result() <= 2
        page.wait_ready()
        wait_until(lambda: browser.tick() and len(browser.readings) >= 600, 15, "the last readings", page.part.log)
        for _ in range(20):  # each worker says that there is no more
            browser.tick()
        assert by_device(browser.readings) == by_device(sent)
        assert browser.resets == 1


def _wait_for_another(page: Dashboard, pids: AbstractSet[int]) -> None:
    """Wait until the page has a worker that is none of these."""
    wait_until(lambda: set(page.worker_pids()) - pids, 20, "another worker", page.part.log)


def _follow(browser: Ticker, ended: Event) -> int:
    """Tick without a rest, and return how many ticks a dying worker left unanswered: the next one asks the same."""
    unanswered = 0
    while not ended.wait(0.01):
        try:
            browser.tick()
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):
            unanswered += 1
    return unanswered


@pytest.mark.parametrize(("rate_hz", "skipped"), [(1, 0), (5, 50_000 - 100)])
def test_a_browser_that_slept_has_all_in_one_answer_of_bounded_size(
    fresh_settings: Settings, tmp_path: Path, rate_hz: int, skipped: int
) -> None:
    """5 minutes of 100 devices; of more than 100,000 readings the newest, and how many are left out is said."""
    devices, slept = 100, 300 * 100 * rate_hz
    before = send_readings(fresh_settings, 0, devices, devices)
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        browser.tick()
        sent = send_readings(fresh_settings, devices, slept, devices)
        _wait_until_told(page, sent)
        answer = browser.tick()
        assert (answer["reset"], answer["skipped"]) == (False, skipped)
        assert len(browser.readings) == len(before) + slept - skipped
        assert browser.last_bytes < MOST_BYTES_PER_READING * (slept - skipped)
        told = by_device(browser.readings[len(before) :])
        assert all(rows[-len(told[device]) :] == told[device] for device, rows in by_device(sent).items())
        assert browser.tick()["readings"] == []


def test_a_browser_that_slept_for_longer_than_the_ring_reaches_begins_anew(
    fresh_settings: Settings, tmp_path: Path
) -> None:
    """It is told to forget, gets the whole window at once, and goes on from there."""
    send_readings(fresh_settings, 0, 500)
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=2, dashboard_ring_rows=1_000)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        browser.tick()
        assert len(browser.readings) == 500
        sent = send_readings(fresh_settings, 500, 3_000)
        for _ in range(10):  # each of the workers
            _wait_until_told(page, sent)
        assert browser.tick()["reset"]
        assert browser.resets == 2
        assert 1_000 <= len(browser.readings) <= 1_005  # the newest of a device stands outside the ring
        told = by_device(browser.readings)
        assert all(rows[-len(told[device]) :] == told[device] for device, rows in by_device(sent).items())
        del browser.readings[:]
        sent = send_readings(fresh_settings, 3_500, 50)
        wait_until(lambda: browser.tick() and len(browser.readings) >= 50, 15, "what came later", page.part.log)
        assert by_device(browser.readings) == by_device(sent)
        assert browser.resets == 2


def _wait_until_told(page: Dashboard, sent: Sequence[tuple[str, int, float]]) -> None:
    """Wait until another browser is told the newest of these readings of each device."""
    newest = {device: list(rows[-1]) for device, rows in by_device(sent).items()}
    other = page.ticker()

    def is_told() -> bool:
        other.tick(detail=[])
        return {device: held[:2] for device, held in other.devices.items()} == newest

    wait_until(is_told, 30, "the newest readings", page.part.log)


def test_a_consumer_is_closed_within_two_seconds(fresh_settings: Settings) -> None:
    """Its thread has ended then, and has not been left behind; of three tries, for a busy machine may hold up one."""
    usual_s = sys.getswitchinterval()
    send_readings(fresh_settings, 0, 100)
    try:
        assert any(_is_closed_soon(fresh_settings) for _ in range(3))
    finally:
        sys.setswitchinterval(usual_s)


def _is_closed_soon(settings: Settings) -> bool:
    others, feed = set(threading.enumerate()), Feed(settings)
    feed.start()
    (thread,) = (one for one in threading.enumerate() if one.name == "feed" and one not in others)
    try:
        wait_until(lambda: not feed.readiness(), 20, "the history")
    finally:
        began_s = time.monotonic()
        feed.close()
        took_s, was_alive = time.monotonic() - began_s, thread.is_alive()
        thread.join(10)
    return took_s < 2 and not was_alive


def test_several_workers_are_stopped_within_five_seconds(fresh_settings: Settings, tmp_path: Path) -> None:
    """SIGTERM: exit code 0, nothing left behind; who is half through a request is told, and no worker is killed."""
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=3)
    with page.part:
        page.wait_ready()
        workers = page.worker_pids()
        with socket.create_connection(("127.0.0.1", page.settings.dashboard_port)) as half_open:
            half_open.sendall(b"POST /_dash-update-component HTTP/1.1\r\n")
            half_open.settimeout(5)
            page.part.stop(within_s=5)
            assert half_open.recv(12) == b"HTTP/1.1 408"
        assert page.part.said().count("Worker exiting") == 3
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 2, "the workers to be gone")


def test_metrics_of_all_workers_are_added_up(fresh_settings: Settings, tmp_path: Path) -> None:
    """Whichever worker is asked."""
    page = dashboard(fresh_settings, tmp_path, dashboard_workers=3)
    with page.part:
        page.wait_ready()
        for _ in range(12):
            page.ticker().tick()
        text = get(f"{page.url}metrics")[1]
        count = next(line for line in text.splitlines() if line.startswith("sensorbus_tick_seconds_count"))
        assert float(count.split()[1]) == 12


def test_a_page_that_nobody_sends_to_is_ready(fresh_settings: Settings, tmp_path: Path) -> None:
    """Silence of the devices is shown as it is; a restart would not end it."""
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready(15)
        answer = page.ticker().tick()
        assert (answer["devices"]["id"], answer["pipeline"]["kafka"]["ok"], answer["fleet"]["devices"]) == ([], True, 0)


def test_the_page_stands_below_its_prefix(fresh_settings: Settings, tmp_path: Path) -> None:
    """As behind a reverse proxy."""
    page = dashboard(fresh_settings, tmp_path, dashboard_url_prefix="/temperature/")
    with page.part:
        page.wait_ready()
        assert page.ticker().tick()["v"] == VERSION
        assert get(page.url)[0] == 200
        assert get(f"{page.root}/")[0] == 404


def test_a_hostile_request_leaves_the_page_as_it_is(fresh_settings: Settings, tmp_path: Path) -> None:
    """Refused in a word; the log does not grow with it."""
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        for cursor in ("[" * 5_000, {"a": 1}, 7, "x" * 100_000, json.dumps([1, [[[0, 2**63]]]])):
            browser.cursor = cursor
            assert browser.tick()["reset"]
        browser.cursor = "x" * 300_000
        with pytest.raises(urllib.error.HTTPError) as refused:
            browser.tick()
        refused.value.close()
        assert refused.value.code == 413
        for path in ("nowhere", "_dash-component-suites/none/x.js", "assets/../../app.py", "assets/%2e%2e/app.py"):
            assert "Traceback" not in get(f"{page.url}{path}")[1]
            assert "import" not in get(f"{page.url}{path}")[1]
        assert "Traceback" not in page.part.said()


def test_a_taken_port_is_named_in_one_line(fresh_settings: Settings, tmp_path: Path) -> None:
    """With the setting that moves the page elsewhere."""
    page = dashboard(fresh_settings, tmp_path)
    with socket.create_server(("127.0.0.1", page.settings.dashboard_port)), page.part:
        page.part.wait(1, within_s=15)
    said = [line for line in page.part.said().splitlines() if " INFO " not in line]
    assert len(said) == 1
    assert f"127.0.0.1:{page.settings.dashboard_port}" in said[0]
    assert "SENSORBUS_DASHBOARD_PORT" in said[0]


def test_ticks_are_not_logged(fresh_settings: Settings, tmp_path: Path) -> None:
    """A line per second and browser says nothing."""
    page = dashboard(fresh_settings, tmp_path)
    with page.part:
        page.wait_ready()
        before = page.part.said()
        for _ in range(5):
            page.ticker().tick()
        assert page.part.said() == before
