"""A job whose input is not paused when it is assigned.

librdkafka drops that pause now and then, this module each time. `python -m tests.support.lost_pause JOB` runs the job
as `python -m processors JOB` does.
"""

from contextvars import ContextVar
from typing import Any

from confluent_kafka import TopicPartition
from quixstreams import Application
from quixstreams.kafka import BaseConsumer

from processors.__main__ import main

_ASSIGNS: ContextVar[bool] = ContextVar("assigns", default=False)
_pause, _assign = BaseConsumer.pause, Application._on_assign


def _lose_pause(self: BaseConsumer, partitions: list[TopicPartition]) -> None:
    """Pause, but no input while it is assigned."""
    kept = [place for place in partitions if place.topic.startswith("changelog__")] if _ASSIGNS.get() else partitions
    if kept:
        _pause(self, kept)


def _on_assign(self: Application, *arguments: Any) -> None:
    token = _ASSIGNS.set(True)
    try:
        _assign(self, *arguments)
    finally:
        _ASSIGNS.reset(token)


if __name__ == "__main__":
    BaseConsumer.pause = _lose_pause  # type: ignore[method-assign]  # as librdkafka loses it
    Application._on_assign = _on_assign  # type: ignore[assignment, method-assign]  # any arguments
    main()
