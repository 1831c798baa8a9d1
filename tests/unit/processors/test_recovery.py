"""No reading before its state, and the state to its end."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from unittest.mock import Mock, call

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import MessageContext, Row

from processors.job_application import JobApplication
from processors.recovery import hold_back, tell_bounds_at_once
from sensorbus.contract.errors import StateError

PLACE = TopicPartition("sensor", 2, 150)


def _row(offset: int = 150) -> Row:
    return Row(b"20.0", b"a", 0, MessageContext("sensor", 2, offset, 1), [])


def _consumer(polled: Row | list[Row] | None, *, is_due: bool, check: Callable[[], object] = lambda: None) -> Mock:
    consumer = Mock(spec=InternalConsumer, **{"poll_row.return_value": polled})
    hold_back(consumer, lambda: is_due, check)
    consumer.assign([PLACE])
    consumer.reset_mock()
    return consumer


def _asked(consumer: Mock) -> list[str]:
    """Return the names of what was asked of a consumer besides the row."""
    return [name for name, *_ in consumer.method_calls if name != "poll_row"]


@pytest.mark.parametrize("polled", [_row(), [_row(), _row()]], ids=["one", "several rows of one record"])
def test_a_row_that_comes_before_its_state_is_put_back(polled: Row | list[Row]) -> None:
    """Its partition is paused first, then the record is the next to be read there."""
    consumer = _consumer(polled, is_due=True)
    assert consumer.poll_row(timeout=0.1, buffered=False) is None
    assert _asked(consumer) == ["pause", "seek"]
    assert consumer.pause.call_args == call([PLACE])
    place = consumer.seek.call_args.args[0]
    assert (place, place.offset) == (PLACE, 150)


@pytest.mark.parametrize("polled", [None, []], ids=["nothing", "no row"])
def test_nothing_is_put_back_where_nothing_came(polled: list[Row] | None) -> None:
    """A recovery that is due changes no partition by itself."""
    consumer = _consumer(polled, is_due=True)
    assert consumer.poll_row(timeout=0.1, buffered=False) is None
    assert _asked(consumer) == []


@pytest.mark.parametrize("polled", [_row(), [_row()], None], ids=["one", "several", "nothing"])
def test_rows_pass_when_no_recovery_is_due(polled: Row | list[Row] | None) -> None:
    """As Quix's own consumer returned them."""
    consumer = _consumer(polled, is_due=False)
    assert consumer.poll_row(timeout=0.1, buffered=False) is polled
    assert _asked(consumer) == []


@pytest.mark.parametrize("polled", [_row(), [_row()], None], ids=["one", "several", "nothing"])
def test_the_states_are_looked_at_before_the_first_row(polled: Row | list[Row] | None) -> None:
    """Once with each assignment, and no row passes a state that cannot be read."""
    check = Mock(side_effect=[StateError("state of version 3"), None, None])
    consumer = _consumer(polled, is_due=False, check=check)
    with pytest.raises(StateError, match="version 3"):
        consumer.poll_row(timeout=0.1)
    for calls in (2, 2):
        assert consumer.poll_row(timeout=0.1) is polled
        assert check.call_count == calls
    consumer.assign([PLACE])
    assert consumer.poll_row(timeout=0.1) is polled
    assert check.call_count == 3


@pytest.mark.parametrize("polled", [_row(), None], ids=["one", "nothing"])
def test_no_state_is_looked_at_before_it_is_recovered(polled: Row | None) -> None:
    """What the changelog brings is not there yet."""
    check = Mock()
    assert _consumer(polled, is_due=True, check=check).poll_row(timeout=0.1) is None
    assert not check.called


def test_a_jobs_application_asks_its_own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is held back as long as Quix's manager of its state says that a recovery is due."""
    monkeypatch.setattr(InternalConsumer, "poll_row", lambda _self, **_options: _row())
    monkeypatch.setattr(InternalConsumer, "assign", lambda _self, _partitions: None)
    put_back = Mock()
    monkeypatch.setattr("processors.recovery.put_back", put_back)
    application = JobApplication(
        "127.0.0.1:1",
        end_of_batch=Mock(),
        on_commit=Mock(),
        consumer_group="recovery",
        state_dir=tmp_path,
        loglevel=None,
    )
    application._consumer.assign([PLACE])
    assert application._consumer.poll_row(timeout=0.1) is not None
    assert application._state_manager._recovery_manager is not None
    monkeypatch.setattr(type(application._state_manager._recovery_manager), "has_assignments", True)
    application._consumer.assign([PLACE])
    assert application._consumer.poll_row(timeout=0.1) is None
    assert put_back.call_count == 1


