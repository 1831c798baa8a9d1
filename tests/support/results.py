"""Readings and results as the client gives them, on 2023-11-14 at 22:13."""

from dataclasses import dataclass, field

import orjson

from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.units import kelvin_from_celsius

APPEND_MS = 1_700_000_100_000


@dataclass
class Record:
    """A record as the client gives it."""

    raw: bytes | None
    record_key: bytes | None = b"a"
    append_ms: int = APPEND_MS
    place: tuple[int, int] = (0, 0)
    record_headers: list[tuple[str, bytes]] = field(default_factory=list)
    topic_name: str = "results"

    def value(self) -> bytes | None:
        """Return the value."""
        return self.raw

    def key(self) -> bytes | None:
        """Return the key."""
        return self.record_key

    def timestamp(self) -> tuple[int, int]:
        """Return (LogAppendTime, ms)."""
        return 2, self.append_ms

    def topic(self) -> str:
        """Return a topic's name."""
        return self.topic_name

    def partition(self) -> int:
        """Return the partition."""
        return self.place[0]

    def offset(self) -> int:
        """Return the offset."""
        return self.place[1]

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the headers."""
        return self.record_headers


def reading(second: int, celsius: float, device: str = "a", offset: int = 0) -> Record:
    """Return a reading at that second, at that offset of partition 0."""
    value = {"timestamp": f"2023-11-14T22:13:{second:02d}Z", "device_id": device, "temperature": celsius}
    return Record(orjson.dumps(value), device.encode(), place=(0, offset))


def start_ms(second: int) -> int:
    """Return ms since the epoch of that second."""
    return 1_700_000_000_000 - 20_000 + second * 1000


def average(second: int, celsius: float) -> Record:
    """Return a result of avg-temp for the window that starts there."""
    start = start_ms(second)
    return Record(orjson.dumps({"device_id": "a", "start": start, "end": start + 10_000, "avg_temp": celsius}))


def count(second: int, number: int, append_ms: int = APPEND_MS) -> Record:
    """Return a result of alert-count for the window that starts there."""
    start = start_ms(second)
    value = {"device_id": "a", "start": start, "end": start + 5_000, "alert_count": number}
    return Record(orjson.dumps(value), append_ms=append_ms)


def alert(second: int, celsius: float) -> Record:
    """Return the alert of a reading."""
    source = messages.parse_reading(reading(second, celsius).value(), APPEND_MS, Settings().time_rules)
    return Record(messages.encode_alert(messages.alert_from_reading(source, kelvin_from_celsius(celsius))))
