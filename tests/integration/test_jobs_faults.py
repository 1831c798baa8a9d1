"""Faults of the jobs and the broker, each judged by the verifier.

A feeder writes readings all the while; when the faults are over, what stands in the topics must be what the input
leads to: nothing missing, nothing wrong and, exactly once, nothing twice.
"""

import contextlib
import itertools
import logging
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import pytest
from confluent_kafka import KafkaException, Message

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.bad_input import Case, alert_cases, sensor_cases
from tests.support.command import run_all
from tests.support.faults.bus import AFTER_A_KILL_S, PATIENCE
from tests.support.faults.sight import OUTPUTS, Sight
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.parts import most_resident_bytes, resident_bytes
from tests.support.raw_records import UNREADABLE, RawDevice
from tests.support.topics import Record, produce, read_all, values
from tests.support.verifier import Expected, differences, expected_from_readings
from tests.support.waiting import wait_until

DEVICES = 20
BATCH_S = 0.1
_SEEN_WITHIN_S = 60.0
_TRIES = 3
#: Of the records that no job can read, whatever their values look like.
_NOISE_HEADER = "trace"
_SMALL_BYTES = 1_000
_GROWS_AT_MOST_MB = 100.0

_log = logging.getLogger(__name__)


class Feeder:
    """Writes readings of 20 devices, ten times faster than they would come, until it is left."""

    def __init__(self, settings: Settings, bad_share: int = 0) -> None:
        """With `bad_share` n, every n-th record cannot be read."""
        self._settings, self._bad_share = settings, bad_share
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self.sent = 0

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join()

    def _feed(self) -> None:
        moment_ms = int((datetime.now(UTC) - timedelta(minutes=30)).timestamp() * 1_000)
        for second in range(100_000):
            produce(self._settings, SENSOR, list(_readings(moment_ms + second * 1_000, second, self._bad_share)))
            self.sent += DEVICES
            if self._stop.wait(BATCH_S):
                return


def _readings(moment_ms: int, second: int, bad_share: int) -> Iterator[Record]:
    for number in range(DEVICES):
        device_id = f"device-{number}"
        late_ms = 1_500 if (second + number) % 13 == 0 else 0  # disorder
        celsius = 29.85 + ((second * 7 + number * 3) % 11 - 6) / 100
        value = encode_reading(device_id, iso_timestamp(moment_ms - late_ms + number), celsius)
        if bad_share and (second * DEVICES + number) % bad_share == 0:
            value = value[: second % len(value)]
        yield Record(device_id.encode(), value)


def verdict(settings: Settings, *, once: bool) -> tuple[list[str], Expected]:
    """Return what is wrong in the topics, and what should stand there."""
    expected = expected_from_readings(_good(settings, SENSOR))
    counts, means = (values(settings, topic) for topic in (ALERT_COUNT, AVG_TEMP))
    return differences(expected, _good(settings, ALERT), counts, means, once=once), expected


def _good(settings: Settings, topic: Topic) -> list[bytes]:
    """Return the values that can be read: those of records that are no noise, if they are JSON."""
    found = (message for message in read_all(settings, topic) if _NOISE_HEADER not in dict(message.headers() or ()))
    return [value for value in (message.value() for message in found) if _is_json(value)]


def _is_json(value: bytes) -> bool:
    try:
        return isinstance(orjson.loads(value), dict)
    except orjson.JSONDecodeError:
        return False


def dead_letters_are_the_bad_records(settings: Settings) -> bool:
    """Tell whether the bytes in `dead-letter` are the unreadable ones of `sensor`, each once."""
    bad = Counter(value for value in values(settings, SENSOR) if not _is_json(value))
    return bad == Counter(values(settings, DEAD_LETTER))


@pytest.fixture
def real_settings(real_settings: Settings) -> Settings:
    """Give it once its topics have leaders."""
    wait_until(lambda: _means_seen(real_settings) is not None, 20, "the new topics to have leaders")
    return real_settings


def _means_seen(settings: Settings) -> int | None:
    """Return how many means are visible, None while a broker or a topic is new."""
    try:
        return len(read_all(settings, AVG_TEMP))
    except KafkaException:
        return None


def wait_for_news(settings: Settings, jobs: Jobs) -> float:
    """Return the seconds until new means are visible."""
    before = _means_seen(settings) or 0
    return wait_until(lambda: (_means_seen(settings) or 0) > before, 40, "new means", jobs.log)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("instance_id", ["one", None], ids=["stable-id", "dynamic"])
