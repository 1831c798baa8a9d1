"""What a job counts, cheaply.

Plain numbers on the hot path, published to Prometheus about once a second.
One thread, the job's, counts and publishes; `/readyz` and `/metrics` read from another one.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson
from quixstreams import message_context

from processors.lag_times import LagTimes, Place
from sensorbus.runtime import metrics
from sensorbus.runtime.clock import ClockMs, wall_clock_ms

#: One in so many records is looked at, on average: a histogram's place costs as much as a parse. Not each 32nd, which
#: could be of one partition whenever devices send in turn.
_LOOKED_AT_ONE_IN: Final = 32
_SILENT_AT_MOST_S: Final = 30.0
_CHANGELOG_PREFIX: Final = "changelog__"  # Quix's
_NOT_ASSIGNED: Final = ("none", "stopping", "stopped")  # librdkafka's fetch states of such a partition


def _partition_now() -> int:
    """Return the partition of the record that is being processed."""
    context: Any = message_context()
    return int(context.partition)


class Meter:
    """Counts of one job; librdkafka's statistics, which come out of the job's own polls, are its heartbeat."""

    def __init__(
        self,
        job: str,
        topics: Iterable[str] = (),
        clock_ms: ClockMs = wall_clock_ms,
        partition_now: Callable[[], int] = _partition_now,
    ) -> None:
        """Start from zero, which is told of these input topics before their first record: a rate needs it."""
        self.job = job
        self._clock_ms = clock_ms
        self._records: Counter[str] = Counter(dict.fromkeys(topics, 0))
        self._results: Counter[str] = Counter()
        self._dead_letters: Counter[str] = Counter()
        self._late = self._rekeyed = self._commits = 0
        self._until_look = 0
        self._gaps = random.Random(0)  # noqa: S311  # a sample, not a secret
        self._partition_now = partition_now
        self._uncommitted_ms: list[int] = []  # append times of the records that are looked at
        self._lag_times = LagTimes(clock_ms)
        self._turned_s = self._answered_s = time.monotonic()
        self._joined, self._lagging = False, set[Place]()
        self.left: Callable[[], Mapping[Place, int]] = dict  #: what another client has still to give (`careful.py`)
        self._published: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Begin to measure silence: Kafka has just answered."""
        self._turned_s = self._answered_s = time.monotonic()

    def record(self, topic: str, append_time_ms: int) -> None:
        """Count a record that was read."""
        self._records[topic] += 1
        self._until_look -= 1
        if self._until_look < 0:
            self._until_look = self._gaps.randrange(2 * _LOOKED_AT_ONE_IN - 1)
            self._uncommitted_ms.append(append_time_ms)
            self._lag_times.read((topic, str(self._partition_now())), append_time_ms)

    def committed(self) -> None:
        """Tell how old the records are whose results can be read now."""
        if self._uncommitted_ms:
            now_ms, delay = self._clock_ms(), metrics.JOB_DELAY_SECONDS.labels(self.job)
            for append_time_ms in self._uncommitted_ms:
                delay.observe(max(0, now_ms - append_time_ms) / 1000)
            self._uncommitted_ms.clear()

    def result(self, topic: str) -> None:
        """Count a record that was handed to the producer."""
        self._results[topic] += 1

    def dead_letter(self, kind: str) -> None:
        """Count a record that could not be read."""
        self._dead_letters[kind] += 1

    def late(self) -> None:
        """Count a reading or alert that came after a window of its own was closed."""
        self._late += 1

    def rekeyed(self) -> None:
        """Count a reading sent again under its device's key."""
        self._rekeyed += 1

    def on_consumer_stats(self, stats_json: str) -> None:
        """Take librdkafka's statistics of the consumer: heartbeat, membership, lag, commits; then publish."""
        stats = orjson.loads(stats_json)
        self._turned_s = time.monotonic()
        if any(broker["nodeid"] >= 0 and broker["state"] == "UP" for broker in stats.get("brokers", {}).values()):
            self._answered_s = self._turned_s
        self._joined = stats.get("cgrp", {}).get("join_state") == "steady"
        self._publish_lags(stats)
        self._commits = max(self._commits, _requests(stats, "OffsetCommit"))
        self.publish()

    def on_producer_stats(self, stats_json: str) -> None:
        """Take librdkafka's statistics of the producer: with exactly-once, the commits are its."""
        self._commits = max(self._commits, _requests(orjson.loads(stats_json), "TxnOffsetCommit"))

    def publish(self) -> None:
        """Move what was counted since the last time to Prometheus."""
        for topic, count in self._records.items():
            metrics.JOB_RECORDS.labels(self.job, topic).inc(self._since("records", topic, count))
        for topic, count in self._results.items():
            metrics.JOB_RESULTS.labels(self.job, topic).inc(self._since("results", topic, count))
        for kind, count in self._dead_letters.items():
            metrics.JOB_DEAD_LETTERS.labels(self.job, kind).inc(self._since("dead-letters", kind, count))
        metrics.JOB_LATE.labels(self.job).inc(self._since("late", "", self._late))
        metrics.JOB_REKEYED.labels(self.job).inc(self._since("rekeyed", "", self._rekeyed))
        metrics.JOB_COMMITS.labels(self.job).inc(self._since("commits", "", self._commits))

    def _publish_lags(self, stats: Mapping[str, Any]) -> None:
        """Show the lag of each partition that is ours; another member shows that of one we had to give away."""
        lags = _lags(stats, self.left())
        metrics.JOB_LAG_SECONDS.labels(self.job).set(self._lag_times.worst_s(lags))
        for place in self._lagging - lags.keys():
            metrics.JOB_LAG_RECORDS.remove(self.job, *place)
        self._lagging &= lags.keys()
        for place, lag in lags.items():
            if lag >= 0:
                metrics.JOB_LAG_RECORDS.labels(self.job, *place).set(lag)
                self._lagging.add(place)

    def silent_s(self) -> float:
        """Return how long ago the job last knew of a broker that it is connected to; called from any thread."""
        return time.monotonic() - self._answered_s

    def why_not_ready(self) -> dict[str, str]:
        """Return the reasons under their names; called from the thread that serves `/readyz`."""
        turned, answered = (time.monotonic() - since_s for since_s in (self._turned_s, self._answered_s))
        silences = {"loop": ("the job has not polled Kafka", turned), "kafka": ("no broker was connected", answered)}
        reasons = {name: f"{what} for {s:.0f} s" for name, (what, s) in silences.items() if s > _SILENT_AT_MOST_S}
        if not self._joined:
            reasons["group"] = "the job is not a settled member of its consumer group"
        return reasons

    def _since(self, family: str, label: str, count: int) -> int:
        new = count - self._published[family, label]
        self._published[family, label] = count
        return new


