"""A job's members come and go under load: the output is that of one.

1, 2 and 4 members on 4 and on 16 partitions.
"""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from sensorbus.runtime import kafka
from tests.support.crew import DEVICES, Crew
from tests.support.topics import values
from tests.support.verifier import Expected, differences, expected_from_readings


@pytest.fixture
def crew(real_kafka_address: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Crew]:
    """Give a bus, with nobody on it yet, for the job and the number of partitions that the test asks for."""
    job, partitions = request.param
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address,
        topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        topic_partitions=partitions,
    )
    kafka.ensure_topics(settings, "test")
    with Crew(settings, job, tmp_path) as crew:
        yield crew


def assert_output_is_that_of_one(crew: Crew) -> None:
    """Let all be read, and compare every record with an own computation, which knows of no members."""
    crew.end()
    settings = crew.settings
    expected = expected_from_readings(values(settings, SENSOR))
    assert len(expected.means) > 20 * DEVICES
    if crew.job == "all":
        assert len(expected.alerts) > 5 * DEVICES
        alerts, counts = values(settings, ALERT), values(settings, ALERT_COUNT)
    else:
        expected, alerts, counts = Expected(means=expected.means), [], []
    assert differences(expected, alerts, counts, values(settings, AVG_TEMP)) == []
    assert "Traceback" not in crew.said()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("crew", [("all", 4)], indirect=True, ids=["all-4"])
def test_a_member_that_joins_and_the_first_that_is_killed_change_nothing(crew: Crew) -> None:
    """Each alert, count and mean is there once and right; the lag of a partition is shown by the one who reads it."""
    crew.join(2)
    crew.kill()
    crew.balance()
    assert_output_is_that_of_one(crew)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "crew",
    [("all", 4), ("avg-temp", 4), ("all", 16), ("avg-temp", 16)],
    indirect=True,
    ids=["all-4", "avg-temp-4", "all-16", "avg-temp-16"],
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
