"""The client that looks at batches reads what librdkafka reads, from a real Kafka."""

import gc
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from confluent_kafka import Message, Producer

from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from sensorbus.runtime.raw_consumer import RawConsumer
from sensorbus.runtime.stored_batches import Batch, BatchError, Record, batches, committed, records
from tests.support import raw_records, topics
from tests.support.real_kafka import RealKafka
from tests.support.topics import produce, read_all
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(180)]

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


def test_an_offset_that_is_not_there_is_told_at_once(real_settings: Settings) -> None:
    """As one that retention has cut away: to ask again would not help."""
    produce(real_settings, SENSOR, [topics.Record(b"key", b"value")])  # its leaders are known then
    with closing(RawConsumer(real_settings)) as raw, pytest.raises(BatchError, match="no such offset"):
        raw.fetch(real_settings.topic_name(SENSOR), _PARTITION, 10_000)


def _is_answered(raw: RawConsumer, topic: str) -> bool:
    """Tell whether Kafka answers, within what the transaction of a job that asks can wait."""
    since_s = time.monotonic()
    try:
        return bool(raw.fetch(topic, _PARTITION, 0).stored)
    except BrokerUnavailableError:
        return False
    finally:
        assert time.monotonic() - since_s < 8, "a transaction would have timed out"


def test_a_broker_that_comes_back_is_found(own_kafka: RealKafka) -> None:
    """After it was frozen, or was killed for longer than the first attempts: soon, by the same client."""
    settings = Settings(kafka_bootstrap_servers=own_kafka.address, topic_partitions=1)
    kafka.ensure_topics(settings, "test")
    topic = settings.topic_name(SENSOR)
    produce(settings, SENSOR, [topics.Record(b"key", b"value")])
    with warnings.catch_warnings(), closing(RawConsumer(settings)) as raw:
        warnings.simplefilter("ignore", ResourceWarning)  # as in its unit test
        assert _is_answered(raw, topic)
        own_kafka.pause()
        assert not _is_answered(raw, topic)
        own_kafka.resume()
        wait_until(lambda: _is_answered(raw, topic), 15, "it to be found after a freeze")
        own_kafka.kill()
        until_s = time.monotonic() + 12
        while time.monotonic() < until_s:
            assert not _is_answered(raw, topic)
            time.sleep(0.1)
        own_kafka.start()
        since_s = time.monotonic()
        wait_until(lambda: _is_answered(raw, topic), 30, "it to be found after a kill")
        assert time.monotonic() - since_s < 5
        gc.collect()
