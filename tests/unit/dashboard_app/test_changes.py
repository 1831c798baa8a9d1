"""What is new for a browser.

What it then has is shown in test_store.py, beside a writer.
"""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app import changes as module
from dashboard_app.changes import Changes, Cursor, Question, changes, common
from dashboard_app.devices import roster
from dashboard_app.held import CURSOR_TOPICS, Held
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, held, records, told

EVERYTHING = Question(None, None, ())


def answered(holds: Held, question: Question) -> Changes:
    """Return the answer to a question, with nothing written in between."""
    return changes(holds, question, common(holds, question, NOW_MS)).whole(lambda look: look(holds, ""))


def decoded(fragments: Sequence[bytes]) -> list[Any]:
    """Return the texts in fragments."""
    return [orjson.loads(fragment) for fragment in fragments]


def with_readings(*rows: list[Any], ring_rows: int = 1_000) -> Held:
    """Return what a worker holds after these readings, all of one partition."""
    holds = held(ring_rows)
    holds.append(SENSOR.name, records(0, 0, rows))
    return holds


def test_a_worker_that_is_behind_does_not_send_a_browser_back() -> None:
    """The browser's own offset stands where another worker was ahead of this one."""
    holds = with_readings(["a", 1, 20.0], ["a", 2, 21.0])
    ahead = {topic: {0: 9, 1: 0} for topic in CURSOR_TOPICS}
    answer = answered(holds, Question(ahead, None, ()))
    assert (answer.common.reset, told(answer)) == (False, [])
    assert {partition: offset for partition, offset in answer.common.cursor[SENSOR.name].items() if offset} == {0: 9}
    assert set(answer.common.cursor[ALERT.name]) == {0, 1, 2, 3}  # partitions that it does not know yet come along


def test_a_cursor_of_which_rows_are_gone_begins_anew() -> None:
    """As one that is none does, with the history that is left."""
    holds = with_readings(*(["a", number, 20.0] for number in range(6)), ring_rows=4)
    old = {topic: {0: 1} for topic in CURSOR_TOPICS}
    answer = answered(holds, Question(old, None, ()))
    assert answer.common.reset
    assert [row[1] for row in told(answer)] == [2, 3, 4]  # the newest stands with the device
    whole = answered(holds, EVERYTHING)
    assert (answer.common.cursor, told(answer), answer.common.devices.names) == (
        whole.common.cursor,
        told(whole),
        whole.common.devices.names,
    )


def test_what_is_older_than_the_history_is_not_told() -> None:
    """By append time: a late reading that has just come is told."""
    holds = held()
    holds.append(SENSOR.name, records(0, 0, [["a", 1, 20.0]], NOW_MS - HISTORY_MS - 1))
    holds.append(SENSOR.name, records(0, 1, [["a", 0, 21.0], ["a", 2, 22.0]], NOW_MS))
    assert told(answered(holds, EVERYTHING)) == [["a", 0, 21.0]]


def test_too_many_readings_and_alerts_are_cut_to_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """And how many readings were left out is said."""
    monkeypatch.setattr(module, "_MAX_READINGS", 3)
    monkeypatch.setattr(module, "MOST_ALERTS", 2)
    holds = with_readings(*(["a", number, 20.0] for number in range(6)))
    holds.append(ALERT.name, records(0, 0, [["a", number, 40.0] for number in range(5)]))
    answer = answered(holds, EVERYTHING)
    assert ([row[1] for row in told(answer)], answer.skipped) == ([2, 3, 4], 2)
    assert answer.common.alerts.times_ms.tolist() == [3, 4]


def test_devices_stand_at_their_places_in_a_roster_that_the_browser_holds() -> None:
    """Whoever holds another one is given names, and the roster to come."""
    holds = with_readings(["b", 1, 20.0], ["a", 1, 21.0])
    holds.roster = roster(holds.names.by_number, holds.names.version)
    named = answered(holds, EVERYTHING)
    assert (decoded(named.common.devices.names or ()), named.common.roster) == (["b", "a"], holds.roster)
    placed = answered(holds, Question(None, None, (), holds.roster.key))
    assert (placed.common.devices.names, placed.common.devices.places, placed.common.roster) == (
        None,
        None,
        None,
    )  # the whole of it
    assert placed.common.devices.values.tolist() == [21.0, 20.0]
    cursor = placed.common.cursor
    holds.append(SENSOR.name, records(0, 2, [["b", 2, 22.0]]))
    one = answered(holds, Question(cursor, None, (), holds.roster.key))
    assert one.common.devices.places is not None
    assert (one.common.devices.places.tolist(), one.common.devices.values.tolist()) == ([1], [22.0])


