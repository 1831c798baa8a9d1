"""`sensorbus verify` over jobs that ran at least once.

They were killed: their repeats are real ones.
"""

import base64
import contextlib
import functools
import hashlib
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import orjson
import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from sensorbus import progress, reading, records, verify
from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, TOPICS, Topic
from sensorbus.reading import Reader
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.command import run
from tests.support.groups import set_committed
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.parts import environment_of
from tests.support.topics import Record, produce, read_all, values
from tests.support.verifier import Expected, differences, expected_from_readings
from tests.support.waiting import wait_until

DEVICES, SECONDS = 5, 20
NEVER_MS = 600_000
BEGIN_MS = wall_clock_ms() - 600_000
#: What the readings lead to: an alert each, five counts each, and a mean with each but a device's first.
WRITTEN = {
    ALERT: DEVICES * SECONDS,
    ALERT_COUNT: 5 * DEVICES * SECONDS,
    AVG_TEMP: DEVICES * (SECONDS - 1),
}


def run_verify(settings: Settings, said: str = "") -> tuple[int, dict[str, list[str]]]:
    """Return the command's exit code and its table: by topic, the verdict and the seven numbers.

    `said` is a pattern of what it says besides.
    """
    done = subprocess.run(
        [sys.executable, "-m", "sensorbus", "verify"],
        env=environment_of(settings, COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.fullmatch(said, done.stderr), done.stderr
    assert done.stdout.split("\n", 1)[0].split()[:2] == [
        "topic",
        "expected",
    ]  # in a pipe, nothing stands above the table
    rows = [line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["ok"], ["FALSE"])]
    return done.returncode, {row[1]: [row[0], *row[2:]] for row in rows}


def send(settings: Settings, first: int, count: int) -> None:
    """Write so many seconds of hot readings of all devices."""
    readings = [
        (f"device-{device}", BEGIN_MS + second * 1_000 + device, 40.0 + second)
        for second in range(first, first + count)
        for device in range(DEVICES)
    ]
    produce(
        settings,
        SENSOR,
        [Record(device.encode(), encode_reading(device, iso_timestamp(time_ms), c)) for device, time_ms, c in readings],
    )


@pytest.fixture
def repeated(fresh_settings: Settings, tmp_path: Path) -> Settings:
    """Give a bus on which the jobs wrote all results, were killed before they committed any, and wrote them again."""
    name = None if fresh_settings.embedded_broker else "one"  # it gives a killed member's partitions to no namesake
    settings = fresh_settings.model_copy(update={"processing_guarantee": "at-least-once", "instance_id": name})
    send(settings, 0, SECONDS)
    with Jobs(settings.model_copy(update={"commit_interval_ms": NEVER_MS}), tmp_path / "first") as first:
        first.start("all")
        for topic, number in WRITTEN.items():
            is_there = functools.partial(_has, settings, topic, number)
            wait_until(is_there, 45, f"{number} results on {topic.name}", first.log)
        first.kill("all")
    with Jobs(settings, tmp_path / "second") as second:
        second.start("all")
        second.settle("all", "all")  # the alerts are all there once the readings are read
        second.stop("all")
    return settings


def _has(settings: Settings, topic: Topic, number: int) -> bool:
    return len(values(settings, topic)) == number


@pytest.mark.slow
def test_repeats_are_duplicated_and_not_different(repeated: Settings) -> None:
    """Each result stands there twice: the table counts them as duplicated, says ok, and the exit code is 0."""
    code, table = run_verify(repeated)
    assert (code, {row[0] for row in table.values()}) == (0, {"ok"}), table
    for topic, number in WRITTEN.items():
        _, _, _, missing, pending, different, duplicated, _ = table[topic.name]
        numbers = (missing, pending, different, duplicated)
        assert (topic.name, *numbers) == (topic.name, "0", "0", "0", f"{number:,}")


@pytest.mark.slow
def test_a_copy_that_a_kill_has_doubled_is_in_the_means_once(fresh_settings: Settings, tmp_path: Path) -> None:
    """Readings under a foreign key: job alert sends them again, is killed, and sends them once more."""
    name = None if fresh_settings.embedded_broker else "one"
    settings = fresh_settings.model_copy(update={"processing_guarantee": "at-least-once", "instance_id": name})
    times = [iso_timestamp(BEGIN_MS + second * 1_000) for second in range(SECONDS)]
    readings = [encode_reading("a", time, 20.0 + number) for number, time in enumerate(times)]
    produce(settings, SENSOR, [Record(b"bridge", value) for value in readings])
    with Jobs(settings.model_copy(update={"commit_interval_ms": NEVER_MS}), tmp_path / "first") as first:
        first.start("alert")
        wait_until(lambda: _has(settings, SENSOR, 2 * SECONDS), 45, "a copy of each", first.log)
        first.kill("alert")
    with Jobs(settings, tmp_path / "second") as second:
        second.start("alert", "avg-temp")
        wait_until(lambda: _has(settings, SENSOR, 3 * SECONDS), 45, "another copy of each", second.log)
        second.settle("alert", "avg-temp")
        # One that is not doubled, lest all means be the same, and one that closes the windows.
        own = [encode_reading("a", iso_timestamp(BEGIN_MS + SECONDS * ms), 90.0) for ms in (1_000, 2_000)]
        produce(settings, SENSOR, [Record(b"a", value) for value in own])
        second.settle("alert", "avg-temp")
        second.stop("alert", "avg-temp")
    expected = Expected(means=expected_from_readings(readings + own).means)
    assert len(expected.means) > SECONDS / 2
    assert differences(expected, [], [], values(settings, AVG_TEMP)) == []
    never = (
        "" if settings.embedded_broker else r"sensorbus: job alert-count's group \S+ has no committed offset on .+\n"
    )
    _, table = run_verify(settings, never)  # of job alert-count, which does not run, it misses all
    assert table["avg-temp"][0] == "ok", table


@pytest.mark.slow
def test_what_a_stopped_job_has_not_read_is_pending(fresh_settings: Settings, tmp_path: Path) -> None:
    """As after `up` was stopped: alerts not counted yet and readings not averaged yet are no fault, and come later."""
    with Jobs(fresh_settings, tmp_path / "jobs.log") as jobs:
        send(fresh_settings, 0, SECONDS)
        jobs.start(*THREE_JOBS)
        jobs.settle(*THREE_JOBS)
        jobs.stop("alert-count", "avg-temp")
        send(fresh_settings, SECONDS, 5)
        jobs.settle("alert")
        jobs.stop("alert")
        code, table = run_verify(fresh_settings)
        assert {topic: row[:1] + row[3:5] for topic, row in table.items()} == {
            "alert": ["ok", "0", "0"],
            "alert-count": ["ok", "0", str(DEVICES * (5 + 4))],  # windows that end after the first seconds
            "avg-temp": ["ok", "0", str(DEVICES * 5)],
            "dead-letter": ["ok", "0", "0"],
        }
        assert code == 0
        jobs.start("alert-count", "avg-temp")
        jobs.settle("alert-count", "avg-temp")
        jobs.stop("alert-count", "avg-temp")
    code, table = run_verify(fresh_settings)
    assert (code, {row[0] for row in table.values()}, {row[4] for row in table.values()}) == (0, {"ok"}, {"0"}), table


def job_bus(settings: Settings, log: Path, sent: list[Record]) -> None:
    """Let the jobs read these records to their end."""
    with Jobs(settings, log) as jobs:
        produce(settings, SENSOR, sent)
        jobs.start("all")
        jobs.settle("all", "all")
        jobs.stop("all")


@pytest.mark.slow
def test_copies_and_letters_are_compared_with_what_they_are_of(fresh_settings: Settings, tmp_path: Path) -> None:
    """What the jobs wrote is true; a second copy is told, and a letter of a good reading is a difference."""
    good = encode_reading("a", iso_timestamp(BEGIN_MS), 20.0)
    job_bus(fresh_settings, tmp_path / "log", [Record(b"bridge", good), Record(b"a", good), Record(b"a", b"{")])
    code, table = run_verify(fresh_settings)
    assert (code, table["sensor"], table["dead-letter"]) == (0, ["ok", "1", "1", *"00000"], ["ok", "1", "1", *"00000"])
    held = read_all(fresh_settings, SENSOR)
    headers = next(headers for message in held if "rekeyed.from" in dict(headers := message.headers() or ()))
    produce(fresh_settings, SENSOR, [Record(b"a", good, headers)])
    code, table = run_verify(fresh_settings)
    may_repeat = not fresh_settings.is_exactly_once
    assert (code, table["sensor"]) == (int(not may_repeat), ["ok" if may_repeat else "FALSE", "1", "1", *"00010"])
    place = next((m.partition(), m.offset()) for m in held if (m.key(), m.value()) == (b"a", good))
    said = [fresh_settings.topic_name(SENSOR), *place]
    names = ("source.topic", "source.partition", "source.offset")
    letter = Record(b"a", good, [(name, str(value).encode()) for name, value in zip(names, said, strict=True)])
    produce(fresh_settings, DEAD_LETTER, [letter])
    code, table = run_verify(fresh_settings)
    assert (code, table["dead-letter"]) == (1, ["FALSE", "1", "1", *"00100"])


@pytest.mark.slow
def test_what_cannot_be_read_on_alert_has_a_letter_each(fresh_settings: Settings, tmp_path: Path) -> None:
    """A stranger wrote it: the alert is different, and its letter is compared as those of `sensor` are."""
    hot = encode_reading("a", iso_timestamp(BEGIN_MS), 40.0)
    produce(fresh_settings, ALERT, [Record(b"a", b"{"), Record(None, None)])
    job_bus(fresh_settings, tmp_path / "log", [Record(b"a", hot), Record(b"a", b"{")])
    told = r"(sensorbus: \S+alert\[\d\]@\d cannot be read, so no job wrote it: .+\n){%d}"
    code, table = run_verify(fresh_settings, told % 2)
    assert (code, table["alert"], table["dead-letter"]) == (
        1,
        ["FALSE", "1", "1", *"00200"],
        ["ok", "3", "3", *"00000"],
    )
    letters = read_all(fresh_settings, DEAD_LETTER)
    of_alert = next(one for one in letters if (dict(one.headers() or ())["source.topic"] or b"").endswith(b"alert"))
    produce(fresh_settings, DEAD_LETTER, [Record(of_alert.key(), b"something else", of_alert.headers() or ())])
    produce(fresh_settings, ALERT, [Record(b"a", b"[")])  # no job runs
    code, table = run_verify(fresh_settings, told % 3)
    assert (code, table["dead-letter"]) == (1, ["FALSE", "4", "3", *"01100"])


@pytest.mark.slow
def test_a_wrong_count_and_a_wrong_mean_are_different(fresh_settings: Settings, tmp_path: Path) -> None:
    """Whoever wrote them."""
    hot = [encode_reading("a", iso_timestamp(BEGIN_MS + second * 1_000), 40.0 + second) for second in range(15)]
    job_bus(fresh_settings, tmp_path / "log", [Record(b"a", value) for value in hot])
    assert run_verify(fresh_settings)[0] == 0
    for topic, field in ((ALERT_COUNT, "alert_count"), (AVG_TEMP, "avg_temp")):
        last = orjson.loads(values(fresh_settings, topic)[-1])
        produce(fresh_settings, topic, [Record(b"a", orjson.dumps(last | {field: last[field] + 1}))])
    code, table = run_verify(fresh_settings)
    assert (code, table["alert"][0]) == (1, "ok")
    assert {topic: (table[topic][0], table[topic][5]) for topic in ("alert-count", "avg-temp")} == {
        "alert-count": ("FALSE", "1"),
        "avg-temp": ("FALSE", "1"),
    }


def test_results_on_partitions_that_were_silent_since_then_are_found(real_kafka_address: str, tmp_path: Path) -> None:
    """The first of all, with `--since`: nothing stands there when it is asked where to begin, and then jobs write."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix=prefix, state_dir=tmp_path / "state")
    kafka.ensure_topics(settings, "test")
    send(settings, 0, 1)
    phases: list[str] = []

    def tell(doing: str, _done: int, _total: int | None) -> None:
        if doing not in phases and doing == "reads and compares":
            job_bus(settings, tmp_path / "log", [])
        phases.append(doing)

    options = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    with contextlib.closing(kafka.consumer(settings, "test", **options)) as consumer:
        rows = verify.verify(settings, consumer, BEGIN_MS, tell).rows
    numbers = {row.kind: (row.expected, row.found, row.missing, row.different) for row in rows}
    assert (numbers["alert"], numbers["alert-count"]) == ((DEVICES, DEVICES, 0, 0), (5 * DEVICES, 5 * DEVICES, 0, 0))


def test_the_progress_covers_all_that_is_read(fresh_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whole, known before the first reading and reached with the last result; markers of transactions count too."""
    monkeypatch.setattr(verify, "_RESULTS_WITHIN_S", 0.0)
    monkeypatch.setattr(reading, "_TOLD_EVERY", 10)
    producer = kafka.producer(fresh_settings, "test", **{"transactional.id": fresh_settings.topic_name(SENSOR)})
    producer.init_transactions()
    for _ in range(5):
        producer.begin_transaction()
        for topic in TOPICS:
            for _ in range(20):
                producer.produce(fresh_settings.topic_name(topic), b"{}", b"a")
        producer.commit_transaction()
    told: list[tuple[str, int, int | None]] = []
    options = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    with contextlib.closing(kafka.consumer(fresh_settings, "test", **options)) as consumer:
        found = verify.verify(fresh_settings, consumer, None, lambda *said: told.append(said))
        ends = [
            records.watermarks(fresh_settings, consumer, place)[1]
            for topic in TOPICS
            for place in records.partitions(fresh_settings, consumer, topic)
        ]
    assert {row.kind: row.different for row in found.rows}["avg-temp"] == 100
    whole = [total for _, _, total in told if total is not None]
    assert (set(whole), whole[0] >= 500) == ({sum(ends)}, True)
    done = [done for _, done, _ in told]
    assert (done, done[0], done[-1]) == (sorted(done), 0, whole[0])
    assert len(set(done)) >= 50  # it is told all the way


@pytest.fixture
def embedded_settings(tmp_path: Path) -> Iterator[Settings]:
    """Give a bus on an embedded broker of the test's own."""
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True, state_dir=tmp_path / "state")
        kafka.ensure_topics(settings, "test")
        yield settings


