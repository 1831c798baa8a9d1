"""What `verify` asks Kafka, answered by lists.

What the jobs have written is what all readings ever lead to.
"""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final, cast

import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, Message, TopicPartition

from sensorbus import history, progress, records, verify
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, TOPICS, Topic
from sensorbus.contract.units import kelvin_from_celsius
from sensorbus.expectation import Expectation, Expected, Window
from tests.support.results import Record

SETTINGS: Final = Settings()
NOW_MS: Final = 1_700_000_000_000


def ends(window: Window, seconds: int) -> tuple[str, int, int]:
    """Return a window with its end."""
    return window[0], window[1], window[1] + seconds * 1_000


class Bus:
    """A Kafka of lists: each topic has one partition, whose record n has the offset n."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Settings = SETTINGS) -> None:
        """Stand where `verify` asks Kafka and the clock."""
        self.settings = settings
        self.topics: dict[str, list[Record]] = {topic.name: [] for topic in TOPICS}
        self.low = dict.fromkeys(self.topics, 0)
        self.counted: dict[Window, int] = {}
        self.apart_ms, self.results_behind_ms, self.asked = 0, 0, 0
        self.newer = 0  # so many readings come when `sensor` has been asked once where it ends
        clock = itertools.count(0.0, 100.0)
        monkeypatch.setattr(verify, "wall_clock_ms", lambda: NOW_MS)
        monkeypatch.setattr(verify, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _s: None))
        monkeypatch.setattr(progress, "progress", lambda *_: progress.Progress())
        monkeypatch.setattr(records, "partitions", lambda _s, _c, topic: [TopicPartition(topic.name, 0)])
        monkeypatch.setattr(records, "read_to_end", self.read)
        monkeypatch.setattr(records, "watermarks", self.watermarks)
        self.consumer = cast("Consumer", SimpleNamespace(offsets_for_times=self.offsets_for_times))
        monkeypatch.setattr(history, "clocks_apart_ms", lambda *_: self.apart_ms)

    def watermarks(self, _settings: Settings, _consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
        """Return the first offset and the end."""
        self.asked += 1
        high = len(self.topics[place.topic])
        if place.topic == SENSOR.name:
            high, self.newer = high - self.newer, 0
        return self.low[place.topic], high

    def read(
        self, _settings: Settings, _consumer: Consumer, starts: list[TopicPartition], known: records.Ends | None = None
    ) -> Iterator[Record]:
        """Yield what is held from there on."""
        for start in starts:
            low = self.low[start.topic]
            first = low if start.offset == OFFSET_BEGINNING else max(low, start.offset)
            end = (known or {}).get((start.topic, start.partition))
            yield from self.topics[start.topic][first:end]

    def offsets_for_times(self, wanted: list[TopicPartition], _timeout_s: float) -> list[TopicPartition]:
        """Return the offset of the first record of that time or later, or that there is none."""
        for place in wanted:
            held = self.topics[place.topic]
            offset = sum(record.append_ms < place.offset for record in held)
            place.offset = offset if offset < len(held) else OFFSET_END
        return wanted

    def read_reading(self, device_id: str, age_s: int, celsius: float, behind_s: int = 0) -> None:
        """Append a reading at that age, with a clock that is behind by so much."""
        append_ms = NOW_MS - age_s * 1_000
        value = messages.encode_reading(device_id, messages.iso_timestamp(append_ms - behind_s * 1_000), celsius)
        held = self.topics[SENSOR.name]
        held.append(Record(value, device_id.encode(), append_ms, (0, len(held)), topic_name=SENSOR.name))

    def run_jobs(self) -> None:
        """Write the results as they follow from all readings, each when the reading that leads to it came."""
        jobs = Expectation(self.settings, 0)
        for record in self.topics[SENSOR.name]:
            before = jobs.expected.alerts.total(), len(jobs.expected.averages)
            jobs.add(cast("Message", record))
            if jobs.expected.alerts.total() > before[0]:
                self._write_alert(jobs.expected, record)
            told = len(jobs.expected.averages) - before[1]
            for window, celsius in itertools.islice(reversed(jobs.expected.averages.items()), told):
                self._write(AVG_TEMP, record, messages.encode_avg_temp(messages.AvgTemp(*ends(window, 10), celsius)))

    def _write_alert(self, known: Expected, record: Record) -> None:
        reading = messages.parse_reading(record.value(), record.append_ms, self.settings.time_rules)
        alert = messages.alert_from_reading(reading, kelvin_from_celsius(reading.celsius))
        self._write(ALERT, record, messages.encode_alert(alert))
        last = reading.event_time_ms // 1_000 * 1_000
        windows = [(reading.device_id, start) for start in range(last - 4_000, last + 1, 1_000)]
        for window in windows:
            number = known.counts.get(window, 0)
            if number > self.counted.get(window, 0):
                self.counted[window] = number
                count = messages.AlertCount(*ends(window, 5), number)
                self._write(ALERT_COUNT, record, messages.encode_alert_count(count))

    def _write(self, topic: Topic, source: Record, value: bytes) -> None:
        held = self.topics[topic.name]
        append_ms = source.append_ms - self.results_behind_ms
        held.append(Record(value, source.record_key, append_ms, (0, len(held)), topic_name=topic.name))

    def lose(self, topic: Topic, device_id: str, since_s: int = 10**6) -> int:
        """Delete the results of a device that are so young; return how many."""
        held = self.topics[topic.name]
        kept = [
            record
            for record in held
            if orjson.loads(record.raw or b"")["device_id"] != device_id or record.append_ms < NOW_MS - since_s * 1_000
        ]
        self.topics[topic.name] = kept
        return len(held) - len(kept)

    def verify(self, since_s: int | None) -> tuple[dict[str, tuple[int, int, int, bool]], list[str]]:
        """Return missing, pending, different and the verdict by topic, and the remarks."""
        since_ms = None if since_s is None else NOW_MS - since_s * 1_000
        found = verify.verify(self.settings, self.consumer, since_ms, lambda _doing, _done, _total: None)
        numbers = {row.kind: (row.missing, row.pending, row.different, row.is_true) for row in found.rows}
        assert any(row.found or row.missing or row.pending for row in found.rows)
        return numbers, found.remarks
