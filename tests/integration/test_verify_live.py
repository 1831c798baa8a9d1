"""`sensorbus verify --since` of a busy bus.

The jobs run, and devices report all the while.
"""

import contextlib
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Final

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT_COUNT, AVG_TEMP
from sensorbus.runtime import kafka
from tests.support.command import run
from tests.support.jobs import THREE_JOBS, Jobs
from tests.support.parts import environment_of, part
from tests.support.topics import values
from tests.support.waiting import wait_until

#: 100 readings a second, of every kind that the contract has a word for, half of them alerts.
LOAD: Final = (
    *("--devices", "100", "--seed", "7", "--invalid", "0.03", "--duplicate", "0.02"),
    *("--late", "0.02", "--out-of-order", "0.05", "--dropout", "0.02", "--skew", "0.1"),
)
KINDS: Final = {"alert", "alert-count", "avg-temp", "dead-letter"}


@pytest.fixture(scope="module")
def busy(real_kafka_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Give a bus on which the three jobs work on what 100 devices send, until the last test has ended."""
    home = tmp_path_factory.mktemp("busy")
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address,
        topic_prefix=f"t{uuid.uuid4().hex[:8]}-",
        state_dir=home / "state",
        alert_threshold_kelvin=295.0,
    )
    kafka.ensure_topics(settings, "test")
    with Jobs(settings, home / "log") as jobs, part(settings, home / "simulator.log", "simulator", *LOAD):
        jobs.start(*THREE_JOBS)
        for topic in (ALERT_COUNT, AVG_TEMP):
            wait_until(lambda topic=topic: len(values(settings, topic)) > 1_000, 60, topic.name, home / "log")  # type: ignore[misc]  # a default binds it
        yield settings


@pytest.mark.slow
@pytest.mark.parametrize("since", ["1m", "4s"])
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_busy_bus_is_true(busy: Settings, since: str, turn: int) -> None:
    """Nothing is different, missing or twice, wherever the time cuts into windows and what is read ends; no junk."""
    done = run(busy, "verify", "--since", since)
    assert done.returncode == 0, f"turn {turn}: {done.stdout}{done.stderr}"
    head, *lines = done.stdout.splitlines()
    rows = {kind: (verdict, *numbers) for verdict, kind, *numbers in map(str.split, lines)}
    assert (head.split()[0], set(rows)) == ("topic", KINDS)
    for kind, (verdict, expected, found, missing, _, different, duplicated, _) in rows.items():
        assert (kind, verdict, missing, different, duplicated) == (kind, "ok", "0", "0", "0")
        assert (expected == "0", found == "0") == (False, False)
    assert (done.stderr, set(re.findall(r"[^ -~]", done.stdout))) == ("", {"\n"})


def seen_on_a_terminal(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Run the command on a terminal of 100 columns; return its exit code and all that it wrote there."""
    master, slave = os.openpty()
    variables = environment_of(settings, COLUMNS="100", TERM="xterm")
    command = [sys.executable, "-m", "sensorbus", *arguments]
    with subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave) as child:
        os.close(slave)
        written = b""
        with contextlib.suppress(OSError):  # the other end is closed: EIO
            while chunk := os.read(master, 4_096):
                written += chunk
        os.close(master)
    return child.returncode, written.decode()


@pytest.mark.slow
def test_on_a_terminal_a_bar_only_grows_and_is_gone_at_its_end(busy: Settings) -> None:
    """It ends at 100 %; what stands there at last is the table alone."""
    code, written = seen_on_a_terminal(busy, "verify", "--since", "1m")
    assert code == 0, written
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    percent = [int(number) for number in re.findall(r"(\d+)%", text)]
    records = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) records", text)]
    assert (percent, records) == (sorted(percent), sorted(records))
    assert (percent[-1], records[-1] > 1_000) == (100, True)
    assert "asks how far the jobs are" in text
    bars, table = written.rsplit("\x1b[2K", 1)  # the last line that was erased
    assert "reads and compares" in bars
    assert "%" not in table
    assert [line.split()[1] for line in re.sub(r"\x1b\[[0-9;?]*m", "", table).splitlines() if "ok" in line] == [
        *("alert", "alert-count", "avg-temp", "dead-letter")
    ]