def _lags(stats: Mapping[str, Any], left: Mapping[Place, int]) -> dict[Place, int]:
    """Return the records not yet read by (topic, partition) of the partitions that are assigned; below 0: not known.

    What another client has still to give is `left`: the consumer stands behind it.
    """
    lags = {
        (topic["topic"], number): _lag(partition)
        for topic in stats.get("topics", {}).values()
        if not topic["topic"].startswith(_CHANGELOG_PREFIX)  # assigned too, and at rest but for a recovery
        for number, partition in topic["partitions"].items()
        if partition.get("fetch_state", "none") not in _NOT_ASSIGNED
    }
    return lags | {place: max(0, lags[place]) + left[place] for place in lags.keys() & left.keys()}


def _lag(partition: Mapping[str, Any]) -> int:
    """Return how many records of a partition the job has not been given; below 0: not known.

    Those too that stand behind an open transaction, where nobody can read them yet: a lag that does not go tells of it.
    Not librdkafka's `consumer_lag`: it counts from what the consumer has committed, and exactly once the producer does.
    """
    end, given = partition.get("hi_offset", -1), partition.get("app_offset", -1)
    if partition["fetch_state"] != "active" or end < 0:
        return -1
    if not partition.get("fetchq_cnt"):  # then it is past the markers of transactions too, which are no records
        given = max(given, partition.get("next_offset", -1))
    if given < 0:
        given = partition.get("committed_offset", -1)
    return max(0, end - given) if given >= 0 else -1


def _requests(stats: Mapping[str, Any], name: str) -> int:
    """Return how many requests of this name were sent, over all brokers."""
    return sum(broker.get("req", {}).get(name, 0) for broker in stats.get("brokers", {}).values())
