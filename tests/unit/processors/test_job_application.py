"""What is other than in Quix's application."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from quixstreams import message_context
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import MessageContext, Row

from processors.job_application import JobApplication
from sensorbus.contract.errors import BrokerUnavailableError


@pytest.fixture
def on_commit() -> Mock:
    """Give what is told of commits."""
    return Mock()


@pytest.fixture
def application(tmp_path: Path, on_commit: Mock) -> JobApplication:
    """Give an application that has not asked Kafka for anything."""
    return made(tmp_path, on_commit)


def made(folder: Path, on_commit: Mock) -> JobApplication:
    """Return such an application."""
    return JobApplication(
        "127.0.0.1:1",
        end_of_batch=Mock(),
        on_commit=on_commit,
        consumer_group="changed",
        state_dir=folder,
        loglevel=None,
    )


@pytest.fixture
def checkpoint(application: JobApplication, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Give what the application has processed and not committed; the next one is another."""
    context = application._processing_context
    checkpoint = Mock()
    context._checkpoint = checkpoint
    monkeypatch.setattr(context, "init_checkpoint", lambda: setattr(context, "_checkpoint", Mock()))
    return checkpoint


def test_a_member_that_was_given_up_drops_what_it_has_not_committed(
    application: JobApplication, checkpoint: Mock
) -> None:
    """Within the time that a handover has; what comes next is in another checkpoint."""
    application._on_lost(None, [])
    assert checkpoint.method_calls == [call.close(revoking=True)]
    assert application._processing_context.checkpoint is not checkpoint


def test_what_was_sent_is_registered_before_its_transaction_is_aborted(
    checkpoint: Mock, application: JobApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the abort overtakes it where the connection closed meanwhile, and Kafka refuses it for good."""
    exactly_once = application._config.model_copy(update={"processing_guarantee": "exactly-once"})
    monkeypatch.setattr(application, "_config", exactly_once)
    monkeypatch.setattr(application._producer, "flush", lambda _timeout_s: checkpoint.flushed())
    application._on_lost(None, [])
    assert checkpoint.method_calls == [call.flushed(), call.close(revoking=True)]


@pytest.mark.parametrize(("is_due", "told"), [(True, 1), (False, 0)])
def test_a_commit_is_told_once_it_is_done(
    application: JobApplication, checkpoint: Mock, on_commit: Mock, is_due: bool, told: int
) -> None:
    """Not while what was processed still waits for its time."""
    checkpoint.expired.return_value, checkpoint.empty.return_value = is_due, False
    checkpoint.commit.side_effect = lambda **_: on_commit.assert_not_called()
    application._processing_context.commit_checkpoint()
    assert (on_commit.call_count, checkpoint.commit.call_count) == (told, told)


def test_an_error_while_it_is_given_up_is_the_one_that_ended_it(application: JobApplication, checkpoint: Mock) -> None:
    """confluent-kafka may lose it: poll then raises a SystemError without a cause."""
    checkpoint.close.side_effect = KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE))
    with pytest.raises(KafkaException, match="INVALID_TXN_STATE"):
        application._on_lost(None, [])
    assert application.ended_by is checkpoint.close.side_effect


def test_an_error_in_an_assignment_is_the_one_that_ended_it(
    application: JobApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may lose it, and raise a SystemError in its place."""
    forgotten = BrokerUnavailableError("forgotten")
    monkeypatch.setattr(application._consumer, "assign", Mock(side_effect=forgotten))
    with pytest.raises(BrokerUnavailableError):
        application._on_assign(None, [TopicPartition("sensor", 0)])
    assert application.ended_by is forgotten


def test_an_application_that_failed_leaves_its_checkpoint_to_quix(
    application: JobApplication, checkpoint: Mock
) -> None:
    """Its transaction is ended with the application."""
    application.stop(fail=True)
    application._on_lost(None, [])
    assert checkpoint.method_calls == []
    assert application._processing_context.checkpoint is checkpoint


@pytest.fixture
def waiting(application: JobApplication, checkpoint: Mock, monkeypatch: pytest.MonkeyPatch) -> list[Row | None]:
    """Give what the next polls return, in order; a turn without one more is an error."""
    rows: list[Row | None] = []
    assert checkpoint is application._processing_context.checkpoint
    monkeypatch.setattr(application._consumer, "poll_row", Mock(side_effect=lambda **_: rows.pop(0)))
    monkeypatch.setattr(application._producer, "poll", Mock())
    return rows


def row(offset: int, value: bytes = b"v") -> Row:
    """Return a record of `sensor`, partition 2."""
    return Row(value, b"k", 1_000 + offset, MessageContext("sensor", 2, offset, 1), [("h", b"1")])


def test_a_turn_takes_what_waits(application: JobApplication, checkpoint: Mock, waiting: list[Row | None]) -> None:
    """In order, each at its own place; only the first is waited for, and the producer is served once."""
    waiting[:] = [row(5), row(7), None]
    seen: list[object] = []
    application._process_message({"sensor": lambda *record: seen.append((*record, message_context().offset))})
    assert seen == [(b"v", b"k", 1_000 + at, [("h", b"1")], at) for at in (5, 7)]
    stored = [call.store_offset(topic="sensor", partition=2, offset=at) for at in (5, 7)]
    assert checkpoint.method_calls == stored
    polls: Any = application._consumer.poll_row
    timeout_s = application._config.consumer_poll_timeout
    assert [asked.kwargs["timeout"] for asked in polls.call_args_list] == [timeout_s, 0, 0]
    assert timeout_s > 0
    assert application._producer.poll.call_count == 1  # type: ignore[attr-defined]  # a mock


def test_a_turn_ends_so_that_a_commit_may_come(application: JobApplication, waiting: list[Row | None]) -> None:
    """What waits beyond its number is the next one's."""
    waiting[:] = [row(at) for at in range(40)]
    seen: list[int] = []
    application._process_message({"sensor": lambda *_: seen.append(message_context().offset)})
    assert seen == list(range(32))
    assert len(waiting) == 8


def test_a_record_that_fails_is_not_committed(
    application: JobApplication, checkpoint: Mock, waiting: list[Row | None]
) -> None:
    """Those before it are; the error is the job's end."""
    waiting[:] = [row(1), row(2, b"bad"), row(3)]

    def step(value: bytes, *_: object) -> None:
        if value == b"bad":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        application._process_message({"sensor": step})
    assert checkpoint.method_calls == [call.store_offset(topic="sensor", partition=2, offset=1)]


def test_all_states_are_looked_at(tmp_path: Path, on_commit: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every topic and every store."""
    looked: list[object] = []
    monkeypatch.setattr("processors.device_state.check_all", looked.extend)
    monkeypatch.setattr(InternalConsumer, "assign", lambda _self, _partitions: None)
    monkeypatch.setattr(InternalConsumer, "poll_row", lambda _self, **_options: None)
    application = made(tmp_path, on_commit)
    monkeypatch.setattr(application._state_manager, "_stores", {"sensor": {"a": 1, "b": 2}, "alert": {"a": 3}})
    application._consumer.assign([])
    assert looked == []
    application._consumer.poll_row(timeout=0.1)
    assert looked == [1, 2, 3]
