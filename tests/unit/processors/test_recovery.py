"""No reading before its state, and the state to its end."""

from concurrent.futures import Future
from pathlib import Path
from unittest.mock import Mock, call

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from quixstreams.internal_consumer import InternalConsumer
from quixstreams.models import MessageContext, Row

from processors.ending import JobApplication
from processors.recovery import hold_back, recover_to_the_end

PLACE = TopicPartition("sensor", 2, 150)


def _row(offset: int = 150) -> Row:
    return Row(b"20.0", b"a", 0, MessageContext("sensor", 2, offset, 1), [])


def _consumer(polled: Row | list[Row] | None, *, is_due: bool) -> Mock:
    consumer = Mock(spec=InternalConsumer, **{"poll_row.return_value": polled})
    hold_back(consumer, lambda: is_due)
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


def test_a_jobs_application_asks_its_own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is held back as long as Quix's manager of its state says that a recovery is due."""
    monkeypatch.setattr(InternalConsumer, "poll_row", lambda _self, **_options: _row())
    put_back = Mock()
    monkeypatch.setattr("processors.recovery._put_back", put_back)
    application = JobApplication("127.0.0.1:1", consumer_group="recovery", state_dir=tmp_path, loglevel=None)
    assert application._consumer.poll_row(timeout=0.1) is not None
    assert application._state_manager._recovery_manager is not None
    monkeypatch.setattr(type(application._state_manager._recovery_manager), "has_assignments", True)
    assert application._consumer.poll_row(timeout=0.1) is None
    assert put_back.call_count == 1


@pytest.fixture
def topics() -> Mock:
    """Give the manager of a job's topics, on a Kafka where each partition ends at 20."""
    told: Future[Mock] = Future()
    told.set_result(Mock(offset=20))
    topics = Mock(non_changelog_topics={"sensor": None})
    topics._admin.admin_client.list_offsets = Mock(side_effect=lambda asked, **_: dict.fromkeys(asked, told))
    return topics


@pytest.mark.parametrize(
    ("topic", "cached", "committed", "end"),
    [
        ("changelog", False, 11, 20),
        ("changelog", False, 21, 21),
        ("changelog", True, 11, 11),
        ("sensor", False, 11, 11),
    ],
    ids=["an open transaction", "more since then", "not asked", "an input"],
)
def test_a_changelog_ends_where_it_ends(topics: Mock, topic: str, cached: bool, committed: int, end: int) -> None:
    """Not where the oldest open transaction begins; an input is read as far as it is committed."""
    consumer = Mock(spec=InternalConsumer, **{"get_watermark_offsets.return_value": (3, committed)})
    recover_to_the_end(consumer, topics)
    place = TopicPartition(topic, 2)
    assert consumer.get_watermark_offsets(place, timeout=10, cached=cached) == (3, end)


def test_the_end_is_asked_for_beyond_open_transactions(topics: Mock) -> None:
    """With the time that Quix allows, or Kafka's own where it allows any."""
    consumer = Mock(spec=InternalConsumer, **{"get_watermark_offsets.return_value": (3, 11)})
    recover_to_the_end(consumer, topics)
    consumer.get_watermark_offsets(TopicPartition("changelog", 2, 7), timeout=10)
    consumer.get_watermark_offsets(TopicPartition("changelog", 2, 7))
    isolation = {"isolation_level": IsolationLevel.READ_UNCOMMITTED}
    ways = [each.kwargs for each in topics._admin.admin_client.list_offsets.call_args_list]
    assert ways == [{**isolation, "request_timeout": 10}, isolation]
