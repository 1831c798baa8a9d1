"""A job as it is deployed, measured from outside.

CPU and memory by the kernel, records by its own metrics.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensorbus.contract.settings import Settings
from tests.support import parts
from tests.support.parts import Part, part
from tests.support.real_kafka import free_ports
from tests.support.ticks import get
from tests.support.waiting import wait_until

_RECORDS: Final = re.compile(r"^sensorbus_job_records_total\{.*\} ([\d.e+]+)$", re.MULTILINE)


@dataclass
class JobProcess:
    """One process of a job; a context manager."""

    job: str
    settings: Settings
    part: Part

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used, user and system."""
        return parts.cpu_s(self._pid())

    def peak_mb(self) -> float:
        """Return the most memory that it has held at once, in MB."""
        return parts.most_resident_bytes(self._pid()) / 1e6

    def records(self) -> int:
        """Return how many records it has read; up to a second old."""
        _, text = get(f"http://127.0.0.1:{self.settings.ops_port}/metrics")
        return round(sum(float(number) for number in _RECORDS.findall(text)))

    def wait_for(self, records: int, within_s: float) -> None:
        """Wait until it has read so many records."""
        what = f"{self.job} to read {records:,} records"
        wait_until(lambda: self.records() >= records, within_s, what, self.part.log)

    def _pid(self) -> int:
        assert self.part.process is not None
        return self.part.process.pid


def job_process(job: str, settings: Settings, home: Path, *arguments: str) -> JobProcess:
    """Return a job, not yet started, with a port for its metrics; its log goes on in `home`."""
    own = settings.model_copy(update={"ops_port": free_ports()[0], "state_dir": home / "state"})
    return JobProcess(job, own, part(own, home / f"{job}.log", "processors", job, *arguments))


def folder_mb(folder: Path) -> float:
    """Return what the files in a folder hold, in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
