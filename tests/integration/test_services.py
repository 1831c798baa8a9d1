"""The supervisor, with children that end.

It starts them again, says so in one line, leaves nothing behind.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = """
import logging, sys
from sensorbus.contract.settings import load
from sensorbus.runtime import logs, process
from sensorbus.services import Service, Supervisor

stop = process.stop_on_signals()
logs.configure(load({})[0], "up")
services = [Service(name=name, module=name) for name in sys.argv[1:]]
import os
Supervisor(services, dict(os.environ), {}, {}).run(stop)
"""
STEADY = "import time, os, pathlib\npathlib.Path('steady.pid').write_text(str(os.getpid()))\ntime.sleep(60)\n"
BRITTLE = "import pathlib, sys\nwith pathlib.Path('starts').open('a') as log:\n    log.write('x')\nsys.exit(3)\n"
DEAF = (
    "import os, pathlib, signal, subprocess, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "pathlib.Path('deaf.pid').write_text(f'{os.getpid()} {worker.pid}')\n"
    "time.sleep(60)\n"
)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with three modules: one that stays, one that ends, one that ignores SIGTERM."""
    for name, source in (("steady", STEADY), ("brittle", BRITTLE), ("deaf", DEAF)):
        (tmp_path / f"{name}.py").write_text(source)
    return tmp_path


def supervise(home: Path, *modules: str) -> subprocess.Popen[str]:
    """Start a supervisor over the modules, in that folder."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *modules],
        cwd=home,
        env={**os.environ, "PYTHONPATH": f"{home}{os.pathsep}{REPOSITORY}"},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def supervisors() -> Iterator[list[subprocess.Popen[str]]]:
    """Collect supervisors and end those that a failed test left."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for supervisor in started:
        supervisor.kill()
        supervisor.communicate()


def wait_for(path: Path, at_least: int = 1) -> str:
    """Return the file's text once it has that many characters."""
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        if path.exists() and len(path.read_text()) >= at_least:
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path.name} did not come to {at_least} characters")


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_ends_is_started_again_with_back_off(home: Path, supervisors: list[subprocess.Popen[str]]) -> None:
    """A service that exits with 3 is started again after 1 s, then 2 s, each said in one line; its twin runs on."""
    supervisors.append(supervise(home, "brittle", "steady"))
    wait_for(home / "starts", at_least=3)
    supervisors[0].send_signal(signal.SIGTERM)
    _, log = supervisors[0].communicate(timeout=10)
    lines = [line for line in log.splitlines() if "brittle ended" in line]
    assert supervisors[0].returncode == 0
    assert "brittle ended (exit code 3) after 0 s; it starts again in 1 s" in lines[0]
    assert "it starts again in 2 s" in lines[1]
    assert not is_alive(int((home / "steady.pid").read_text()))


def test_what_ignores_sigterm_is_killed_with_its_children(home: Path, supervisors: list[subprocess.Popen[str]]) -> None:
    """A service that ignores SIGTERM is gone within 10 s, and so is the process that it started."""
    supervisors.append(supervise(home, "deaf"))
    pids = [int(pid) for pid in wait_for(home / "deaf.pid", at_least=3).split()]
    started_s = time.monotonic()
    supervisors[0].send_signal(signal.SIGINT)
    _, log = supervisors[0].communicate(timeout=15)
    assert time.monotonic() - started_s < 10
    assert supervisors[0].returncode == 0
    assert "deaf did not stop within 8 s and is killed" in log
    assert not any(map(is_alive, pids))
