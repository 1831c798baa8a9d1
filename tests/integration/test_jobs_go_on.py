"""Jobs go on: at once behind bad input, and over records that have no time.

A device sends what cannot be read and, behind it in the same partition, what can; its result is promised within a
second. What a busy machine is given is another try, not more time: see `TRIES`.
"""

import json
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

import pytest
from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition
from confluent_kafka.cimpl import NewTopic

from sensorbus import records
from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.runtime import kafka
from tests.support import raw_records
from tests.support.bad_input import alert_cases, sensor_cases
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.topics import Record, read_all
from tests.support.verifier import differences, expected_from_readings
from tests.support.waiting import wait_until

#: From before the bad and the good are sent until a reader of what is committed sees the good one's results.
AT_MOST_S: Final = 1.0
#: A delay that a bad record makes is there each time; one that the tests beside this one make is not.
TRIES: Final = 5
RESULTS: Final = {SENSOR: (ALERT, AVG_TEMP), ALERT: (ALERT_COUNT,)}
CASES: Final = {SENSOR: sensor_cases, ALERT: alert_cases}
DAY_MS: Final = 86_400_000
#: From one good record of a device to the next: longer than every window, so that each closes those of the one before.
STEP_MS: Final = 20_000

_log = logging.getLogger(__name__)  # --log-cli-level=INFO shows what it really takes

#: A result of a device: topic, and the timestamp of an alert or the start of a window.
Sight = tuple[str, str | int]


class Sender:
    """A device that sends bad values and a good one in one go, and looks for what comes of the good one."""

    def __init__(self, settings: Settings, source: Topic) -> None:
        """Send two good ones, so that the next closes windows and the jobs have begun; event time was yesterday."""
        self._settings, self._source = settings, source
        self._device_id = f"next-{uuid.uuid4().hex[:8]}"
        self._time_ms = int(time.time()) * 1_000 - DAY_MS
        self._seen: set[Sight] = set()
        self._results = kafka.consumer(settings, "test", **{"fetch.wait.max.ms": 20})
        self._producer = kafka.producer(settings, "test")  # one for all: what is measured is the jobs', not its start
        topics = (place for topic in RESULTS[source] for place in records.partitions(settings, self._results, topic))
        self._results.assign([TopicPartition(place.topic, place.partition, OFFSET_BEGINNING) for place in topics])
        self._send([self._good()])
        wait_until(lambda: self._sees({self._sight(RESULTS[source][0])}), 30, "the first result")
        self.seconds_behind([])

    def seconds_behind(self, bad: Sequence[bytes | None]) -> float:
        """Return how long it takes from before the first of all these is sent until a good one's results are seen."""
        self._time_ms += STEP_MS
        key = self._device_id.encode()
        started_s = time.monotonic()
        self._send([*(Record(key, value) for value in bad), self._good()])
        wanted = {self._sight(topic) for topic in RESULTS[self._source]}
        wait_until(lambda: self._sees(wanted), 30, f"{wanted}")
        return time.monotonic() - started_s

    def least_behind(self, bad: Sequence[bytes | None]) -> float:
        """Return the first of these times that is within the promise, or the least of all tries."""
        tries: list[float] = []
        while len(tries) < TRIES and (not tries or tries[-1] > AT_MOST_S):
            tries.append(self.seconds_behind(bad))
        return min(tries)

    def close(self) -> None:
        """Look no more."""
        self._results.close()

    def _send(self, wanted: Sequence[Record]) -> None:
        for record in wanted:
            self._producer.produce(self._settings.topic_name(self._source), record.value, record.key)
        assert self._producer.flush(30) == 0

    def _good(self) -> Record:
        timestamp = iso_timestamp(self._time_ms)
        if self._source is SENSOR:
            return Record(self._device_id.encode(), encode_reading(self._device_id, timestamp, 40.0))
        alert = Alert(self._device_id, timestamp, self._time_ms, 40.0, 104.0, 313.15)
        return Record(self._device_id.encode(), encode_alert(alert))

    def _sight(self, topic: Topic) -> Sight:
        """Return the last that the good one leads to: its alert, its newest window, the last window that it closes."""
        name = self._settings.topic_name(topic)
        if topic is ALERT:
            return name, iso_timestamp(self._time_ms)
        return name, self._time_ms - (STEP_MS if topic is AVG_TEMP else 0)

    def _sees(self, wanted: set[Sight]) -> bool:
        """Take the results that are there; tell whether all of these are among them."""
        for message in self._results.consume(1_000, timeout=0.01):
            assert message.error() is None
            self._note(message)
        return wanted <= self._seen

    def _note(self, message: Message) -> None:
        if message.key() == self._device_id.encode():
            result = json.loads(message.value())
            self._seen.add((message.topic(), result.get("start", result.get("timestamp"))))


