"""Records as no client writes them.

One batch per request, put together byte by byte: https://kafka.apache.org/documentation/#recordbatch
"""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.partitioning import partition_of
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR, Topic
from sensorbus.runtime import kafka

_POLYNOMIAL: Final = 0x82F63B78  # of CRC-32C, reflected
_ANSWERED_WITHIN_S: Final = 10.0
_NOW_MS: Final = int(time.time()) * 1_000

RawHeaders = Sequence[tuple[bytes, bytes | None]]

#: Names that are not UTF-8, or empty: no client can read the first, and with it none of that record's.
UNREADABLE: Final[RawHeaders] = [(b"\xff\xfe", b"1"), (b"", None)]


@dataclass(frozen=True)
class RawDevice:
    """Sends to `topic` two good values, the second under a foreign key, and two bad ones; `time_ms` -1 is no time."""

    device_id: str
    topic: Topic
    headers: RawHeaders
    time_ms: int

    def good(self) -> list[bytes]:
        """Return its two good values, a second apart, ten minutes ago."""
        return [self._value(-600_000), self._value(-599_000)]

    def bad(self) -> dict[str, bytes]:
        """Return the other two by the `error.kind` of their dead letters."""
        return {"json": self._value(0)[:-1], "clock-ahead": self._value(3_600_000)}

    def produce(self, settings: Settings) -> None:
        """Write all four into the partition of its key, the one under a foreign key before the bad ones."""
        key = self.device_id.encode()
        partition = partition_of(key, kafka.EMBEDDED_PARTITIONS)  # so many has a topic of a test on any broker
        for value, its_key in zip([*self.good(), *self.bad().values()], [key, b"other", key, key], strict=True):
            one = record(value, its_key, self.headers)
            place = settings.topic_name(self.topic)
            produce(settings.bootstrap_servers, place, one, partition=partition, time_ms=self.time_ms)

    def _value(self, from_now_ms: int) -> bytes:
        at_ms = _NOW_MS + from_now_ms
        if self.topic is SENSOR:
            return encode_reading(self.device_id, iso_timestamp(at_ms), 31.0)
        return encode_alert(Alert(self.device_id, iso_timestamp(at_ms), at_ms, 31.0, 87.8, 304.15))


#: One for each such thing and topic.
RAW_DEVICES: Final = [
    RawDevice(f"{name}-{topic.name}", topic, headers, time_ms)
    for topic in (SENSOR, ALERT)
    for name, headers, time_ms in (("unreadable", UNREADABLE, _NOW_MS), ("timeless", [], -1))
]


def record(value: bytes | None, key: bytes | None, headers: RawHeaders = ()) -> bytes:
    """Return the first record of a batch."""
    parts = [b"\0\0\0", _bytes(key), _bytes(value), _number(len(headers))]  # attributes, time and offset: none
    parts += [_bytes(part) for header in headers for part in header]
    body = b"".join(parts)
    return _number(len(body)) + body


def produce(address: str, topic: str, one: bytes, *, partition: int = 0, time_ms: int = -1) -> None:
    """Write a batch of one record and expect that Kafka takes it."""
    after_sum = struct.pack(">hiqqqhii", 0, 0, time_ms, time_ms, -1, -1, -1, 1) + one
    batch = struct.pack(">ibI", -1, 2, _crc32c(after_sum)) + after_sum
    batch = struct.pack(">qi", 0, len(batch)) + batch
    name = struct.pack(">h", len(topic)) + topic.encode()
    body = struct.pack(">hhii", -1, -1, 10_000, 1) + name + struct.pack(">iii", 1, partition, len(batch)) + batch
    request = struct.pack(">hhih", 0, 3, 1, -1) + body  # Produce, version 3
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), _ANSWERED_WITHIN_S) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        with connection.makefile("rb") as answers:
            answer = answers.read(struct.unpack(">i", answers.read(4))[0])
    (error,) = struct.unpack_from(">h", answer, 8 + len(name) + 8)
    assert error == 0, f"Kafka answers with error {error}"


def _bytes(part: bytes | None) -> bytes:
    return _number(-1) if part is None else _number(len(part)) + part


def _number(number: int) -> bytes:
    """Return a zigzag varint."""
    left, encoded = number << 1 ^ number >> 63, bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes((*encoded, left))


def _crc32c(data: bytes) -> int:
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (_POLYNOMIAL if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF
