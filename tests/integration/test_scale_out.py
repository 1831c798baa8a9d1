"""A job's members come and go under load: the output is that of one.

1, 2 and 4 members on 4 and on 16 partitions, exactly once and at least once.
"""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from sensorbus.runtime import kafka
from tests.support.crew import DEVICES, Crew
from tests.support.groups import generation
from tests.support.topics import has_own_key, read_all, values
from tests.support.verifier import Expected, differences, expected_from_readings

AT_LEAST_ONCE = "at-least-once"
GUARANTEES = pytest.mark.parametrize("guarantee", ["exactly-once", AT_LEAST_ONCE])

_log = logging.getLogger(__name__)


def empty_bus(address: str, partitions: int, guarantee: str = "exactly-once") -> Settings:
    """Return the settings of a bus with nobody on it."""
    settings = Settings.model_validate(
        {
            "kafka_bootstrap_servers": address,
            "topic_prefix": f"t{uuid.uuid4().hex[:8]}-",
            "topic_partitions": partitions,
            "processing_guarantee": guarantee,
        }
    )
    kafka.ensure_topics(settings, "test")
    return settings


@pytest.fixture
def crew(real_kafka_address: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Crew]:
    """Give a bus, with nobody on it yet, for the job and the number of partitions that the test asks for."""
    job, *bus = request.param
    with Crew(empty_bus(real_kafka_address, *bus), job, tmp_path) as crew:
        yield crew


def assert_output_is_that_of_one(*crews: Crew) -> None:
    """Let all be read, by one crew after the other, and compare every record.

    With an own computation, which knows of no members; of a job that has no crew nothing stands there. At least once
    a result may be repeated, equal to the first.
    """
    for crew in crews:
        crew.end()
    jobs, settings = {crew.job for crew in crews}, crews[0].settings
    expected = expected_from_readings(values(settings, SENSOR))
    assert len(expected.means) > 20 * DEVICES
    assert len(expected.alerts) > 5 * DEVICES
    if jobs.isdisjoint(("all", "alert")):
        expected = Expected(means=expected.means)
    if jobs.isdisjoint(("all", "avg-temp")):
        expected.means.clear()
    results = [read_all(settings, topic) for topic in (ALERT, ALERT_COUNT, AVG_TEMP)]
    assert all(has_own_key(message) for each in results for message in each)
    alerts, counts, means = ([message.value() or b"" for message in each] for each in results)
    repeated = {"alerts": len(alerts) - len(set(alerts)), "averages": len(means) - len(set(means))}
    _log.info("%d alerts, %d counts, %d averages, repeated: %s", len(alerts), len(counts), len(means), repeated)
    assert differences(expected, alerts, counts, means, once=settings.is_exactly_once) == []
    assert "Traceback" not in "".join(crew.said() for crew in crews)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("crew", [("all", 16)], indirect=True, ids=["all-16"])
def test_a_member_that_joins_and_the_first_that_is_killed_change_nothing(crew: Crew) -> None:
    """Each alert, count and mean is there once and right; the lag of a partition is shown by the one who reads it."""
    crew.join(2)
    crew.kill()
    crew.balance()
    assert_output_is_that_of_one(crew)


@pytest.mark.slow
@pytest.mark.timeout(240)
@GUARANTEES
def test_two_members_each_of_two_jobs_in_a_row_change_nothing(
    guarantee: str, real_kafka_address: str, tmp_path: Path
) -> None:
    """What two members of `alert` write two of `alert-count` count; one of each is killed: each once and right."""
    first, second = two_in_a_row(empty_bus(real_kafka_address, 4, guarantee), tmp_path)
    with first, second:
        for crew in (first, second):
            crew.join(2)
        for crew in (first, second):
            crew.kill()
            crew.balance()
        assert_output_is_that_of_one(first, second)


def two_in_a_row(settings: Settings, home: Path) -> tuple[Crew, Crew]:
    """Return crews of `alert` and of `alert-count`, which reads what the first writes, on one bus."""
    first, second = Crew(settings, "alert", home), Crew(settings, "alert-count", home)
    second.readings = first.readings
    return first, second


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("partitions", [4, 16])
@GUARANTEES
def test_members_of_two_jobs_in_a_row_that_come_and_go_give_the_output_of_one(
    guarantee: str, partitions: int, real_kafka_address: str, tmp_path: Path
) -> None:
    """One, two, four of `alert` and of `alert-count`; of each one is killed, one stops, one comes."""
    first, second = crews = two_in_a_row(empty_bus(real_kafka_address, partitions, guarantee), tmp_path)
    with first, second:
        for count in (1, 2, 4):
            for crew in crews:
                crew.join(count)
        for crew in crews:
            crew.kill()
            crew.leave()
            crew.balance()
            crew.join(3)
        assert_output_is_that_of_one(first, second)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("crew", [("all", 16)], indirect=True, ids=["all-16"])
def test_stable_members_restarted_one_by_one_and_killed_change_nothing(crew: Crew) -> None:
    """Each record once and right; who comes back under its name has its partitions without a rebalance."""
    crew.stable = True
    crew.join(3)
    shared_out = generation(crew.settings, crew.job)
    for member in crew.members:
        crew.restart(member)
    crew.kill_and_restart(crew.members[1])
    assert generation(crew.settings, crew.job) == shared_out
    assert_output_is_that_of_one(crew)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "crew",
    [
        *(("all", 4), ("avg-temp", 4), ("all", 16), ("avg-temp", 16)),
        *(("all", 4, AT_LEAST_ONCE), ("all", 16, AT_LEAST_ONCE)),
    ],
    indirect=True,
    ids=["all-4", "avg-temp-4", "all-16", "avg-temp-16", "all-4-at-least-once", "all-16-at-least-once"],
)
def test_members_that_come_and_go_give_the_output_of_one(crew: Crew) -> None:
    """One, two, four members; one is killed, one stops, one comes: each record once and right."""
    for count in (1, 2, 4):
        crew.join(count)
    crew.kill()
    crew.leave()
    crew.balance()
    crew.join(3)
    assert_output_is_that_of_one(crew)
