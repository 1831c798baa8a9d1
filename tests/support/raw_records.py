"""Records and batches as no client writes them.

One batch per request, put together byte by byte: https://kafka.apache.org/documentation/#recordbatch
"""

import socket
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.partitioning import partition_of
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR, Topic
from sensorbus.runtime import kafka

_ANSWERED_WITHIN_S: Final = 60.0  # Kafka decompresses what it is given
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


def record(value: bytes | None, key: bytes | None, headers: RawHeaders = (), *, number: int = 0) -> bytes:
    """Return a record of a batch, by its number in it."""
    parts = [b"\0\0", _number(number), _bytes(key), _bytes(value), _number(len(headers))]  # attributes, time: none
    parts += [_bytes(part) for header in headers for part in header]
    body = b"".join(parts)
    return _number(len(body)) + body


def zeros_in_gzip(size: int) -> bytes:
    """Return what a batch in gzip holds of one record of that many zeros, a multiple of a million."""
    begin, end = b"\0\0\0" + _number(-1) + _number(size), _number(0)
    million, packer = bytes(1_000_000), zlib.compressobj(wbits=31)
    parts = [packer.compress(_number(len(begin) + size + len(end)) + begin)]
    parts += [packer.compress(million) for _ in range(size // len(million))]
    return b"".join([*parts, packer.compress(end), packer.flush()])


def batch(records: bytes, number: int = 1, *, attributes: int = 0, first: int = 0, time_ms: int = _NOW_MS) -> bytes:
    """Return a batch of that many records, compressed as its attributes say, of no producer that Kafka knows."""
    after_sum = struct.pack(">hiqqqhii", attributes, number - 1, time_ms, time_ms, -1, -1, -1, number) + records
    rest = struct.pack(">ibI", -1, 2, _crc32c(after_sum)) + after_sum
    return struct.pack(">qi", first, len(rest)) + rest


def produce(address: str, topic: str, one: bytes, *, partition: int = 0, time_ms: int = -1) -> None:
    """Write a batch of one record and expect that Kafka takes it."""
    produce_batch(address, topic, batch(one, time_ms=time_ms), partition=partition)


def produce_batch(address: str, topic: str, stored: bytes, *, partition: int = 0) -> None:
    """Write a batch and expect that Kafka takes it."""
    name = struct.pack(">h", len(topic)) + topic.encode()
    body = struct.pack(">hhii", -1, -1, 10_000, 1) + name + struct.pack(">iii", 1, partition, len(stored)) + stored
    request = struct.pack(">hhih", 0, 7, 1, -1) + body  # Produce, in the first version that takes zstd
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


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # the polynomial of CRC-32C, reflected
    return byte


_TABLE: Final = [_remainder(byte) for byte in range(256)]


def _crc32c(data: bytes) -> int:
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = checksum >> 8 ^ _TABLE[(checksum ^ byte) & 0xFF]
    return checksum ^ 0xFFFFFFFF
