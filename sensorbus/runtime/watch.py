"""A second pair of eyes, for a process that hangs or waits.

It says what hangs or is there, and ends a process that does not stop.
Daemon threads of their own, because the main thread may hang in a library that waits for Kafka.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

_ENDING_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_CHECK_EVERY_S: Final = 1.0
_SAY_EVERY_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.2

_log = logging.getLogger(__name__)


def say_while(trouble: Callable[[], str | None], over: str) -> None:
    """Start a thread that logs what `trouble` returns, every 10 s while it returns something, and `over` afterwards.

    `trouble` is called from that thread about once a second.
    """
    threading.Thread(target=_watch, args=(trouble, over), name="watch", daemon=True).start()


def _watch(trouble: Callable[[], str | None], over: str) -> None:
    said_s: float | None = None
    while True:
        reason, now_s = trouble(), time.monotonic()
        if reason is None and said_s is not None:
            _log.info("%s", over)
            said_s = None
        elif reason is not None and (said_s is None or now_s - said_s >= _SAY_EVERY_S):
            _log.warning("%s", reason, extra={"fold": False})
            said_s = now_s
        time.sleep(_CHECK_EVERY_S)


def do_once(condition: Callable[[], bool], then: Callable[[], object]) -> None:
    """Start a thread that calls `then` once `condition` holds, however long that takes; both from there."""
    threading.Thread(target=_do_once, args=(condition, then), name="do-once", daemon=True).start()


def _do_once(condition: Callable[[], bool], then: Callable[[], object]) -> None:
    while not condition():
        time.sleep(_LOOK_EVERY_S)
    then()


def end_when(reason: Callable[[], str | None], every_s: float) -> None:
    """Start a thread that ends the process with exit code 1 and what `reason` returns, once it returns something.

    `reason` is called from that thread every so many seconds. The process ends as by kill -9, which must be safe.
    """
    threading.Thread(target=_end_when, args=(reason, every_s), name="end-when", daemon=True).start()


def _end_when(reason: Callable[[], str | None], every_s: float) -> None:
    while (said := reason()) is None:
        time.sleep(every_s)
    _log.error("%s", said)
    logging.shutdown()
    os._exit(1)


def end_after_signal(within_s: float, reason: str) -> None:
    """End the process with exit code 1 and `reason`, if it still runs that long after SIGTERM or SIGINT.

    Call it in the main thread. Python's own signal handlers wait for the main thread, which may be in a library; the
    wake-up descriptor does not.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end, args=(ours, theirs, within_s, reason), name="ending", daemon=True).start()


def _end(ours: socket.socket, theirs: socket.socket, within_s: float, reason: str) -> None:
    with ours, theirs:
        while ours.recv(1)[0] not in _ENDING_SIGNALS:
            continue
        time.sleep(within_s)
        _log.error("not stopped within %g s: %s", within_s, reason)
        logging.shutdown()
        os._exit(1)
