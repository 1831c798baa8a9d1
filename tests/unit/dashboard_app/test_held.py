"""What a worker holds: each record once, no more than fits.

And no device longer than its records.
"""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app import held as module
from dashboard_app.held import ALL_DETAIL_DEVICES, Held
from dashboard_app.ring import Records
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, held, records

HOUR_MS: Final = 3_600_000


def rows_in(holds: Held, topic: str = SENSOR.name) -> list[tuple[str, int, float]]:
    """Return device, time and value of each row of a ring, in its order."""
    ring = holds.rings[topic]
    rows = ring.appended_since(0)
    columns = (ring.values_of(name, rows).tolist() for name in ("device", "time", "value"))
    return [(holds.names.by_number[device], time_ms, value) for device, time_ms, value in zip(*columns, strict=True)]


def test_a_partition_that_is_known_goes_on_where_it_was() -> None:
    """After a lost connection nothing is read twice, whatever a look at the topic says."""
    holds = held(partitions=0)
    assert holds.begin(SENSOR.name, 0, 7) == 7
    holds.append(SENSOR.name, records(0, 7, [["a", 1, 20.0]]))
    assert holds.begin(SENSOR.name, 0, 3) == 8
    assert holds.begin(DEAD_LETTER.name, 0, 5) == 5


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(1, 9)), max_size=12))
def test_a_record_is_held_once_however_often_it_comes(batches: list[tuple[int, int, int]]) -> None:
    """Batches that overlap, as after a restart of the consumer, put in what is beyond the furthest only."""
    holds, expected, reached = held(), [], dict.fromkeys(range(4), 0)
    for partition, first, count in batches:
        offsets = range(min(first, reached[partition]), min(first, reached[partition]) + count)
        holds.append(SENSOR.name, records(partition, offsets[0], [[f"p{partition}", at, float(at)] for at in offsets]))
        expected += [(f"p{partition}", at, float(at)) for at in offsets if at >= reached[partition]]
        reached[partition] = max(reached[partition], offsets[-1] + 1)
    assert rows_in(holds) == expected
    assert holds.offsets[SENSOR.name].as_dict() == reached


def test_a_device_too_many_is_counted_and_left_out() -> None:
    """Those that are known go on, on every topic."""
    holds = held(max_devices=2)
    holds.append(SENSOR.name, records(0, 0, [["a", 1, 20.0], ["b", 1, 21.0], ["c", 1, 22.0], ["a", 2, 23.0]]))
    holds.append(ALERT.name, records(0, 0, [["c", 1, 40.0], ["b", 1, 41.0]]))
    assert rows_in(holds) == [("a", 1, 20.0), ("b", 1, 21.0), ("a", 2, 23.0)]
    assert rows_in(holds, ALERT.name) == [("b", 1, 41.0)]
    assert (len(holds.names), holds.names.refused) == (2, 2)


def test_the_newest_of_a_device_goes_by_event_time() -> None:
    """A late reading is held and is not the newest; an average has a place of its own."""
    holds = held()
    holds.append(SENSOR.name, records(0, 0, [["a", 9, 20.0], ["a", 5, 99.0]]))
    holds.append(AVG_TEMP.name, records(0, 0, [["a", 10_000, 21.0]], NOW_MS - 1))
    (number,) = holds.names.known(["a"])
    assert (holds.newest.times_ms[number], holds.newest.values[number]) == (9, 20.0)
    assert (holds.averages.values[number], holds.newest_average_ms) == (21.0, NOW_MS - 1)


def test_the_age_of_a_topic_is_that_of_its_newest_record() -> None:
    """By append time, the order of coming not asked; None before the first."""
    holds = held()
    assert set(holds.newest_append_ms().values()) == {None}
    holds.append(SENSOR.name, records(0, 0, [["a", 1, 20.0]], NOW_MS - 3))
    holds.append(AVG_TEMP.name, records(0, 0, [["a", 1, 20.0]], NOW_MS - 2))
    holds.append(AVG_TEMP.name, records(1, 0, [["a", 1, 20.0]], NOW_MS - 9))
    holds.append_dead_letters(dead_letters(0, NOW_MS - 1, NOW_MS - 5))
    assert holds.newest_append_ms() == {
        SENSOR.name: NOW_MS - 3,
        ALERT.name: None,
        ALERT_COUNT.name: None,
        AVG_TEMP.name: NOW_MS - 2,
        DEAD_LETTER.name: NOW_MS - 1,
    }


