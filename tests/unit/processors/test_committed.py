"""Tests of what a job remembers of its commits, and of how it begins."""

import errno
import json
import logging
import resource
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from processors import committed as module
from processors import recovery
from processors.committed import CommittedOffsets, begin_behind, note_commits
from sensorbus.contract.errors import BrokerUnavailableError, StateError
from sensorbus.contract.settings import Settings

IDS: Mapping[str, str] = {"sensor": "first-id"}
CHANGELOG = TopicPartition("changelog__sensor", 0)


@pytest.fixture(autouse=True)
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that names the time since the machine's start."""
    boot = tmp_path / "boot_id"
    boot.write_text("this\n")
    monkeypatch.setattr(module, "_BOOT_ID", boot)
    return boot


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give a bus with a folder for states."""
    return Settings(state_dir=tmp_path, kafka_bootstrap_servers="kafka:9092")


@pytest.fixture
def file(settings: Settings) -> Path:
    """Give the place of what the job remembers: of its group alone, for prefixes may share a folder."""
    return settings.state_dir / "alert" / "sensorbus.alert" / "committed.json"


def remembered(settings: Settings, *offsets: int, ids: Mapping[str, str] = IDS) -> CommittedOffsets:
    """Return what a job remembers when its next life begins, after it has committed these of the partitions."""
    last_life = CommittedOffsets(settings, "alert", ids)
    last_life.note([TopicPartition("sensor", partition, offset) for partition, offset in enumerate(offsets)])
    return CommittedOffsets(settings, "alert", ids)


def noted(file: Path) -> dict[str, dict[str, int]]:
    """Return what the file holds of this machine's life, by topic and partition."""
    return dict(json.loads(file.read_text())["offsets"]["this"])


class Clients:
    """A consumer and a producer for which Kafka tells these offsets."""

    def __init__(self, committed: CommittedOffsets, *told: int, first: int = 0, end: int = 1_000) -> None:
        """Change both as a job does; every partition begins and ends at the same offsets."""
        self.told = [TopicPartition("sensor", partition, offset) for partition, offset in enumerate(told)]
        self.assign, self.ask = Mock(), Mock(return_value=self.told)
        self.commit, self.commit_transaction = Mock(), Mock()
        self.consumer = Mock(assign=self.assign, committed=self.ask, commit=self.commit)
        self.producer = Mock(commit_transaction=self.commit_transaction)
        self._bounds = dict.fromkeys(self.told, recovery.Bounds(first, end, end))
        begin_behind(committed, self.consumer, Mock())
        note_commits(committed, self.consumer, self.producer)

    def begin(self) -> list[tuple[str, int, int]]:
        """Have all partitions assigned, and a changelog; return what the consumer is given."""
        with patch.object(recovery, "bounds_of", lambda *_: self._bounds):
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


def test_a_topic_made_anew_has_another_past(settings: Settings, file: Path) -> None:
    """Its offsets begin at 0; what is remembered of the old one is forgotten."""
    remembered(settings, 7)
    assert len(Clients(remembered(settings, ids={"sensor": "second-id"}), -1001).begin()) == 2
    assert "first-id" not in file.read_text()


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


def test_what_both_clients_commit_is_remembered(settings: Settings, file: Path) -> None:
    """When Kafka has taken it, and of a group's offsets those alone that it took."""
    refused = Mock(spec=TopicPartition, topic="sensor", partition=1, offset=9, error=KafkaError(KafkaError.UNKNOWN))
    clients = Clients(CommittedOffsets(settings, "alert", IDS))
    clients.commit.return_value = [TopicPartition("sensor", 0, 5), refused]
    assert clients.consumer.commit(offsets=[], asynchronous=False) == clients.commit.return_value
    assert noted(file) == {"first-id": {"0": 5}}
    clients.producer.commit_transaction([TopicPartition("sensor", 1, 8)], "group", timeout=1)
    clients.commit_transaction.assert_called_once_with([TopicPartition("sensor", 1, 8)], "group", timeout=1)
    assert noted(file) == {"first-id": {"0": 5, "1": 8}}


def test_what_kafka_tells_is_remembered(settings: Settings, file: Path) -> None:
    """Another member has committed it; this one may have to begin there again, and commit nothing in between."""
    Clients(remembered(settings, 5), 500, -1001).begin()
    assert noted(file) == {"first-id": {"0": 500}}


def test_a_transaction_that_failed_is_not_remembered(settings: Settings, file: Path) -> None:
    """Its offsets are not Kafka's."""
    clients = Clients(CommittedOffsets(settings, "alert", IDS))
    clients.commit_transaction.side_effect = KafkaException(KafkaError(KafkaError.UNKNOWN))
    with pytest.raises(KafkaException):
        clients.producer.commit_transaction([TopicPartition("sensor", 0, 5)], "group")
    assert file.read_text() == ""