@pytest.mark.embedded
@pytest.mark.slow
def test_results_outlive_the_readings_that_the_embedded_broker_dropped(
    embedded_settings: Settings, tmp_path: Path
) -> None:
    """It keeps 5 MB of a partition: what is gone makes no difference, and one line says from when results count."""
    first_ms = wall_clock_ms() - 150_000
    sent = []
    for second in range(140):
        value = encode_reading("a", iso_timestamp(first_ms + second * 1_000), 40.0)
        noise = hashlib.shake_256(b"%d" % second).digest(75_000)  # which no batch compresses
        room = b"" if second < 20 else base64.b64encode(noise)
        sent.append(Record(b"a", b'{"room":"%b",%b' % (room, value[1:]), timestamp_ms=first_ms + second * 1_000))
    with Jobs(embedded_settings, tmp_path / "log") as jobs:
        jobs.start("all")
        for begin in range(0, len(sent), 20):
            produce(embedded_settings, SENSOR, sent[begin : begin + 20])
            jobs.settle("all")
        jobs.settle("all", "all")
        jobs.stop("all")
    assert len(read_all(embedded_settings, SENSOR)) < len(sent)
    done = run(embedded_settings, "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sensor has lost its oldest readings in partition" in done.stderr


def write_on(settings: Settings, stop: Event) -> None:
    """Commit transactions over all partitions of `sensor`, as jobs do: no fetch of it comes back without records."""
    producer = kafka.producer(settings, "test", **{"transactional.id": settings.topic_name(SENSOR)})
    producer.init_transactions()
    while not stop.wait(0.05):
        producer.begin_transaction()
        for partition in range(settings.topic_partitions):
            producer.produce(settings.topic_name(SENSOR), b"{}", partition=partition)
        producer.commit_transaction()


def test_a_topic_that_is_written_to_all_the_time_is_read_to_its_end_as_it_was(fresh_settings: Settings) -> None:
    """On a running bus `verify`, `doctor` and `tail` ended only if some fetch happened to find nothing."""
    produce(fresh_settings, SENSOR, [Record(b"a", b"{}")] * 10)
    stop = Event()
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write_on, fresh_settings, stop)
        try:
            for _ in range(3):
                assert len(pool.submit(read_all, fresh_settings, SENSOR).result(timeout=15)) >= 10
        finally:
            stop.set()
        writing.result()


