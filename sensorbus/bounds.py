"""Which results `verify` can judge by the readings that it has seen."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Message

from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.progress import Identity
from sensorbus.runtime import kafka

#: What a reading says, and its alert: device id, timestamp, celsius.
Said = tuple[str, str, float]


class Bounds(NamedTuple):
    """Which results count, and which may be of readings not seen: those appended after the newest that was seen.

    Partitions end one after the other when they are asked, so also those appended after a reading of its device was
    that came behind the end of its partition: the newest seen may be of another one, and younger.
    """

    since_ms: int
    after_ms: int
    unseen_ms: Mapping[str, int]  # by device, when its first such reading was appended
    unseen: Counter[Said]  # how often each reading is among them
    apart_ms: int  # by how much append times on two partitions may be wrong to each other

    def explain(self, device_id: str, append_ms: int) -> bool:
        """Tell whether a result of this device, appended then, may be of a later reading."""
        unseen_ms = self.unseen_ms.get(device_id)
        latest_ms = append_ms + self.apart_ms
        return unseen_ms is not None and (latest_ms > self.after_ms or latest_ms >= unseen_ms)

    def newer_equal(self, identity: Identity, later: Counter[Identity]) -> int:
        """Return how many of the `later` alerts of an identity may be of readings that were not seen."""
        return min(later[identity], self.unseen[identity[:3]])


def unseen(settings: Settings, readings: Iterable[Message]) -> tuple[dict[str, int], Counter[Said]]:
    """Return by device when the first of its readings was appended, and how often each reading came."""
    first_ms: dict[str, int] = {}
    number: Counter[Said] = Counter()
    for message in readings:
        at_ms = appended_ms(message)
        with contextlib.suppress(InvalidMessageError):
            device_id, timestamp, _, celsius = messages.parse_reading(message.value(), at_ms, settings.time_rules)
            first_ms[device_id] = min(at_ms, first_ms.get(device_id, at_ms))
            number[device_id, timestamp, celsius] += 1
    return first_ms, number


def appended_ms(message: Message) -> int:
    """Return when a record was appended."""
    return kafka.append_time_ms(*message.timestamp())
