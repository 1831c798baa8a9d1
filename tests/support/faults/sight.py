"""Looks at a bus as a reader does.

When each result became visible, and how far the committed records go.
"""

import time
from collections import defaultdict
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from sensorbus import records
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, TOPICS, Topic
from sensorbus.runtime import kafka
from tests.support.faults.witness import is_bad

#: Each job's output that the readings of the witness keep moving, on every partition.
OUTPUTS: Final = {"alert": ALERT, "alert-count": ALERT_COUNT, "avg-temp": AVG_TEMP}
#: What each job reads.
INPUTS: Final = {"alert": SENSOR, "alert-count": ALERT, "avg-temp": SENSOR}
_BATCH: Final = 2_000
# A plain consumer looks for a broker that was away as soon as it is back.
_OPTIONS: Final = {"auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 500, "enable.partition.eof": True}


class Sight:
    """A `read_committed` consumer of all topics."""

    def __init__(self, settings: Settings) -> None:
        """Begin with the first record."""
        self._settings = settings
        self._consumer: Consumer | None = kafka.consumer(settings, "sight", **_OPTIONS)
        self._topics = {settings.topic_name(topic): topic for topic in TOPICS}
        self._places = [
            place for topic in self._topics.values() for place in records.partitions(settings, self._consumer, topic)
        ]
        #: By topic and partition: append time of the newest record that is visible, in ms since the epoch.
        self.newest_ms: defaultdict[Topic, dict[int, int]] = defaultdict(dict)
        #: By topic and partition: offset after the last record that is visible.
        self.ends: defaultdict[Topic, dict[int, int]] = defaultdict(dict)
        self._seen_to: dict[tuple[str, int], int] = {}
        self._assign()

    def rest(self) -> None:
        """Look away while the broker starts: librdkafka 2.12 to 2.14 may crash on what it answers to a fetch then."""
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None

    def look_again(self) -> bool:
        """Go on where it was if every partition has a leader again; tell whether it has."""
        consumer = kafka.consumer(self._settings, "sight", **_OPTIONS)
        try:
            topics = kafka.cluster_metadata(self._settings, consumer).topics
        except BrokerUnavailableError:
            topics = {}
        partitions = [topics[place.topic].partitions.get(place.partition) for place in self._places if topics]
        if not partitions or any(partition is None or partition.leader < 0 for partition in partitions):
            consumer.close()
            return False
        self._consumer = consumer
        self._assign()
        return True

    def step(self, timeout_s: float) -> None:
        """Take what became visible; wait that long if there is nothing."""
        if self._consumer is None:
            time.sleep(timeout_s)
            return
        for message in self._consumer.consume(_BATCH, timeout_s):
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._seen_to[message.topic(), message.partition()] = message.offset()
            if error is not None:
                continue  # or the broker is away, or a topic was deleted: tests ask for what is there
            topic, partition = self._topics[message.topic()], message.partition()
            if topic is not ALERT or not is_bad(message):  # which is no result of a job
                self.newest_ms[topic][partition] = message.timestamp()[1]
            self.ends[topic][partition] = message.offset() + 1

    def has_seen_all(self) -> bool:
        """Tell whether all that stands in the topics, uncommitted records and markers included, was passed."""
        consumer = kafka.consumer(self._settings, "sight", **{"isolation.level": "read_uncommitted"})
        try:
            return all(
                self._seen_to.get((place.topic, place.partition), -1) >= _end(consumer, place) for place in self._places
            )
        except KafkaException:  # the broker has just come back
            return False
        finally:
            consumer.close()

    def is_seen_since(self, job: str, since_ms: int) -> bool:
        """Tell whether, on every partition that had results, one is visible that was appended at or after that time."""
        newest_ms = self.newest_ms[OUTPUTS[job]]
        return bool(newest_ms) and all(append_ms >= since_ms for append_ms in newest_ms.values())

    def has_read_all(self, job: str) -> bool:
        """Tell whether the job's group has committed all that is visible in its input."""
        topic = INPUTS[job]
        ends = dict(self.ends[topic])
        group = f"{self._settings.topic_prefix}sensorbus.{job}"
        consumer = kafka.consumer(self._settings, "sight", **{"group.id": group})
        try:
            wanted = [TopicPartition(self._settings.topic_name(topic), partition) for partition in ends]
            committed = {each.partition: each.offset for each in consumer.committed(wanted, timeout=10)}
        except KafkaException:  # a dead member's transaction holds offsets, or the broker has just come back
            return False
        finally:
            consumer.close()
        return bool(ends) and all(committed[partition] >= end for partition, end in ends.items())

    def _assign(self) -> None:
        assert self._consumer is not None
        starts = []
        for place in self._places:
            seen_to = self.ends[self._topics[place.topic]].get(place.partition, OFFSET_BEGINNING)
            starts.append(TopicPartition(place.topic, place.partition, seen_to))
        self._consumer.assign(starts)


def _end(consumer: Consumer, place: TopicPartition) -> int:
    _, end = consumer.get_watermark_offsets(place, timeout=kafka.REQUEST_TIMEOUT_S)
    return int(end)
