"""How many ask a provider at once, and how often after a failure."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from requests import ConnectionError as NoConnectionError
from requests import HTTPError

from dashboard_app import oidc_turns
from dashboard_app.oidc_turns import RESTS_S, Busy, Once, Resting, Turns


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        """Start at 100 s."""
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.mark.parametrize("at_once", [1, 2])
def test_others_are_refused_while_as_many_as_may_ask_do(at_once: int) -> None:
    """At once, however long those wait; when one is through, the next may ask."""
    turns = Turns(at_once, Exception)
    inside, goes_on = threading.Barrier(at_once + 1), threading.Event()

    def ask() -> None:
        with turns.one():
            inside.wait(10)
            assert goes_on.wait(10)

    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(ask) for _ in range(at_once)]
        inside.wait(10)
        for _ in range(3):
            with pytest.raises(Busy), turns.one():
                raise AssertionError("one too many asks")
        goes_on.set()
        for each in waiting:
            each.result(10)
    with turns.one():
        pass


def test_after_a_failure_nobody_asks_for_a_while() -> None:
    """Then one may, and a second failure counts anew."""
    clock = Clock()
    turns = Turns(1, NoConnectionError, clock)
    for _ in range(2):
        with pytest.raises(NoConnectionError), turns.one():
            raise NoConnectionError("gone")
        clock.now_s += RESTS_S - 0.1
        with pytest.raises(Resting), turns.one():
            raise AssertionError("asked too soon")
        clock.now_s += 0.2
    with turns.one():
        pass


def test_what_is_no_failure_of_the_provider_shuts_nobody_out() -> None:
    """A stranger's made-up code, and what the provider says of it."""
    turns = Turns(1, NoConnectionError, Clock())
    for error in (LookupError("used"), HTTPError("500")):
        with pytest.raises(type(error)), turns.one():
            raise error
    with turns.one():
        pass


def test_a_thing_is_taken_once_until_it_expires() -> None:
    """Each by itself."""
    clock = Clock()
    once = Once(clock)
    assert [once.take(name, 110.0) for name in ("a", "b", "a", "b")] == [True, True, False, False]
    clock.now_s = 110.0
    assert once.take("a", 120.0)
    assert list(once._used) == ["a"]


class Slow(dict[str, float]):
    """Lets another thread go on between a look and what is done after it."""

    def __contains__(self, name: object) -> bool:
        """Look, then wait."""
        is_there = super().__contains__(name)
        time.sleep(0.001)
        return is_there


def test_a_thing_is_taken_by_one_of_many_threads() -> None:
    """Who hands the same code in eight times at once hands it in once."""
    once = Once()
    once._used = Slow()
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda number: once.take(str(number // 8), 1e12), range(80)))
    assert taken.count(True) == 10


def test_what_was_taken_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten first."""
    monkeypatch.setattr(oidc_turns, "_MOST_USED", 3)
    once = Once(Clock())
    assert all(once.take(name, 200.0) for name in "abcd")
    assert list(once._used) == ["b", "c", "d"]