def test_kills_lose_nothing_and_repeat_nothing(
    instance_id: str | None, real_settings: Settings, tmp_path: Path
) -> None:
    """Kill -9 of each job in turn, exactly once: back in time, every result once and right, bad input included."""
    settings = real_settings.model_copy(update={"instance_id": instance_id})
    away_s = run_with_kills(settings, tmp_path / "log", THREE_JOBS)
    wrong, expected = verdict(settings, once=True)
    assert wrong == []
    assert dead_letters_are_the_bad_records(settings)
    assert len(expected.alerts) > 50
    assert max(away_s.values()) < AFTER_A_KILL_S, away_s


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_at_least_once_repeat_only_equal_results(fresh_settings: Settings, tmp_path: Path) -> None:
    """At least once, nothing is lost, a repeated mean equals the first, and an alert counts once in every window."""
    settings = fresh_settings.model_copy(update={"processing_guarantee": "at-least-once"})
    away_s = run_with_kills(settings, tmp_path / "log", ("alert", "avg-temp", "alert-count"))
    wrong, expected = verdict(settings, once=False)
    assert wrong == []
    assert len(expected.alerts) > 50
    assert max(away_s.values()) < AFTER_A_KILL_S, away_s


def run_with_kills(settings: Settings, log: Path, victims: tuple[str, ...]) -> dict[str, float]:
    """Feed the three jobs, kill -9 these in turn and start them again, and wait until all is read.

    Return how many seconds each was away, the least of its tries.
    """
    away_s = {}
    with Jobs(settings, log) as jobs:
        with Feeder(settings, bad_share=17), contextlib.ExitStack() as at_the_end:
            sight = Sight(settings)
            at_the_end.callback(sight.rest)
            begun_ms = wall_clock_ms()
            jobs.start(*THREE_JOBS)
            for name in THREE_JOBS:
                wait_until_seen(sight, jobs, name, begun_ms)
            for name in victims:
                away_s[name] = min(away_after_kills(sight, jobs, name))
        jobs.settle("alert", "avg-temp", "alert-count")
        jobs.stop(*THREE_JOBS)
    return away_s


def away_after_kills(
    sight: Sight, jobs: Jobs, name: str, harm: Callable[[Path], object] = lambda _: None
) -> Iterator[float]:
    """Kill a job, and harm its state, until it is back as soon as it shall be, thrice at most: machines are busy."""
    for _ in range(_TRIES):
        killed_s = time.monotonic()
        jobs.kill(name)
        harm(jobs.settings.state_dir / name)
        dead_ms = wall_clock_ms()
        jobs.start(name)
        wait_until_seen(sight, jobs, name, dead_ms)
        away_s = time.monotonic() - killed_s
        _log.info("%.1f s until %s was seen after kill -9", away_s, name)
        yield away_s
        if away_s < AFTER_A_KILL_S:
            return


def wait_until_seen(sight: Sight, jobs: Jobs, name: str, since_ms: int) -> None:
    """Wait until every partition of the job's output shows a result from that time on."""

    def is_seen() -> bool:
        sight.step(0)
        shown = sight.newest_ms[OUTPUTS[name]]
        return len(shown) == jobs.settings.topic_partitions and sight.is_seen_since(name, since_ms)

    wait_until(is_seen, _SEEN_WITHIN_S, f"{name} to be seen on every partition", jobs.log)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("instance_id", ["one", None], ids=["stable-id", "dynamic"])
def test_lost_and_broken_state_is_rebuilt(instance_id: str | None, real_settings: Settings, tmp_path: Path) -> None:
    """With its state directory gone, or full of noise, a job takes it from the changelog and goes on exactly, in time.

    One without an instance id loses with its state the name of its transaction, which Kafka ends after 10 s.
    """
    settings = real_settings.model_copy(update={"instance_id": instance_id})
    with Jobs(settings, tmp_path / "log") as jobs:
        with Feeder(settings), contextlib.ExitStack() as at_the_end:
            sight = Sight(settings)
            at_the_end.callback(sight.rest)
            begun_ms = wall_clock_ms()
            jobs.start(*THREE_JOBS)
            for name in THREE_JOBS:
                wait_until_seen(sight, jobs, name, begun_ms)
            lost_s = min(away_after_kills(sight, jobs, "avg-temp", shutil.rmtree))
            spoiled_s = min(away_after_kills(sight, jobs, "alert-count", spoil))
        jobs.settle("alert", "avg-temp", "alert-count")
        jobs.stop(*THREE_JOBS)
    wrong, _ = verdict(settings, once=True)
    assert wrong == []
    within_s = AFTER_A_KILL_S if instance_id else PATIENCE * AFTER_A_KILL_S
    assert max(lost_s, spoiled_s) < within_s, (lost_s, spoiled_s)


