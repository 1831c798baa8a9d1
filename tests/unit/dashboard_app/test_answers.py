"""What several browsers are told.

It is made once, and is what each would be told alone.
"""

import gzip
import json
import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest

from dashboard_app import answers as module
from dashboard_app import ids
from dashboard_app.answers import Answers, Once
from dashboard_app.changes import Shared
from dashboard_app.delta import first_part
from dashboard_app.feed import Feed
from dashboard_app.held import ALL_DETAIL_DEVICES, CURSOR_TOPICS
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import NOW_MS, records

FLEET = [f"d{number:03d}" for number in range(ALL_DETAIL_DEVICES + 1)]


class Worker:
    """A worker's answers out of a store that a test fills, at a time that it sets."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.now_ms = NOW_MS
        self.feed = Feed(Settings(), lambda: self.now_ms)
        self.feed.store.clear("epoch")
        for topic in CURSOR_TOPICS:
            self.feed.store.begin(topic, 0, 0)
        self.answers = Answers(self.feed, lambda: self.now_ms)
        self._offset = 0

    def take(self, device_ids: Sequence[str], celsius: float = 20.0) -> None:
        """Take a reading of each device."""
        rows = [[device_id, self.now_ms, celsius] for device_id in device_ids]
        self.feed.store.append(SENSOR.name, records(0, self._offset, rows, self.now_ms))
        self._offset += len(rows)

    def ask(self, cursor: Any = None, detail: Any = None, history: Any = (), *, is_packed: bool = True) -> Any:
        """Return what a browser is told."""
        body = {"cursor": cursor, "detail": detail, "history": list(history), "roster": ""}
        told = self.answers.response(body, is_packed=is_packed)
        outer = json.loads(gzip.decompress(told) if is_packed else told)
        assert (outer["multi"], list(outer["response"])) == (True, [ids.DELTA])
        return json.loads(outer["response"][ids.DELTA]["data"])


@pytest.fixture
def worker() -> Worker:
    """Give a worker that holds a large fleet."""
    made = Worker()
    made.take(FLEET)
    return made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the list of all begins that were made."""
    calls: list[int] = []

    def counted(common: Any, *rest: Any) -> bytes:
        calls.append(common.now_ms)
        return first_part(common, *rest)

    monkeypatch.setattr(module, "first_part", counted)
    return calls


def test_browsers_with_other_lines_share_the_begin_of_their_answers(worker: Worker, made: list[int]) -> None:
    """And each has its own readings behind it, compressed or not."""
    cursor = worker.ask()["cursor"]
    worker.take(FLEET[:4])
    worker.take(FLEET[:4], 21.0)
    del made[:]
    for device_id in FLEET[:4]:
        found = worker.ask(cursor, [device_id])
        assert found["readings"] == [[device_id, NOW_MS, 20.0]]
        assert (found["devices"]["id"], found["devices"]["celsius"]) == (FLEET[:4], [21.0] * 4)
    assert len(made) == 1
    assert worker.ask(cursor, ["d001"], is_packed=False) == worker.ask(cursor, ["d001"])


def test_what_is_written_is_told_at_once(worker: Worker, made: list[int]) -> None:
    """Nobody is given an answer of before."""
    cursor = worker.ask()["cursor"]
    assert worker.ask(cursor)["devices"]["id"] == []
    worker.take(["d007"])
    assert worker.ask(cursor)["devices"]["id"] == ["d007"]
    assert len(made) == 3


def test_an_answer_is_given_for_a_moment(worker: Worker, made: list[int]) -> None:
    """Ages go on in silence: what an answer says of now is a tenth of a second old at most."""
    cursor = worker.ask()["cursor"]
    told = []
    for _ in range(5):
        told.append(worker.ask(cursor)["now"])
        worker.now_ms += 50
    assert told == [NOW_MS, NOW_MS, NOW_MS + 100, NOW_MS + 100, NOW_MS + 200]
    assert len(made) == 4


def test_shared_answers_are_those_that_each_browser_would_get_alone() -> None:
    """Browsers that come, lag, ask for history and change what they show, while readings come."""
    random = Random(11)  # noqa: S311  # a seeded plan
    worker = Worker()
    cursors: list[Any] = [None] * 6
    for _ in range(200):
        if random.random() < 0.4:
            worker.take(random.sample(FLEET, random.randrange(1, len(FLEET))), random.randrange(40))
        if random.random() < 0.3:
            worker.now_ms += random.choice([1, 100, 1_000])
            worker.feed.store.settle()
        browser = random.randrange(len(cursors))
        detail = random.choice([None, random.sample(FLEET, 3)])
        asked = (cursors[browser], detail, random.sample(FLEET, random.choice([0, 2])))
        alone = Answers(worker.feed, lambda: worker.now_ms)
        worker.feed.store._shared = Shared()
        body = {"cursor": asked[0], "detail": detail, "history": asked[2], "roster": ""}
        expected = json.loads(alone.text(body))
        found = worker.ask(*asked, is_packed=random.random() < 0.7)
        assert found | {"now": 0, "devices": _times(found)} == expected | {"now": 0, "devices": _times(expected)}
        cursors[browser] = found["cursor"] if random.random() < 0.9 else None


def _times(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the devices with times instead of ages."""
    devices: dict[str, Any] = answer["devices"]
    return devices | {"age_ms": [answer["now"] - age_ms for age_ms in devices["age_ms"]]}


def test_a_thing_that_many_ask_for_is_made_once() -> None:
    """Who comes while it is being made waits for it."""
    once, begun, calls = Once(), threading.Barrier(9), []

    def make() -> int:
        calls.append(1)
        return sum(number * number for number in range(200_000))

    found: list[int] = []

    def ask() -> None:
        begun.wait()
        found.append(once.get(1, "thing", make))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait()
    for thread in threads:
        thread.join(60)
    assert (len(found), len(set(found)), len(calls)) == (8, 1, 1)


def test_what_fails_is_tried_again() -> None:
    """A failure is nobody's answer."""
    once = Once()

    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        once.get(1, "thing", fail)
    assert once.get(1, "thing", lambda: 7) == 7


def test_nothing_of_an_earlier_moment_is_kept() -> None:
    """Whatever browsers ask, memory holds the answers of one moment."""
    once = Once()
    makers: list[Callable[[], int]] = [lambda: 1, lambda: 2]
    assert [once.get(moment, "thing", makers[moment]) for moment in (0, 1)] == [1, 2]
    assert len(once._made[1]) == 1
