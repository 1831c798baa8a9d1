"""What is other than in Quix's application."""

from pathlib import Path
from unittest.mock import Mock, call

import pytest
from quixstreams.internal_producer import InternalProducer

from processors.job_application import JobApplication


@pytest.fixture
def application(tmp_path: Path) -> JobApplication:
    """Give an application that has not asked Kafka for anything."""
    return JobApplication("127.0.0.1:1", consumer_group="changed", state_dir=tmp_path, loglevel=None)


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


def test_an_application_that_failed_leaves_its_checkpoint_to_quix(
    application: JobApplication, checkpoint: Mock
) -> None:
    """Its transaction is ended with the application."""
    application.stop(fail=True)
    application._on_lost(None, [])
    assert checkpoint.method_calls == []
    assert application._processing_context.checkpoint is checkpoint


def test_the_producer_is_polled_seldom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Quix polls it with each record."""
    asked = Mock()
    monkeypatch.setattr(InternalProducer, "poll", asked)
    application = JobApplication("127.0.0.1:1", consumer_group="changed", state_dir=tmp_path, loglevel=None)
    for _ in range(40):
        application._producer.poll(0)
    assert asked.call_count == 1
