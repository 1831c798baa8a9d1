"""Who takes over a partition has its whole state, and who lost it says no more.

The gaps in that, each provoked on a real Kafka and judged by the verifier.
"""

import re
import shutil
import signal
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import AVG_TEMP, SENSOR
from sensorbus.runtime import kafka
from tests.support.crew import DEVICES, SECONDS_FED, feed, seconds
from tests.support.groups import committed, sharing
from tests.support.jobs import Jobs
from tests.support.parts import Part, part
from tests.support.real_kafka import free_ports
from tests.support.ticks import get
from tests.support.topics import values
from tests.support.verifier import Expected, differences, expected_from_readings
from tests.support.waiting import wait_until


@pytest.fixture
def settings(real_kafka_address: str, tmp_path: Path) -> Settings:
    """Give a bus on the shared real Kafka, with empty topics, for members with the same stable id."""
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address,
        topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        state_dir=tmp_path / "state",
        instance_id="one",
    )
    kafka.ensure_topics(settings, "test")
    return settings


def what_is_wrong(settings: Settings) -> list[str]:
    """Return how the means differ from those of an own computation."""
    expected = Expected(means=expected_from_readings(values(settings, SENSOR)).means)
    assert len(expected.means) > SECONDS_FED * DEVICES
    return differences(expected, [], [], values(settings, AVG_TEMP))


def changelog_of(settings: Settings) -> str:
    """Return the name of the only one on this bus."""
    topics = kafka.admin(settings, "test").list_topics(timeout=10).topics
    (changelog,) = [name for name in topics if name.startswith(f"changelog__{settings.topic_prefix}")]
    return str(changelog)


@contextmanager
def open_transaction(settings: Settings, topic: str, partitions: Iterable[int]) -> Iterator[None]:
    """Have a transaction open on these partitions, as a member that died or hangs leaves it."""
    options = {
        "transactional.id": f"{settings.topic_prefix}dead",
        "transaction.timeout.ms": 300_000,  # it shall end when the test ends it
    }
    dead = kafka.producer(settings, "test", **options)
    dead.init_transactions(30)
    dead.begin_transaction()
    for partition in partitions:
        dead.produce(topic, b"never committed", b"key", partition=partition)
    assert dead.flush(10) == 0
    try:
        yield
    finally:
        dead.abort_transaction(30)


@pytest.mark.slow
def test_a_reading_that_comes_before_its_state_waits(settings: Settings, tmp_path: Path) -> None:
    """A job without state, whose input is not paused as Quix relies on, reads its state first and then its backlog."""
    stream = seconds()
    feed(settings, stream)
    with Jobs(settings, tmp_path / "log") as jobs:
        jobs.start("avg-temp")
        jobs.settle("avg-temp")
        jobs.stop("avg-temp")
        shutil.rmtree(settings.state_dir)
        feed(settings, stream)
        with part(settings, tmp_path / "unpaused.log", "tests.support.lost_pause", "avg-temp") as unpaused:
            jobs.settle("avg-temp")
            unpaused.stop()
    assert what_is_wrong(settings) == []
    assert "waits until its state is recovered" in unpaused.said()


@pytest.mark.slow
def test_an_open_transaction_hides_no_change_of_the_state(settings: Settings, tmp_path: Path) -> None:
    """What a member committed behind a dead one's transaction is in the state of the next, which waits for its end."""
    stream = seconds()
    feed(settings, stream)
    log = tmp_path / "log"
    with Jobs(settings, log) as jobs:
        jobs.start("avg-temp")
        jobs.settle("avg-temp")
        with open_transaction(settings, changelog_of(settings), range(settings.topic_partitions)):
            before = len(values(settings, AVG_TEMP))
            feed(settings, stream)
            all_but_the_last = before + (SECONDS_FED - 1) * DEVICES
            wait_until(lambda: len(values(settings, AVG_TEMP)) >= all_but_the_last, 30, "means", log)
            jobs.stop("avg-temp")
            shutil.rmtree(settings.state_dir)
            feed(settings, stream)
            jobs.start("avg-temp")
            wait_until(lambda: "waits until a transaction there ends" in log.read_text(), 30, "the job to wait", log)
        jobs.settle("avg-temp")
        jobs.stop("avg-temp")
    assert what_is_wrong(settings) == []


