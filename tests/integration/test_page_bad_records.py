"""Twenty thousand bad records on each topic that the page reads, on a real Kafka.

It stays up, keeps nothing of them, and shows every good one that stands in between.
"""

import itertools
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, TOPICS, Topic
from sensorbus.runtime import kafka
from tests.support.bad_input import Case, alert_cases, sensor_cases
from tests.support.dashboards import START_MS, Dashboard, dashboard
from tests.support.load import Load
from tests.support.parts import resident_bytes
from tests.support.strangers import LOG_BYTES, MEMORY_BYTES
from tests.support.ticks import by_device, get, rows
from tests.support.topics import Record, produce
from tests.support.waiting import wait_until

BAD: Final = 20_000
FIRST: Final = 2_000  # what is loaded once is loaded by so many
GOOD_AMONG: Final = 100  # each so many bad ones there is a good one
DEVICES: Final = 5
#: Longer ones come once each: 20,000 of them would be a test of the disk.
SHORT_BYTES: Final = 10_000
READ_WITHIN_S: Final = 60.0
BROWSERS: Final = 5
_COUNT: Final = messages.encode_alert_count(messages.AlertCount("x", START_MS, START_MS + 5_000, 3))
_MEAN: Final = messages.encode_avg_temp(messages.AvgTemp("x", START_MS, START_MS + 10_000, 20.5))
_START: Final = str(START_MS).encode()
_WRONG_INTEGERS: Final = (b"-1", b"1.5", b"true", b"null", b'"1"', b"9" * 20, b"9" * 400, b"[]", b"1e999", b"NaN")
_log = logging.getLogger(__name__)


def _result_cases(good: bytes, number: bytes) -> list[bytes | None]:
    """Return bad values of a topic of results: a start, an end and a number that are none, a device that is none."""
    starts = [good.replace(b'"start":' + _START, b'"start":' + text) for text in _WRONG_INTEGERS]
    numbers = [good.replace(number, b":" + text) for text in (b"true", b"null", b'"3"', b"1e999", b"NaN", b"[]")]
    backwards = good.replace(b'"start":' + _START, b'"start":' + str(START_MS + 60_000).encode())
    return [*starts, *numbers, backwards, good[:-1], good.replace(b'"x"', b'""'), good.replace(b'"x"', b"7")]


def bad_values(topic: Topic) -> list[bytes | None]:
    """Return what the topic may meet and cannot be read."""
    now = datetime.now(UTC)
    cases: dict[Topic, list[Case]] = {SENSOR: sensor_cases(now), ALERT: alert_cases(now)}
    found = [case.value for case in cases.get(topic, sensor_cases(now)) if case.kind]
    if topic is ALERT_COUNT:
        found += _result_cases(_COUNT, b":3")
    if topic is AVG_TEMP:
        found += _result_cases(_MEAN, b":20.5")
    return found


def good_record(topic: Topic, number: int) -> Record:
    """Return a good record of a topic, of the devices in turn."""
    device, time_ms = f"device-{number % DEVICES}", START_MS + number * 1_000
    celsius = 20 + number / 100
    reading = messages.Reading(device, messages.iso_timestamp(time_ms), time_ms, celsius)
    made = {
        SENSOR: messages.encode_reading(device, reading.timestamp, celsius),
        ALERT: messages.encode_alert(messages.alert_from_reading(reading, celsius + 273.15)),
        ALERT_COUNT: messages.encode_alert_count(messages.AlertCount(device, time_ms, time_ms + 5_000, number)),
        AVG_TEMP: messages.encode_avg_temp(messages.AvgTemp(device, time_ms - 10_000, time_ms, celsius)),
        DEAD_LETTER: b"{}",
    }
    return Record(device.encode(), made[topic])


def mixed(topic: Topic, first: int, count: int) -> Iterator[Record]:
    """Return bad records from a number on, with good ones between them; the first ones have each long value once."""
    values = bad_values(topic)
    most = topic.max_message_bytes - 1_024
    if first == 0:
        yield from (Record(b"x", value) for value in values if SHORT_BYTES < len(value or b"") < most)
    short = itertools.cycle([value for value in values if len(value or b"") <= SHORT_BYTES])
    for number in range(first, first + count):
        yield Record(b"x", next(short))
        if number % GOOD_AMONG == 0:
            yield good_record(topic, number // GOOD_AMONG)


def page_with_topics(address: str, folder: Path) -> Dashboard:
    """Return a page of a bus of its own."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    settings = Settings(kafka_bootstrap_servers=address, topic_prefix=prefix, state_dir=folder)
    kafka.ensure_topics(settings, "test")
    return dashboard(settings, folder, dashboard_workers=1)


def records_read(page: Dashboard) -> float:
    """Return how many records the page has read of all topics."""
    text = get(f"{page.root}/metrics")[1]
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("sensorbus_feed_records_total{"))


def write_and_wait(page: Dashboard, first: int, count: int) -> None:
    """Write so many bad records and what stands between them to every topic, and wait until all are read."""
    started_s = time.monotonic()
    read_before = records_read(page)
    made = {topic: list(mixed(topic, first, count)) for topic in TOPICS}
    for topic, records in made.items():
        produce(page.settings, topic, records)
    sent_s = time.monotonic() - started_s
    wanted = read_before + sum(map(len, made.values()))
    wait_until(lambda: records_read(page) >= wanted, READ_WITHIN_S, "all to be read", page.part.log)
    _log.info("sent in %.1f s, read in %.1f s more", sent_s, time.monotonic() - started_s - sent_s)
    page.wait_ready()


@pytest.mark.slow
def test_bad_records_on_every_topic_hide_no_good_one(real_kafka_address: str, tmp_path: Path) -> None:
    """No tick fails, nothing is told of them in the log, and the worker does not grow."""
    page = page_with_topics(real_kafka_address, tmp_path)
    with page.part:
        page.wait_ready()
        (worker,) = page.worker_pids()
        with Load(page.settings.dashboard_port, BROWSERS, 1.0) as load:
            write_and_wait(page, 0, FIRST)
            held = resident_bytes(worker)
            write_and_wait(page, FIRST, BAD - FIRST)
            grown = resident_bytes(worker) - held
        _log.info("the worker grew by %d bytes, its log has %d", grown, len(page.part.said()))
        shows_the_good_ones(page)
        assert page.worker_pids() == [worker]
        assert grown < MEMORY_BYTES
        assert load.outcome.failures == []
        assert load.outcome.answers > BROWSERS
    assert "Traceback" not in page.part.said()
    assert len(page.part.said()) < LOG_BYTES


def shows_the_good_ones(page: Dashboard) -> None:
    """Fail if a good record is not shown, or a bad one is."""
    numbers = range(BAD // GOOD_AMONG)
    browser = page.ticker()
    answer = browser.tick()
    wanted = [(f"device-{number % DEVICES}", START_MS + number * 1_000, 20 + number / 100) for number in numbers]
    assert by_device(browser.readings) == by_device(wanted)
    assert sorted(rows(answer["alerts"], answer["now"])) == sorted(wanted)
    counts = sorted(rows(answer["counts"], answer["now"]))
    assert counts == sorted((device, time_ms, number) for number, (device, time_ms, _) in enumerate(wanted))
    assert sorted(rows(answer["averages"], answer["now"])) == sorted(wanted[-DEVICES:])
    assert answer["pipeline"]["dead_letters"] > BAD
