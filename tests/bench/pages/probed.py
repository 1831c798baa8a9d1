"""Our page with a probe in its worker.

Where the time of a tick goes, and that of the consumer thread.

It notes each tick in a file. It never releases the GIL for that: it would wait for it once more.
"""

import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from dashboard_app import reader, running, sign_in
from dashboard_app.app import create_app
from dashboard_app.feed import Feed
from dashboard_app.overview import Overview
from dashboard_app.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_TICK: Final = "/_dash-update-component"
_DECODE: Final = "records_in"
_BUFFER_BYTES: Final = 128
#: Not CDLL, which releases the GIL.
_LIBC: Final = ctypes.PyDLL(None)


class Kernel:
    """What the kernel says of a thread: CPU time and time it waited for a core, in s."""

    def __init__(self) -> None:
        """Look at the thread that calls."""
        self._file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        self._buffer = ctypes.create_string_buffer(_BUFFER_BYTES)

    def times_s(self) -> tuple[float, float]:
        """Return them."""
        _LIBC.pread(self._file, self._buffer, _BUFFER_BYTES, ctypes.c_long(0))
        _ran_ns, waited_ns, _ = self._buffer.value.split()
        return time.thread_time(), int(waited_ns) / 1e9


class TimedLock:
    """A lock that knows how long each thread has waited for it, and how long it was held at most."""

    def __init__(self) -> None:
        """Be free."""
        self._lock, self._since_s = threading.Lock(), 0.0
        self.waited_s: dict[int, float] = {}  # by thread
        self.longest_s = 0.0

    def __enter__(self) -> None:
        """Take it."""
        before_s = time.monotonic()
        self._lock.acquire()
        self._since_s = time.monotonic()
        me = threading.get_ident()
        self.waited_s[me] = self.waited_s.get(me, 0.0) + self._since_s - before_s

    def __exit__(self, *_error: object) -> None:
        """Give it back."""
        self.longest_s = max(self.longest_s, time.monotonic() - self._since_s)
        self._lock.release()


class Probe:
    """A WSGI application in front of another one: notes of each tick of the loop, in s, what it waited for."""

    def __init__(self, rest: "WSGIApplication", lock: TimedLock, path: str) -> None:
        """Note into a file."""
        self._rest, self._lock, self._path = rest, lock, path
        self._kernel: Kernel | None = None
        self._notes: list[dict[str, float]] = []
        self._file: Any = None
        self._waited_s = 0.0

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer, and note what that took; what threads answer is not noted."""
        begun_s, me = time.monotonic(), threading.get_ident()
        if environ["PATH_INFO"] != _TICK or me != threading.main_thread().ident:
            return self._rest(environ, start_response)
        if self._kernel is None:
            self._kernel, self._file = Kernel(), Path(self._path).open("ab", buffering=0)  # noqa: SIM115  # for good
        (cpu_s, core_s), lock_s = self._kernel.times_s(), self._lock.waited_s.get(me, 0.0)
        made = self._rest(environ, start_response)
        (cpu_end_s, core_end_s), end_s = self._kernel.times_s(), time.monotonic()
        inside_s = end_s - begun_s
        waits_s = (cpu_end_s - cpu_s, core_end_s - core_s, self._lock.waited_s.get(me, 0.0) - lock_s)
        names = ("sent", "arrived", "core_before", "inside", "cpu", "core", "lock", "rest")
        sent_s = float(environ.get("HTTP_X_SENT_AT", "nan"))  # by the monotonic clock, which all processes share
        before = (sent_s, begun_s, core_s - self._waited_s, inside_s)
        self._notes.append(dict(zip(names, (*before, *waits_s, inside_s - sum(waits_s)), strict=True)))
        self._waited_s = core_end_s
        return made

    def write(self, feed: dict[str, float]) -> None:
        """Put the notes into the file; of another thread, once a second."""
        notes, self._notes = self._notes, []
        if self._file:
            self._file.write(orjson.dumps({"ticks": notes, "feed": feed}) + b"\n")


def _timed(owner: Any, name: str, spent_s: dict[str, float], label: str) -> None:
    """Add up the CPU time that a function takes of its thread."""
    function: Callable[..., Any] = getattr(owner, name)
    spent_s[label] = spent_s[f"{label}, calls"] = spent_s[f"{label}, longest"] = 0.0

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        before_s = time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            took_s = time.thread_time() - before_s
            spent_s[label] += took_s
            spent_s[f"{label}, calls"] += 1
            spent_s[f"{label}, longest"] = max(spent_s[f"{label}, longest"], took_s)

    setattr(owner, name, timed)


def _count(spent_s: dict[str, float]) -> None:
    """Count the records that are decoded."""
    function, spent_s["records"] = getattr(reader, _DECODE), 0.0

    def counted(topic: str, messages: Any, *rest: Any) -> Any:
        spent_s["records"] += len(messages)
        return function(topic, messages, *rest)

    setattr(reader, _DECODE, counted)


def build() -> "WSGIApplication":
    """Return the server as dashboard_app.wsgi makes it, with the probe."""
    spent_s: dict[str, float] = {}
    _timed(reader, _DECODE, spent_s, "decode")
    _count(spent_s)
    _timed(Store, "append", spent_s, "append")
    _timed(Store, "drop_old", spent_s, "drop")
    _timed(Overview, "update", spent_s, "overview")
    settings, lock = running.configuration().settings, TimedLock()
    feed = Feed(settings)
    feed.store._lock = lock  # type: ignore[assignment]  # it is what is looked at
    server: Any = create_app(settings, feed).server
    sign_in.install(server, settings)
    probe = Probe(server.wsgi_app, lock, os.environ["BENCH_NOTES"])
    server.wsgi_app = probe

    def started() -> None:
        while True:
            time.sleep(1)
            probe.write(spent_s | {"lock, longest": lock.longest_s})

    begin = feed.start

    def start() -> None:
        if feed._thread is None:  # gunicorn's hook calls it first, alone
            threading.Thread(target=started, daemon=True).start()
        begin()

    feed.start = start  # type: ignore[method-assign]  # threads do not survive a fork
    made: WSGIApplication = server
    return made
