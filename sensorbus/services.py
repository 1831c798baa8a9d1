"""The services: one table, in data-flow order.

They run as child processes and are stopped in reverse.
docker-compose.yml says the same; a test compares. `run` belongs in the main thread: on Linux a child is told
to stop when the thread that started it ends.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from sensorbus.runtime.process import SUPERVISOR_PID_VARIABLE

_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_LAST_S: Final = 30.0
_STEADY_AFTER_S: Final = 60.0  # a child that ran this long starts with the first back-off again
_STOP_WITHIN_S: Final = 8.0  # then kill -9, which exactly-once makes safe
_POLL_S: Final = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One part of the system: `python -m <module> <arguments>`."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs that it runs, by what their consumer groups are called after."""
        return self.arguments if self.module == "processors" else ()

    def command(self, python: str = "python") -> list[str]:
        """Return the command line, with the given interpreter."""
        return [python, "-m", self.module, *self.arguments]


SIMULATOR: Final = Service(name="simulator", module="simulator")
DASHBOARD: Final = Service(name="dashboard", module="dashboard_app")
SERVICES: Final = (
    SIMULATOR,
    Service(name="alert", module="processors", arguments=("alert",)),
    Service(name="alert-count", module="processors", arguments=("alert-count",)),
    Service(name="avg-temp", module="processors", arguments=("avg-temp",)),
    DASHBOARD,
)


@dataclass(slots=True)
class _Child:
    """A service's process, or the time at which it is started again."""

    service: Service
    extra_arguments: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    backoff_s: float = _BACKOFF_FIRST_S
    restart_at_s: float = field(default=0.0)


class Supervisor:
    """Runs services until it is told to stop, and starts again what ends before that."""

    def __init__(
        self,
        services: Sequence[Service],
        environment: Mapping[str, str],
        arguments: Mapping[str, Sequence[str]],
        variables: Mapping[str, Mapping[str, str]],
    ) -> None:
        """`environment` is the children's; `arguments` and `variables` are more for one of them, by service name."""
        common = {**environment, SUPERVISOR_PID_VARIABLE: str(os.getpid())}
        self._children = [
            _Child(service, arguments.get(service.name, ()), {**common, **variables.get(service.name, {})})
            for service in services
        ]

    def run(self, stop: Event) -> None:
        """Start all, watch them until `stop` is set, end them all; nothing is left behind."""
        try:
            for child in self._children:
                self._start(child)
            while not stop.wait(_POLL_S):
                for child in self._children:
                    self._watch(child)
        finally:
            self._end()

    def _start(self, child: _Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603  # our own table's command, no shell
            [*child.service.command(sys.executable), *child.extra_arguments],
            env=child.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us; we stop the children in order
        )
        child.started_s = time.monotonic()

    def _watch(self, child: _Child) -> None:
        now_s = time.monotonic()
        if child.process is None:
            if now_s >= child.restart_at_s:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        _kill_group(child.process.pid)  # what it may have left, such as workers of a killed gunicorn
        ran_s = now_s - child.started_s
        if ran_s >= _STEADY_AFTER_S:
            child.backoff_s = _BACKOFF_FIRST_S
        _log.error(
            "%s ended (%s) after %.0f s; it starts again in %.0f s",
            child.service.name,
            _ending(code),
            ran_s,
            child.backoff_s,
            extra={"fold": False},
        )
        child.process, child.restart_at_s = None, now_s + child.backoff_s
        child.backoff_s = min(child.backoff_s * 2, _BACKOFF_LAST_S)

    def _end(self) -> None:
        """Ask in reverse order, wait for all, then kill what is left."""
        deadline_s = time.monotonic() + _STOP_WITHIN_S
        running = [(child.service.name, child.process) for child in reversed(self._children) if child.process]
        for _, process in running:
            if process.poll() is None:
                process.terminate()
        for name, process in running:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                _log.warning("%s did not stop within %.0f s and is killed", name, _STOP_WITHIN_S)
            _kill_group(process.pid)
            process.wait()


def _kill_group(process_group: int) -> None:
    try:
        os.killpg(process_group, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing of it is left


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