def spoil(directory: Path) -> None:
    """Overwrite every data file with noise."""
    files = [path for path in directory.rglob("*") if path.is_file() and path.suffix in (".log", ".sst", "")]
    assert files
    for path in files:
        path.write_bytes(b"\xde\xad" * 500)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_twin_ends_the_older_one_with_one_line(real_settings: Settings, tmp_path: Path) -> None:
    """Two processes under one instance id: the older ends by itself and says why; the results are exact."""
    settings = real_settings.model_copy(update={"instance_id": "one"})
    with Jobs(settings, tmp_path / "log") as jobs, Jobs(settings, tmp_path / "twin.log") as twins:
        twin_settings = settings.model_copy(update={"state_dir": tmp_path / "twin-state"})
        twins.settings = twin_settings
        with Feeder(settings):
            jobs.start(*THREE_JOBS)
            wait_for_news(settings, jobs)
            twins.start("avg-temp")
            jobs.running["avg-temp"].wait(1, within_s=30)
            wait_for_news(settings, twins)
        jobs.running.pop("avg-temp")
        jobs.settle("alert", "alert-count")
        twins.settle("avg-temp")
        twins.stop("avg-temp")
        jobs.stop("alert", "alert-count")
    said = (tmp_path / "log").read_text()
    assert "another process took this one's place" in said
    assert "SENSORBUS_INSTANCE_ID=one must be unique" in said
    assert "Traceback" not in said
    wrong, _ = verdict(settings, once=True)
    assert wrong == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_burst_of_bad_input_does_no_harm(real_settings: Settings, tmp_path: Path) -> None:
    """100,000 unreadable records of all small kinds on `sensor`, as many on `alert`: each in `dead-letter` once.

    With its kind, key and headers. Hardly a line of log, memory stays, and what is good between and behind is read.
    """
    sent = {SENSOR: _noise(SENSOR, sensor_cases), ALERT: _noise(ALERT, alert_cases)}
    with Jobs(real_settings, tmp_path / "log") as jobs:
        jobs.start(*THREE_JOBS)
        with Feeder(real_settings):
            wait_for_news(real_settings, jobs)
            before = jobs.memory_mb(resident_bytes)
            for topic in (ALERT, SENSOR):
                produce(real_settings, topic, (record for _, record in sent[topic]))
            wait_for_news(real_settings, jobs)
        jobs.settle("alert", "avg-temp", "alert-count", within_s=120)  # beside other tests 1,500 records/s were seen
        grown_mb = {name: mb - before[name] for name, mb in jobs.memory_mb(most_resident_bytes).items()}
        jobs.stop(*THREE_JOBS)
    _log.info("grown by %s MB", grown_mb)
    assert max(grown_mb.values()) < _GROWS_AT_MOST_MB, grown_mb
    letters = Counter(_letter(message) for message in read_all(real_settings, DEAD_LETTER))
    names = {topic: real_settings.topic_name(topic) for topic in sent}
    assert letters == Counter(
        (names[topic], kind, record.key, record.value, *record.headers)
        for topic, noise in sent.items()
        for kind, record in noise
    )
    assert (tmp_path / "log").stat().st_size < 10_000
    last = {message.partition(): message for message in read_all(real_settings, SENSOR)}  # good, behind all the noise
    assert not any(_NOISE_HEADER in dict(message.headers() or ()) for message in last.values())
    wrong, expected = verdict(real_settings, once=True)
    assert (wrong, len(expected.means) > DEVICES, len(expected.counts) > DEVICES) == ([], True, True)


def _noise(topic: Topic, cases: Callable[[datetime], list[Case]]) -> list[tuple[str, Record]]:
    """Return the kind and the record of 100,000 that cannot be read, each kind of small value in turn."""
    small = [case for case in cases(datetime.now(UTC)) if case.kind and len(case.value or b"") < _SMALL_BYTES]
    kinds = [(case.kind or "", case.value) for case in small]
    assert len(kinds) > 40
    headers = [(_NOISE_HEADER, topic.name.encode())]
    turns = zip(range(100_000), itertools.cycle(kinds), strict=False)
    return [(kind, Record(b"device-%d" % (number % DEVICES), value, headers)) for number, (kind, value) in turns]