def test_after_a_machines_start_a_little_less_is_no_news(
    settings: Settings, boot: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Power that failed may have taken the last seconds from Kafka and not from the file; nothing at all is news."""
    remembered(settings, 100, 100)
    boot.write_text("next\n")
    with pytest.raises(BrokerUnavailableError, match="nothing of sensor"):
        Clients(CommittedOffsets(settings, "alert", IDS), 100, -1001).begin()
    assert Clients(CommittedOffsets(settings, "alert", IDS), 90, 100).begin()[0] == ("sensor", 0, 90)
    assert "sensor[0] is read again from 90 to 100" in caplog.text
    with pytest.raises(BrokerUnavailableError, match="had committed offset 90: "):
        Clients(CommittedOffsets(settings, "alert", IDS), 80, 100).begin()


@pytest.mark.parametrize("told", [500, 450])
def test_a_log_that_lost_its_end_is_read_from_there(
    settings: Settings, caplog: pytest.LogCaptureFixture, told: int
) -> None:
    """Behind its end Kafka would have everything read again; what is remembered is gone there too."""
    committed = remembered(settings, 500)
    assert Clients(committed, told, end=450).begin()[0] == ("sensor", 0, 450)
    assert "sensor[0] ends at 450, and the job had read up to 500: Kafka has lost what came last" in caplog.text
    with pytest.raises(BrokerUnavailableError, match="committed offset 430 of"):
        Clients(committed, 430, end=450).begin()


def test_after_a_machines_start_a_log_that_lost_its_end_is_read_from_where_kafka_says(
    settings: Settings, boot: Path
) -> None:
    """Both have lost their last seconds."""
    remembered(settings, 500)
    boot.unlink()
    assert Clients(CommittedOffsets(settings, "alert", IDS), 430, end=450).begin()[0] == ("sensor", 0, 430)


def test_a_full_disk_names_the_file(settings: Settings, file: Path) -> None:
    """The write itself tells none, and the job's line is made of it."""
    committed = remembered(settings)
    full = OSError(errno.ENOSPC, "No space left on device")
    with patch.object(Path, "open", side_effect=full), pytest.raises(OSError, match="No space left") as told:
        committed.note([TopicPartition("sensor", 0, 5)])
    assert told.value.filename == str(file)


def test_a_disk_that_takes_a_part_is_full(settings: Settings, file: Path) -> None:
    """What fits in is written, and the rest is no success."""
    committed = remembered(settings, 3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            committed.note([TopicPartition("sensor", partition, 5) for partition in range(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(file)


DAMAGED = [
    "{",
    '{"this": 1}',
    "[]",
    '{"this": {"first-id": {"x": 1}}}',
    '{"version":2}',
    '{"version":2,"offsets":{"this":1}}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_said_and_written_anew(
    settings: Settings, file: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    """A host without power may leave one; the job goes on with what Kafka tells."""
    remembered(settings, 7)
    file.write_text(content)
    with caplog.at_level(logging.WARNING):
        committed = CommittedOffsets(settings, "alert", IDS)
    assert f"{file} is damaged" in caplog.text
    assert len(Clients(committed, 3).begin()) == 2
    committed.note([TopicPartition("sensor", 0, 4)])
    assert noted(file) == {"first-id": {"0": 4}}


@pytest.mark.parametrize("content", DAMAGED)
def test_with_a_damaged_file_a_job_does_not_begin_anew(settings: Settings, file: Path, content: str) -> None:
    """Power that failed may have taken the group's offsets too; where nothing can be read, nothing comes twice."""
    remembered(settings, 7)
    file.write_text(content)
    with pytest.raises(BrokerUnavailableError, match=r"nothing of .* no longer tells, for it is damaged: "):
        Clients(CommittedOffsets(settings, "alert", IDS), -1001).begin()
    assert file.read_text() == content  # the next start says it too
    assert len(Clients(CommittedOffsets(settings, "alert", IDS), -1001, first=5, end=5).begin()) == 2


@pytest.mark.parametrize("version", ["3", "1", "null", '"2"', "{}"])
def test_a_file_of_another_version_is_said_and_left_alone(settings: Settings, file: Path, version: str) -> None:
    """Whatever else is in it; the line names the file, both versions, and the way out."""
    remembered(settings, 7)
    content = f'{{"offsets":[1],"version":{version}}}'
    file.write_text(content)
    with pytest.raises(
        StateError, match=r"is of version .*, not 2: go back to the version .*, or delete the file"
    ) as told:
        CommittedOffsets(settings, "alert", IDS)
    assert str(told.value).startswith(f"{file} is of version {json.loads(version)}, not 2")
    assert file.read_text() == content


def test_a_file_without_a_version_is_read_on(settings: Settings, file: Path) -> None:
    """As the first one was, and it gets one."""
    remembered(settings, 7)
    file.write_text('{"before":{},"this":{"first-id":{"0":7}}}')
    committed = CommittedOffsets(settings, "alert", IDS)
    with pytest.raises(BrokerUnavailableError, match="had committed offset 7: "):
        Clients(committed, 6).begin()
    committed.note([TopicPartition("sensor", 0, 9)])
    assert json.loads(file.read_text()) == {
        "version": 2,
        "offsets": {"before": {"first-id": {}}, "this": {"first-id": {"0": 9}}},
    }
