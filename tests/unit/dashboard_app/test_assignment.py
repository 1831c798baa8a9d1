"""How the assignment tells of a Kafka that does not answer.

Real answers are in tests/integration/test_dashboard*.py.
"""

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ClusterMetadata, TopicMetadata

from dashboard_app import assignment
from dashboard_app.assignment import Place
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


class Denying:
    """Stands for a Kafka that shows a user one topic of the five, and one that is not made yet."""

    def list_topics(self, name: str, timeout: float) -> ClusterMetadata:
        """Answer for one topic."""
        assert timeout
        metadata, topic = ClusterMetadata(), TopicMetadata()
        if name == "p-sensor":
            topic.partitions = {0: None, 1: None}
        else:
            code = KafkaError.UNKNOWN_TOPIC_OR_PART if name == "p-alert" else KafkaError.TOPIC_AUTHORIZATION_FAILED
            topic.error = KafkaError(code)
        metadata.topics = {name: topic}
        return metadata


def test_a_topic_that_one_may_not_see_is_not_waited_for_as_missing() -> None:
    """The line names the topic, the right and where the rights are listed."""
    found = assignment.look(Settings(topic_prefix="p-", embedded_broker=True), Denying(), None)
    assert found.places == {Place("sensor", 0), Place("sensor", 1)}
    assert found.missing == ("p-alert",)
    starts = [line.partition(" (")[0] for line in found.lacks]
    hidden = ("alert-count", "avg-temp", "dead-letter")
    assert sorted(starts) == [f"this Kafka user lacks the right DESCRIBE on topic p-{name}" for name in hidden]
    assert all("docs/security.md" in line for line in found.lacks)


def test_no_partitions_are_no_question() -> None:
    """Kafka is not asked for the offsets of nothing."""
    assert assignment._offsets(Settings(), None, {}, None) == {}  # nobody is asked
