"""Recent readings, while the store is written to."""

import pytest

from dashboard_app.recent import Recent, recent
from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, BusyStore, records


@pytest.fixture
def store() -> Store:
    """Return a store of five readings at most."""
    made = Store(5, HISTORY_MS)
    made.clear("epoch")
    for partition in range(2):
        made.begin(SENSOR.name, partition, 0)
    return made


def _put(store: Store, first: int, count: int, append_ms: int = NOW_MS) -> None:
    rows = [["ab"[number % 2], number, float(number)] for number in range(first, first + count)]
    store.append(SENSOR.name, records(0, first, rows, append_ms))


def _rows(readings: Recent) -> list[tuple[int, int, float]]:
    return list(zip(*(column.tolist() for column in readings), strict=True))


def _expected(*numbers: int) -> list[tuple[int, int, float]]:
    return [(number % 2, number, float(number)) for number in numbers]


@pytest.mark.parametrize("rows_at_a_time", [1, 2, 100])
def test_they_are_a_copy_with_and_without_older_ones_between(store: Store, rows_at_a_time: int) -> None:
    """What is written later does not change them; rows that were appended earlier are left out."""
    assert _rows(recent(store, NOW_MS, rows_at_a_time)) == []
    _put(store, 0, 4)
    before = recent(store, NOW_MS, rows_at_a_time)
    _put(store, 4, 1, NOW_MS - 5_000)
    _put(store, 5, 2)
    assert _rows(before) == _expected(0, 1, 2, 3)
    assert _rows(recent(store, NOW_MS, rows_at_a_time)) == _expected(2, 3, 5, 6)
    assert _rows(recent(store, NOW_MS - 5_000, rows_at_a_time)) == _expected(2, 3, 4, 5, 6)


@pytest.mark.parametrize(("burst", "left"), [(1, [1, 2, 3, 4]), (2, [2, 4]), (4, [4]), (9, [])])
def test_rows_that_go_in_between_are_left_out_and_none_is_torn(store: Store, burst: int, left: list[int]) -> None:
    """Those that come are not among them."""
    _put(store, 0, 5)
    numbers = iter(range(5, 1_000, burst))
    busy = BusyStore(store, lambda: _put(store, next(numbers), burst))
    assert _rows(recent(busy, 0, 1)) == _expected(*left)  # type: ignore[arg-type]  # it has all that is used
