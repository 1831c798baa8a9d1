"""Stream jobs as child processes of a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import TopicPartition

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR, Topic
from sensorbus.runtime import kafka
from tests.support.parts import Part, part
from tests.support.topics import read_all
from tests.support.waiting import wait_until

INPUTS: Final[Mapping[str, Sequence[Topic]]] = {
    "alert": (SENSOR,),
    "alert-count": (ALERT,),
    "avg-temp": (SENSOR,),
    "all": (SENSOR, ALERT),
}
THREE_JOBS: Final = ("alert", "alert-count", "avg-temp")


@dataclass
class Jobs:
    """Jobs of one bus, by name; a context manager that leaves none behind. `log` has what they all said."""

    settings: Settings
    log: Path
    running: dict[str, Part] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs."""
        for child in self.running.values():
            child.__exit__(kind, error, trace)

    def start(self, *names: str) -> None:
        """Start these jobs."""
        for name in names:
            self.running[name] = part(self.settings, self.log, "processors", name)
            self.running[name].start()

    def stop(self, *names: str) -> None:
        """Send SIGTERM to these jobs, all at once, and expect exit code 0 of each."""
        children = [self.running.pop(name) for name in names]
        for child in children:
            child.process.terminate()  # type: ignore[union-attr]  # it was started
        for child in children:
            child.wait(0, within_s=15)

    def kill(self, name: str) -> None:
        """Kill -9."""
        self.running.pop(name).kill()

    def settle(self, *names: str, within_s: float = 45.0) -> None:
        """Wait until these jobs, in this order, have committed all that stands in their inputs."""
        for name in names:
            for topic in INPUTS[name]:
                read = partial(self._has_read_all, name, topic)
                wait_until(read, within_s, f"{name} to read {topic.name}", self.log)

    def _has_read_all(self, name: str, topic: Topic) -> bool:
        ends = {message.partition(): message.offset() + 1 for message in read_all(self.settings, topic)}
        group = f"{self.settings.topic_prefix}sensorbus.{name}"
        consumer = kafka.consumer(self.settings, "test", **{"group.id": group})
        try:
            wanted = [TopicPartition(self.settings.topic_name(topic), partition) for partition in ends]
            committed = {each.partition: each.offset for each in consumer.committed(wanted, timeout=10)}
        finally:
            consumer.close()
        return all(committed[partition] >= end for partition, end in ends.items())
