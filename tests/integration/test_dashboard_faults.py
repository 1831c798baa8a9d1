"""The page and a Kafka that is away, frozen, or another one.

It stays up, says so, and misses nothing.
"""

import logging
import socket
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka.admin import NewPartitions

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR, TOPICS
from sensorbus.runtime import kafka
from tests.support.dashboards import Dashboard, dashboard, send_readings, written_readings
from tests.support.real_kafka import RealKafka
from tests.support.ticks import Ticker, by_device, get
from tests.support.topics import read_all
from tests.support.waiting import wait_until

NOTICED_WITHIN_S = 15
BACK_WITHIN_S = 15
LAUNCHED_WITHIN_S = 60
FROZEN_S = 30.0
AWAY_S = 360.0
_log = logging.getLogger(__name__)


def _bus(broker: RealKafka, folder: Path) -> Settings:
    """Return a bus of the test's own with topics."""
    settings = Settings(
        kafka_bootstrap_servers=broker.address, topic_prefix=f"t{uuid.uuid4().hex[:8]}-", state_dir=folder
    )
    kafka.ensure_topics(settings, "test")
    return settings


def _kafka_is(page: Dashboard, browser: Ticker, *, ok: bool) -> None:
    """Wait until the page says so."""
    within_s = BACK_WITHIN_S if ok else NOTICED_WITHIN_S
    wait_until(lambda: browser.tick()["pipeline"]["kafka"]["ok"] == ok, within_s, f"kafka ok {ok}", page.part.log)


def _sees(page: Dashboard, browser: Ticker, sent: list[tuple[str, int, float]]) -> None:
    """Wait until the browser has as many readings, and compare them."""
    wait_until(
        lambda: browser.tick() and len(browser.readings) >= len(sent), BACK_WITHIN_S, "the readings", page.part.log
    )
    assert sorted(browser.readings) == sorted(sent)


def test_a_broker_that_is_away_is_said_and_nothing_is_missing_afterwards(own_kafka: RealKafka, tmp_path: Path) -> None:
    """The page answers all the while; what was held stays, what comes after comes once, without a reset."""
    page = dashboard(_bus(own_kafka, tmp_path), tmp_path)
    sent = send_readings(page.settings, 0, 100)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        _sees(page, browser, sent)
        own_kafka.kill()
        _kafka_is(page, browser, ok=False)
        told = browser.last["pipeline"]["kafka"]
        assert own_kafka.address in told["error"]
        assert told["since_ms"] <= browser.last["now"]
        assert "kafka" in page.ready()[1]
        assert get(f"{page.root}/readyz?despite=kafka,topics")[0] == 200  # an orchestrator keeps it on the net
        own_kafka.start()
        sent += send_readings(page.settings, 100, 100)
        _kafka_is(page, browser, ok=True)
        _sees(page, browser, sent)
        page.wait_ready(BACK_WITHIN_S)
        assert browser.resets == 1
        fresh = page.ticker()
        _sees(page, fresh, sent)
        page.part.stop(within_s=10)
    assert "Traceback" not in page.part.said()


