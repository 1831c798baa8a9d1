"""Pages as processes, and the CPU time that they take."""

import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.support import parts
from tests.support.parts import REPOSITORY, Part
from tests.support.real_kafka import free_ports
from tests.support.waiting import wait_until

_READY_WITHIN_S: Final = 180.0
_PAGES: Final = "tests.bench.pages"
_GTHREAD: Final = ("-m", "gunicorn", "-w", "1", "-k", "gthread", "--threads", "16", "--keep-alive", "20")


class Server(NamedTuple):
    """A running page; `pid` is that of the process that answers, `ticks` a file that grows by a byte a tick."""

    port: int
    pid: int
    ticks: Path

    @property
    def url(self) -> str:
        """Return the page's address."""
        return f"http://127.0.0.1:{self.port}/"

    def cpu_s(self) -> float:
        """Return the CPU time that the process has taken."""
        return parts.cpu_s(self.pid)

    def memory_mb(self) -> float:
        """Return the memory that the process holds of its own, in MB."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="utf-8")
        return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_")) / 1_000


def _command(kind: str, port: int) -> Sequence[str]:
    return {
        "ours": ("-m", "gunicorn", "-c", "dashboard_app/gunicorn_conf.py", f"{_PAGES}.ours:build()"),
        "naive Dash": (*_GTHREAD, "--no-control-socket", "-b", f"127.0.0.1:{port}", f"{_PAGES}.naive:build()"),
        "Bokeh": ("-m", f"{_PAGES}.bokeh_page"),
        "Bokeh, all of it": ("-m", f"{_PAGES}.bokeh_whole"),
        "Streamlit": (
            *("-m", "streamlit", "run", "tests/bench/pages/streamlit_loop.py", "--server.headless", "true"),
            *("--server.address", "127.0.0.1", "--server.port", str(port), "--browser.gatherUsageStats", "false"),
        ),
    }[kind]


@contextmanager
def serving(kind: str, devices: int, folder: Path, **variables: str) -> Iterator[Server]:
    """Run a page: "ours", "naive Dash", "Bokeh", "Bokeh, all of it" or "Streamlit"."""
    port = free_ports()[0]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "BENCH_DEVICES": str(devices),
        "BENCH_PORT": str(port),
        "BENCH_TICKS": str(folder / "ticks"),
        "SENSORBUS_DASHBOARD_PORT": str(port),
        "SENSORBUS_DASHBOARD_HOST": "127.0.0.1",
        **variables,
    }
    (folder / "ticks").touch()
    part = Part([sys.executable, *_command(kind, port)], environment, folder / f"{kind}.log")
    with part:
        wait_until(lambda: _answers(port), _READY_WITHIN_S, kind, part.log)
        assert part.process is not None
        yield Server(port, next(iter(parts.child_pids(part.process.pid)), part.process.pid), folder / "ticks")


def idle_cpu_s(server: Server, seconds: float) -> float:
    """Return what the process takes in so many seconds without a visitor."""
    before_s = server.cpu_s()
    time.sleep(seconds)
    return server.cpu_s() - before_s


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False
