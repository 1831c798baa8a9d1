"""Tests of how a job ends: which error is told, and how."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, KafkaException
from quixstreams.exceptions import PartitionAssignmentError
from quixstreams.kafka.exceptions import KafkaConsumerException

from processors.ending import Looks, explain, overdue, run
from processors.job_application import JobApplication
from sensorbus.contract.errors import BrokerUnavailableError, SensorbusError, StateError, TopicError
from sensorbus.contract.settings import Settings

STABLE = Settings(topic_prefix="p-", instance_id="node-7")
GROUP = "p-sensorbus.alert"


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID, KafkaError.INVALID_PRODUCER_EPOCH])
def test_a_fenced_job_names_the_setting(code: int) -> None:
    """The older of two twins says what to change."""
    line = str(explain(KafkaException(KafkaError(code)), STABLE, GROUP))
    assert "another process took this one's place" in line
    assert "SENSORBUS_INSTANCE_ID=node-7 must be unique" in line
    assert ("gave up its transaction" in line) == (code != KafkaError.FENCED_INSTANCE_ID)


def test_a_fatal_error_of_a_job_with_an_id_names_the_likely_cause() -> None:
    """A fenced job that was about to produce is told no more than that."""
    line = str(explain(KafkaException(KafkaError(KafkaError._FATAL)), STABLE, GROUP))
    assert line.startswith("probably another process took this one's place (")
    assert "SENSORBUS_INSTANCE_ID=node-7 must be unique" in line
    assert "Kafka at" in str(explain(KafkaException(KafkaError(KafkaError._FATAL)), Settings(), GROUP))


def test_offsets_that_kafka_does_not_tell_are_no_missing_broker() -> None:
    """They may wait for a transaction; the line says where that is explained."""
    error = PartitionAssignmentError("Error during partition assignment")
    error.__cause__ = KafkaException(KafkaError(KafkaError._TIMED_OUT, "Failed to get committed offsets: Timed out"))
    told = str(explain(error, Settings(kafka_bootstrap_servers="kafka:9092"), GROUP))
    assert "answers, but does not tell what the job's group has committed" in told
    assert told.endswith("(docs/operations.md: A transaction without an end)")


def test_a_job_without_an_id_has_no_twin() -> None:
    """Fenced, it was away for longer than its transaction lives: the line blames no setting that is not set."""
    told = explain(
        KafkaException(KafkaError(KafkaError._FENCED)), Settings(kafka_bootstrap_servers="kafka:9092"), GROUP
    )
    assert "SENSORBUS_INSTANCE_ID" not in str(told)
    assert "Kafka at kafka:9092" in str(told)
    assert "start it again" in str(told)


def test_an_error_of_kafkas_names_address_and_setting() -> None:
    """It is found behind Quix's own errors too."""
    error = PartitionAssignmentError("Error during partition assignment")
    error.__cause__ = KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
    told = explain(error, Settings(kafka_bootstrap_servers="kafka:9092"), GROUP)
    assert isinstance(told, BrokerUnavailableError)
    assert "Kafka at kafka:9092 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in str(told)
    assert "UNKNOWN_MEMBER_ID" in str(told)


def test_another_error_of_quixs_is_told_in_one_line() -> None:
    """Its kind and its words."""
    told = explain(PartitionAssignmentError("no room"), Settings(), GROUP)
    assert type(told) is SensorbusError
    assert "PartitionAssignmentError: no room" in str(told)


@pytest.mark.parametrize(
    ("code", "right"),
    [
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "the right READ on group p-sensorbus.alert"),
        (
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            "the right WRITE on transactional id p-sensorbus.alert.*",
        ),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "a right on a topic"),
    ],
)
def test_a_missing_right_is_told_as_such(code: int, right: str) -> None:
    """Quix's own exceptions keep Kafka's error beside their arguments; the line says where the rights are listed."""
    line = str(explain(KafkaConsumerException(error=KafkaError(code)), STABLE, GROUP))
    assert f"lacks {right} (" in line
    assert line.endswith("docs/security.md lists the rights of each part")


