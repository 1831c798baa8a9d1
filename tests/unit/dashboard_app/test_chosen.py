"""Bands of what browsers have chosen."""

import numpy as np
import orjson

from dashboard_app.bands import Told
from dashboard_app.chosen import KEPT_MS, MOST_CHOICES, Choices
from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, records


def store() -> Store:
    """Return a store with ten seconds of 30 devices."""
    made = Store(10_000, HISTORY_MS)
    for second in range(10):
        at_ms = NOW_MS - 10_000 + 1_000 * second
        rows = [[f"d{number}", at_ms, float(number)] for number in range(30)]
        made.append(SENSOR.name, records(0, 30 * second, rows, at_ms))
    return made


def highest(told: Told | None) -> list[float]:
    """Return the highest temperature of each second that is told."""
    assert told is not None
    found: list[float] = orjson.loads(orjson.dumps(told.bands))["max"]
    return found


def test_each_choice_has_its_own_bands_once_they_are_made() -> None:
    """One whole history in a second at most: of the largest rings each takes a while."""
    choices = Choices(store(), HISTORY_MS)
    low, high = np.array([1, 2, 3]), np.array([20, 21])
    assert (choices.told(low, NOW_MS), choices.told(high, NOW_MS)) == ((True, None), (True, None))
    choices.update(NOW_MS, is_anew=False)
    assert highest(choices.told(low, NOW_MS)[1]) == [3.0] * 9
    assert choices.told(high, NOW_MS) == (True, None)
    choices.update(NOW_MS + 1_000, is_anew=False)
    assert highest(choices.told(high, NOW_MS)[1]) == [21.0] * 10


def test_there_is_room_for_so_many_and_who_is_not_asked_for_leaves() -> None:
    """Nobody can fill the worker's time with choices; nor is one of no device kept."""
    choices = Choices(store(), HISTORY_MS)
    for number in range(MOST_CHOICES):
        assert choices.told(np.array([number]), NOW_MS) == (True, None)
    assert choices.told(np.array([29]), NOW_MS) == (False, None)
    assert choices.told(np.array([], np.int64), NOW_MS) == (False, None)
    choices.told(np.array([0]), NOW_MS + KEPT_MS)
    choices.update(NOW_MS + KEPT_MS + 1, is_anew=False)
    assert choices.told(np.array([29]), NOW_MS + KEPT_MS + 1) == (True, None)
    assert highest(choices.told(np.array([0]), NOW_MS + KEPT_MS + 1)[1]) == [0.0] * 10


def test_a_clear_forgets_them() -> None:
    """Their numbers are of other devices now."""
    choices = Choices(store(), HISTORY_MS)
    choices.told(np.array([1]), NOW_MS)
    choices.update(NOW_MS, is_anew=False)
    choices.clear()
    assert choices.told(np.array([1]), NOW_MS) == (True, None)