def _letter(message: Message) -> tuple[object, ...]:
    """Return the source and kind of a dead letter, and what its record was: key, value, headers."""
    headers = message.headers()
    said = dict(headers)
    return said["source.topic"].decode(), said["error.kind"].decode(), message.key(), message.value(), *headers[:-5]


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_what_is_small_only_while_compressed_stops_no_job(codec: str, real_settings: Settings, tmp_path: Path) -> None:
    """Noise and readings of 20 MB, under a right and a foreign key: a dead letter each; the next reading is read."""
    reading = encode_reading("large", iso_timestamp(1_769_860_800_000), 40.0)
    large = [b"x" * 20_000_000, *[reading[:-1] + b',"more":"' + b"x" * 20_000_000 + b'"}'] * 2]
    options = {"compression.type": codec, "message.max.bytes": 100_000_000}
    with Jobs(real_settings, tmp_path / "log") as jobs:
        jobs.start(*THREE_JOBS)
        producer = kafka.producer(real_settings, "test", **options)
        for key, value in zip((b"k", b"large", None), large, strict=True):
            producer.produce(real_settings.topic_name(SENSOR), value, key)
        assert producer.flush(30) == 0
        with Feeder(real_settings):
            wait_for_news(real_settings, jobs)
        jobs.settle("alert", "avg-temp", "alert-count")
        jobs.stop(*THREE_JOBS)
    letters = read_all(real_settings, DEAD_LETTER)
    assert [dict(letter.headers())["error.kind"] for letter in letters] == [b"too-large"] * 3
    assert {letter.key() for letter in letters} == {b"k", b"large", None}
    assert all(letter.value() in (value[: len(letter.value())] for value in large) for letter in letters)


@pytest.mark.slow
@pytest.mark.parametrize("records", [1, 5])
def test_a_batch_that_cannot_be_decompressed_stops_nothing(
    records: int, real_settings: Settings, tmp_path: Path
) -> None:
    """Of 150 MB in zstd: the jobs go on behind it, as does who reads the topic, and one dead letter tells of it."""
    options = {"compression.type": "zstd", "message.max.bytes": 1_000_000_000, "batch.size": 1_000_000_000}
    with Jobs(real_settings, tmp_path / "log") as jobs:
        jobs.start(*THREE_JOBS)
        producer = kafka.producer(real_settings, "test", **options, **{"linger.ms": 60_000})
        for _ in range(records):
            producer.produce(real_settings.topic_name(SENSOR), b"x" * (150_000_000 // records), b"k", partition=0)
        assert producer.flush(30) == 0
        with Feeder(real_settings):
            wait_for_news(real_settings, jobs)
            wait_until(lambda: values(real_settings, DEAD_LETTER) != [], 60, "the dead letter", jobs.log)
        jobs.settle("alert", "avg-temp", "alert-count")
        jobs.stop(*THREE_JOBS)
    (letter,) = read_all(real_settings, DEAD_LETTER)
    headers = dict(letter.headers())
    assert (letter.key(), letter.value(), headers["error.kind"]) == (None, None, b"compression")
    last = int(headers["source.offset"])
    assert headers["error.message"].startswith(b"the records %d to %d cannot" % (last - records + 1, last))
    assert "Traceback" not in jobs.log.read_text()
    wrong, _ = verdict(real_settings, once=True)
    assert wrong == []


@pytest.mark.slow
def test_a_header_whose_name_is_no_utf8_stops_no_command(real_settings: Settings, tmp_path: Path) -> None:
    """`verify` and `tail` read over such records on both topics; what the jobs make of them is in test_jobs.py."""
    devices = [RawDevice(f"raw-{topic.name}", topic, UNREADABLE, 1) for topic in (SENSOR, ALERT)]
    with Jobs(real_settings, tmp_path / "log") as jobs:
        jobs.start(*THREE_JOBS)
        for device in devices:
            device.produce(real_settings)
        jobs.settle("alert", "avg-temp", "alert-count")
        jobs.stop(*THREE_JOBS)
    commands = ["verify", *(f"tail {topic.name} --all --no-follow" for topic in (SENSOR, ALERT))]
    verified, *tailed = run_all(real_settings, *commands)
    rows = {name: [int(number) for number in numbers] for _, name, *numbers in map(str.split, _rows(verified.stdout))}
    of_readings = {"alert": 2, "alert-count": 6, "avg-temp": 1, "dead-letter": 4, "sensor": 1}
    assert {name: numbers[1:4] for name, numbers in rows.items()} == {
        name: [number, 0, 0] for name, number in of_readings.items()
    }
    assert {name for name, numbers in rows.items() if numbers[4]} == {"alert", "alert-count"}  # the strange alerts'
    for device, each in zip(devices, tailed, strict=True):
        assert (each.returncode, each.stderr) == (0, "")
        assert each.stdout.count(f'"device_id":"{device.device_id}"') == 5


def _rows(table: str) -> list[str]:
    return [line for line in table.splitlines()[1:] if line.strip()]
