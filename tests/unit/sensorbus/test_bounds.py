"""Which results `verify` can judge."""

from dataclasses import replace
from typing import Any

import pytest

from sensorbus import history, verify
from sensorbus.bounds import Bounds, appended_ms, unseen_ms
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.expectation import expect
from sensorbus.progress import Progress
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
    bounds = Bounds(0, 1_000, {"a": 1_500, "early": 900}, apart_ms)
    assert bounds.explain(device_id, append_ms) == explained


def test_when_readings_came_that_were_not_seen() -> None:
    """The first of each device; what is no reading leads to nothing."""
    readings: list[Any] = [reading(1, 20.0), reading(0, 20.0), reading(0, 20.0, "b"), Record(b"{")]
    readings[1].append_ms = APPEND_MS - 5
    assert unseen_ms(Settings(), readings) == {"a": APPEND_MS - 5, "b": APPEND_MS}
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
