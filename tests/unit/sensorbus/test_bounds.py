"""Which results `verify` can judge."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from sensorbus import history, verify
from sensorbus.bounds import Bounds, appended_ms, unseen
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.expectation import expect
from sensorbus.progress import Progress
from tests.support.listed_bus import NOW_MS, SETTINGS, Bus
from tests.support.results import APPEND_MS, Record, alert, average, count, reading, start_ms


@pytest.mark.parametrize(
    ("device_id", "append_ms", "apart_ms", "explained"),
    [
        ("a", 1_001, 0, True),  # after the newest reading that was seen
        ("a", 1_000, 0, False),
        ("a", 900, 0, False),
        ("a", 900, 101, True),  # by another leader's clock
        ("early", 900, 0, True),  # after one of its readings that was not seen
        ("early", 899, 0, False),
        ("other", 2_000, 0, False),  # of which no reading is unseen
    ],
)
def test_what_later_readings_may_explain(device_id: str, append_ms: int, apart_ms: int, *, explained: bool) -> None:
    """A result of a device of which a reading was not seen, and that may have come after it."""
    bounds = Bounds(0, 1_000, {"a": 1_500, "early": 900}, Counter(), apart_ms)
    assert bounds.explain(device_id, append_ms) == explained


def test_when_readings_came_that_were_not_seen() -> None:
    """The first of each device, and how often each; what is no reading leads to nothing."""
    readings: list[Any] = [reading(1, 20.0), reading(0, 20.0), reading(0, 20.0, "b"), Record(b"{")]
    readings[1].append_ms = APPEND_MS - 5
    first_ms, number = unseen(Settings(), [*readings, readings[0]])
    assert first_ms == {"a": APPEND_MS - 5, "b": APPEND_MS}
    assert number == {
        ("a", "2023-11-14T22:13:01Z", 20.0): 2,
        ("a", "2023-11-14T22:13:00Z", 20.0): 1,
        ("b", "2023-11-14T22:13:00Z", 20.0): 1,
    }
    assert appended_ms(readings[1]) == APPEND_MS - 5


def test_what_tells_of_a_time_that_was_not_read_is_not_judged() -> None:
    """Appended now, by a job that catches up or by anybody: such results are counted, and are no fault."""
    since_ms = start_ms(40)
    known: list[Any] = [replace(reading(50, 20.0), append_ms=since_ms)]
    expected = expect(Settings(), known, since_ms, Progress())
    invented = {ALERT: [alert(9, 40.0)] * 3, ALERT_COUNT: [count(9, 1)], AVG_TEMP: [average(9, 1.0)] * 2}
    found: Any = {topic: [replace(each, append_ms=since_ms + 1) for each in some] for topic, some in invented.items()}
    comparisons = verify.compare(Settings(), expected, {**found, DEAD_LETTER: [], SENSOR: []}, since_ms)
    assert [(row.different, row.unjudged, row.is_true) for row in comparisons] == [
        *((0, 3, True), (0, 1, True), (0, 2, True), (0, 0, True))
    ]
    assert history.remarks_on_the_unjudged(0, since_ms) == []
    (said,) = history.remarks_on_the_unjudged(6, since_ms)
    assert said.startswith("not judged: 6 results of event times before 20")


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    """Give a bus on which a stuck device has sent one hot reading over and over, beside one that is right."""
    bus = Bus(monkeypatch)
    for age_s in range(120, 0, -1):
        bus.read_reading("right", age_s, 20.0)
        bus.read_reading("stuck", age_s, 40.0, behind_s=7_200 - age_s)
    return bus


def repeat_alerts(bus: Bus, first: int, number: int) -> None:
    """Write so many alerts again, from the first on, as no job does exactly once."""
    held = bus.topics[ALERT.name]
    held[first:first] = held[first : first + number]


def alerts_of(bus: Bus, since_s: int | None = None, newer: int = 0) -> tuple[int, int, int, bool]:
    """Return how many alerts are expected, found, and duplicated, and whether they are true."""
    bus.newer = newer
    since_ms = None if since_s is None else NOW_MS - since_s * 1_000
    row = verify.verify(SETTINGS, bus.consumer, since_ms, lambda _doing, _done, _total: None).rows[0]
    return row.expected, row.found, row.duplicated, row.is_true


def test_alerts_of_equal_readings_that_came_since_are_no_duplicates(bus: Bus) -> None:
    """A running system: five came behind the end that was seen. An alert that was written before them is repeated."""
    bus.run_jobs()
    assert alerts_of(bus, newer=10) == (115, 115, 0, True)
    repeat_alerts(bus, 50, 2)
    assert alerts_of(bus, newer=10) == (115, 115, 2, False)
    del bus.topics[ALERT.name][-5:]  # those of the five are not told yet
    assert alerts_of(bus, newer=10) == (115, 115, 2, False)


def test_a_later_reading_that_is_not_equal_explains_no_duplicate(bus: Bus) -> None:
    """It leads to another alert."""
    bus.read_reading("stuck", 0, 41.0)
    bus.run_jobs()
    assert alerts_of(bus, newer=1) == (120, 120, 0, True)
    held = bus.topics[ALERT.name]
    held.append(replace(held[0], append_ms=NOW_MS))
    assert alerts_of(bus, newer=1) == (120, 120, 1, False)


@pytest.mark.parametrize("apart_ms", [0, 5_000])
def test_duplicates_are_found_beside_equal_alerts_from_before(bus: Bus, apart_ms: int) -> None:
    """Retention has taken means only: of the alerts from before all that are told are known, but for some late ones."""
    bus.results_behind_ms, bus.apart_ms = -1_500, apart_ms
    bus.run_jobs()
    bus.low[AVG_TEMP.name] = 40
    expected, found, duplicated, is_true = alerts_of(bus)
    assert (expected, found, duplicated, is_true) == (expected, expected, 0, True)
    assert 30 < expected < 80
    repeat_alerts(bus, 100, 10)
    assert alerts_of(bus) == (expected, expected, 10, False)


@pytest.mark.parametrize("number", [60, 70])
def test_with_since_as_many_repeats_pass_as_there_are_equal_readings_before(bus: Bus, number: int) -> None:
    """Of a job that is behind, so many alerts may be of these: 60 here, and what is more is repeated."""
    bus.run_jobs()
    assert alerts_of(bus, 60) == (60, 60, 0, True)
    repeat_alerts(bus, 65, 50)
    repeat_alerts(bus, 65, number - 50)
    assert alerts_of(bus, 60) == (60, 60, number - 60, number == 60)
