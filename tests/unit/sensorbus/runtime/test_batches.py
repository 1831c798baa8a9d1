"""Where a batch that cannot be decompressed ends."""

from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, TopicPartition

from sensorbus.contract.settings import Settings
from sensorbus.runtime import batches

FIRST = TopicPartition("sensor", 2, 40)
UNREADABLE = KafkaError(KafkaError._BAD_COMPRESSION)
END = KafkaError(KafkaError._PARTITION_EOF)


class Partition:
    """A consumer of one partition: an unreadable batch from 40 on, perhaps another, then records, then the end."""

    def __init__(self, behind: int, next_behind: int, end: int) -> None:
        """Take where the two batches and the partition end."""
        self._behind, self._next_behind, self._end = behind, next_behind, end
        self._offset = 0
        self._is_silent = True
        self.asked = 0

    def assign(self, places: list[TopicPartition]) -> None:
        """Begin to read at an offset."""
        self._offset = places[0].offset
        self._is_silent = True
        self.asked += 1

    def poll(self, _timeout_s: float) -> Mock | None:
        """Answer with the second poll."""
        if self._is_silent:
            self._is_silent = False
            return None
        if self._offset < self._next_behind:
            first = 40 if self._offset < self._behind else self._behind
            return Mock(**{"error.return_value": UNREADABLE, "offset.return_value": first})
        error = None if self._offset < self._end else END
        return Mock(**{"error.return_value": error, "offset.return_value": self._offset})

    def close(self) -> None:
        """Hold nothing."""


@pytest.mark.parametrize("behind", [41, 42, 43, 44, 45, 71, 72, 73, 1_040])
@pytest.mark.parametrize(("next_records", "more"), [(0, 0), (0, 5), (3, 0), (500, 500)])
def test_the_end_is_the_offset_after_the_last_record(
    behind: int, next_records: int, more: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands behind it: nothing, records, another such batch."""
    partition = Partition(behind, behind + next_records, behind + next_records + more)
    monkeypatch.setattr("sensorbus.runtime.kafka.consumer", lambda *_, **__: partition)
    assert batches.end(Settings(), FIRST) == behind
    assert partition.asked <= 22


def test_silence_behind_it_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka answers, and the client says nothing of what stands there: the batch ends at the latest before it."""
    consumer, asked = Mock(**{"poll.return_value": None}), Mock()
    monkeypatch.setattr("sensorbus.runtime.kafka.consumer", lambda *_, **__: consumer)
    monkeypatch.setattr("sensorbus.runtime.kafka.cluster_metadata", asked)
    monkeypatch.setattr(batches, "_ANSWERED_WITHIN_S", 0.01)
    assert batches.end(Settings(), FIRST) == 41
    assert asked.call_count == 1


@pytest.mark.parametrize(("error", "is_one"), [(UNREADABLE, True), (END, False), (None, False)])
def test_such_a_batch_is_known_by_its_error(error: KafkaError | None, is_one: bool) -> None:
    """By no other."""
    assert batches.is_unreadable(error) is is_one
