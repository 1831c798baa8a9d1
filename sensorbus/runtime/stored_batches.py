"""Batches of records as Kafka stores them: what is in them, within bounds.

Pure functions: https://kafka.apache.org/documentation/#recordbatch. librdkafka decompresses a batch whatever its size
(of zstd alone it gives up what is too large), and a few MB can be gigabytes.
"""

import mmap
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import cramjam
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME
from kio.records.readers import read_signed_compact_string_as_bytes_nullable as _read_bytes
from kio.serial.readers import read_signed_varint, read_signed_varlong

from sensorbus.contract.sizes import Headers

#: Of one batch, without its compression; librdkafka's own bound of zstd (`receive.message.max.bytes`).
LARGEST_BYTES: Final = 100_000_000
#: baseOffset, batchLength, partitionLeaderEpoch, magic, crc, attributes, lastOffsetDelta, baseTimestamp, maxTimestamp,
#: producerId, producerEpoch, baseSequence, the number of records.
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_LENGTH: Final = struct.Struct(">i")
_BEFORE_LENGTH_ENDS: Final = 12
_MAGIC: Final = 2
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0b111, 0b1000, 0b10000, 0b100000
_XERIAL: Final = b"\x82SNAPPY\0"  # Java's clients cut what snappy compresses
_XERIAL_HEADER_BYTES: Final = 16


class BatchError(ValueError):
    """A batch whose records cannot be read; says why."""


class Fetched(NamedTuple):
    """What Kafka answers to a fetch: batches as they are stored, and the transactions in them that were aborted."""

    stored: bytes
    aborted: list[tuple[int, int]]  # first offset, producer


class Batch(NamedTuple):
    """One batch: the offsets of its first and last record, and what its header says."""

    first: int
    last: int
    attributes: int
    base_time_ms: int
    max_time_ms: int
    producer_id: int
    records: int
    payload: memoryview  # compressed, if it is


class Record(NamedTuple):
    """One record; the kind of its time is confluent-kafka's (`append_time_ms`)."""

    offset: int
    time_kind: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def batches(stored: bytes) -> Iterator[Batch]:
    """Yield what Kafka has answered, without a batch at its end that is not whole.

    Raises `BatchError` for a batch in a format that Kafka had before 0.11.
    """
    view, at = memoryview(stored), 0
    while len(view) - at >= _HEADER.size:
        fields = _HEADER.unpack_from(view, at)
        first, length, _, magic, _, attributes, last, base_ms, max_ms, producer_id, _, _, records = fields
        if magic != _MAGIC:
            raise BatchError(f"the batch at offset {first} is of format {magic}, not {_MAGIC}")
        end = at + _BEFORE_LENGTH_ENDS + length
        if end > len(view):
            return
        yield Batch(
            first, first + last, attributes, base_ms, max_ms, producer_id, records, view[at + _HEADER.size : end]
        )
        at = end


def committed(stored: Iterable[Batch], aborted: Iterable[tuple[int, int]]) -> Iterator[Batch]:
    """Yield the batches of records that are committed, or of no transaction.

    `aborted` are the transactions that Kafka names besides.
    """
    waiting = sorted(aborted, reverse=True)
    ending: set[int] = set()
    for batch in stored:
        while waiting and waiting[-1][0] <= batch.last:
            ending.add(waiting.pop()[1])
        if batch.attributes & _CONTROL:
            ending.discard(batch.producer_id)  # a transaction ends here
        elif not (batch.attributes & _TRANSACTIONAL and batch.producer_id in ending):
            yield batch


def records(batch: Batch) -> Iterator[Record]:
    """Yield the records of a batch; raises `BatchError` before the first if it is larger than `LARGEST_BYTES`."""
    payload, at = _decompressed(batch), 0
    kind = TIMESTAMP_LOG_APPEND_TIME if batch.attributes & _APPEND_TIME else TIMESTAMP_CREATE_TIME
    for _ in range(batch.records):
        length, size = read_signed_varint(payload, at)
        end = at + size + length
        passed_ms, size_of_time = read_signed_varlong(payload, at + size + 1)  # behind the attributes
        at += size + 1 + size_of_time
        passed, size = read_signed_varint(payload, at)
        key, size_of_key = _read_bytes(payload, at + size)
        value, size_of_value = _read_bytes(payload, at + size + size_of_key)
        headers = _headers(payload, at + size + size_of_key + size_of_value)
        time_ms = batch.max_time_ms if kind == TIMESTAMP_LOG_APPEND_TIME else batch.base_time_ms + passed_ms
        yield Record(batch.first + passed, kind, time_ms, key, value, headers)
        at = end


def passing(stored: Iterable[Batch], most_bytes: int) -> Iterator[Batch]:
    """Yield each batch with which those since the last such one are larger than that, without their compression.

    One that is larger than `LARGEST_BYTES` is yielded too.
    """
    total = 0
    for batch in stored:
        try:
            total += len(_decompressed(batch))
            is_larger = total > most_bytes
        except BatchError:
            is_larger = True
        if is_larger:
            yield batch
            total = 0


def _headers(payload: memoryview, at: int) -> Headers:
    """Return a record's headers: none where a name is not UTF-8, as of the other client."""
    number, size = read_signed_varint(payload, at)
    at += size
    found: list[tuple[str, bytes | None]] = []
    for _ in range(number):
        name, size = _read_bytes(payload, at)
        value, size_of_value = _read_bytes(payload, at + size)
        at += size + size_of_value
        try:
            found.append(((name or b"").decode(), value))
        except UnicodeDecodeError:
            return ()
    return found


def _decompressed(batch: Batch) -> memoryview:
    codec = batch.attributes & _CODEC
    if not codec:
        return batch.payload
    if codec not in _CODECS:
        raise BatchError(f"codec {codec} is not known")
    room = memoryview(mmap.mmap(-1, LARGEST_BYTES))  # takes memory where it is written alone
    try:
        return room[: _CODECS[codec](batch.payload, room)].toreadonly()
    except cramjam.DecompressionError as error:
        raise BatchError(f"it is damaged, or larger than {LARGEST_BYTES} bytes: {error}") from None


def _of_snappy(payload: memoryview, room: memoryview) -> int:
    if bytes(payload[: len(_XERIAL)]) != _XERIAL:
        return cramjam.snappy.decompress_raw_into(payload, room)
    at, filled = _XERIAL_HEADER_BYTES, 0
    while len(payload) - at >= _LENGTH.size:  # Java's, and so Kafka, takes fewer bytes for the end
        (length,) = _LENGTH.unpack_from(payload, at)
        at += _LENGTH.size
        filled += cramjam.snappy.decompress_raw_into(payload[at : at + length], room[filled:])
        at += length
    return filled


_CODECS: Final[Mapping[int, Callable[[memoryview, memoryview], int]]] = {
    1: cramjam.gzip.decompress_into,
    2: _of_snappy,
    3: cramjam.lz4.decompress_into,
    4: cramjam.zstd.decompress_into,
}
