"""Readings of the past, taken some at a time while others write."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pytest

from dashboard_app import changes as changes_module
from dashboard_app import store as store_module
from dashboard_app.changes import Changes, Question, Shared
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.past import Past, Wanted
from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, BusyStore, held, records, told

_FIRST: Final = 40
EVERYTHING: Final = Question(None, None, ())


class Writer:
    """Numbers as readings of three devices, one written at each call."""

    def __init__(self, ring_rows: int) -> None:
        """Have written some."""
        self.store, self.number = Store(ring_rows, HISTORY_MS), 0
        self.store.clear("epoch")
        for topic in CURSOR_TOPICS:
            self.store.begin(topic, 0, 0)
        for _ in range(_FIRST):
            self.write()

    def write(self, times: int = 1) -> None:
        """Write the next numbers."""
        for _ in range(times):
            row = [f"d{self.number % 3}", NOW_MS + self.number, float(self.number)]
            self.store.append(SENSOR.name, records(0, self.number, [row]))
            self.number += 1


def numbers(found: Changes) -> list[int]:
    """Return what an answer tells, the newest of each device included."""
    values = [row[2] for row in told(found)] + found.common.devices.values.tolist()
    return sorted(int(number) for number in values)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at few rows at a time."""
    monkeypatch.setattr(Past.__init__, "__defaults__", (7,))


def answered(writer: Writer, question: Question, writes: int) -> Changes:
    """Return an answer of a worker to which something is written whenever its lock is free."""
    busy = BusyStore(writer.store, lambda: writer.write(writes))
    begun = busy.read(lambda holds, _epoch: Shared().changes(holds, question, (0, 0), NOW_MS))
    return begun.whole(busy.read_on)


@pytest.mark.parametrize("detail", [None, ["d0", "d1", "d2"]])
def test_each_reading_comes_once_though_others_are_written_meanwhile(detail: Sequence[str] | None) -> None:
    """All that were held when it began, no later one, and from the cursor on exactly those that are missing."""
    writer = Writer(ring_rows=10_000)
    first = answered(writer, Question(None, detail, ()), 3)
    assert (first.common.reset, numbers(first), first.skipped) == (True, list(range(_FIRST)), 0)
    following = writer.store.changes(Question(first.common.cursor, detail, ()), NOW_MS)
    assert following.common.reset is False
    assert writer.number > _FIRST
    assert numbers(first) + numbers(following) == list(range(writer.number))


def test_readings_that_go_meanwhile_are_the_oldest_alone() -> None:
    """There is no hole: what came lately is told without a gap."""
    writer = Writer(ring_rows=_FIRST)
    first = answered(writer, EVERYTHING, 1)
    found = numbers(first)
    assert found == list(range(found[0], _FIRST))
    assert 0 < found[0] < _FIRST - 3
    assert first.skipped == 0


def test_the_order_of_a_device_is_that_of_its_rows() -> None:
    """Of each device, one after the other."""
    found = answered(Writer(10_000), EVERYTHING, 0)
    rows = [[f"d{number % 3}", NOW_MS + number, float(number)] for number in range(_FIRST - 3)]
    assert told(found) == sorted(rows, key=lambda row: str(row[0]))


def test_the_past_of_a_device_that_came_into_view_is_told_beside_what_is_new() -> None:
    """Once, though its new readings are of both."""
    writer = Writer(10_000)
    cursor = writer.store.changes(EVERYTHING, NOW_MS).common.cursor
    writer.write(6)
    found = answered(writer, Question(cursor, ["d0", "d1"], ["d1"]), 2)
    newest = {int(value) for value in found.common.devices.values.tolist()}
    wanted = {number for number in range(_FIRST + 6) if number % 3 == 1 or (number % 3 == 0 and number >= _FIRST)}
    assert sorted(int(row[2]) for row in told(found)) == sorted(wanted - newest)


def test_the_newest_come_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are counted."""
    monkeypatch.setattr(changes_module, "_MAX_READINGS", 10)
    found = answered(Writer(10_000), EVERYTHING, 1)
    values = sorted(int(row[2]) for row in told(found))
    assert (values, found.skipped) == (list(range(_FIRST - 13, _FIRST - 3)), _FIRST - 13)


def test_what_is_older_than_wanted_is_left_out() -> None:
    """By append time, row by row."""
    holds = held()
    for number in range(20):
        row = ["a", NOW_MS + number, float(number)]
        holds.append(SENSOR.name, records(0, number, [row], append_ms=NOW_MS + number))
    newest = holds.newest.told(np.zeros(1, bool))
    past = Past(holds, Wanted(None, newest, NOW_MS + 12, np.zeros(0, np.int64), 100), 7)
    _, history = past.read(lambda look: look(holds, ""))
    assert history.values.tolist() == list(range(12, 20))


def test_a_worker_that_begins_anew_meanwhile_answers_of_the_old_topics() -> None:
    """Nothing of the new ones is mixed in."""
    writer = Writer(10_000)

    def clear() -> None:
        if writer.store.epoch == "epoch":
            writer.store.clear("other")
            writer.store.append(SENSOR.name, records(0, 0, [["new", NOW_MS, -1.0]]))

    busy = BusyStore(writer.store, clear)
    begun = busy.read(lambda holds, _epoch: Shared().changes(holds, EVERYTHING, (0, 0), NOW_MS))
    assert numbers(begun.whole(busy.read_on)) == list(range(_FIRST))


def test_the_lock_is_free_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits has it before the answer is whole."""
    writer, looks = Writer(10_000), list[int]()
    lock = writer.store._lock

    def read_on(self: Store, look: Callable[[Any, str], Any]) -> Any:
        assert not lock.locked()
        written = threading.Thread(target=writer.write)
        written.start()
        written.join(10)
        looks.append(writer.number)
        return self.read(look)

    monkeypatch.setattr(store_module.Store, "read_on", read_on)
    found = writer.store.changes(EVERYTHING, NOW_MS)
    assert numbers(found) == list(range(_FIRST))
    assert looks == list(range(_FIRST + 1, writer.number + 1))
    assert len(looks) >= _FIRST // 7