def test_the_cause_is_told_and_not_what_it_led_to() -> None:
    """A step of ours that fails leaves a transaction that cannot be ended well."""
    error = KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE))
    error.__context__ = StateError("state of version 2, not 1")
    assert str(explain(error, STABLE, GROUP)) == "state of version 2, not 1"


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(1, "Operation not permitted", "/data/state"),
        NotADirectoryError(20, "Not a directory", "/data/state/avg-temp/sensorbus.avg-temp"),
        FileExistsError(17, "File exists", "/data"),
        Exception("IO error: No space left on device"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_with_its_setting(error: Exception) -> None:
    """Python's errors and RocksDB's."""
    line = str(explain(error, Settings(state_dir=Path("/data/state")), GROUP))
    assert line.startswith("the job's state in /data/state (SENSORBUS_STATE_DIR) cannot be written: ")


def test_an_error_of_another_file_is_a_bug() -> None:
    """Nothing is said of the state."""
    assert (
        explain(FileNotFoundError(2, "No such file", "/etc/other"), Settings(state_dir=Path("/data/state")), GROUP)
        is None
    )


def test_an_error_that_is_a_bug_has_no_line() -> None:
    """It keeps its traceback."""
    assert explain(TypeError("no"), STABLE, GROUP) is None


@pytest.fixture
def application(tmp_path: Path) -> JobApplication:
    """Give an application that has not asked Kafka for anything."""
    return JobApplication(
        "127.0.0.1:1", end_of_batch=Mock(), on_commit=Mock(), consumer_group="ending", state_dir=tmp_path, loglevel=None
    )


def nothing() -> None:
    """Say that the topics are what they were, and may be used."""


NOTHING = Looks(nothing, nothing)
GONE = Looks(lambda: "topic avg-temp was deleted", nothing)
REFUSED = Looks(nothing, lambda: "this Kafka user lacks the right WRITE on topic alert")


def _fail(application: JobApplication, *errors: Exception) -> None:
    """Let the first error end its loop, as Quix does; each next one comes up while it is closed, and hides it."""
    try:
        raise errors[0]
    except Exception:  # noqa: BLE001  # as Quix's exit stack
        application.stop(fail=True)
    raise errors[-1]


def test_the_error_that_came_first_is_told(application: JobApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    """An assignment that comes while the consumer is closed fails too, and hides the right that is missing."""
    first = KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
    monkeypatch.setattr(application, "run", lambda: _fail(application, first, PartitionAssignmentError("closed")))
    with pytest.raises(BrokerUnavailableError, match=r"WRITE on transactional id ending\.\*"):
        run(application, STABLE, NOTHING)


def test_a_bug_is_raised_as_it_is(application: JobApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it led to as its cause."""
    monkeypatch.setattr(application, "run", lambda: _fail(application, TypeError("bug"), PartitionAssignmentError("")))
    with pytest.raises(TypeError, match="bug"):
        run(application, STABLE, NOTHING)


def test_an_application_that_failed_and_cannot_close_is_overdue(application: JobApplication) -> None:
    """After 6 s the line is there for those who end the process; one that runs or was told to stop has none."""
    application.stop()
    assert overdue(application, STABLE, NOTHING) is None
    with pytest.raises(KafkaException):
        _fail(application, KafkaException(KafkaError(KafkaError._FENCED)))
    assert overdue(application, STABLE, NOTHING) is None
    application._ended_s -= 7
    assert "another process took this one's place" in (overdue(application, STABLE, NOTHING) or "")


def test_a_topic_that_kafka_does_not_know_is_named(
    application: JobApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's error names none; where no topic is gone its own words stay."""
    unknown = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    monkeypatch.setattr(application, "run", lambda: _fail(application, unknown))
    with pytest.raises(TopicError, match="topic avg-temp was deleted"):
        run(application, STABLE, GONE)
    with pytest.raises(BrokerUnavailableError, match="UNKNOWN_TOPIC_OR_PART"):
        run(application, STABLE, NOTHING)


@pytest.mark.parametrize("looks", [GONE, REFUSED], ids=["gone", "refused"])
def test_the_topics_are_not_looked_at_for_another_error(
    application: JobApplication, monkeypatch: pytest.MonkeyPatch, looks: Looks
) -> None:
    """A fenced job says so, whatever became of a topic and whatever it may do with it."""
    monkeypatch.setattr(application, "run", lambda: _fail(application, KafkaException(KafkaError(KafkaError._FENCED))))
    with pytest.raises(SensorbusError, match="another process took this one's place"):
        run(application, STABLE, looks)


@pytest.mark.parametrize("code", [KafkaError._STATE, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_a_topic_that_may_not_be_written_is_named(
    application: JobApplication, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Kafka refuses the transaction without a name, and what is written next fails for the state that this left."""
    monkeypatch.setattr(application, "run", lambda: _fail(application, KafkaException(KafkaError(code))))
    with pytest.raises(BrokerUnavailableError, match=r"ended the job: .* lacks the right WRITE on topic alert"):
        run(application, STABLE, REFUSED)
    with pytest.raises(BrokerUnavailableError, match=r"_STATE|a right on a topic"):
        run(application, STABLE, NOTHING)
