"""What an operator may do to the ground under the jobs.

Fill the disk, add partitions, delete a topic.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from sensorbus.contract.topics import SENSOR, TOPICS, Topic
from tests.support.faults.bus import PATIENCE, assert_exact, bus
from tests.support.faults.driver import Driver
from tests.support.faults.plan import JOBS
from tests.support.faults.verdict import judge
from tests.support.faults.witness import Habits, Witness
from tests.support.real_kafka import RealKafka
from tests.support.small_disk import fill, small_disk

STATE_MB = 16
SAID_WITHIN_S = 15.0

# On demand: `pytest -m long`.
pytestmark = pytest.mark.long


@pytest.fixture
def state_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give the state folder of the job that the test asks for on a disk of 16 MB."""
    with small_disk(tmp_path / "state" / request.param, STATE_MB) as folder:
        yield folder


def wait_for_the_end(driver: Driver, *jobs: str) -> float:
    """Return the seconds until these jobs have ended by themselves, each with exit code 1."""
    waited_s = driver.wait(lambda: not any(map(driver.is_running, jobs)), 60, f"{jobs} to end")
    for job in jobs:
        driver.members[job].part.wait(1, within_s=1)
    return waited_s


@pytest.mark.timeout(300)
@pytest.mark.parametrize("state_disk", ["alert-count", "avg-temp"], indirect=True)
def test_a_full_disk_is_said_and_nothing_is_lost(own_kafka: RealKafka, tmp_path: Path, state_disk: Path) -> None:
    """The job ends with one line that names the folder; with room again it goes on, and every record is exact."""
    job = state_disk.name
    with bus(own_kafka, tmp_path, stable=True) as driver:
        driver.begin(*JOBS)
        driver.supervised = False
        ballast = fill(state_disk)
        wait_for_the_end(driver, job)
        ballast.unlink()
        driver.start(job)
        driver.recover("disk full")
        assert_exact(driver)
    assert_said(driver.said(job), state_disk)


def assert_said(said: str, folder: Path) -> None:
    """Expect one line of a full disk."""
    (line,) = [line for line in said.splitlines() if " ERROR " in line]
    assert f"the job's state in {folder} (SENSORBUS_STATE_DIR) cannot be written" in line
    assert "No space left on device" in line
    assert "Traceback" not in said


@pytest.mark.timeout(300)
@pytest.mark.parametrize("state_disk", JOBS, indirect=True)
def test_a_first_start_on_a_full_disk_is_said(own_kafka: RealKafka, tmp_path: Path, state_disk: Path) -> None:
    """Of any job, `alert` too, which has no state but what it has committed."""
    job = state_disk.name
    with bus(own_kafka, tmp_path, stable=True) as driver:
        driver.supervised = False
        ballast = fill(state_disk)
        driver.witness.begin()
        driver.start(*JOBS)
        wait_for_the_end(driver, job)
        ballast.unlink()
        driver.start(job)
        driver.recover("disk full", within_s=120)
        assert_exact(driver)
    assert_said(driver.said(job), state_disk)


@pytest.mark.timeout(300)
def test_added_partitions_end_the_jobs_with_one_line(own_kafka: RealKafka, tmp_path: Path) -> None:
    """No partition is left unread in silence: who reads `sensor` ends and says why, and what it wrote is exact."""
    with bus(own_kafka, tmp_path, stable=True) as driver:
        driver.begin(*JOBS)
        driver.supervised = False
        driver.witness.rest()
        driver.wait(driver.is_settled, 60, "all to be read")
        name = driver.settings.topic_name(SENSOR)
        client = AdminClient({"bootstrap.servers": own_kafka.address})
        client.create_partitions([NewPartitions(name, 6)])[name].result()
        ended_s = wait_for_the_end(driver, "alert", "avg-temp")
        driver.terminate("alert-count")
        driver.members["avg-temp"].part.start()
        wait_for_the_end(driver, "avg-temp")
        verdict = judge(driver.settings, driver.witness)
    assert verdict.problems == []
    assert ended_s < PATIENCE * SAID_WITHIN_S
    for job in ("alert", "avg-temp"):
        assert f"topic {name} has 6 partitions and had 4" in driver.said(job)
        assert "Traceback" not in driver.said(job)
    assert "docs/streams.md says what to do" in driver.said("avg-temp")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("topic", TOPICS, ids=[topic.name for topic in TOPICS])
def test_a_deleted_topic_is_said_and_made_anew(own_kafka: RealKafka, tmp_path: Path, topic: Topic) -> None:
    """The jobs end instead of waiting for it; started again they make it as it was, and what comes then is exact.

    What they read and write is deleted under load, but `sensor`, whose writer would wait for it.
    """
    with bus(own_kafka, tmp_path, stable=True) as driver:
        driver.begin(*JOBS)
        driver.supervised = False
        if topic is SENSOR:
            driver.witness.rest()
            driver.wait(driver.is_settled, 60, "all to be read")
        name = driver.settings.topic_name(topic)
        client = AdminClient({"bootstrap.servers": own_kafka.address})
        client.delete_topics([name])[name].result()
        ended_s = wait_for_the_end(driver, *JOBS)
        driver.witness.finish()
        driver.start(*JOBS)
        driver.wait(lambda: all(" reads " in driver.said(job) for job in JOBS), 60, "the jobs to start")
        driver.wait(lambda: partitions(client, name) == 4, 60, "the topic to be there")
        driver.look_anew(Witness(driver.settings, 2, "second", Habits(bad=0, foreign=0)))
        driver.recover(f"{name} deleted", within_s=90)
        driver.finish()
        verdict = judge(driver.settings, driver.witness, its_own=True)
    assert verdict.problems == [], f"\n{verdict}\n{driver.said()}"
    assert ended_s < PATIENCE * SAID_WITHIN_S
    assert all(f"topic {name} was deleted" in driver.said(job) for job in JOBS), driver.said()
    assert "Traceback" not in driver.said()


def partitions(client: AdminClient, name: str) -> int:
    """Return how many partitions a topic has, 0 when it is not there."""
    found = client.list_topics(timeout=5).topics.get(name)
    return len(found.partitions) if found is not None else 0
