"""Records as no client writes them.

One batch per request, put together byte by byte: https://kafka.apache.org/documentation/#recordbatch
"""

import socket
import struct
from collections.abc import Sequence
from typing import Final

_POLYNOMIAL: Final = 0x82F63B78  # of CRC-32C, reflected
_ANSWERED_WITHIN_S: Final = 10.0

RawHeaders = Sequence[tuple[bytes, bytes | None]]


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
