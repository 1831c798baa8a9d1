"""A batch that is decompressed to gigabytes stops no job for long.

A job that takes more memory than a container of its would have is killed here as the system does it, and started again.
"""

import itertools
import struct
from functools import partial
from pathlib import Path
from typing import Final

import cramjam
import pytest

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.jobs import Jobs
from tests.support.memory_bound import Bounded
from tests.support.raw_records import batch, produce_batch, record, zeros_in_gzip
from tests.support.topics import Record, produce, read_all
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(600)]

_JOBS: Final = ("alert", "avg-temp")
_READINGS: Final = 200
#: Of windows that the last readings close: 80 s of them, 100 ms apart, a window each second of 10 s.
_AVERAGES: Final = 60
_MANY: Final = 12
_BOMB_BYTES: Final = 1_000_000_000
_LZ4_HEADER: Final = bytes.fromhex("04224d18 60 70 73")  # independent blocks of 4 MB, and the sum of that


def _in_gzip() -> bytes:
    return batch(zeros_in_gzip(_BOMB_BYTES), attributes=1)


def _in_lz4() -> bytes:
    """Return it in blocks of 4 MB, each by itself, as Java wants them."""
    plain = memoryview(record(bytes(_BOMB_BYTES), None))
    pieces = [plain[at : at + 2**22] for at in range(0, len(plain), 2**22)]
    blocks = [bytes(cramjam.lz4.compress_block(piece, store_size=False)) for piece in pieces]
    framed = [_LZ4_HEADER, *(struct.pack("<i", len(block)) + block for block in blocks), bytes(4)]
    return batch(b"".join(framed), attributes=3)


def _in_zstd() -> bytes:
    """Return one of 90 MB, which librdkafka takes; of many it fetches all at once."""
    return batch(bytes(cramjam.zstd.compress(record(bytes(90_000_000), None))), attributes=4)


@pytest.mark.slow
def test_batches_of_gigabytes_are_left_out(real_settings: Settings, tmp_path: Path) -> None:
    """Two with readings around them, then many: each job is killed once or twice; nothing is lost or told twice."""
    gzip, lz4, zstd = _in_gzip(), _in_lz4(), _in_zstd()  # before: nobody could look after the jobs while it is done
    times = itertools.count(wall_clock_ms() - 600_000, 100)

    def write(*bombs: bytes) -> None:
        for bomb in bombs:
            produce_batch(real_settings.bootstrap_servers, real_settings.topic_name(SENSOR), bomb)
        values = [encode_reading("device-1", iso_timestamp(next(times)), 40.0) for _ in range(_READINGS)]
        produce(real_settings, SENSOR, [Record(b"device-1", value) for value in values])

    def told(alerts: int, letters: int) -> bool:
        found = len(read_all(real_settings, ALERT)), len(read_all(real_settings, DEAD_LETTER))
        return found[0] >= alerts * _READINGS and found[1] >= letters

    stable = real_settings.model_copy(update={"instance_id": "one"})  # whose transactions outlast a busy machine
    with Jobs(stable, tmp_path / "log") as jobs:
        jobs.start(*_JOBS)
        with Bounded(partial(_pids, jobs), partial(_start_again, jobs)) as bounded:
            write()
            wait_until(lambda: told(1, 0), 60, "the first alerts", jobs.log)
            write(gzip)
            write(lz4)
            wait_until(lambda: told(3, 2), 180, "what stands behind two", jobs.log)
            write(*[zstd] * _MANY)
            wait_until(lambda: told(4, 2 + _MANY), 180, "what stands behind many", jobs.log)
            wait_until(lambda: len(_means(real_settings)) > _AVERAGES, 60, "the averages", jobs.log)
        jobs.stop(*_JOBS)
    assert set(bounded.killed) == set(_JOBS), "memory was not short"
    assert len(bounded.killed) <= 2 * len(_JOBS) + 1
    alerts, means = [message.value() for message in read_all(real_settings, ALERT)], _means(real_settings)
    assert (len(alerts), len(set(alerts)), len(set(means))) == (4 * _READINGS, 4 * _READINGS, len(means))
    letters = sorted(dict(message.headers())["error.kind"] for message in read_all(real_settings, DEAD_LETTER))
    assert letters == [b"compression"] * 2 + [b"too-large"] * _MANY


def _pids(jobs: Jobs) -> dict[str, int]:
    return {name: child.process.pid for name, child in jobs.running.items() if child.process is not None}


def _start_again(jobs: Jobs, name: str) -> None:
    jobs.kill(name)
    jobs.start(name)


def _means(settings: Settings) -> list[bytes | None]:
    return [message.value() for message in read_all(settings, AVG_TEMP)]
