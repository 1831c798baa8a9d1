"""The client that looks at batches reads what librdkafka reads, from a real Kafka."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from confluent_kafka import Message, Producer

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from sensorbus.runtime.raw_consumer import RawConsumer
from sensorbus.runtime.stored_batches import Batch, Record, batches, committed, records
from tests.support import raw_records
from tests.support.topics import read_all

pytestmark = pytest.mark.real_kafka

_PARTITION = 0
_Said = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]], int]


def _read(settings: Settings, *, begin: int = 0) -> Iterator[tuple[Batch, Record]]:
    """Yield what is committed of a partition with its batches, until nothing comes."""
    with closing(RawConsumer(settings)) as raw:
        while found := raw.fetch(settings.topic_name(SENSOR), _PARTITION, begin):
            stored = list(batches(found.stored))
            if not stored:
                return
            for batch in committed(stored, found.aborted):
                yield from ((batch, record) for record in records(batch))
            begin = stored[-1].last + 1


def _of_librdkafka(message: Message) -> _Said:
    headers = [(name, value) for name, value in kafka.headers(message)]
    time_ms = kafka.append_time_ms(*message.timestamp())
    return message.offset(), message.key(), message.value(), headers, time_ms


def _of_ours(record: Record) -> _Said:
    time_ms = kafka.append_time_ms(record.time_kind, record.time_ms)
    return record.offset, record.key, record.value, list(record.headers), time_ms


def _write(settings: Settings, producer: Producer, name: bytes) -> None:
    write = partial(producer.produce, settings.topic_name(SENSOR), partition=_PARTITION)
    for number in range(300):
        write(name + b" %d" % number, b"key", headers=[("number", b"%d" % number), ("none", None)])
    write(None, None)
    write(b"x" * 1_500_000, b"larger than one answer")
    assert producer.flush(30) == 0


def test_it_reads_what_the_other_client_reads(real_settings: Settings) -> None:
    """Each codec, transactions that ended either way, one that is open behind them, names that are not UTF-8."""
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    for codec in codecs:
        options = {"compression.type": codec, "linger.ms": 50}
        _write(real_settings, kafka.producer(real_settings, "test", **options), codec.encode())
    one = raw_records.record(b"1", b"k", raw_records.UNREADABLE)
    raw_records.produce(real_settings.bootstrap_servers, real_settings.topic_name(SENSOR), one)
    for end in ("commit", "abort", "commit", "abort", "none"):
        options = {"transactional.id": f"{real_settings.topic_prefix}{end}", "compression.type": "lz4", "linger.ms": 50}
        producer = kafka.producer(real_settings, "test", **options)
        producer.init_transactions(10)
        producer.begin_transaction()
        _write(real_settings, producer, end.encode())
        if end == "none":
            break
        producer.commit_transaction(10) if end == "commit" else producer.abort_transaction(10)
    theirs = [message for message in read_all(real_settings, SENSOR) if message.partition() == _PARTITION]
    assert len(theirs) == 302 * 7 + 1
    found = list(_read(real_settings))
    assert [_of_ours(record) for _, record in found] == list(map(_of_librdkafka, theirs))
    assert {batch.attributes & 7 for batch, _ in found} == set(range(len(codecs)))


def test_it_begins_within_a_batch(real_settings: Settings) -> None:
    """Kafka gives the whole batch; who asked takes what comes from there on."""
    _write(real_settings, kafka.producer(real_settings, "test", **{"linger.ms": 200}), b"one")
    batch, record = next(_read(real_settings, begin=7))
    assert (batch.first < 7, record.offset) == (True, batch.first)