def test_offsets_that_wait_for_a_transaction_are_told_as_such(
    real_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka is there: it is another transaction that must end, and not the broker that must come back."""
    settings = real_settings
    group = settings.consumer_group("avg-temp")
    place = TopicPartition(settings.topic_name(SENSOR), 0, 0)
    producer = kafka.producer(settings, "test", **{"transactional.id": f"{group}.1"})
    member, reader = (kafka.consumer(settings, "test", **{"group.id": name}) for name in (group, "reader"))
    monkeypatch.setattr(progress, "_COORDINATOR_TIMEOUT_S", 3.0)
    with contextlib.closing(member), contextlib.closing(reader):
        producer.init_transactions()
        producer.begin_transaction()
        producer.send_offsets_to_transaction([place], member.consumer_group_metadata())
        with pytest.raises(
            BrokerUnavailableError, match=f"answers, but does not tell what group {group} has committed"
        ):
            progress.progress(Reader(settings, reader))
        producer.commit_transaction()
        assert progress.progress(Reader(settings, reader)).avg_temp == {0: 0}


@pytest.mark.slow
def test_results_that_an_open_transaction_may_hide_are_said_to_be_so(real_kafka_address: str) -> None:
    """They are missing as far as anybody can see; when it has ended, nothing hides them."""
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address, topic_prefix=f"t{uuid.uuid4().hex[:8]}-", topic_partitions=1
    )
    kafka.ensure_topics(settings, "test")
    produce(settings, SENSOR, [Record(b"a", encode_reading("a", iso_timestamp(BEGIN_MS), 40.0))])
    hanging = kafka.producer(settings, "test", **{"transactional.id": f"{settings.topic_prefix}hanging"})
    hanging.init_transactions(30)
    hanging.begin_transaction()
    hanging.produce(settings.topic_name(ALERT), b"not committed")
    assert hanging.flush(10) == 0
    hidden = run(settings, "verify")
    hanging.abort_transaction(30)
    seen = run(settings, "verify")
    assert (hidden.returncode, seen.returncode) == (1, 1)
    assert f"{settings.topic_name(ALERT)}[0] is not read to its end; a transaction there is open" in hidden.stderr
    assert "is not read to its end" not in seen.stderr


def test_a_partition_without_a_committed_offset_is_told(real_kafka_address: str) -> None:
    """Where it holds records: they were never read, or Kafka has forgotten it; an empty partition is fine."""
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address, topic_prefix=f"t{uuid.uuid4().hex[:8]}-", topic_partitions=3
    )
    kafka.ensure_topics(settings, "test")
    producer = kafka.producer(settings, "test")
    for partition in (0, 1):
        producer.produce(settings.topic_name(SENSOR), b"no reading", b"key", partition)
    assert producer.flush(10) == 0
    set_committed(settings, "alert", SENSOR, [1, OFFSET_INVALID, OFFSET_INVALID])
    set_committed(settings, "avg-temp", SENSOR, [1, 1, OFFSET_INVALID])
    told = run(settings, "verify").stderr.splitlines()
    group = settings.consumer_group("alert")
    without = f"job alert's group {group} has no committed offset on partition 1 of {settings.topic_name(SENSOR)}"
    assert [line.startswith(f"sensorbus: {without}: ") for line in told if "no committed offset" in line] == [True]
