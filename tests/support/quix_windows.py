"""Quix's own hopping windows on its own store, without Kafka: the oracle for ours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from quixstreams import Application
from quixstreams.context import copy_context, set_message_context
from quixstreams.models import MessageContext, TopicAdmin, TopicConfig, TopicManager
from quixstreams.models import Topic as QuixTopic

Kind = Literal["mean", "count"]
_TOPIC: Final = "sensor"
_ADDRESS: Final = "127.0.0.1:1"  # nothing listens there, and nothing asks
_RETENTION: Final = {"retention.ms": "-1", "retention.bytes": "-1"}


class _NoAdmin(TopicAdmin):
    """Says that every topic exists."""

    def inspect_topics(self, topic_names: list[str], timeout: float = 30) -> dict[str, TopicConfig | None]:  # noqa: ARG002  # Quix's signature
        """Return one partition each."""
        return {name: TopicConfig(1, 1, dict(_RETENTION)) for name in topic_names}

    def create_topics(self, topics: list[QuixTopic], timeout: float = 30, finalize_timeout: float = 60) -> None:
        """Do nothing."""


class QuixWindows:
    """`hopping_window(...).mean().final()` or `.count().current()`, fed by hand."""

    def __init__(self, directory: Path, kind: Kind, length_ms: int, step_ms: int, grace_ms: int) -> None:
        """Open a store in `directory`."""
        self._application = Application(
            _ADDRESS,
            consumer_group=f"oracle-{kind}-{length_ms}-{step_ms}-{grace_ms}",
            state_dir=directory,
            use_changelog_topics=False,
            loglevel=None,
            topic_manager=TopicManager(_NoAdmin(_ADDRESS), "oracle"),
        )
        topic = self._application.topic(_TOPIC, value_deserializer="json")
        frame = self._application.dataframe(topic)
        if step_ms == length_ms:  # Quix has another name for it
            windows: Any = frame.tumbling_window(length_ms, grace_ms, on_late=lambda *_: False)
        else:
            windows = frame.hopping_window(length_ms, step_ms, grace_ms, on_late=lambda *_: False)
        frame = windows.mean().final("key") if kind == "mean" else windows.count().current("key")
        self._out: list[tuple[bytes, int, int, float]] = []
        processing: Any = self._application._processing_context
        self._stores: Any = processing.state_manager
        self._stores.__enter__()
        self._stores.on_partition_assign(stream_id=frame.stream_id, partition=0, committed_offsets={})
        processing.init_checkpoint()
        self._run = frame.compose(sink=self._collect)[topic.name]
        self._context = copy_context()
        self._context.run(set_message_context, MessageContext(_TOPIC, 0, 0, 0))

    def close(self) -> None:
        """Close the store."""
        self._stores.__exit__(None, None, None)

    def feed(self, key: bytes, event_time_ms: int, value: float) -> Sequence[tuple[bytes, int, int, float]]:
        """Return the results of one reading: key, start, end, value."""
        self._out.clear()
        self._context.run(self._run, value, key, event_time_ms, None)
        return list(self._out)

    def _collect(self, value: Any, key: Any, _timestamp: int, _headers: Any) -> None:
        self._out.append((key, value["start"], value["end"], value["value"]))
