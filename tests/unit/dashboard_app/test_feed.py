"""The consumer thread's life.

Started once, back when it dies, and the worker ends when it hangs.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from dashboard_app import feed as feed_module
from dashboard_app.feed import Feed
from dashboard_app.reader import Health
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.runtime.metrics import FEED_RESTARTS

NOW_MS = 1_769_860_800_000
READY = Health(kafka_ok=True, is_assigned=True, is_caught_up=True)
DEADLINE_S = 20


class Scripted:
    """A reader that does what a test says, run by run; the last step again and again."""

    def __init__(self, *steps: Callable[["Scripted", Event], None]) -> None:
        """Be healthy."""
        self.steps, self.health, self.polls, self.runs = list(steps), READY, 0, 0
        self.has_run = Event()

    def run(self, stop: Event) -> None:
        """Do the next step."""
        step = self.steps[min(self.runs, len(self.steps) - 1)]
        self.runs += 1
        step(self, stop)


def _wait(reader: Scripted, stop: Event) -> None:
    """Read steadily until told to stop."""
    reader.has_run.set()
    while not stop.wait(0.001):
        reader.polls += 1


def _hang(reader: Scripted, stop: Event) -> None:
    """Read nothing more until told to stop."""
    reader.has_run.set()
    stop.wait(DEADLINE_S)


def _die(_reader: Scripted, _stop: Event) -> None:
    raise LookupError("a bug")


def _lose(_reader: Scripted, _stop: Event) -> None:
    raise BrokerUnavailableError("no broker at x")


def made(*steps: Callable[[Scripted, Event], None]) -> tuple[Feed, Scripted]:
    """Return a feed that reads by script."""
    feed, reader = Feed(Settings(), lambda: NOW_MS), Scripted(*steps)
    feed._reader = reader  # type: ignore[assignment]  # the same attributes and `run`
    return feed, reader


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(feed_module, "_BACKOFF_FIRST_S", 0.001)
    usual_s = sys.getswitchinterval()
    yield
    sys.setswitchinterval(usual_s)


def test_it_is_started_once_however_often_it_is_asked() -> None:
    """Gunicorn's hook, a probe and a tick all ask."""
    feed, reader = made(_wait)
    starters = [threading.Thread(target=feed.start) for _ in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert reader.has_run.wait(DEADLINE_S)
    feed.close()
    assert reader.runs == 1


def test_ticks_do_not_wait_long_for_a_thread_that_computes() -> None:
    """Python's own 5 ms are as long as reading and putting in a batch: a tick would wait for most of it."""
    feed, _ = made(_wait)
    feed.start()
    feed.close()
    assert sys.getswitchinterval() == pytest.approx(0.001)


@pytest.mark.parametrize("fault", [_die, _lose])
def test_a_thread_that_dies_comes_back_and_is_not_ready_until_it_reads_steadily(
    fault: Callable[[Scripted, Event], None],
) -> None:
    """Counted, said, and over after a while of good reading."""
    before = FEED_RESTARTS._value.get()
    feed, reader = made(fault, fault, _hang)
    feed.start()
    assert reader.has_run.wait(DEADLINE_S)
    assert "starts again" in feed.readiness()["feed"]
    assert FEED_RESTARTS._value.get() - before == 2
    reader.polls += 1_000
    assert "feed" not in feed.readiness()
    feed.close()


def test_a_bug_is_logged_with_its_traceback_and_a_missing_broker_without(caplog: pytest.LogCaptureFixture) -> None:
    """One line for people; a traceback is for bugs."""
    feed, reader = made(_lose, _die, _wait)
    feed.start()
    assert reader.has_run.wait(DEADLINE_S)
    feed.close()
    lost, died = (record for record in caplog.records if "reading failed" in record.getMessage())
    assert (bool(lost.exc_info), bool(died.exc_info)) == (False, True)
    assert "no broker at x" in lost.getMessage()


def test_a_thread_that_hangs_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else would notice: the page would show old data for ever."""
    monkeypatch.setattr(feed_module, "_WATCH_EVERY_S", 0.001)  # of no other test: its process would end
    ended = Event()
    feed, _ = made(_hang)

    def end(code: int) -> None:
        assert code != 0
        ended.set()
        feed._stop.set()

    monkeypatch.setattr("os._exit", end)
    feed.start()
    assert ended.wait(DEADLINE_S)
    assert "has not polled" in feed.readiness()["poll"]
    feed.close()


def test_a_thread_that_fails_and_tries_again_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with an option of Kafka's that cannot be used: the worker stays, and says what is wrong."""
    monkeypatch.setattr(feed_module, "_WATCH_EVERY_S", 0.02)
    monkeypatch.setattr(feed_module, "_HANGS_AFTER_LOOKS", 50)
    monkeypatch.setattr(feed_module, "_BACKOFF_LAST_S", 0.01)
    monkeypatch.setattr("os._exit", lambda _code: pytest.fail("ended"))
    feed, reader = made(*[_lose] * 200, _hang)
    feed.start()
    assert reader.has_run.wait(DEADLINE_S)
    assert feed.readiness()["feed"] == "reading failed and starts again: no broker at x"
    feed._stop.set()  # before the hanging step is looked at
    feed.close()


def test_a_thread_that_reads_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look of the watch sees another number of polls."""
    monkeypatch.setattr(feed_module, "_WATCH_EVERY_S", 0.02)
    monkeypatch.setattr("os._exit", lambda _code: pytest.fail("ended"))
    feed, reader = made(_wait)
    feed.start()
    assert reader.has_run.wait(DEADLINE_S)
    assert "poll" not in feed.readiness()
    feed.close()


def test_closing_what_was_never_started_is_no_error() -> None:
    """A worker may be told to go before it served."""
    feed, reader = made(_wait)
    feed.close()
    assert reader.runs == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"lacks": ("x", "y")}, {"topics": "x; y"}),
        ({"missing": ("a", "b"), "lacks": ("x",)}, {"topics": "waiting for a, b; x"}),
        ({"kafka_ok": False, "error": "no Kafka broker at x"}, {"kafka": "no Kafka broker at x"}),
        ({"kafka_ok": False}, {"kafka": "not connected to localhost:9092 yet"}),
        ({"missing": ("p-alert",)}, {"topics": "waiting for p-alert"}),
        ({"is_assigned": False}, {"assignment": "no partition is assigned yet"}),
        ({"is_caught_up": False, "behind": 12}, {"history": "reading the history, 12 records behind"}),
        ({}, {}),
    ],
)
def test_each_reason_not_to_be_ready_is_named(changes: dict[str, Any], reason: dict[str, str]) -> None:
    """Silence of the devices is none."""
    feed, reader = made(_wait)
    reader.health = replace(READY, **changes)
    assert feed.readiness() == reason


def test_the_pipeline_says_what_is_broken_and_since_when() -> None:
    """docs/tick.md's field."""
    feed, reader = made(_wait)
    reader.health = replace(READY, kafka_ok=False, since_ms=NOW_MS - 5, error="away", behind=7)
    found = feed.pipeline(NOW_MS)
    assert found == {
        "kafka": {"ok": False, "since_ms": NOW_MS - 5, "error": "away"},
        "behind": 7,
        "topics": {"sensor": None, "alert": None, "alert-count": None, "avg-temp": None, "dead-letter": None},
        "dead_letters": 0,
    }
    reader.health = replace(reader.health, since_ms=NOW_MS + 4)
    assert feed.pipeline(NOW_MS)["kafka"]["since_ms"] == NOW_MS, "noted after the answer was begun"
