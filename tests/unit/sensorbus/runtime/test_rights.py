"""Which rights on topics are missing, of what Kafka says of each.

The answers of a real one are tried in `tests/integration/test_least_rights.py`.
"""

from concurrent.futures import Future
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AclOperation, AdminClient

from sensorbus.runtime import rights

HIDDEN = KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
NOT_THERE = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
READER = [AclOperation.READ, AclOperation.DESCRIBE]


def client(**answers: list[AclOperation] | KafkaException | None) -> Mock:
    """Return a client to whom Kafka says that of each topic."""
    said: dict[str, Future[Mock]] = {}
    for topic, answer in answers.items():
        said[topic] = Future()
        if isinstance(answer, KafkaException):
            said[topic].set_exception(answer)
        else:
            said[topic].set_result(Mock(authorized_operations=answer))
    return Mock(spec=AdminClient, **{"describe_topics.return_value": said})


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"a": READER, "b": READER}, "the right WRITE on topic b"),
        ({"a": HIDDEN, "b": [*READER, AclOperation.WRITE]}, "the right READ on topic a"),
        ({"a": READER, "b": HIDDEN}, "the right WRITE on topic b"),
    ],
)
def test_the_right_and_the_topic_are_named(answers: dict[str, list[AclOperation] | KafkaException], named: str) -> None:
    """Whether the topic is seen or not."""
    line = rights.lacking(client(**answers), {"a": {"READ"}, "b": {"WRITE"}})
    assert f"lacks {named} (" in str(line)
    assert str(line).endswith("docs/security.md lists the rights of each part")


def test_topics_that_lack_the_same_are_named_together() -> None:
    """In one line."""
    assert "the right READ on topic a, b (" in str(
        rights.lacking(client(a=HIDDEN, b=[]), {"a": {"READ"}, "b": {"READ"}})
    )


@pytest.mark.parametrize("answer", [[*READER, AclOperation.WRITE], NOT_THERE, None])
def test_nothing_is_said_where_nothing_is_known_to_be_missing(
    answer: list[AclOperation] | KafkaException | None,
) -> None:
    """All is given, the topic is not there, or Kafka does not tell rights."""
    assert rights.lacking(client(a=answer), {"a": {"READ", "WRITE"}}) is None
