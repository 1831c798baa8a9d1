"""The changelog topics: their segments, and that no job takes one for its input."""

from unittest.mock import Mock

import pytest
from confluent_kafka import Message
from quixstreams.models import Topic, TopicAdmin, TopicConfig, TopicManager

from processors.changelogs import ChangelogManager


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str, dict[str, str]]]:
    """Return what a manager asks Quix's for, which asks no broker here."""
    asked: list[tuple[str | None, str, dict[str, str]]] = []

    def note(_self: TopicManager, stream_id: str | None, store_name: str, config: TopicConfig) -> Topic:
        asked.append((stream_id, store_name, config.extra_config))
        return Topic("changelog", value_deserializer="bytes")

    monkeypatch.setattr(TopicManager, "changelog_topic", note)
    return asked


def _record(value: bytes | None) -> Mock:
    record = Mock(spec=Message, **{"value.return_value": value, "timestamp.return_value": (1, 0)})
    record.__len__ = Mock(return_value=0)
    return record


def _changelog() -> Topic:
    manager = ChangelogManager(TopicAdmin("127.0.0.1:1"), "group")
    return manager.changelog_topic("sensor", "default", TopicConfig(4, 1, {"retention.ms": "-1"}))


def test_a_new_changelog_has_small_segments(asked: list[tuple[str | None, str, dict[str, str]]]) -> None:
    """32 MB beside what Quix asks for, so that Kafka compacts what it holds soon."""
    _changelog()
    assert asked == [("sensor", "default", {"retention.ms": "-1", "segment.bytes": "33554432"})]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("value", [b"state", None])
def test_a_change_of_state_that_comes_outside_a_recovery_is_no_input(value: bytes | None) -> None:
    """It has no row, where one of the job's input has one, so that Quix asks for the next record."""
    record = _record(value)
    assert Topic("sensor", value_deserializer="bytes").row_deserialize(message=record) is not None
    assert _changelog().row_deserialize(message=record) is None
