"""Tests of what a job remembers of its commits, and of how it begins."""

import logging
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from processors.committed import CommittedOffsets, begin_behind
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings

IDS: Mapping[str, str] = {"sensor": "first-id"}
CHANGELOG = TopicPartition("changelog__sensor", 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give a bus with a folder for states."""
    return Settings(state_dir=tmp_path, kafka_bootstrap_servers="kafka:9092")


def remembered(settings: Settings, *offsets: int, ids: Mapping[str, str] = IDS) -> CommittedOffsets:
    """Return what a job remembers when its next life begins, after it has committed these of the partitions."""
    last_life = CommittedOffsets(settings, "alert", ids)
    last_life.note([TopicPartition("sensor", partition, offset) for partition, offset in enumerate(offsets)])
    return CommittedOffsets(settings, "alert", ids)


class Clients:
    """A consumer and a producer for which Kafka tells these offsets and a first one."""

    def __init__(self, committed: CommittedOffsets, *told: int, first: int = 0) -> None:
        """Change both as a job does."""
        self.told = [TopicPartition("sensor", partition, offset) for partition, offset in enumerate(told)]
        self.assign, self.ask = Mock(), Mock(return_value=self.told)
        self.commit, self.commit_transaction = Mock(), Mock()
        bounds = Mock(return_value=(first, 1_000))
        self.consumer = Mock(assign=self.assign, committed=self.ask, commit=self.commit, get_watermark_offsets=bounds)
        self.producer = Mock(commit_transaction=self.commit_transaction)
        begin_behind(committed, self.consumer, self.producer)

    def begin(self) -> list[tuple[str, int, int]]:
        """Have all partitions assigned, and a changelog; return what the consumer is given."""
        self.consumer.assign([*(TopicPartition("sensor", place.partition) for place in self.told), CHANGELOG])
        return [(place.topic, place.partition, place.offset) for place in self.assign.call_args.args[0]]


def test_a_job_begins_where_kafka_tells(settings: Settings) -> None:
    """By one answer, which is that of its state too; the changelog is Quix's."""
    clients = Clients(remembered(settings, 5, 7), 5, 8)
    assert clients.begin() == [("sensor", 0, 5), ("sensor", 1, 8), ("changelog__sensor", 0, CHANGELOG.offset)]
    places = [TopicPartition("sensor", 1), TopicPartition("sensor", 0)]
    assert [place.offset for place in clients.consumer.committed(partitions=places, timeout=30)] == [8, 5]
    assert clients.ask.call_count == 1


def test_the_first_life_begins_wherever(settings: Settings) -> None:
    """Nothing is committed, nothing remembered."""
    clients = Clients(remembered(settings), -1001)
    assert clients.begin()[0][:2] == ("sensor", 0)


@pytest.mark.parametrize(("told", "said"), [(-1001, "committed nothing of"), (6, "committed offset 6 of")])
def test_it_does_not_begin_before_what_it_has_committed(settings: Settings, told: int, said: str) -> None:
    """The line names Kafka's address, the group, the partition, both offsets, and the way out."""
    clients = Clients(remembered(settings, 5, 7), 5, told)
    with pytest.raises(BrokerUnavailableError, match="it had committed offset 7: ") as refused:
        clients.begin()
    line = str(refused.value)
    assert line.startswith("Kafka at kafka:9092 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS) tells that sensorbus.alert has ")
    assert f"{said} sensor[1], " in line
    assert line.endswith(f"empty {settings.state_dir / 'alert'} (docs/operations.md: Offsets that Kafka has forgotten)")
    assert not clients.assign.called


@pytest.mark.parametrize("told", [-1001, 6])
def test_what_retention_has_taken_is_not_missed(settings: Settings, told: int) -> None:
    """All that the job had read is gone: it cannot come twice."""
    assert len(Clients(remembered(settings, 7), told, first=7).begin()) == 2
    with pytest.raises(BrokerUnavailableError):
        Clients(remembered(settings, 7), told, first=6).begin()


def test_a_topic_made_anew_has_another_past(settings: Settings) -> None:
    """Its offsets begin at 0; what is remembered of the old one is forgotten."""
    remembered(settings, 7)
    assert len(Clients(remembered(settings, ids={"sensor": "second-id"}), -1001).begin()) == 2
    assert "first-id" not in (settings.state_dir / "alert" / "committed.json").read_text()


def test_a_topic_without_an_id_is_left_to_kafka(settings: Settings) -> None:
    """Made anew, it would look like the old one: the job begins wherever Kafka says, and asks by itself."""
    clients = Clients(remembered(settings, 7, ids={}), 3)
    assert clients.begin()[0] == ("sensor", 0, TopicPartition("sensor").offset)
    assert not clients.ask.called
    assert clients.consumer.committed(partitions=[TopicPartition("sensor", 0)], timeout=30) == clients.told


def test_an_error_of_a_partition_ends_the_assignment(settings: Settings) -> None:
    """It is Kafka's, and told as such."""
    clients = Clients(remembered(settings))
    clients.told.append(Mock(spec=TopicPartition, topic="sensor", partition=0, error=KafkaError(KafkaError.UNKNOWN)))
    with pytest.raises(KafkaException, match="UNKNOWN"):
        clients.begin()


def test_both_kinds_of_commits_are_remembered(settings: Settings) -> None:
    """When Kafka has taken them, and of a group's those alone that it took."""
    refused = Mock(spec=TopicPartition, topic="sensor", partition=1, offset=9, error=KafkaError(KafkaError.UNKNOWN))
    clients = Clients(CommittedOffsets(settings, "alert", IDS))
    clients.commit.return_value = [TopicPartition("sensor", 0, 5), refused]
    assert clients.consumer.commit(offsets=[], asynchronous=False) == clients.commit.return_value
    written = settings.state_dir / "alert" / "committed.json"
    assert written.read_text() == '{"first-id":{"0":5}}'
    clients.producer.commit_transaction([TopicPartition("sensor", 1, 8)], "group", timeout=1)
    clients.commit_transaction.assert_called_once_with([TopicPartition("sensor", 1, 8)], "group", timeout=1)
    assert written.read_text() == '{"first-id":{"0":5,"1":8}}'


def test_a_transaction_that_failed_is_not_remembered(settings: Settings) -> None:
    """Its offsets are not Kafka's."""
    clients = Clients(CommittedOffsets(settings, "alert", IDS))
    clients.commit_transaction.side_effect = KafkaException(KafkaError(KafkaError.UNKNOWN))
    with pytest.raises(KafkaException):
        clients.producer.commit_transaction([TopicPartition("sensor", 0, 5)], "group")
    assert (settings.state_dir / "alert" / "committed.json").read_text() == ""


@pytest.mark.parametrize("content", ["{", '{"first-id": 1}', "[]", '{"first-id": {"x": 1}}'])
def test_a_damaged_file_is_said_and_written_anew(
    settings: Settings, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    """A host without power may leave one; the job goes on with what Kafka tells."""
    file = settings.state_dir / "alert" / "committed.json"
    remembered(settings, 7)
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        committed = CommittedOffsets(settings, "alert", IDS)
    assert f"{file} is damaged" in caplog.text
    assert len(Clients(committed, 3).begin()) == 2
    committed.note([TopicPartition("sensor", 0, 4)])
    assert file.read_text() == '{"first-id":{"0":4}}'
