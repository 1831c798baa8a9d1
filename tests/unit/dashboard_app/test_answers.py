"""What several browsers are told.

It is made once, and is what each would be told alone.
"""

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from dashboard_app import answers as module
from dashboard_app import ids
from dashboard_app.answers import Answers, Once
from dashboard_app.changes import Shared
from dashboard_app.delta import first_part
from dashboard_app.held import ALL_DETAIL_DEVICES, CURSOR_TOPICS
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, AVG_TEMP, SENSOR
from tests.support.held_parts import NOW_MS, StillFeed, records
from tests.support.ticks import seconds_of, whole

FLEET = [f"d{number:03d}" for number in range(ALL_DETAIL_DEVICES + 1)]


class Worker:
    """A worker's answers out of a store that a test fills, at a time that it sets."""

    def __init__(self) -> None:
        """Hold nothing."""
        self.now_ms = NOW_MS
        self.feed = StillFeed(Settings(), lambda: self.now_ms)
        self.feed.store.clear("epoch")
        for topic in CURSOR_TOPICS:
            self.feed.store.begin(topic, 0, 0)
        self.answers = Answers(self.feed, lambda: self.now_ms)
        self._offset = 0

    def take(self, device_ids: Sequence[str], celsius: float = 20.0) -> None:
        """Take a reading of each device, and an alert and an average of as much."""
        rows = [[device_id, self.now_ms, celsius] for device_id in device_ids]
        for topic in (SENSOR, ALERT, AVG_TEMP):
            self.feed.store.append(topic.name, records(0, self._offset, rows, self.now_ms))
        self._offset += len(rows)

    def ask(self, cursor: Any = None, detail: Any = None, history: Any = (), *, is_packed: bool = True) -> Any:
        """Return what a browser is told."""
        return self.told(
            {"cursor": cursor, "detail": detail, "history": list(history), "roster": ""}, is_packed=is_packed
        )

    def told_alone(self, body: Any) -> Any:
        """Return what a browser would be told if there were no other."""
        store, alone = self.feed.store, Answers(self.feed, lambda: self.now_ms)
        shared, store._shared = store._shared, Shared()
        told = whole(json.loads(alone.text(body)))
        store._shared = shared
        return told

    def told(self, body: Any, *, is_packed: bool) -> Any:
        """Return what a browser is told that asks so."""
        told = self.answers.response(body, is_packed=is_packed)
        outer = json.loads(gzip.decompress(told) if is_packed else told)
        assert (outer["multi"], list(outer["response"])) == (True, [ids.DELTA])
        return whole(json.loads(outer["response"][ids.DELTA]["data"]))


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
        assert (found["devices"]["id"], found["devices"]["lowest"]) == (FLEET[:4], 2_100)
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
    """Browsers that come, lag, follow one another, ask for history and change what they show, while records come."""
    random = Random(11)  # noqa: S311  # a seeded plan
    worker = Worker()
    told: list[dict[str, Any]] = [{"cursor": None, "roster": None}] * 6
    for _ in range(400):
        if random.random() < 0.3:
            worker.take(random.sample(FLEET, random.randrange(1, len(FLEET))), random.randrange(40))
        if random.random() < 0.2:
            worker.now_ms += random.choice([1, 100, 1_000])
            worker.feed.store.settle()
        browser = random.randrange(len(told))
        if random.random() < 0.3:
            told[browser] = random.choice(told)
        body = {
            "cursor": told[browser]["cursor"],
            "detail": random.choice([None, random.sample(FLEET, 3)]),
            "history": random.sample(FLEET, random.choice([0, 2])),
            "roster": (told[browser]["roster"] or [random.choice(["", "another"])])[0],
        }
        expected = worker.told_alone(body)
        found = worker.told(body, is_packed=random.random() < 0.7)
        assert _timed(found) == _timed(expected)
        roster = found["roster"] or told[browser]["roster"]
        told[browser] = {"cursor": found["cursor"], "roster": roster} if random.random() < 0.9 else told[browser]


def test_a_browser_that_follows_the_overview_is_told_its_last_seconds_alone(worker: Worker) -> None:
    """It holds, for all that, what one is told that asks for everything: with late readings and ticks left out too."""
    random = Random(3)  # noqa: S311  # repeatable, hides nothing
    seconds: dict[int, tuple[float, ...]] = {}
    cursor, lengths = None, []
    for step in range(150):
        worker.now_ms += 1_000
        late_ms = random.choice((0, 0, 900, 3_900))
        rows = [[name, worker.now_ms - late_ms, random.uniform(15, 25)] for name in FLEET]
        worker.feed.store.append(SENSOR.name, records(0, (step + 1) * len(FLEET), rows, worker.now_ms))
        worker.feed.overview.update(worker.now_ms)
        if random.random() < 0.2:  # this browser is slow
            continue
        newest_ms = max(seconds, default=0)
        told = worker.told({"cursor": cursor, "overview": newest_ms}, is_packed=True)
        cursor, seconds = told["cursor"], seconds | seconds_of(told["overview"])
        every = seconds_of(worker.ask()["overview"])
        assert {second: seconds.get(second) for second in every} == every
        lengths.append(len(seconds_of(told["overview"])))
    assert (len(every) > 50, sum(length <= 12 for length in lengths) > 90) == (True, True)


