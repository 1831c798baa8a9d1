"""The rights that a job names when one is missing are those of docs/security.md."""

import pytest

from processors import needed_rights
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import BY_NAME
from tests.support.rights import rights

JOBS = ("alert", "alert-count", "avg-temp")


@pytest.mark.parametrize("job", JOBS)
def test_they_are_those_of_the_table(job: str) -> None:
    """READ and WRITE on the five topics; the table has the rest too."""
    table = {
        BY_NAME[right.name]: {"READ", "WRITE"}.intersection(right.operations)
        for right in rights("")
        if (right.user, right.kind, right.prefixed) == (job, "TOPIC", False)
    }
    assert needed_rights.ON_TOPICS[job] == {topic: operations for topic, operations in table.items() if operations}


def test_one_process_for_all_needs_what_the_three_need() -> None:
    """On each topic what any of them does."""
    needed = needed_rights.ON_TOPICS["all"]
    assert {topic: set(operations) for topic, operations in needed.items()} == {
        topic: set().union(*(needed_rights.ON_TOPICS[job].get(topic, ()) for job in JOBS)) for topic in BY_NAME.values()
    }


def test_the_embedded_broker_is_not_asked() -> None:
    """It cannot describe topics."""
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", embedded_broker=True)
    assert needed_rights.lacking("alert", settings, ["changelog"]) is None