@pytest.mark.slow
def test_the_next_life_of_a_dynamic_member_ends_the_transaction_of_the_last(settings: Settings, tmp_path: Path) -> None:
    """In the same folder it has the same transactional id: committed readers do not wait until it is given up."""
    settings = settings.model_copy(update={"instance_id": None, "commit_interval_ms": 10_000})
    log, stream = tmp_path / "log", seconds()
    with Jobs(settings, log) as jobs:
        feed(settings, stream)
        with part(settings, log, "tests.support.long_transaction", "avg-temp") as killed:
            wait_until(lambda: not jobs.has_no_open_transaction(AVG_TEMP), 60, "means that are not committed", log)
            killed.kill()
        assert not jobs.has_no_open_transaction(AVG_TEMP)
        feed(settings, stream)
        jobs.start("avg-temp")
        jobs.settle("avg-temp")
        jobs.stop("avg-temp")
    assert what_is_wrong(settings) == []


def state_of(child: Part) -> str:
    """Return what a process does, by the kernel's letter: T is stopped."""
    assert child.process is not None
    return Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.slow
def test_who_was_given_up_drops_what_it_has_not_committed(settings: Settings, tmp_path: Path) -> None:
    """Frozen for longer than its session, it comes back after the other has read the same, and goes on exactly."""
    settings, stream = settings.model_copy(update={"instance_id": None}), seconds()
    other = settings.model_copy(update={"state_dir": tmp_path / "state-2"})

    def are_ahead(before: list[int]) -> bool:
        feed(settings, stream)
        return all(now > then for now, then in zip(committed(settings, "avg-temp", SENSOR), before, strict=True))

    def is_frozen() -> bool:
        feed(settings, stream)
        return state_of(frozen) == "T"

    feed(settings, stream)
    log = tmp_path / "log"
    with part(settings, log, "tests.support.frozen", "avg-temp") as frozen, Jobs(other, tmp_path / "other") as jobs:
        jobs.start("avg-temp")
        wait_until(lambda: sharing(settings, "avg-temp") == 2, 60, "both to share", log)
        wait_until(lambda: are_ahead([-1] * settings.topic_partitions), 30, "both to read", log)
        frozen.signal(signal.SIGUSR1)
        wait_until(is_frozen, 30, "a member to freeze", log)
        ends = committed(settings, "avg-temp", SENSOR)
        wait_until(lambda: are_ahead(ends), 40, "the other to take over", jobs.log)
        frozen.signal(signal.SIGCONT)
        wait_until(lambda: sharing(settings, "avg-temp") == 2, 60, "both to share again", log)
        jobs.settle("avg-temp")
        frozen.stop()
        jobs.stop("avg-temp")
    assert what_is_wrong(settings) == []


@pytest.mark.slow
def test_the_lag_is_that_of_the_worst_partition(settings: Settings, tmp_path: Path) -> None:
    """One partition that an open transaction holds up is told, however current the others are; then it is over."""
    settings = settings.model_copy(update={"ops_port": free_ports()[0]})
    stream, log = seconds(), tmp_path / "log"

    def lag_s() -> float | None:
        _, text = get(f"http://127.0.0.1:{settings.ops_port}/metrics")
        told = re.search(r'^sensorbus_job_lag_seconds\{job="avg-temp"\} (.+)$', text, re.MULTILINE)
        return float(told[1]) if told else None

    def is_behind() -> bool:
        feed(settings, stream)
        return (lag_s() or 0) > 8

    with Jobs(settings, log) as jobs:
        feed(settings, stream)
        jobs.start("avg-temp")
        jobs.settle("avg-temp")
        with open_transaction(settings, settings.topic_name(SENSOR), [0]):
            wait_until(is_behind, 25, "a lag of more than 8 s", log)
        wait_until(lambda: lag_s() == 0, 30, "no lag", log)
        jobs.stop("avg-temp")
