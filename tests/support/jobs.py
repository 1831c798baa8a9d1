"""Stream jobs as child processes of a test."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Consumer, TopicPartition

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR, TOPICS, Topic
from sensorbus.records import partitions, watermarks
from sensorbus.runtime import kafka
from tests.support.parts import Part, part
from tests.support.prometheus import Samples, samples
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
    ops_ports: Mapping[str, int] = field(default_factory=dict)  #: of those whose metrics are looked at
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
            own = self.settings.model_copy(update={"ops_port": self.ops_ports.get(name, self.settings.ops_port)})
            self.running[name] = part(own, self.log, "processors", name)
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

    def metrics(self, name: str, prefix: str) -> Samples:
        """Return what a job tells of the families that begin so; it has one of the `ops_ports`."""
        return samples(f"http://127.0.0.1:{self.ops_ports[name]}/metrics", prefix)

    def memory_mb(self, resident: Callable[[int], int]) -> dict[str, float]:
        """Return the memory of each in MB: what it holds, or held at most, as `resident` says of its process id."""
        processes = {name: child.process for name, child in self.running.items()}
        return {name: resident(process.pid) / 1e6 for name, process in processes.items() if process is not None}

    def settle(self, *names: str, within_s: float = 45.0) -> None:
        """Wait until these jobs, in this order, have committed all that stands in their inputs, and all is visible.

        The transaction of a killed job hides what comes after it from committed readers, for up to its time-out and
        the broker's interval of looking for such (10 s each).
        """
        with contextlib.ExitStack() as clients:  # of all groups at once: a new client finds its coordinator within 1 s
            asks = {name: clients.enter_context(self._client_of_group(name)) for name in names}
            for name in names:
                for topic in INPUTS[name]:
                    self._wait_until_visible(topic, within_s)
                    read = partial(self._has_read_all, asks[name], topic, {})
                    wait_until(read, within_s, f"{name} to read {topic.name}", self.log)
        for topic in TOPICS:
            self._wait_until_visible(topic, within_s)

    def _wait_until_visible(self, topic: Topic, within_s: float) -> None:
        visible = partial(self.has_no_open_transaction, topic)
        wait_until(visible, within_s, f"the transactions on {topic.name} to end", self.log)

    def has_no_open_transaction(self, topic: Topic) -> bool:
        """Tell whether committed readers see all that stands in a topic."""
        ends = []
        for isolation in ("read_committed", "read_uncommitted"):
            consumer = kafka.consumer(self.settings, "test", **{"isolation.level": isolation})
            try:
                places = partitions(self.settings, consumer, topic)
                ends.append([watermarks(self.settings, consumer, place)[1] for place in places])
            finally:
                consumer.close()
        return ends[0] == ends[1]

    def _client_of_group(self, name: str) -> contextlib.closing[Consumer]:
        options = {"group.id": self.settings.consumer_group(name)}
        return contextlib.closing(kafka.consumer(self.settings, "test", **options))

    def _has_read_all(self, of_group: Consumer, topic: Topic, ends: dict[int, int]) -> bool:
        """Tell whether a group has read a topic; `ends` are its ends as they were found before, and are when it ends.

        The topic, which may be large, is not read again before the group has come to where it ended then.
        """
        if not self._has_read_to(of_group, topic, ends):
            return False
        ends |= {message.partition(): message.offset() + 1 for message in read_all(self.settings, topic)}
        return self._has_read_to(of_group, topic, ends)

    def _has_read_to(self, of_group: Consumer, topic: Topic, ends: dict[int, int]) -> bool:
        wanted = [TopicPartition(self.settings.topic_name(topic), partition) for partition in ends]
        committed = {each.partition: each.offset for each in of_group.committed(wanted, timeout=10)} if ends else {}
        return all(committed[partition] >= end for partition, end in ends.items())
