"""The verifier: its windows, what it expects, and what it says of wrong results."""

from dataclasses import dataclass, field

import orjson
import pytest

from sensorbus import verify
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, Topic
from sensorbus.contract.units import kelvin_from_celsius

SETTINGS = Settings()
AT_LEAST_ONCE = Settings(processing_guarantee="at-least-once")
EMBEDDED = Settings(embedded_broker=True)
APPEND_MS = 1_700_000_100_000


@dataclass
class Record:
    """A record as the client gives it."""

    raw: bytes | None
    record_key: bytes | None = b"a"
    append_ms: int = APPEND_MS
    place: tuple[int, int] = (0, 0)
    record_headers: list[tuple[str, bytes]] = field(default_factory=list)

    def value(self) -> bytes | None:
        """Return the value."""
        return self.raw

    def key(self) -> bytes | None:
        """Return the key."""
        return self.record_key

    def timestamp(self) -> tuple[int, int]:
        """Return (LogAppendTime, ms)."""
        return 2, self.append_ms

    def partition(self) -> int:
        """Return the partition."""
        return self.place[0]

    def offset(self) -> int:
        """Return the offset."""
        return self.place[1]

    def headers(self) -> list[tuple[str, bytes]]:
        """Return the headers."""
        return self.record_headers


def reading(second: int, celsius: float, device: str = "a") -> Record:
    """Return a reading at that second of 2023-11-14T22:13."""
    value = {"timestamp": f"2023-11-14T22:13:{second:02d}Z", "device_id": device, "temperature": celsius}
    return Record(orjson.dumps(value), device.encode())


def start_ms(second: int) -> int:
    """Return ms since the epoch of that second."""
    return 1_700_000_000_000 - 20_000 + second * 1000


def expect(*readings: Record) -> verify.Expected:
    """Return what must follow from the readings."""
    return verify.expect(SETTINGS, readings, 0)


def rows(
    expected: verify.Expected, settings: Settings = SETTINGS, /, **outputs: list[Record]
) -> dict[str, verify.Comparison]:
    """Return the comparison with what stands in the topics, by kind."""
    topics: dict[str, Topic] = {"alert": ALERT, "counts": ALERT_COUNT, "averages": AVG_TEMP, "dead": DEAD_LETTER}
    found = {topic: outputs.get(name, []) for name, topic in topics.items()}
    comparisons = verify.compare(settings, expected, found, 0, APPEND_MS)
    return {row.kind: row for row in comparisons}


def average(second: int, celsius: float) -> Record:
    """Return a result of avg-temp for the window that starts there."""
    start = start_ms(second)
    return Record(orjson.dumps({"device_id": "a", "start": start, "end": start + 10_000, "avg_temp": celsius}))


def count(second: int, number: int, append_ms: int = APPEND_MS) -> Record:
    """Return a result of alert-count for the window that starts there."""
    start = start_ms(second)
    value = {"device_id": "a", "start": start, "end": start + 5_000, "alert_count": number}
    return Record(orjson.dumps(value), append_ms=append_ms)


def alert(second: int, celsius: float) -> Record:
    """Return the alert of a reading."""
    source = messages.parse_reading(reading(second, celsius).value(), APPEND_MS, SETTINGS.time_rules)
    return Record(messages.encode_alert(messages.alert_from_reading(source, kelvin_from_celsius(celsius))))


def test_a_window_holds_its_start_and_not_its_end() -> None:
    """Values at 0 s and 9 s are in [0, 10), the one at 10 s closes it and is not."""
    # time    0  9  10
    # value   1  3  99      window [0, 10) -> mean 2
    windows = verify.Windows(10_000, 10_000, 0)
    windows.add("a", 0, 1.0)
    windows.add("a", 9_000, 3.0)
    counts, means, late = windows.add("a", 10_000, 99.0)
    assert (counts, means, late) == ({10_000: 1}, {0: 2.0}, False)


def test_grace_keeps_a_window_open() -> None:
    """With 2 s of grace, [0, 10) closes at 12 s."""
    windows = verify.Windows(10_000, 10_000, 2_000)
    windows.add("a", 0, 1.0)
    assert windows.add("a", 11_999, 5.0)[1] == {}
    assert windows.add("a", 12_000, 5.0)[1] == {0: 1.0}


def test_a_value_for_a_closed_window_is_late() -> None:
    """A value at 9 s after one at 10 s changes nothing and is late."""
    windows = verify.Windows(10_000, 10_000, 0)
    windows.add("a", 10_000, 1.0)
    assert windows.add("a", 9_000, 7.0) == ({}, {}, True)


def test_one_device_does_not_close_windows_of_another() -> None:
    """Each device has its own clock."""
    windows = verify.Windows(10_000, 10_000, 0)
    windows.add("a", 0, 1.0)
    assert windows.add("b", 60_000, 1.0)[1] == {}


def test_what_stands_as_expected_is_true() -> None:
    """One reading per second gives the mean of each window that is closed, once."""
    expected = expect(*(reading(second, 20.0) for second in range(12)))
    row = rows(expected, averages=[average(second, 20.0) for second in range(-9, 2)])["avg-temp"]
    assert (row.expected, row.found, row.is_true) == (11, 11, True)


@pytest.mark.parametrize(
    ("averages", "fault"),
    [([], "missing"), ([20.0, 20.0], "duplicated"), ([20.1], "different")],
)
def test_a_wrong_average_is_named(averages: list[float], fault: str) -> None:
    """A window without a result, with two, or with another value is not true."""
    expected = expect(reading(0, 20.0), reading(1, 20.0))
    row = rows(expected, averages=[average(-9, celsius) for celsius in averages])["avg-temp"]
    assert (getattr(row, fault), row.is_true) == (1, False)


