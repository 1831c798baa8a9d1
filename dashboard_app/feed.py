"""The consumer thread: keeps the store filled, whatever happens.

One per worker, started after the fork. When reading fails it starts again with back-off; when the thread hangs, the
worker ends itself so that gunicorn replaces it.
"""

import logging
import os
import sys
import threading
import time
from typing import Any, Final

from dashboard_app.held import SHOWN
from dashboard_app.overview import Overview
from dashboard_app.reader import Reader
from dashboard_app.store import Store
from sensorbus.contract.errors import SensorbusError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import process
from sensorbus.runtime.clock import ClockMs, wall_clock_ms
from sensorbus.runtime.metrics import FEED_RESTARTS

_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_LAST_S: Final = 30.0
_CLOSED_WITHIN_S: Final = 2.0
_WATCH_EVERY_S: Final = 1.0
_SLOW_AFTER_LOOKS: Final = 10  # of the watch, one a second, without a poll in between
_HANGS_AFTER_LOOKS: Final = 60
_JUDGED_AFTER_S: Final = 5.0
_JUDGED_AGAIN_AFTER_S: Final = 60.0
_MOST_EPOCHS: Final = 100  # whatever browsers make up
#: A batch takes 5 ms, which is Python's own switch interval; at 1 ms a tick does not wait for all of it.
_GIL_WAIT_S: Final = 0.001
_STEADY_POLLS: Final = 50  # so many after a failure mean that it is over; about 2 s when it is quiet

_log = logging.getLogger(__name__)


class Feed:
    """A store and the thread that fills it."""

    def __init__(self, settings: Settings, now_ms: ClockMs = wall_clock_ms) -> None:
        """Start nothing yet: threads and Kafka clients do not survive a fork."""
        self.store = Store(settings.dashboard_ring_rows, settings.dashboard_history_ms)
        self.overview = Overview(self.store, settings)
        self._settings, self._now_ms = settings, now_ms
        self._reader = Reader(settings, self.store, self.overview, now_ms)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: tuple[str, int] | None = None  # what, and the number of polls by then
        self._failures = 0
        self._looks_without_poll = 0
        self._heard_s: dict[str, float] = {}  # when epochs of other workers were heard of, the oldest first

    def start(self) -> None:
        """Start the thread, once; from any thread of the process that serves."""
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
            self._thread.start()
            threading.Thread(target=self._watch, name="feed-watch", daemon=True).start()
            sys.setswitchinterval(_GIL_WAIT_S)
            process.give_back_memory()

    def close(self) -> None:
        """Stop reading and close the consumer; takes 2 s at most."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_CLOSED_WITHIN_S)

    def pipeline(self, now_ms: int) -> dict[str, Any]:
        """Return the answer's field `pipeline` (docs/tick.md)."""
        health, newest_ms = self._reader.health, self.store.newest_append_ms()
        since_ms = health.since_ms and min(health.since_ms, now_ms)  # it may have been noted since the answer began
        ages_ms = {name: None if ms is None else max(0, now_ms - ms) for name, ms in newest_ms.items()}
        return {
            "kafka": {"ok": health.kafka_ok, "since_ms": since_ms, "error": health.error},
            "behind": health.behind,
            "topics": {topic.name: ages_ms[topic.name] for topic in SHOWN},
            "dead_letters": self.store.dead_letters,
        }

    def readiness(self) -> dict[str, str]:
        """Return the reasons why this worker should get no requests; silence of the devices is none."""
        health, reasons = self._reader.health, {}
        if self._failure is not None and self._reader.polls <= self._failure[1] + _STEADY_POLLS:
            reasons["feed"] = self._failure[0]
        if self._looks_without_poll >= _SLOW_AFTER_LOOKS:
            reasons["poll"] = f"the consumer thread has not polled for {self._looks_without_poll} s"
        if not health.kafka_ok:
            reasons["kafka"] = health.error or f"not connected to {self._settings.bootstrap_servers} yet"
        waits = [f"waiting for {', '.join(health.missing)}"] if health.missing else []
        if waits or health.lacks:
            reasons["topics"] = "; ".join((*waits, *health.lacks))
        elif not health.is_assigned:
            reasons["assignment"] = "no partition is assigned yet"
        elif not health.is_caught_up:
            reasons["history"] = f"reading the history, {health.behind} records behind"
        return reasons

    def can_judge(self, epoch: str) -> bool:
        """Tell whether this worker has looked at Kafka since it first heard of an epoch that is not its own.

        Asks the reader to look. A worker that cannot look, for Kafka is away, judges after a while all the same.
        """
        now_s = time.monotonic()
        with self._lock:
            heard_s = self._heard_s.get(epoch, -_JUDGED_AGAIN_AFTER_S)
            if now_s - heard_s >= _JUDGED_AGAIN_AFTER_S:
                self._heard_s.pop(epoch, None)
                self._heard_s[epoch] = heard_s = now_s
                if len(self._heard_s) > _MOST_EPOCHS:
                    del self._heard_s[next(iter(self._heard_s))]
        if self._reader.looked_s > heard_s or now_s - heard_s > _JUDGED_AFTER_S:
            return True
        self._reader.look_soon()
        return False

    def _run(self) -> None:
        pause_s = _BACKOFF_FIRST_S
        while not self._stop.is_set():
            started = self._reader.polls
            try:
                self._reader.run(self._stop)
            except Exception as error:  # noqa: BLE001  # whatever it is, the page must come back
                if self._reader.polls > started + _STEADY_POLLS:
                    pause_s = _BACKOFF_FIRST_S
                is_ours = isinstance(error, SensorbusError)  # one line for people; a traceback is for bugs
                why = str(error) if is_ours else type(error).__name__
                self._failure = (f"reading failed and starts again: {why}", self._reader.polls)
                self._failures += 1
                FEED_RESTARTS.inc()
                _log.error("reading failed, again in %.0f s: %s", pause_s, error, exc_info=not is_ours)
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, _BACKOFF_LAST_S)

    def _watch(self) -> None:
        """End the worker when its thread hangs; counts looks, not time, for a process may be stopped as a whole."""
        seen = -1
        while not self._stop.wait(_WATCH_EVERY_S):
            turns = self._reader.polls + self._failures  # a thread that fails and tries again does not hang
            self._looks_without_poll = 0 if turns != seen else self._looks_without_poll + 1
            seen = turns
            if self._looks_without_poll >= _HANGS_AFTER_LOOKS:
                _log.critical("the consumer thread hangs; this worker ends so that another takes its place")
                os._exit(1)