def test_a_broker_that_does_not_answer_is_said(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Frozen: its connections stay open. The page stops in time even so."""
    page = dashboard(_bus(own_kafka, tmp_path), tmp_path)
    sent = send_readings(page.settings, 0, 10)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        own_kafka.pause()
        try:
            _kafka_is(page, browser, ok=False)
        finally:
            own_kafka.resume()
        _kafka_is(page, browser, ok=True)
        _sees(page, browser, sent)
        own_kafka.pause()
        try:
            page.part.stop(within_s=5)
        finally:
            own_kafka.resume()


class Outage(NamedTuple):
    """What is done to a broker, for how long, and what ends it."""

    begin: Callable[[RealKafka], None]
    seconds: float
    end: Callable[[RealKafka], None]


def _tells_why(browser: Ticker) -> bool:
    """Ask; tell whether the worker that answered knows why Kafka is away."""
    return browser.tick()["pipeline"]["kafka"]["error"] is not None


@pytest.mark.parametrize(
    "outage",
    [
        pytest.param(Outage(RealKafka.stop, 0, RealKafka.launch), id="restarted", marks=pytest.mark.slow),
        pytest.param(Outage(RealKafka.pause, FROZEN_S, RealKafka.resume), id="frozen", marks=pytest.mark.long),
        pytest.param(
            Outage(RealKafka.stop, AWAY_S, RealKafka.launch),
            id="away 6 min",
            marks=[pytest.mark.long, pytest.mark.timeout(600)],
        ),
    ],
)
def test_after_an_outage_the_page_shows_what_the_topic_holds(
    own_kafka: RealKafka, tmp_path: Path, outage: Outage
) -> None:
    """Each tick is answered, says why and how old; 15 s after the port opens every reading is there, once, in order."""
    page = dashboard(_bus(own_kafka, tmp_path), tmp_path, dashboard_workers=2)
    sent = send_readings(page.settings, 0, 100)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        _sees(page, browser, sent)
        workers, started_s = page.worker_pids(), time.monotonic()
        outage.begin(own_kafka)
        try:
            _all_say(page, browser, ok=False)
            wait_until(lambda: _tells_why(browser) and time.monotonic() - started_s >= outage.seconds, AWAY_S + 5, "it")
            told = browser.last["pipeline"]
            away_ms = 1000 * (time.monotonic() - started_s)
        finally:
            outage.end(own_kafka)
        assert page.worker_pids() == workers, page.part.said()
        assert own_kafka.address in told["kafka"]["error"]
        assert told["kafka"]["ok"] is False
        assert told["topics"]["sensor"] >= away_ms - 2_000  # since the end of what was read before
        assert browser.last["now"] - told["kafka"]["since_ms"] <= away_ms
        wait_until(lambda: browser.tick() and _is_open(own_kafka), LAUNCHED_WITHIN_S, "the port", own_kafka.log)
        back_s = _all_say(page, browser, ok=True)
        sent += send_readings(page.settings, 100, 100)
        _sees(page, browser, sent)
        _log.info("away %.0f s, back %.1f s after its port", away_ms / 1000, back_s)
        page.wait_ready(BACK_WITHIN_S)
        written = by_device(written_readings(page.settings))
        assert by_device(browser.readings) == written == by_device(sent)
        shows = partial(_each_shows, page, written)
        wait_until(shows, BACK_WITHIN_S, "each worker to show what the topic holds", page.part.log)
        assert browser.resets == 1
    assert "Traceback" not in page.part.said()
    assert len(page.part.said().splitlines()) < 20 + away_ms / 2_000


def _is_open(broker: RealKafka) -> bool:
    """Tell whether the broker's port takes connections."""
    host, port = broker.address.split(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


def _each_shows(page: Dashboard, written: dict[str, list[tuple[int, float]]]) -> bool:
    """Tell whether every worker shows these readings, and no others."""
    for _ in range(20):  # whichever worker
        fresh = page.ticker()
        fresh.tick()
        if by_device(fresh.readings) != written:
            return False
    return True


def _all_say(page: Dashboard, browser: Ticker, *, ok: bool) -> float:
    """Return the seconds until every worker says that Kafka is there, or is not."""

    def all_say_so() -> bool:
        return all(browser.tick()["pipeline"]["kafka"]["ok"] == ok for _ in range(20))

    return wait_until(all_say_so, BACK_WITHIN_S if ok else NOTICED_WITHIN_S, f"kafka ok {ok}", page.part.log)


def test_a_page_that_starts_without_a_broker_waits_for_it(own_kafka: RealKafka, tmp_path: Path) -> None:
    """It says where it looks; one line in 10 s, not one per try."""
    page = dashboard(_bus(own_kafka, tmp_path), tmp_path)
    sent = send_readings(page.settings, 0, 10)
    own_kafka.stop()
    with page.part:
        browser = page.ticker()
        wait_until(lambda: "kafka" in page.ready()[1], NOTICED_WITHIN_S, "the page", page.part.log)
        assert browser.tick()["pipeline"]["kafka"]["ok"] is False
        own_kafka.start()
        page.wait_ready(BACK_WITHIN_S)
        _sees(page, browser, sent)
    assert len(page.part.said().splitlines()) < 20


def test_topics_that_are_made_anew_begin_anew_on_the_page(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Offsets of the old ones mean nothing: the browser is told to forget, with whichever worker."""
    page = dashboard(_bus(own_kafka, tmp_path), tmp_path, dashboard_workers=2)
    send_readings(page.settings, 0, 50)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        wait_until(lambda: browser.tick() and len(browser.readings) == 50, 15, "the old readings", page.part.log)
        _delete_topics(page.settings)
        wait_until(lambda: not _has_topics(page.settings), 15, "the topics to be gone")
        kafka.ensure_topics(page.settings, "test")
        sent = send_readings(page.settings, 1_000, 20)
        wait_until(
            lambda: browser.tick() and sorted(browser.readings) == sorted(sent),
            BACK_WITHIN_S,
            "the new readings alone",
            page.part.log,
        )
        for _ in range(10):
            browser.tick()
        assert sorted(browser.readings) == sorted(sent)


def test_readings_in_partitions_that_are_added_are_shown(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Devices move to them and new ones come there; the page finds them while it runs, and forgets nothing."""
    page = dashboard(_bus(own_kafka, tmp_path), tmp_path, dashboard_workers=2)
    sent = send_readings(page.settings, 0, 200, devices=20)
    with page.part:
        page.wait_ready()
        browser = page.ticker()
        _sees(page, browser, sent)
        name, client = page.settings.topic_name(SENSOR), kafka.admin(page.settings, "test")
        client.create_partitions([NewPartitions(name, 12)])[name].result()
        wait_until(lambda: len(client.list_topics(name).topics[name].partitions) == 12, 15, "the partitions")
        sent += send_readings(page.settings, 200, 400, devices=40)
        in_added = {message.key().decode() for message in read_all(page.settings, SENSOR) if message.partition() >= 4}
        assert in_added & {f"device-{number}" for number in range(20)}
        assert in_added & {f"device-{number}" for number in range(20, 40)}
        _sees(page, browser, sent)
        sent += send_readings(page.settings, 600, 400, devices=40)
        _sees(page, browser, sent)
        for _ in range(20):  # the other worker has found them too, and tells nothing again
            browser.tick()
            fresh = page.ticker()
            _sees(page, fresh, sent)
        assert sorted(browser.readings) == sorted(sent)
        assert browser.resets == 1
        newest = {device: list(rows[-1]) for device, rows in by_device(sent).items()}
        assert {device: held[:2] for device, held in browser.devices.items()} == newest


def _delete_topics(settings: Settings) -> None:
    names = [settings.topic_name(topic) for topic in TOPICS]
    client = kafka.admin(settings, "test")  # it must outlive its futures
    for future in client.delete_topics(names).values():
        future.result()


def _has_topics(settings: Settings) -> bool:
    found = kafka.cluster_metadata(settings, kafka.admin(settings, "test")).topics
    return any(settings.topic_name(topic) in found for topic in TOPICS)
