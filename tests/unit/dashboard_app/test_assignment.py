"""How the assignment tells of a Kafka that does not answer.

Real answers are in tests/integration/test_dashboard*.py.
"""

import pytest
from confluent_kafka import KafkaError, KafkaException

from dashboard_app import assignment
from sensorbus.contract.settings import Settings


@pytest.mark.parametrize(
    ("code", "said", "line"),
    [
        (
            KafkaError._TRANSPORT,
            "connection refused",
            "no Kafka broker at a:1 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS): connection refused",
        ),
        (KafkaError.LEADER_NOT_AVAILABLE, "no leader", "Kafka at a:1 is not ready: no leader"),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "loading", "Kafka at a:1 is not ready: loading"),
    ],
)
def test_a_broker_that_is_away_is_told_from_one_that_is_not_ready(code: int, said: str, line: str) -> None:
    """The first is a matter of the address, the second of waiting."""
    error = KafkaException(KafkaError(code, said))
    assert str(assignment._unavailable(Settings(kafka_bootstrap_servers="a:1"), error)) == line


def test_no_partitions_are_no_question() -> None:
    """Kafka is not asked for the offsets of nothing."""
    assert assignment._offsets(Settings(), None, {}, None) == {}  # nobody is asked