@pytest.fixture(scope="module", params=[THREE_JOBS, ("all",)], ids=["three", "all"])
def settings(
    request: pytest.FixtureRequest, broker_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Run the three jobs, or job `all`, on a bus."""
    names: tuple[str, ...] = request.param
    prefix = f"{broker_settings.topic_prefix}{names[0]}-"
    own = broker_settings.model_copy(update={"topic_prefix": prefix, "state_dir": tmp_path_factory.mktemp("state")})
    kafka.ensure_topics(own, "test")
    with Jobs(own, tmp_path_factory.mktemp("jobs") / "log") as jobs:
        jobs.start(*names)
        yield own
        jobs.stop(*names)


@pytest.fixture(params=[SENSOR, ALERT], ids=lambda topic: topic.name)
def sender(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Sender]:
    """Give a device that sends readings, or alerts."""
    sender = Sender(settings, request.param)
    yield sender
    sender.close()


@pytest.fixture
def refused(request: pytest.FixtureRequest) -> dict[str, bytes | None]:
    """Give what is refused where that device sends, by its name."""
    source: Topic = request.node.callspec.params["sender"]
    return {case.name: case.value for case in CASES[source](datetime.now(UTC)) if case.kind}


@pytest.mark.parametrize("settings", [THREE_JOBS], ids=["three"], indirect=True)
def test_behind_each_bad_record_the_next_good_one_has_its_results_within_a_second(
    sender: Sender, refused: dict[str, bytes | None]
) -> None:
    """Whatever is wrong with the one before it."""
    seconds: dict[str, float] = {}
    for name, value in refused.items():
        seconds[name] = sender.least_behind([value])
        assert seconds[name] <= AT_MOST_S, f"behind {name}; alone it takes {sender.least_behind([]):.2f} s"
    slowest = max(seconds, key=lambda name: seconds[name])
    _log.info("median %.2f s, most %.2f s: %s", median(seconds.values()), seconds[slowest], slowest)
    assert len(seconds) > 45


def test_behind_all_bad_records_in_a_row_the_next_good_one_has_its_results_within_a_second(
    sender: Sender, refused: dict[str, bytes | None]
) -> None:
    """The same behind the whole list, which has 7 MB: by any job, since what each of them costs adds up here."""
    seconds = sender.least_behind(list(refused.values()))
    _log.info("%.2f s", seconds)
    assert seconds <= AT_MOST_S, f"alone it takes {sender.least_behind([]):.2f} s"


def test_a_record_without_a_time_is_of_now(real_kafka_address: str, tmp_path: Path) -> None:
    """On topics of CreateTime, with the record time -1: results are right and have times, clocks ahead are found.

    On the embedded broker, whose topics are such ones too: test_jobs.py.
    """
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix=prefix, state_dir=tmp_path / "state")
    _create_with_sent_times(settings, SENSOR, ALERT)
    begin_ms = int(time.time()) * 1_000 - DAY_MS
    ahead_ms = begin_ms + DAY_MS + 3_600_000
    times = [iso_timestamp(begin_ms + second * 1_000) for second in range(30)]
    readings = [encode_reading("a", timestamp, 20.0 + number) for number, timestamp in enumerate(times)]
    ahead = encode_reading("a", iso_timestamp(ahead_ms), 40.0)
    strange, strange_ahead = (
        encode_alert(Alert("b", iso_timestamp(time_ms), time_ms, 40.0, 104.0, 313.15))
        for time_ms in (begin_ms, ahead_ms)
    )
    with Jobs(settings, tmp_path / "log") as jobs:
        jobs.start(*THREE_JOBS)
        wait_until(lambda: jobs.log.read_text().count(" reads ") == 3, 30, "the jobs to start", jobs.log)
        _send_without_time(settings, SENSOR, b"a", *readings[:15], ahead, b"{", *readings[15:])
        _send_without_time(settings, ALERT, b"b", strange_ahead, b"[", strange)
        _send_without_time(settings, ALERT, b"foreign", strange.replace(b'"b"', b'"c"'))
        jobs.settle(*THREE_JOBS)
        jobs.stop(*THREE_JOBS)
    assert {message.timestamp()[1] for message in read_all(settings, SENSOR)} == {-1}
    alerts, counts, means = (
        [message for message in read_all(settings, topic) if message.key() == b"a"]
        for topic in (ALERT, ALERT_COUNT, AVG_TEMP)
    )
    results = [[message.value() for message in topic] for topic in (alerts, counts, means)]
    assert differences(expected_from_readings(readings), *results) == []
    assert len(alerts) == 20
    ones = [m.key() for m in read_all(settings, ALERT_COUNT) if b'"alert_count":1}' in (m.value() or b"")]
    assert (ones.count(b"b"), ones.count(b"c")) == (5, 5)
    letters = [(m.value(), dict(m.headers())["error.kind"]) for m in read_all(settings, DEAD_LETTER)]
    wanted = {ahead: b"clock-ahead", b"{": b"json", strange_ahead: b"clock-ahead", b"[": b"json"}
    assert sorted(letters) == sorted(wanted.items())
    assert all(begin_ms + DAY_MS <= message.timestamp()[1] <= time.time() * 1_000 for message in alerts)
    assert "Traceback" not in jobs.log.read_text()


def _create_with_sent_times(settings: Settings, *topics: Topic) -> None:
    """Make topics whose records keep the time that their sender names, as a foreign operator's may."""
    config = {"message.timestamp.type": "CreateTime"}
    new = [NewTopic(settings.topic_name(topic), settings.topic_partitions, 1, config=config) for topic in topics]
    admin = kafka.admin(settings, "test")
    for made in admin.create_topics(new).values():
        made.result(10)


def _send_without_time(settings: Settings, topic: Topic, key: bytes, *wanted: bytes) -> None:
    for value in wanted:
        one = raw_records.record(value, key)
        raw_records.produce(settings.bootstrap_servers, settings.topic_name(topic), one, time_ms=-1)
