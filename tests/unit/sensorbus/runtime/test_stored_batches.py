"""Batches as Kafka stores them.

Their records, what is committed of them, and the bound of their size.
"""

import struct

import cramjam
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from sensorbus.runtime.stored_batches import (
    LARGEST_BYTES,
    Batch,
    BatchError,
    Record,
    batches,
    committed,
    passing,
    records,
)
from tests.support.raw_records import UNREADABLE, batch, record

_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0b1000, 0b10000, 0b100000
_PRODUCER_AT = 43  # bytes
_PLAIN = b"".join(
    [
        record(b"value", b"key", [(b"name", b"text"), (b"none", None)]),
        record(None, None, number=1),
        record(b"", b"", UNREADABLE, number=2),
        record(b"x" * 70_000, b"\xff", number=3),
    ]
)
_READ = [
    (b"key", b"value", [("name", b"text"), ("none", None)]),
    (None, None, []),
    (b"", b"", ()),
    (b"\xff", b"x" * 70_000, []),
]


def _xerial(plain: bytes) -> bytes:
    """Return it as Java's clients do: cut, each piece by itself."""
    parts = [bytes(cramjam.snappy.compress_raw(plain[at : at + 32_768])) for at in range(0, len(plain), 32_768)]
    return b"\x82SNAPPY\0\0\0\0\1\0\0\0\1" + b"".join(struct.pack(">i", len(part)) + part for part in parts)


@pytest.mark.parametrize(
    ("codec", "stored"),
    [
        (0, _PLAIN),
        (1, cramjam.gzip.compress(_PLAIN)),
        (2, cramjam.snappy.compress_raw(_PLAIN)),
        (2, _xerial(_PLAIN)),
        (2, _xerial(_PLAIN) + b"end"),
        (3, cramjam.lz4.compress(_PLAIN)),
        (4, cramjam.zstd.compress(_PLAIN)),
    ],
    ids=["none", "gzip", "snappy", "snappy of Java", "snappy of Java with an end", "lz4", "zstd"],
)
def test_records_are_read_whatever_compressed_them(codec: int, stored: bytes) -> None:
    """With headers, without; a name that is not UTF-8 takes all of that record's along, as librdkafka's does."""
    (found,) = batches(batch(bytes(stored), 4, attributes=codec, first=40, time_ms=1_000))
    assert (found.first, found.last) == (40, 43)
    assert [(one.key, one.value, one.headers) for one in records(found)] == _READ
    assert [one.offset for one in records(found)] == [40, 41, 42, 43]


@pytest.mark.parametrize(
    ("attributes", "kind"), [(0, TIMESTAMP_CREATE_TIME), (_APPEND_TIME, TIMESTAMP_LOG_APPEND_TIME)]
)
def test_a_record_says_whose_its_time_is(attributes: int, kind: int) -> None:
    """The producer's, or Kafka's."""
    (found,) = batches(batch(record(b"1", b"2"), attributes=attributes, time_ms=123_456))
    assert list(records(found)) == [Record(0, kind, 123_456, b"2", b"1", [])]


def test_of_an_answer_that_is_cut_off_what_is_whole_is_read() -> None:
    """Kafka sends as many bytes as it is asked for."""
    first, second = batch(record(b"1", None)), batch(record(b"2", None), first=1)
    for cut in (0, 1, len(first) - 1):
        assert list(batches(first[:cut])) == []
    for cut in (0, 30, len(second) - 1):
        assert [found.first for found in batches(first + second[:cut])] == [0]
    assert [found.first for found in batches(first + second)] == [0, 1]


def test_a_batch_of_an_old_format_is_refused() -> None:
    """Kafka 4 stores none, but what older ones have stored stays."""
    old = bytearray(batch(record(b"1", None), first=7))
    old[16] = 1
    with pytest.raises(BatchError, match="the batch at offset 7 is of format 1, not 2"):
        list(batches(bytes(old)))


def test_what_was_aborted_is_left_out() -> None:
    """Of the producer and the transaction that Kafka names; marks of ended transactions are no records."""

    def one(first: int, producer_id: int, attributes: int = _TRANSACTIONAL) -> bytes:
        stored = bytearray(batch(record(b"1", None), first=first, attributes=attributes))
        struct.pack_into(">q", stored, _PRODUCER_AT, producer_id)
        return bytes(stored)

    stored = [
        one(0, 1),  # committed by what follows
        one(1, 1, _TRANSACTIONAL | _CONTROL),
        one(2, 1),
        one(3, 2),
        one(4, -1, 0),
        one(5, 1, _TRANSACTIONAL | _CONTROL),  # aborted
        one(6, 1),
        one(7, 2),
    ]
    found = list(batches(b"".join(stored)))
    assert [each.first for each in committed(found, [(2, 1)])] == [0, 3, 4, 6, 7]
    assert [each.first for each in committed(found, [(3, 2), (0, 1)])] == [2, 4, 6]
    assert [each.first for each in committed(found, [])] == [0, 2, 3, 4, 6, 7]


@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])
def test_no_more_is_decompressed_than_the_bound(codec: int) -> None:
    """What is just as large is read."""
    compress = (cramjam.gzip.compress, cramjam.snappy.compress_raw, cramjam.lz4.compress, cramjam.zstd.compress)[
        codec - 1
    ]
    around = len(record(bytes(LARGEST_BYTES - 100), None)) - (LARGEST_BYTES - 100)
    for more, is_read in ((0, True), (1, False)):
        one = record(bytes(LARGEST_BYTES - around + more), None)
        found = Batch(0, 0, codec, -1, -1, -1, 1, memoryview(bytes(compress(one))))
        if is_read:
            assert [len(each.value or b"") for each in records(found)] == [LARGEST_BYTES - around]
            continue
        with pytest.raises(BatchError, match="larger than 100000000 bytes"):
            next(records(found))


def test_batches_are_added_up_without_their_compression() -> None:
    """One that is larger than what is decompressed at most is too large beside any bound."""
    one, other = record(bytes(1_000), None), record(bytes(2_000), None)
    huge = bytes(cramjam.zstd.compress(record(bytes(LARGEST_BYTES), None)))
    packed = bytes(cramjam.gzip.compress(one))
    stored = [
        batch(packed, attributes=1),
        batch(other, first=1),
        batch(packed, attributes=1, first=2),
        batch(huge, attributes=4, first=3),
        batch(other, first=4),
    ]
    size = len(one) + len(other)
    for bound, offsets in ((len(one) - 1, [0, 1, 2, 3, 4]), (size - 1, [1, 3]), (size, [2, 3]), (10**9, [3])):
        assert [found.first for found in passing(batches(b"".join(stored)), bound)] == offsets


@pytest.mark.parametrize(
    ("codec", "stored"), [(1, b"no gzip"), (2, b""), (3, b"\x04\x22\x4d\x18"), (4, b"\0"), (7, b"")]
)
def test_what_is_damaged_says_so(codec: int, stored: bytes) -> None:
    """And so does a codec of the future."""
    (found,) = batches(batch(stored, attributes=codec))
    with pytest.raises(BatchError, match="damaged" if codec < 7 else "codec 7"):
        next(records(found))
