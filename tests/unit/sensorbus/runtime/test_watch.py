"""Watching, by a clock that the test moves.

Real threads and signals are in tests/integration/test_runtime.py.
"""

import logging
import os
from collections.abc import Callable, Iterator

import pytest

from sensorbus.runtime import watch


class Over(Exception):  # noqa: N818  # no error: it ends a loop that has no end
    """The test's time is up."""


class Clock:
    """`time` as far as the module uses it: sleeping moves it on, up to the end of the test."""

    def __init__(self, ends_at_s: float) -> None:
        """Start at 0."""
        self.now_s, self._ends_at_s = 0.0, ends_at_s

    def monotonic(self) -> float:
        """Return the time, s."""
        return self.now_s

    def sleep(self, for_s: float) -> None:
        """Move on."""
        self.now_s += for_s
        if self.now_s > self._ends_at_s:
            raise Over


Clocks = Callable[[float], Clock]


@pytest.fixture
def clock_until(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Give what puts a clock in place that ends the test's time at so many seconds."""

    def put(ends_at_s: float) -> Clock:
        clock = Clock(ends_at_s)
        monkeypatch.setattr(watch, "time", clock)
        return clock

    return put


def test_trouble_is_said_at_once_and_every_ten_seconds_and_its_end_too(
    clock_until: Clocks, caplog: pytest.LogCaptureFixture
) -> None:
    """Trouble from 3 s to 25 s is said at 3, 13 and 23 s, and its end at 25 s."""
    clock = clock_until(40)
    with caplog.at_level("INFO"), pytest.raises(Over):
        watch._watch(lambda: f"stuck at {clock.now_s:.0f}" if 3 <= clock.now_s < 25 else None, "over")
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("WARNING", "stuck at 3"),
        ("WARNING", "stuck at 13"),
        ("WARNING", "stuck at 23"),
        ("INFO", "over"),
    ]


def test_without_trouble_nothing_is_said(clock_until: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    """Not even that it is over."""
    clock_until(40)
    with caplog.at_level("INFO"), pytest.raises(Over):
        watch._watch(lambda: None, "over")
    assert caplog.records == []


@pytest.mark.parametrize("from_s", [0.0, 3.1, 59.0])
def test_something_is_done_once_when_the_condition_holds(clock_until: Clocks, from_s: float) -> None:
    """Soon after, and then no more."""
    clock, calls = clock_until(60), []
    watch._do_once(lambda: clock.now_s >= from_s, lambda: calls.append(clock.now_s))
    assert len(calls) == 1
    assert from_s <= calls[0] <= from_s + 0.5


def test_a_process_ends_with_the_reason_once_there_is_one(
    clock_until: Clocks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Exit code 1, and the line before it."""
    clock = clock_until(60)
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)  # it would close pytest's own handlers
    answers: Iterator[str | None] = iter([None, None, "topic sensor was deleted"])
    watch._end_when(lambda: next(answers), every_s=10.0)
    assert (codes, clock.now_s) == ([1], 20.0)
    assert [line.getMessage() for line in caplog.records] == ["topic sensor was deleted"]
