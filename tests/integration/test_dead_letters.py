"""Dead letters are exported, repaired and sent back, each once."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.runtime import kafka
from tests.support.command import run
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.killed_replay import PER_TRANSACTION
from tests.support.parts import environment_of
from tests.support.topics import Record, produce, read_all, values
from tests.support.verifier import differences, expected_from_readings

BEGIN_MS = int((datetime.now(UTC) - timedelta(minutes=10)).timestamp()) * 1_000
READING = b'{"timestamp":"%s","device_id":"a","temperature":%s}'


def letter(offset: int, value: bytes) -> Record:
    """Return a dead letter of `sensor`, without the prefix of the topic."""
    headers = [("source.topic", b"sensor"), ("source.partition", b"0"), ("source.offset", b"%d" % offset)]
    return Record(b"a", value, [*headers, ("error.kind", b"json"), ("error.message", b"broken"), ("own", b"1")])


def oven(second: int, celsius: float) -> Record:
    """Return a reading, so many seconds after the first one."""
    return Record(b"oven", encode_reading("oven", iso_timestamp(BEGIN_MS + second * 1_000), celsius))


def repair(settings: Settings, file: Path, repaired: Sequence[bytes]) -> int:
    """Export the letters with other values, and return how many there are."""
    assert run(settings, "dead-letter", "export", str(file)).returncode == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    lines = [row | {"value": value.decode()} for row, value in zip(rows, repaired, strict=False)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return len(rows)


def killed_replay(settings: Settings, file: Path) -> int:
    """Send them back, and return how the process ended."""
    command = [sys.executable, "-m", "tests.support.killed_replay", "dead-letter", "replay", "--repaired", str(file)]
    return subprocess.run(command, env=environment_of(settings), timeout=60, check=False).returncode


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
def test_no_letter_is_sent_while_a_transaction_may_hide_that_it_was(real_settings: Settings) -> None:
    """Behind an open one a marker is not seen; when it has ended, the letter is sent, and not again."""
    settings = real_settings
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


@pytest.mark.slow
def test_what_is_sent_back_leads_to_results_once_whatever_is_killed(real_settings: Settings, tmp_path: Path) -> None:
    """Repaired readings raise alerts and are in their windows; the replay is killed, and the next sends the rest."""
    settings = real_settings
    with Jobs(settings, tmp_path / "log") as jobs:
        jobs.start(*THREE_JOBS)
        produce(settings, SENSOR, [oven(second, 20.0) for second in range(4)])
        produce(settings, SENSOR, [Record(b"oven", b"{%d" % number) for number in range(7)])
        jobs.settle(*THREE_JOBS)
        file = tmp_path / "letters.jsonl"
        repaired = [oven(4 + number, 40.0).value or b"" for number in range(7)]
        assert repair(settings, file, repaired) == 7
        assert killed_replay(settings, file) == -signal.SIGKILL
        done = run(settings, "dead-letter", "replay", "--repaired", str(file))
        sent_before = 2 * PER_TRANSACTION
        said = f"sent {7 - sent_before}; 0 cannot be read and stay"
        assert done.stdout == f"{said}; lines of the file without an open letter: {sent_before}\n", done.stderr
        produce(settings, SENSOR, [oven(30, 20.0)])
        jobs.settle(*THREE_JOBS)
        good = [value for value in values(settings, SENSOR) if value.startswith(b'{"')]
        assert sorted(value for value in good if value in repaired) == sorted(repaired)
        expected = expected_from_readings(good)
        assert len(expected.alerts) == 7
        assert differences(expected, *(values(settings, topic) for topic in (ALERT, ALERT_COUNT, AVG_TEMP))) == []
        jobs.stop(*THREE_JOBS)
    proof = run(settings, "verify")
    assert (proof.returncode, proof.stderr) == (0, ""), proof.stdout


@pytest.mark.slow
def test_an_alert_that_is_sent_back_is_counted_once(fresh_settings: Settings, tmp_path: Path) -> None:
    """A letter of topic `alert`: the repaired one stands there under its device's key, and in each window around it."""
    alert = Alert("oven", iso_timestamp(BEGIN_MS), BEGIN_MS, 40.0, 104.0, 313.15)
    settings = fresh_settings.model_copy(update={"state_dir": tmp_path})
    with Jobs(settings, tmp_path / "log") as jobs:
        jobs.start("alert-count")
        produce(settings, ALERT, [Record(b"oven", b"{broken")])
        jobs.settle("alert-count")
        assert repair(settings, tmp_path / "letters.jsonl", [encode_alert(alert)]) == 1
        replay = ("dead-letter", "replay", "--repaired", str(tmp_path / "letters.jsonl"))
        assert [run(settings, *replay).stdout[:6] for _ in range(2)] == ["sent 1", "sent 0"]
        jobs.settle("alert-count")
        jobs.stop("alert-count")
    assert [(m.key(), m.value()) for m in read_all(settings, ALERT)][-1] == (b"oven", encode_alert(alert))
    counts = [json.loads(value)["alert_count"] for value in values(settings, ALERT_COUNT)]
    assert counts == [1] * 5