def test_while_devices_come_and_go_they_are_named() -> None:
    """A roster that is no longer true is neither used nor sent."""
    holds = with_readings(["a", 1, 20.0])
    holds.roster = roster(holds.names.by_number, holds.names.version)
    holds.append(SENSOR.name, records(0, 1, [["b", 1, 21.0]]))
    answer = answered(holds, Question(None, None, (), holds.roster.key))
    assert (decoded(answer.common.devices.names or ()), answer.common.roster) == (["a", "b"], None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 99)), max_size=40))
def test_of_each_window_the_last_count_is_told(told: list[tuple[str, int, int]]) -> None:
    """A later record of the same device and start replaces the earlier one."""
    holds = held()
    rows = [[device, start_s * 1_000, count] for device, start_s, count in told]
    holds.append(ALERT_COUNT.name, records(0, 0, rows))
    last = {(row[0], row[1]): row for row in rows}
    counts = answered(holds, EVERYTHING).common.counts
    found = zip(decoded(counts.names or ()), counts.times_ms.tolist(), counts.values.tolist(), strict=True)
    by_number = {device: number for number, device in enumerate(holds.names.by_number)}
    assert [list(row) for row in found] == sorted(last.values(), key=lambda row: (by_number[str(row[0])], row[1]))


def test_alerts_and_counts_stand_at_places_too() -> None:
    """By device and time: a device may have several, or none."""
    holds = with_readings(["b", 1, 20.0], ["a", 1, 21.0], ["c", 1, 21.0])
    holds.roster = roster(holds.names.by_number, holds.names.version)
    holds.append(ALERT.name, records(0, 0, [["c", 2, 40.0], ["a", 3, 42.0], ["a", 1, 41.0]]))
    holds.append(ALERT_COUNT.name, records(0, 0, [["c", 0, 2], ["a", 0, 1], ["b", 0, 3]]))
    told = answered(holds, Question(None, None, (), holds.roster.key)).common
    for columns, places, values in ((told.alerts, [0, 0, 2], [41.0, 42.0, 40.0]), (told.counts, [0, 1, 2], [1, 3, 2])):
        assert columns.places is not None
        assert (columns.names, columns.places.tolist(), columns.values.tolist()) == (None, places, values)


def test_averages_of_a_large_fleet_come_for_the_devices_in_view() -> None:
    """And, of those that came into view, the ones that they had before."""
    holds = with_readings(*([f"d{number:03d}", 1, 20.0] for number in range(101)))
    holds.append(AVG_TEMP.name, records(0, 0, [[f"d{number:03d}", 10_000, 20.0] for number in range(101)]))
    first = answered(holds, Question(None, ["d001"], ()))
    assert decoded(first.averages.names or ()) == ["d001"]
    later = answered(holds, Question(first.common.cursor, ["d001", "d002"], ["d002"]))
    assert decoded(later.averages.names or ()) == ["d002"]


def told_in_turn(holds: Held, cursor: Cursor, turn: int, key: str) -> Changes:
    """Return what a browser is told that holds a roster and shows d0005 alone."""
    return answered(holds, Question(cursor, ["d0005"], (), key, turn=turn))


def test_a_large_fleet_is_told_in_turn() -> None:
    """A thousand from the asked place on, heard since or not; what is in detail comes anyway."""
    names = [f"d{number:04d}" for number in range(2_500)]
    holds = held(10_000, 10_000)
    holds.append(SENSOR.name, records(0, 0, [[name, NOW_MS - 9, 20.0] for name in names]))
    holds.roster = roster(holds.names.by_number, holds.names.version)
    cursor = answered(holds, EVERYTHING).common.cursor
    holds.append(SENSOR.name, records(0, 2_500, [["d0005", NOW_MS, 21.0], ["d2400", NOW_MS, 22.0]]))
    places: list[int] = []
    for turn in (0, 1_000, 2_000, 3_000):
        found = told_in_turn(holds, cursor, turn, holds.roster.key)
        assert found.common.devices.places is not None
        places += found.common.devices.places.tolist()
        rows = [["d0005", NOW_MS, 21.0]] if turn else []  # in its turn it stands with the devices
        assert (told(found), found.common.new) == (rows, 2)
    assert places == list(range(2_500))


def test_who_holds_no_roster_is_told_of_every_device() -> None:
    """And so is who begins: there is no turn without a roster."""
    holds = with_readings(["b", 1, 20.0], ["a", 1, 21.0])
    cursor = answered(holds, EVERYTHING).common.cursor
    found = told_in_turn(holds, cursor, 1, "another")
    assert decoded(found.common.devices.names or ()) == ["b", "a"]
    assert decoded(answered(holds, Question(None, None, (), turn=1)).common.devices.names or ()) == ["b", "a"]