@pytest.mark.parametrize("overview", [0, NOW_MS - 60_000, -1, True, 1.5, "x", None, [], 2**63])
def test_who_does_not_follow_the_overview_is_told_all_of_it(worker: Worker, overview: Any) -> None:
    """Whatever it says that it holds, and with a cursor that is gone too; whose clock is ahead follows."""
    for _ in range(30):
        worker.now_ms += 1_000
        worker.take(FLEET)
        worker.feed.overview.update(worker.now_ms)
    cursor = worker.ask()["cursor"]
    told = worker.told({"cursor": cursor, "overview": overview}, is_packed=False)
    assert len(seconds_of(told["overview"])) == (11 if overview == 2**63 else 29)
    gone = worker.told({"cursor": None, "overview": worker.now_ms}, is_packed=False)
    assert len(seconds_of(gone["overview"])) == 29


@pytest.mark.parametrize("is_packed", [True, False])
def test_who_has_chosen_is_told_of_the_chosen_and_of_which_choice(worker: Worker, *, is_packed: bool) -> None:
    """Nothing in the second that it takes to make them; without the roster, the bands of all."""
    half = base64.urlsafe_b64encode(b"\xff" * 6).decode().rstrip("=")  # the first 48
    for _ in range(2):  # a roster stands when nobody came for a second
        worker.feed.store.settle()
    key = worker.ask()["roster"][0]
    asked = {"cursor": worker.ask()["cursor"], "detail": [], "roster": key, "overview": 0, "chosen": [7, half]}
    told = []
    for step in range(20):
        worker.now_ms += 1_000
        rows = [[name, worker.now_ms, float(number)] for number, name in enumerate(FLEET)]
        worker.feed.store.append(SENSOR.name, records(0, (step + 1) * len(FLEET), rows, worker.now_ms))
        told.append(worker.told(asked, is_packed=is_packed))
        worker.feed.overview.update(worker.now_ms)
    assert (told[0]["chosen"], told[0]["overview"]) == (7, None)
    assert (told[-1]["chosen"], set(told[-1]["overview"]["max"]), len(told[-1]["overview"]["t"])) == (
        7,
        {20.0, 47.0},
        18,
    )
    follows = worker.told(asked | {"overview": told[-1]["overview"]["t"][-1]}, is_packed=is_packed)
    assert (follows["chosen"], len(follows["overview"]["t"])) == (7, 11)
    for other in (asked | {"roster": "other"}, asked | {"chosen": [7, "?"]}, asked | {"chosen": 7}):
        of_all = worker.told(other, is_packed=is_packed)
        assert ("chosen" in of_all, set(of_all["overview"]["max"])) == (False, {20.0, 100.0})


def _timed(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with times instead of ages: it may be of an earlier now."""
    changed: dict[str, Any] = {"now": 0}
    for name in ("devices", "averages", "alerts", "counts"):
        times_ms = [answer["now"] - age_ms for age_ms in answer[name]["age_ms"]]
        changed[name] = answer[name] | {"age_ms": times_ms}
    topics = answer["pipeline"]["topics"].items()
    times = {topic: None if age_ms is None else answer["now"] - age_ms for topic, age_ms in topics}
    return answer | changed | {"pipeline": answer["pipeline"] | {"topics": times}}


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


def test_what_fails_is_nobodys_answer() -> None:
    """Who waits for it is told too, and who comes later tries again."""
    once, is_made, may_fail = Once(), threading.Event(), threading.Event()

    def fail() -> int:
        is_made.set()
        may_fail.wait(60)
        raise ValueError("no")

    with ThreadPoolExecutor(2) as pool:
        maker = pool.submit(once.get, 1, "thing", fail)
        is_made.wait(60)
        waiting = pool.submit(once.get, 1, "thing", lambda: 7)
        time.sleep(0.1)  # or it comes too late to wait, and makes its own
        may_fail.set()
        with pytest.raises(ValueError, match="no"):
            maker.result(60)
        assert str(waiting.exception(60)) in {"no", "None"}  # in time, in either case
    assert once.get(1, "thing", lambda: 7) == 7


def test_nothing_of_an_earlier_moment_is_kept() -> None:
    """Whatever browsers ask, memory holds the answers of one moment."""
    once = Once()
    makers: list[Callable[[], int]] = [lambda: 1, lambda: 2]
    assert [once.get(moment, "thing", makers[moment]) for moment in (0, 1)] == [1, 2]
    assert len(once._made[1]) == 1