def dead_letters(first_offset: int, *appends_ms: int) -> Records:
    """Return dead letters that came at these times."""
    rows: list[list[Any]] = [["", 0, 0.0]] * len(appends_ms)
    return records(0, first_offset, rows)._replace(appends_ms=list(appends_ms))


def test_dead_letters_are_counted_once_and_for_the_history_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a flood of them, the newest are remembered."""
    monkeypatch.setattr(module, "_MAX_DEAD_LETTERS", 3)
    holds = held()
    holds.append_dead_letters(dead_letters(0, NOW_MS - HOUR_MS, NOW_MS - 1))
    holds.append_dead_letters(dead_letters(0, NOW_MS - HOUR_MS, NOW_MS - 1))
    assert holds.dead_letters_ms == [NOW_MS - HOUR_MS, NOW_MS - 1]
    holds.append_dead_letters(dead_letters(2, NOW_MS - 4, NOW_MS - 3))
    assert holds.dead_letters_ms == [NOW_MS - 4, NOW_MS - 3, NOW_MS - 1]
    holds.drop_old(NOW_MS + HISTORY_MS - 3)
    assert holds.dead_letters_ms == [NOW_MS - 3, NOW_MS - 1]


def test_a_device_is_forgotten_with_its_last_record() -> None:
    """One that still reports results, or that a ring still holds, is not; the number is free for another one."""
    holds = held()
    holds.append(SENSOR.name, records(0, 0, [["gone", 1, 20.0], ["averaged", 1, 20.0]], NOW_MS - HOUR_MS))
    holds.append(SENSOR.name, records(0, 2, [["here", 1, 20.0]]))
    holds.append(AVG_TEMP.name, records(0, 0, [["averaged", 1, 20.0]]))
    holds.drop_old(NOW_MS)
    assert sorted(filter(None, holds.names.by_number)) == ["averaged", "here"]
    assert rows_in(holds) == [("here", 1, 20.0)]
    holds.append(SENSOR.name, records(0, 3, [["new", 1, 30.0]]))
    assert sorted(holds.names.by_number) == ["averaged", "here", "new"]
    assert rows_in(holds) == [("here", 1, 20.0), ("new", 1, 30.0)]


def test_counts_are_kept_for_a_minute_and_alerts_for_the_history() -> None:
    """The page shows the window that ends now, and the alerts of the whole chart."""
    holds = held()
    for topic in (ALERT.name, ALERT_COUNT.name):
        holds.append(topic, records(0, 0, [["a", 1, 40.0]], NOW_MS - 61_000))
        holds.append(topic, records(0, 1, [["a", 2, 41.0]], NOW_MS - 59_000))
    holds.drop_old(NOW_MS)
    assert len(rows_in(holds, ALERT.name)) == 2
    assert rows_in(holds, ALERT_COUNT.name) == [("a", 2, 41.0)]


@pytest.mark.parametrize(
    ("devices", "is_large"), [(0, False), (ALL_DETAIL_DEVICES, False), (ALL_DETAIL_DEVICES + 1, True)]
)
def test_a_fleet_is_large_from_101_devices_on(devices: int, is_large: bool) -> None:
    """Up to a hundred, every browser gets every reading."""
    holds = held()
    holds.append(SENSOR.name, records(0, 0, [[f"d{number}", 1, 20.0] for number in range(devices)]))
    assert holds.is_large is is_large


def test_a_cursor_is_covered_while_no_row_since_it_is_lost() -> None:
    """Of readings and alerts; counts and averages are told by their newest."""
    holds = held(ring_rows=4)
    start = {topic: offsets.as_dict() for topic, offsets in holds.offsets.items()}
    holds.append(SENSOR.name, records(0, 0, [["a", number, 20.0] for number in range(4)]))
    assert holds.covers(start)
    holds.append(SENSOR.name, records(0, 4, [["a", 4, 20.0]]))
    assert not holds.covers(start)
    assert holds.covers({**start, SENSOR.name: {0: 1, 1: 0, 2: 0, 3: 0}})
