"""The life of a process: start, stop on a signal, exit code.

A part's `main` runs in the main thread; SIGTERM and SIGINT set an event that its loop watches.
"""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from threading import Event
from types import FrameType
from typing import Final, NoReturn

from sensorbus.contract.errors import SensorbusError
from sensorbus.contract.kafka_options import KAFKA_PREFIX
from sensorbus.contract.settings import Settings, load
from sensorbus.runtime import logs

#: Set by `sensorbus up` for its children to its own process id.
SUPERVISOR_PID_VARIABLE: Final = "_SENSORBUS_SUPERVISOR_PID"
_PR_SET_PDEATHSIG: Final = 1
_M_ARENA_MAX: Final = -8
_M_MMAP_THRESHOLD: Final = -3
_HEAPS: Final = 2
_OWN_PIECE_BYTES: Final = 262_144
_TRIM_EVERY_S: Final = 60.0
_SAME_SIGNAL_WITHIN_S: Final = 2.0

_log = logging.getLogger(__name__)


def run_part(part: str, main: Callable[[Settings, Event], None], **overrides: object) -> NoReturn:
    """Load the settings, start logging, call `main(settings, stop)` and exit: 0, or the error's code with one line."""
    stop = stop_on_signals()
    try:
        settings = start(part, **overrides)
        give_back_memory()
        main(settings, stop)
    except SensorbusError as error:
        _log.error("%s", error)  # one line for people; a traceback is for bugs
        sys.exit(error.exit_code)
    sys.exit(0)


def start(part: str, **overrides: object) -> Settings:
    """Load the settings and start logging; what is common to every process, gunicorn's workers included."""
    logging.basicConfig(format=f"{part}: %(message)s")  # until the settings say how
    bound_heaps()
    settings, warnings = load(os.environ, **overrides)
    # The embedded broker dies with it: then there is nothing to end well, and who lingers meets the next one's topics.
    die_with_supervisor(signal.SIGKILL if settings.embedded_broker else signal.SIGTERM)
    logs.configure(settings, part)
    logs.say_uncaught()
    for name, warning in warnings.items():
        _log.warning(warning)
        if not name.startswith(KAFKA_PREFIX):  # nothing reads it: what is started from here does not say it again
            del os.environ[name]
    return settings


def bound_heaps() -> None:
    """Have glibc keep two heaps, not eight for each core, and what is large outside of them; its variables win.

    The threads of Kafka's client and of RocksDB have one each, and what is freed in one is used by none of the others:
    in an hour with a fault each minute a job grew by 15 % (docs/faults.md). What is large, such as the answers of
    Kafka's and what RocksDB collects, goes back to the system at once; glibc by itself soon keeps up to 32 MB of it in
    the heaps, between what lives on.
    """
    for option, value, variable in (
        (_M_ARENA_MAX, _HEAPS, "MALLOC_ARENA_MAX"),
        (_M_MMAP_THRESHOLD, _OWN_PIECE_BYTES, "MALLOC_MMAP_THRESHOLD_"),
    ):
        if variable not in os.environ:
            with contextlib.suppress(AttributeError):  # another library than glibc
                ctypes.CDLL(None).mallopt(option, value)


def give_back_memory() -> None:
    """Start a thread that gives the system back, once a minute, what glibc keeps of what was freed.

    What piled up in an outage, and was read or sent afterwards, would be held for good: the hole that it leaves lies
    under what lives on (docs/faults.md).
    """
    with contextlib.suppress(AttributeError):  # another library than glibc
        trim = ctypes.CDLL(None).malloc_trim
        threading.Thread(target=_trim, args=(trim,), name="trim", daemon=True).start()


def _trim(trim: Callable[[int], object]) -> None:
    while True:
        time.sleep(_TRIM_EVERY_S)
        trim(0)


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set; a second signal ends the process at once.

    Within two seconds it is the same one again: a terminal signals the whole group, and a launcher passes it on.
    """
    stop = Event()
    ends_from_s = 0.0

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal ends_from_s
        if not stop.is_set():
            ends_from_s = time.monotonic() + _SAME_SIGNAL_WITHIN_S
            stop.set()
        elif time.monotonic() >= ends_from_s:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return stop


def listenable_port(host: str, port: int) -> int:
    """Return the port if one may listen on it now, a free one for 0; raises `OSError`."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def die_with_supervisor(number: signal.Signals = signal.SIGTERM) -> None:
    """Ask Linux to signal this process when `sensorbus up` dies, even by kill -9; elsewhere nothing is done."""
    supervisor = os.environ.get(SUPERVISOR_PID_VARIABLE)
    if supervisor is None or not sys.platform.startswith("linux") or os.getppid() != int(supervisor):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != int(supervisor):  # it died in between
        os.kill(os.getpid(), number)