def test_an_average_that_nothing_explains_is_different() -> None:
    """A result of a window that no reading closed is not true."""
    row = rows(expect(reading(0, 20.0)), averages=[average(0, 20.0)])["avg-temp"]
    assert (row.different, row.is_true) == (1, False)


def test_an_alert_is_expected_above_the_threshold_only() -> None:
    """29.85 °C is 303.00 K and no alert; 29.86 °C is one."""
    expected = expect(reading(0, 29.85), reading(1, 29.86))
    assert list(expected.alerts) == [("a", "2023-11-14T22:13:01Z", 29.86, 85.75, 303.01)]


@pytest.mark.parametrize(
    ("numbers", "fault", "faults"),
    [
        ([1, 2], "missing", 0),
        ([1], "different", 1),
        ([1, 2, 2], "duplicated", 1),
        ([1, 2, 3], "different", 1),
        ([1, 2, 1], "different", 1),
        ([1, 2, 1, 2], "different", 0),
        ([1, 2, 1, 2], "duplicated", 2),
    ],
)
def test_the_last_count_of_a_window_decides(numbers: list[int], fault: str, faults: int) -> None:
    """Two alerts in a window: 2 must stand there last, nothing higher, nothing twice."""
    expected = expect(reading(4, 40.0), reading(4, 41.0))
    row = rows(expected, counts=[count(0, number) for number in numbers])["alert-count"]
    others = 4 if fault == "missing" else 0  # the other windows of the two alerts, which have no record here
    assert getattr(row, fault) == faults + others


def test_a_reading_under_a_foreign_key_is_none_yet() -> None:
    """Job alert sends it again; only the copy counts."""
    foreign = reading(0, 40.0)
    foreign.record_key = None
    expected = expect(foreign, reading(0, 40.0))
    assert (expected.readings, expected.alerts.total()) == (1, 1)


def test_each_unreadable_record_has_one_dead_letter() -> None:
    """A bad value at [2]@7 is expected in dead-letter with that source."""
    expected = expect(Record(b"{", place=(2, 7)))
    headers = [("source.topic", b"sensor"), ("source.partition", b"2"), ("source.offset", b"7")]
    assert rows(expected)["dead-letter"].missing == 1
    assert rows(expected, dead=[Record(b"{", record_headers=headers)])["dead-letter"].is_true
    assert rows(expected, dead=[Record(b"{", record_headers=headers)] * 2)["dead-letter"].duplicated == 1


def test_a_higher_count_of_a_later_alert_is_right() -> None:
    """A count appended after the newest reading that was seen may hold more than those that were seen."""
    expected = expect(reading(4, 40.0))
    told = [count(second, 1) for second in range(5)]
    later = [count(4, 2, append_ms=APPEND_MS + 1)]
    assert rows(expected, counts=[*told, *later])["alert-count"].is_true


def test_a_count_that_no_alert_explains_is_different() -> None:
    """A window without alerts has no result."""
    row = rows(expect(reading(4, 20.0)), counts=[count(0, 1)])["alert-count"]
    assert (row.different, row.is_true) == (1, False)


@pytest.mark.parametrize("settings", [AT_LEAST_ONCE, EMBEDDED], ids=["at-least-once", "embedded"])
def test_at_least_once_equal_repeats_are_duplicated_and_no_fault(settings: Settings) -> None:
    """Each result twice: counted as duplicated, nothing different, and the table is true."""
    expected = verify.expect(settings, [reading(0, 40.0), reading(1, 40.0)], 0)
    outputs = {
        "alert": [alert(0, 40.0), alert(1, 40.0)] * 2,
        "counts": [*(count(s, 1) for s in range(-4, 1)), *(count(s, 2) for s in range(-3, 1)), count(1, 1)] * 2,
        "averages": [average(-9, 40.0)] * 2,
    }
    found = rows(expected, settings, **outputs)
    numbers = {kind: (row.missing, row.different, row.duplicated, row.is_true) for kind, row in found.items()}
    assert numbers == {
        "alert": (0, 0, 2, True),
        "alert-count": (0, 0, 10, True),
        "avg-temp": (0, 0, 1, True),
        "dead-letter": (0, 0, 0, True),
    }
    exactly_once = rows(expected, **outputs)
    assert [row.is_true for row in exactly_once.values()] == [False, False, False, True]


def test_at_least_once_a_repeat_that_is_not_equal_is_different() -> None:
    """The same window with another mean is no repeat."""
    expected = verify.expect(AT_LEAST_ONCE, [reading(0, 20.0), reading(1, 20.0)], 0)
    row = rows(expected, AT_LEAST_ONCE, averages=[average(-9, 20.0), average(-9, 20.5)])["avg-temp"]
    assert (row.different, row.duplicated, row.is_true) == (1, 1, False)


@pytest.mark.parametrize(("settings", "number"), [(SETTINGS, 2), (AT_LEAST_ONCE, 1)], ids=["once", "at-least-once"])
def test_two_equal_readings_are_two_alerts_and_count_by_the_guarantee(settings: Settings, number: int) -> None:
    """Exactly once they are two readings; at least once the second cannot be told from a repeat."""
    expected = verify.expect(settings, [reading(4, 40.0), reading(4, 40.0)], 0)
    assert (expected.alerts.total(), set(expected.counts.values())) == (2, {number})


def test_what_is_no_alert_in_the_topic_of_alerts_is_different() -> None:
    """Somebody else wrote it; the table says so instead of ending."""
    row = rows(expect(reading(0, 20.0)), alert=[Record(b"{")])["alert"]
    assert (row.different, row.is_true) == (1, False)
