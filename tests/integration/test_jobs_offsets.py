"""Kafka has forgotten what a job has committed: it does not begin again."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, SENSOR, TOPICS
from sensorbus.expectation import expect
from sensorbus.runtime import kafka
from tests.support.crew import feed, seconds
from tests.support.groups import committed, forget, partitions, set_committed
from tests.support.jobs import Jobs
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce, read_all, values
from tests.support.waiting import wait_until

RESULTS = {"alert": ALERT, "avg-temp": AVG_TEMP}

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(real_kafka_address: str, tmp_path: Path) -> Settings:
    """Give a bus on the shared real Kafka."""
    return bus(real_kafka_address, tmp_path)


def bus(address: str, home: Path) -> Settings:
    """Return a bus with empty topics."""
    prefix = f"t{uuid.uuid4().hex[:8]}-"
    settings = Settings(kafka_bootstrap_servers=address, topic_prefix=prefix, state_dir=home / "state")
    kafka.ensure_topics(settings, "test")
    return settings


def data(broker: RealKafka) -> Path:
    """Return the folder in which a broker has its topics."""
    return broker.log.parent / "data"


@pytest.fixture
def admin(settings: Settings) -> AdminClient:
    """Give what an operator changes the ground with."""
    return kafka.admin(settings, "test")


@pytest.fixture
def stream() -> Iterator[list[Record]]:
    """Give the seconds of all devices, one after the other."""
    return seconds()


@pytest.fixture(params=RESULTS)
def job(request: pytest.FixtureRequest) -> str:
    """Give a job, without and with a state."""
    return str(request.param)


def run(settings: Settings, job: str, log: Path) -> list[bytes]:
    """Have a job read all there is; return its results, sorted."""
    with Jobs(settings, log) as jobs:
        jobs.start(job)
        jobs.settle(job)
        jobs.stop(job)
    return results(settings, job)


def results(settings: Settings, job: str) -> list[bytes]:
    """Return what a job has told, sorted."""
    return sorted(values(settings, RESULTS[job]))


def refused(settings: Settings, job: str, log: Path) -> str:
    """Have a job end by itself with exit code 1; return what it says."""
    with Jobs(settings, log) as jobs:
        jobs.start(job)
        jobs.running[job].wait(1, within_s=30)
        return jobs.running[job].said()


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_a_job_waits_for_offsets_that_kafka_has_forgotten(
    settings: Settings, stream: Iterator[list[Record]], tmp_path: Path, job: str, guarantee: str
) -> None:
    """It ends with one line, writes nothing, and goes on exactly when Kafka tells them again."""
    settings = settings.model_copy(update={"processing_guarantee": guarantee})
    feed(settings, stream)
    before = run(settings, job, tmp_path / "log")
    truth = committed(settings, job, SENSOR)
    forget(settings, job)
    feed(settings, stream)
    said = refused(settings, job, tmp_path / "refused.log")
    assert f"{settings.consumer_group(job)} has committed nothing of {settings.topic_name(SENSOR)}[" in said
    assert f"empty {settings.state_dir / job} (docs/operations.md: Offsets that Kafka has forgotten)" in said
    assert "Traceback" not in said
    assert results(settings, job) == before
    set_committed(settings, job, SENSOR, truth)
    after = run(settings, job, tmp_path / "log")
    assert len(after) > len(before)
    assert len(set(after)) == len(after)


def test_a_job_does_not_go_back_to_an_older_offset(
    settings: Settings, stream: Iterator[list[Record]], tmp_path: Path, job: str
) -> None:
    """Kafka tells one of long ago, of one partition; all the others are right."""
    feed(settings, stream)
    before = run(settings, job, tmp_path / "log")
    first, *others = committed(settings, job, SENSOR)
    set_committed(settings, job, SENSOR, [first - 1, *others])
    said = refused(settings, job, tmp_path / "refused.log")
    assert f"has committed offset {first - 1} of {settings.topic_name(SENSOR)}[0], " in said
    assert f"and it had committed offset {first}:" in said
    assert results(settings, job) == before


def test_what_another_version_has_noted_is_said_and_left_alone(
    settings: Settings, stream: Iterator[list[Record]], tmp_path: Path
) -> None:
    """The job ends before it reads anything; with a damaged file it does not begin anew either."""
    feed(settings, stream)
    before = run(settings, "alert", tmp_path / "log")
    file = settings.state_dir / "alert" / settings.consumer_group("alert") / "committed.json"
    forget(settings, "alert")
    for content, line in (
        ('{"version":3}', f"{file} is of version 3, not 2: go back to the version of sensorbus that wrote it"),
        ("{", f"it had committed what {file} no longer tells, for it is damaged: all since then would come twice"),
    ):
        file.write_text(content)
        said = refused(settings, "alert", tmp_path / "refused.log")
        assert line in said
        assert "Traceback" not in said
        assert file.read_text() == content
    assert results(settings, "alert") == before


def test_who_empties_the_folder_begins_anew(settings: Settings, stream: Iterator[list[Record]], tmp_path: Path) -> None:
    """The way out that the line names: offsets that were set back on purpose."""
    feed(settings, stream)
    before = run(settings, "alert", tmp_path / "log")
    set_committed(settings, "alert", SENSOR, [0] * settings.topic_partitions)
    shutil.rmtree(settings.state_dir / "alert")
    assert run(settings, "alert", tmp_path / "log") == sorted(before * 2)


def test_what_retention_has_taken_needs_no_offset(
    settings: Settings, admin: AdminClient, stream: Iterator[list[Record]], tmp_path: Path
) -> None:
    """Kafka forgets a group that was away for a week; of what it had read nothing is left to be read again."""
    feed(settings, stream)
    before = run(settings, "alert", tmp_path / "log")
    forget(settings, "alert")
    for future in admin.delete_records(partitions(settings, SENSOR, -1)).values():
        future.result(10)
    feed(settings, stream)
    after = run(settings, "alert", tmp_path / "log")
    assert len(before) < len(after) == len(set(after))


def test_a_job_that_was_away_for_longer_than_its_input_is_kept_goes_on_with_its_state(
    settings: Settings, admin: AdminClient, stream: Iterator[list[Record]], tmp_path: Path
) -> None:
    """What retention took is lost; windows that were open hold what came before it, and the others what came after."""
    feed(settings, stream)
    run(settings, "avg-temp", tmp_path / "log")
    read = read_all(settings, SENSOR)
    feed(settings, stream)
    for future in admin.delete_records(partitions(settings, SENSOR, -1)).values():
        future.result(10)
    feed(settings, stream)
    told = [messages.parse_avg_temp(value) for value in run(settings, "avg-temp", tmp_path / "log")]
    wanted = expect(settings, [*read, *read_all(settings, SENSOR)], 0).averages
    assert {(mean.device_id, mean.start_ms): mean.avg_celsius for mean in told} == pytest.approx(wanted)
    assert len(told) == len(wanted)


def test_a_topic_that_lost_its_end_is_read_on_from_there(
    own_kafka: RealKafka, stream: Iterator[list[Record]], tmp_path: Path
) -> None:
    """Power that fails takes what Kafka had not written to the disk: of `sensor` more than of the group's offsets."""
    settings = bus(own_kafka.address, tmp_path)
    feed(settings, stream)
    run(settings, "alert", tmp_path / "log")
    own_kafka.stop()
    written = [shutil.copytree(place, tmp_path / place.name) for place in data(own_kafka).glob(f"*{SENSOR.name}-*")]
    own_kafka.start()
    produce(settings, SENSOR, next(stream))
    before = run(settings, "alert", tmp_path / "log")
    own_kafka.stop()
    for folder in written:
        shutil.rmtree(data(own_kafka) / folder.name)
        shutil.copytree(folder, data(own_kafka) / folder.name)
    own_kafka.start()
    log = tmp_path / "log"
    with Jobs(settings, log) as jobs:
        jobs.start("alert")
        wait_until(lambda: "Kafka has lost what came last" in log.read_text(), 30, "the job to say so", log)
        feed(settings, stream)
        jobs.settle("alert")
        jobs.stop("alert")
    after = results(settings, "alert")
    assert len(before) < len(after) == len(set(after))


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    settings: Settings, admin: AdminClient, stream: Iterator[list[Record]], tmp_path: Path
) -> None:
    """What was committed belonged to the old one."""
    feed(settings, stream)
    before = run(settings, "alert", tmp_path / "log")
    names = [settings.topic_name(topic) for topic in TOPICS]
    for future in admin.delete_topics(names).values():
        future.result(10)
    wait_until(lambda: not set(names) & set(admin.list_topics(timeout=10).topics), 30, "topics to go")
    kafka.ensure_topics(settings, "test")
    produce(settings, SENSOR, next(stream))
    assert 0 < len(run(settings, "alert", tmp_path / "log")) < len(before)
