"""Tests of what a job's parts share."""

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import DEAD_LETTER, TOPICS
from tests.support.job_parts import bus_of


def test_every_topic_of_the_contract_is_there() -> None:
    """A job may write to any of them, under the bus's prefix."""
    bus = bus_of(Settings(topic_prefix="p-"))
    assert [bus.topic(topic) for topic in TOPICS] == [f"p-{topic.name}" for topic in TOPICS]
    assert bus.topic(DEAD_LETTER) == "p-dead-letter"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), True),
        (Settings(processing_guarantee="at-least-once"), False),
        (Settings(embedded_broker=True), False),
    ],
)
def test_exactly_once_needs_a_broker_with_transactions(settings: Settings, expected: bool) -> None:
    """The embedded broker forgets the offsets of a transaction."""
    assert settings.is_exactly_once is expected
    assert bus_of(settings).exactly_once is expected
