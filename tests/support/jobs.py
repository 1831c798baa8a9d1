"""Stream jobs as processes, and what goes into and comes out of their topics."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from sensorbus.contract.settings import Settings, variable_name
from sensorbus.contract.topics import ALERT, SENSOR, Topic
from sensorbus.runtime import kafka

INPUTS: Final[Mapping[str, Sequence[Topic]]] = {
    "alert": (SENSOR,),
    "alert-count": (ALERT,),
    "avg-temp": (SENSOR,),
    "all": (SENSOR, ALERT),
}
THREE_JOBS: Final = ("alert", "alert-count", "avg-temp")
_ROOT: Final = Path(__file__).parents[2]


class Record(NamedTuple):
    """A record to produce; `timestamp_ms` 0 is now."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp_ms: int = 0


@dataclass
class Jobs:
    """Jobs of one bus; a context manager that leaves none behind. `log` has what they said."""

    settings: Settings
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what still runs."""
        for name in list(self.processes):
            self.kill(name)

    def start(self, *names: str) -> None:
        """Start these jobs."""
        for name in names:
            with self.log.open("ab") as log:
                self.processes[name] = subprocess.Popen(  # our own jobs
                    [sys.executable, "-m", "processors", name],
                    cwd=_ROOT,
                    env=os.environ | environment_of(self.settings) | dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stderr=log,
                    stdout=log,
                )

    def stop(self, *names: str) -> list[int]:
        """Send SIGTERM to these jobs and return their exit codes."""
        processes = [self.processes.pop(name) for name in names]
        for process in processes:
            process.terminate()
        return [process.wait(15) for process in processes]

    def kill(self, name: str) -> None:
        """Kill -9."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def settle(self, *names: str, within_s: float = 45.0) -> None:
        """Wait until these jobs have committed all that stands in their inputs."""
        for name in names:
            for topic in INPUTS[name]:
                read_all = partial(self._has_read_all, name, topic)
                wait_for(read_all, within_s, f"{name} to read {topic.name}", self.log)

    def _has_read_all(self, name: str, topic: Topic) -> bool:
        ends: dict[int, int] = {}
        for message in read(self.settings, topic):
            ends[message.partition()] = message.offset() + 1
        group = f"{self.settings.topic_prefix}sensorbus.{name}"
        consumer = kafka.consumer(self.settings, "test", **{"group.id": group})
        try:
            wanted = [TopicPartition(self.settings.topic_name(topic), partition) for partition in ends]
            committed = {each.partition: each.offset for each in consumer.committed(wanted, timeout=10)}
        finally:
            consumer.close()
        return all(committed[partition] >= end for partition, end in ends.items())


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the variables that make `load` give these settings."""
    given = settings.model_dump(exclude_unset=True, exclude={"kafka_options"})
    return {variable_name(name): str(value) for name, value in given.items() if value is not None}


def produce(settings: Settings, topic: Topic, records: Iterable[Record]) -> None:
    """Write records and wait until Kafka has them all."""
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    producer: Producer = kafka.producer(settings, "test")
    for record in records:
        producer.produce(
            settings.topic_name(topic),
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=record.timestamp_ms,
            on_delivery=delivered,
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    assert failed == []


def read(settings: Settings, topic: Topic) -> list[Message]:
    """Return all committed records of a topic, partition by partition in their order."""
    consumer: Consumer = kafka.consumer(settings, "test", **{"enable.partition.eof": True})
    name = settings.topic_name(topic)
    try:
        partitions = sorted(consumer.list_topics(name, timeout=10).topics[name].partitions)
        lows = [consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10) for partition in partitions]
        open_ = {partition for partition, (low, high) in zip(partitions, lows, strict=True) if high > low}
        consumer.assign([TopicPartition(name, partition, lows[partition][0]) for partition in partitions])
        messages: list[Message] = []
        deadline_s = time.monotonic() + 30
        while open_:
            assert time.monotonic() < deadline_s, f"{name} cannot be read to its end"
            for message in consumer.consume(1_000, timeout=0.2):
                if message.error() is None:
                    messages.append(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
                else:
                    raise AssertionError(message.error().str())
    finally:
        consumer.close()
    return sorted(messages, key=lambda message: (message.partition(), message.offset()))


def values(settings: Settings, topic: Topic) -> list[bytes]:
    """Return the values of all committed records of a topic, partition by partition in their order."""
    return [message.value() for message in read(settings, topic)]


def wait_for(condition: Callable[[], bool], within_s: float, what: str, log: Path | None = None) -> float:
    """Return the seconds until the condition holds; fails with what was waited for."""
    started_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - started_s
        said = log.read_text(errors="replace")[-4_000:] if log and log.exists() else ""
        assert waited_s < within_s, f"waited {within_s:g} s for {what}\n{said}"
        time.sleep(0.1)
    return time.monotonic() - started_s
