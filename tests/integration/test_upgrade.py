"""The upgrade of docs/operations.md, with an environment for each version.

Of its commands those that stop a job and start the new version are run as they stand; git and make are not.
"""

import re
import shutil
import sys
from pathlib import Path

import pytest

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.runtime import kafka
from tests.support.dashboards import START_MS
from tests.support.jobs import Jobs
from tests.support.parts import REPOSITORY, Part, environment_of
from tests.support.shell import Shell, blocks
from tests.support.topics import Record, produce, values
from tests.support.waiting import wait_until

OLD = "the old version"


def send(bus: Settings, at_ms: int) -> None:
    """Write a hot reading."""
    produce(bus, SENSOR, [Record(b"hot", encode_reading("hot", iso_timestamp(START_MS + at_ms), 99.0))])


def command(line: str, folder: Path, bus: Settings) -> Part:
    """Return what an operator types in a folder; where the state is follows from it, and no other code is in reach."""
    environment = environment_of(bus)
    del environment["SENSORBUS_STATE_DIR"]
    environment.pop("PYTHONPATH", None)
    return Part(
        ["sh", "-c", f"cd {folder} && exec {line}"], environment, folder / f"{len(list(folder.glob('*.log')))}.log"
    )


@pytest.mark.timeout(120)
def test_a_job_goes_on_in_the_new_version(real_kafka_address: str, tmp_path: Path) -> None:
    """In the folder of the old one, with its state: its own code runs, and nothing is lost or there twice."""
    old, new = tmp_path / "sensorbus", tmp_path / "sensorbus-0.2.0"
    for package in ("processors", "sensorbus"):
        shutil.copytree(REPOSITORY / package, old / package)
    main = old / "processors" / "__main__.py"
    first, _, rest = main.read_text().partition("\n\n")
    main.write_text(f"{first}\n\nprint({OLD!r}, flush=True)\n{rest}")
    new.mkdir()
    (new / ".venv").symlink_to(sys.prefix)
    bus = Settings(
        kafka_bootstrap_servers=real_kafka_address, topic_prefix="upgrade-", state_dir=old / Settings().state_dir
    )
    kafka.ensure_topics(bus, "test")
    _, kill, start = (line.removeprefix("$ ") for line in blocks("operations.md", "console")["Upgrade"][0])
    with command(f"{sys.executable} -m processors alert", old, bus) as before:
        send(bus, 0)
        wait_until(lambda: values(bus, ALERT), 60, "the alert", before.log)
        assert before.process is not None
        with Shell(tmp_path, environment_of(bus)) as shell:
            shell.run([re.sub(r"\d+", str(before.process.pid), kill)])
        before.wait(0, within_s=15)
        assert OLD in before.said()
    with command(start.partition("#")[0].strip(), old, bus) as after:
        send(bus, 1_000)
        wait_until(lambda: len(values(bus, ALERT)) > 1, 60, "the next alert", after.log)
        Jobs(bus, after.log).settle("alert")
        after.stop()
    assert OLD not in after.said()
    assert len(values(bus, ALERT)) == 2