class Broker:
    """Answers an admin's `list_offsets` as (first offset, end of what is committed, end)."""

    def __init__(self, first: int, committed: int, end: int) -> None:
        """Refuse nothing."""
        self.asked: list[list[TopicPartition]] = []
        self.errors: list[KafkaError] = []
        self.leaders_asked = 0
        self._offsets = {
            (EARLIEST, IsolationLevel.READ_UNCOMMITTED): first,
            (LATEST, IsolationLevel.READ_COMMITTED): committed,
            (LATEST, IsolationLevel.READ_UNCOMMITTED): end,
        }

    def list_offsets(
        self, places: dict[TopicPartition, OffsetSpec], *, isolation_level: IsolationLevel, request_timeout: float
    ) -> dict[TopicPartition, Future[Mock]]:
        """Answer at once."""
        assert 0 < request_timeout <= 10
        self.asked.append(sorted(places))
        (spec,) = set(places.values())
        error = self.errors.pop() if self.errors else None
        told: Future[Mock] = Future()
        if error:
            told.set_exception(KafkaException(error))
        else:
            told.set_result(Mock(offset=self._offsets[spec, isolation_level]))
        return dict.fromkeys(places, told)

    def list_topics(self, *, timeout: float) -> None:
        """Count it; the answer comes late."""
        assert 0 < timeout <= 10
        self.leaders_asked += 1
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


EARLIEST, LATEST = OffsetSpec.earliest(), OffsetSpec.latest()
INPUT, CHANGELOG = TopicPartition("sensor", 2), TopicPartition("changelog", 2)


def _asking(broker: Broker) -> Mock:
    """Return a consumer of both partitions, by itself at an end that is committed."""
    consumer = Mock(spec=InternalConsumer)
    consumer.get_watermark_offsets.return_value = (3, 11)
    consumer.assignment.return_value = [INPUT, CHANGELOG]
    topics = Mock(non_changelog_topics={"sensor": None})
    topics._admin.admin_client = broker
    tell_bounds_at_once(consumer, topics)
    return consumer


@pytest.mark.parametrize(
    ("committed", "end", "told"), [(11, 20, 20), (20, 20, 20), (21, 20, 21)], ids=["open", "closed", "just committed"]
)
def test_a_partition_ends_where_it_ends(committed: int, end: int, told: int, caplog: pytest.LogCaptureFixture) -> None:
    """Not where the oldest open transaction begins; that it waits for one is said of a state, and of no input."""
    caplog.set_level("INFO")
    consumer = _asking(Broker(3, committed, end))
    for place in (INPUT, CHANGELOG):
        assert consumer.get_watermark_offsets(place, timeout=10) == (3, told)
    waits = ["the state in changelog[2] waits until a transaction there ends"]
    assert caplog.messages == (waits if end > committed else [])


def test_what_is_known_already_is_not_asked_for() -> None:
    """Quix asks the client for what it has cached."""
    broker = Broker(3, 11, 20)
    assert _asking(broker).get_watermark_offsets(CHANGELOG, timeout=10, cached=True) == (3, 11)
    assert broker.asked == []


def test_all_partitions_are_asked_for_at_once() -> None:
    """With the first question, and anew after the next assignment."""
    broker = Broker(3, 11, 20)
    consumer = _asking(broker)
    for place in (CHANGELOG, INPUT, TopicPartition("changelog", 2, 7)):
        consumer.get_watermark_offsets(place, timeout=10)
    assert broker.asked == [[CHANGELOG, INPUT]] * 3
    consumer.assign([INPUT])
    consumer.assignment.return_value = [INPUT]
    consumer.get_watermark_offsets(INPUT, timeout=10)
    assert broker.asked[3:] == [[INPUT]] * 3


def test_a_leader_that_has_moved_is_asked_for_again() -> None:
    """Until the time that Quix allows is over; what will not pass is raised at once."""
    broker = Broker(3, 11, 20)
    consumer = _asking(broker)
    broker.errors = [KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)]
    assert consumer.get_watermark_offsets(CHANGELOG, timeout=10) == (3, 20)
    assert (len(broker.asked), broker.leaders_asked) == (6, 1)
    consumer.assign([CHANGELOG])
    broker.errors = [KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)]
    with pytest.raises(KafkaException):
        consumer.get_watermark_offsets(CHANGELOG, timeout=0.05)
    broker.errors = [KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)]
    with pytest.raises(KafkaException):
        consumer.get_watermark_offsets(CHANGELOG, timeout=10)
    assert len(broker.asked) == 12
