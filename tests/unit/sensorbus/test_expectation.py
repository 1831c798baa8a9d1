"""What must stand in the topics.

Windows by plain code, alerts, and which of it is pending.
"""

import pytest

from sensorbus.contract.settings import Settings
from sensorbus.expectation import Windows, expect
from sensorbus.progress import Progress
from tests.support.results import APPEND_MS, reading, start_ms


def test_a_window_holds_its_start_and_not_its_end() -> None:
    """Values at 0 s and 9 s are in [0, 10), the one at 10 s closes it and is not."""
    # time    0  9  10
    # value   1  3  99      window [0, 10) -> mean 2
    windows = Windows(10_000, 10_000, 0)
    windows.add("a", 0, 1.0)
    windows.add("a", 9_000, 3.0)
    counts, means, late = windows.add("a", 10_000, 99.0)
    assert (counts, means, late) == ({10_000: 1}, {0: 2.0}, False)


def test_grace_keeps_a_window_open() -> None:
    """With 2 s of grace, [0, 10) closes at 12 s."""
    windows = Windows(10_000, 10_000, 2_000)
    windows.add("a", 0, 1.0)
    assert windows.add("a", 11_999, 5.0)[1] == {}
    assert windows.add("a", 12_000, 5.0)[1] == {0: 1.0}


def test_a_value_for_a_closed_window_is_late() -> None:
    """A value at 9 s after one at 10 s changes nothing and is late."""
    windows = Windows(10_000, 10_000, 0)
    windows.add("a", 10_000, 1.0)
    assert windows.add("a", 9_000, 7.0) == ({}, {}, True)


def test_one_device_does_not_close_windows_of_another() -> None:
    """Each device has its own clock."""
    windows = Windows(10_000, 10_000, 0)
    windows.add("a", 0, 1.0)
    assert windows.add("b", 60_000, 1.0)[1] == {}


def test_an_alert_is_expected_above_the_threshold_only() -> None:
    """29.85 °C is 303.00 K and no alert; 29.86 °C is one."""
    expected = expect(Settings(), [reading(0, 29.85), reading(1, 29.86)], 0)
    assert list(expected.alerts) == [("a", "2023-11-14T22:13:01Z", 29.86, 85.75, 303.01)]


def test_a_reading_under_a_foreign_key_is_none_yet() -> None:
    """Job alert sends it again; only the copy counts."""
    foreign = reading(0, 40.0)
    foreign.record_key = None
    expected = expect(Settings(), [foreign, reading(0, 40.0)], 0)
    assert (expected.readings, expected.alerts.total()) == (1, 1)


@pytest.mark.parametrize(("guarantee", "mean"), [("at-least-once", 20.0), ("exactly-once", 80 / 3)])
def test_a_second_copy_is_in_the_means_only_exactly_once(guarantee: str, mean: float) -> None:
    """At least once it is what a kill has left, and its job counts it once; its alert is there twice."""
    readings = [reading(0, 0.0, offset=0), *[reading(1, 40.0, offset=number) for number in (1, 2)]]
    for copy in readings[1:]:
        copy.record_headers = [("rekeyed.from", b"sensor[1]@9")]
    readings += [reading(59, 0.0, offset=3)]
    expected = expect(Settings(processing_guarantee=guarantee), readings, 0)
    assert expected.averages["a", start_ms(0)] == pytest.approx(mean)
    assert expected.alerts.total() == 2


def test_a_record_that_is_too_large_is_a_dead_letter() -> None:
    """Though its value is a reading."""
    large = reading(0, 40.0, offset=3)
    large.raw = (large.raw or b"") + b" " * 8_388_608
    expected = expect(Settings(), [large], 0)
    assert (expected.readings, [*expected.sensor.letters]) == (0, [(0, 3)])


def test_the_grace_of_each_job_is_its_own_setting() -> None:
    """A mean waits for its grace, a count for its own."""
    readings = [reading(0, 40.0), reading(12, 40.0), reading(1, 40.0), reading(14, 40.0)]
    late = [
        (expected.late_readings, expected.late_alerts)
        for expected in (
            expect(Settings(), readings, 0),
            expect(Settings(avg_temp_grace_ms=11_000), readings, 0),
            expect(Settings(alert_count_grace_ms=11_000), readings, 0),
        )
    ]
    assert late == [(1, 1), (0, 1), (1, 0)]


def test_what_earlier_readings_lead_to_is_known_and_not_expected() -> None:
    """Their alerts, windows, means and dead letters."""
    readings = [reading(second, 40.0) for second in (0, 1)]
    for one in (*readings, bad := reading(2, 40.0, offset=9)):
        one.append_ms -= 1
    bad.raw = b"{"
    expected = expect(Settings(), [*readings, bad], readings[0].append_ms + 1)
    at_0_ms = 1_700_000_000_000 - 20_000
    assert expected.earlier >= {("a", at_0_ms + second * 1_000) for second in (-9, -4, 0, 1)}
    assert (expected.averages, expected.counts, expected.sensor.letters) == ({}, {}, {})


@pytest.mark.parametrize("said", [(0, -1), (1, 0), (1, 2**62)], ids=str)
def test_a_senders_own_time_is_not_believed(said: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """As the jobs do on a topic of CreateTime: a time that is missing or ahead is now."""
    one = reading(0, 40.0)
    monkeypatch.setattr(one, "timestamp", lambda: said)
    expected = expect(Settings(), [one], APPEND_MS)
    assert (expected.readings, expected.alerts.total(), expected.sensor.letters) == (1, 1, {})


def test_readings_before_the_first_that_counts_only_open_windows() -> None:
    """What they lead to is known as of earlier, and neither expected nor pending."""
    first, second = reading(0, 40.0), reading(1, 40.0)
    first.append_ms -= 1
    expected = expect(Settings(), [first, second], second.append_ms, Progress(alert={}, avg_temp={}))
    assert (expected.alerts.total(), expected.pending.alerts.total()) == (1, 1)
    assert expected.pending.averages == expected.averages.keys()
    assert expected.averages.keys().isdisjoint(expected.earlier)
