"""Dead letters are exported, repaired and sent back, each once."""

import json
import uuid
from pathlib import Path

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import DEAD_LETTER, SENSOR
from sensorbus.runtime import kafka
from tests.support.command import run
from tests.support.topics import Record, produce, read_all

READING = b'{"timestamp":"%s","device_id":"a","temperature":%s}'


def letter(offset: int, value: bytes) -> Record:
    """Return a dead letter of `sensor`, without the prefix of the topic."""
    headers = [("source.topic", b"sensor"), ("source.partition", b"0"), ("source.offset", b"%d" % offset)]
    return Record(b"a", value, [*headers, ("error.kind", b"json"), ("error.message", b"broken"), ("own", b"1")])


def with_prefix(settings: Settings, record: Record) -> Record:
    """Return the letter with the topic's whole name."""
    source = settings.topic_name(SENSOR).encode()
    headers = [(name, source if name == "source.topic" else value) for name, value in record.headers]
    return record._replace(headers=headers)


def test_repaired_letters_are_sent_back_once(fresh_settings: Settings, tmp_path: Path) -> None:
    """Export, edit, replay: the repaired value stands on `sensor` under its device's key; again nothing is sent."""
    produce(fresh_settings, DEAD_LETTER, [with_prefix(fresh_settings, letter(n, b"{broken")) for n in range(3)])
    file = tmp_path / "letters.jsonl"
    assert run(fresh_settings, "dead-letter", "export", str(file)).returncode == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 3
    rows[1]["value"] = (READING % (b"2026-01-01T00:00:00Z", b"20.0")).decode()
    file.write_text("\n".join(map(json.dumps, rows[:2])))
    done = run(fresh_settings, "dead-letter", "replay", "--repaired", str(file))
    assert done.stdout == "sent 1; 1 cannot be read and stay\n", done.stderr
    again = run(fresh_settings, "dead-letter", "replay", "--repaired", str(file))
    assert again.stdout == "sent 0; 1 cannot be read and stay; lines of the file without an open letter: 1\n"
    (sent,) = read_all(fresh_settings, SENSOR)
    assert (sent.key(), sent.value()) == (b"a", rows[1]["value"].encode())
    assert dict(sent.headers() or ()) == {"own": b"1", "replayed.from": rows[1]["place"].encode()}


def test_letters_that_can_be_read_by_now_are_sent_back(fresh_settings: Settings) -> None:
    """After a change of settings, what was refused is accepted; a dry run sends nothing."""
    good = with_prefix(fresh_settings, letter(0, READING % (b"2026-01-01T00:00:00Z", b"20.0")))
    produce(fresh_settings, DEAD_LETTER, [good, with_prefix(fresh_settings, letter(1, b"{"))])
    dry = run(fresh_settings, "dead-letter", "replay", "--dry-run")
    assert dry.stdout == "would send 1; 1 cannot be read and stay\n"
    assert read_all(fresh_settings, SENSOR) == []
    assert run(fresh_settings, "dead-letter", "replay").stdout == "sent 1; 1 cannot be read and stay\n"
    assert len(read_all(fresh_settings, SENSOR)) == 1


@pytest.mark.slow
def test_no_letter_is_sent_while_a_transaction_may_hide_that_it_was(real_kafka_address: str) -> None:
    """Behind an open one a marker is not seen; when it has ended, the letter is sent, and not again."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix=f"t{uuid.uuid4().hex[:8]}-")
    kafka.ensure_topics(settings, "test")
    produce(settings, DEAD_LETTER, [with_prefix(settings, letter(0, READING % (b"2026-01-01T00:00:00Z", b"20.0")))])
    hanging = kafka.producer(settings, "test", **{"transactional.id": f"{settings.topic_prefix}hanging"})
    hanging.init_transactions(30)
    hanging.begin_transaction()
    for partition in range(settings.topic_partitions):
        hanging.produce(settings.topic_name(DEAD_LETTER), b"not committed", partition=partition)
    assert hanging.flush(10) == 0
    refused = run(settings, "dead-letter", "replay")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "a transaction there is open" in refused.stderr
    hanging.abort_transaction(30)
    sent = [run(settings, "dead-letter", "replay").stdout for _ in range(2)]
    assert sent == ["sent 1; 0 cannot be read and stay\n", "sent 0; 0 cannot be read and stay\n"]
    assert len(read_all(settings, SENSOR)) == 1
