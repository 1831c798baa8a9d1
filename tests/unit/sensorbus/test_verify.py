"""The verifier: what it says of right, wrong and pending results."""

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from sensorbus import history, verify
from sensorbus.comparison import Comparison
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.expectation import Expected
from sensorbus.expectation import expect as expect_with
from sensorbus.progress import Progress
from sensorbus.reading import Reader
from sensorbus.source import Source
from tests.support.results import APPEND_MS, Record, alert, average, count, reading, start_ms

SETTINGS = Settings()
AT_LEAST_ONCE = Settings(processing_guarantee="at-least-once")
EMBEDDED = Settings(embedded_broker=True)


def expect(*readings: Record, progress: Progress | None = None) -> Expected:
    """Return what must follow from the readings."""
    return expect_with(SETTINGS, readings, 0, progress)


def rows(expected: Expected, settings: Settings = SETTINGS, /, **outputs: list[Record]) -> dict[str, Comparison]:
    """Return the comparison with what stands in the topics, by kind."""
    topics: dict[str, Topic] = {
        "alert": ALERT,
        "counts": ALERT_COUNT,
        "averages": AVG_TEMP,
        "dead": DEAD_LETTER,
        "newer": SENSOR,
    }
    found = {topic: outputs.get(name, []) for name, topic in topics.items()}
    comparisons = verify.compare(settings, expected, found, 0)
    return {row.kind: row for row in comparisons}


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
        ([2], "different", 1),
    ],
)
def test_the_counts_of_a_window_rise_and_the_last_one_decides(numbers: list[int], fault: str, faults: int) -> None:
    """Two alerts in a window: 1 and then 2 must stand there, 2 last, nothing higher, nothing twice."""
    expected = expect(reading(4, 40.0), reading(4, 41.0))
    row = rows(expected, counts=[count(0, number) for number in numbers])["alert-count"]
    others = 4 if fault == "missing" else 0  # the other windows of the two alerts, which have no record here
    assert getattr(row, fault) == faults + others


def test_each_unreadable_record_has_one_dead_letter() -> None:
    """A bad value at [2]@7 is expected in dead-letter with that source."""
    expected = expect(Record(b"{", place=(2, 7)))
    headers = [("source.topic", b"sensor"), ("source.partition", b"2"), ("source.offset", b"7")]
    assert rows(expected)["dead-letter"].missing == 1
    assert rows(expected, dead=[Record(b"{", record_headers=headers)])["dead-letter"].is_true
    assert rows(expected, dead=[Record(b"{", record_headers=headers)] * 2)["dead-letter"].duplicated == 1


@pytest.mark.parametrize(
    ("newer", "is_true"),
    [([], False), ([reading(4, 41.0, offset=1)], True), ([reading(4, 41.0, "b", offset=1)], False)],
    ids=["nothing", "a-later-one", "another-device"],
)
def test_a_higher_count_is_right_with_a_later_reading_of_its_device(newer: list[Record], *, is_true: bool) -> None:
    """A count appended after the newest reading that was seen may hold more, if `sensor` has one by now."""
    expected = expect(reading(4, 40.0))
    told = [count(second, 1) for second in range(5)]
    later = [count(4, 2, append_ms=APPEND_MS + 1)]
    newer = [replace(one, append_ms=APPEND_MS + 1) for one in newer]
    assert rows(expected, counts=[*told, *later], newer=newer)["alert-count"].is_true == is_true
    assert not rows(expected, counts=[*told, count(4, 2)], newer=newer)["alert-count"].is_true, "appended before it"


@pytest.mark.parametrize(("apart_ms", "is_true"), [(0, False), (5_000, True)])
def test_a_later_result_may_have_an_earlier_time_by_another_leaders_clock(apart_ms: int, *, is_true: bool) -> None:
    """Its reading came since `sensor` was read; its leader's clock is 3 s behind."""
    expected = replace(expect(reading(4, 40.0)), apart_ms=apart_ms)
    newer = [replace(reading(4, 41.0, offset=1), append_ms=APPEND_MS + 1)]
    later = [count(second, 2, append_ms=APPEND_MS - 3_000) for second in range(5)]
    assert rows(expected, counts=[*COUNTS_OF_ONE, *later], newer=newer)["alert-count"].is_true == is_true


@pytest.mark.parametrize(("told_ms", "is_true"), [(-1, False), (0, True)])
def test_a_result_of_a_reading_behind_the_end_of_its_partition_is_right(told_ms: int, *, is_true: bool) -> None:
    """The newest that was seen is of another partition, which was asked later where it ends."""
    unseen = replace(reading(4, 40.0, offset=1), append_ms=APPEND_MS - 10)
    told = replace(alert(4, 40.0), append_ms=unseen.append_ms + told_ms)
    seen = [reading(3, 20.0), replace(reading(3, 20.0, "b"), place=(1, 0))]
    assert rows(expect(*seen), alert=[told], newer=[unseen])["alert"].is_true == is_true


def test_nothing_excuses_results_once_the_stream_has_ended() -> None:
    """A backlog worked off after the newest reading: what follows from no reading is different."""
    after_ms = APPEND_MS + 1
    outputs = {
        "alert": [alert(4, 40.0), alert(5, 40.0)],
        "counts": [count(second, number) for second in range(5) for number in (1, 2)],
        "averages": [average(-5, 40.0), average(-4, 40.0)],
    }
    late = {kind: [replace(record, append_ms=after_ms) for record in found] for kind, found in outputs.items()}
    table = rows(expect(reading(4, 40.0), reading(5, 20.0, offset=1)), **late)
    assert [table[kind].different for kind in ("alert", "alert-count", "avg-temp")] == [1, 5, 1]


@pytest.mark.parametrize("key", [None, b"b"])
def test_a_result_under_another_key_is_different(key: bytes | None) -> None:
    """Who reads the partition of its device would not find it."""
    expected = expect(reading(4, 40.0), reading(5, 20.0, offset=1))
    outputs = {"alert": [alert(4, 40.0)], "counts": COUNTS_OF_ONE[:1], "averages": [average(-5, 40.0)]}
    moved = {kind: [replace(record, record_key=key) for record in found] for kind, found in outputs.items()}
    table, right = rows(expected, **moved), rows(expected, **outputs)
    numbers = [(table[kind].different, right[kind].different) for kind in ("alert", "alert-count", "avg-temp")]
    assert numbers == [(1, 0)] * 3


def test_a_result_that_ends_elsewhere_is_different() -> None:
    """Its start and value are right."""
    expected = expect(reading(4, 40.0), reading(5, 20.0, offset=1))
    outputs = {"counts": COUNTS_OF_ONE[:1], "averages": [average(-5, 40.0)]}
    longer = {kind: [replace(one, raw=_with_end(one, 7)) for one in found] for kind, found in outputs.items()}
    table = rows(expected, **longer)
    assert [table[kind].different for kind in ("alert-count", "avg-temp")] == [1, 1]


def _with_end(record: Record, end_ms: int) -> bytes:
    return orjson.dumps({**orjson.loads(record.raw or b""), "end": end_ms})


def test_a_dead_letter_or_a_copy_that_holds_something_else_is_different() -> None:
    """It names the right place, and has another value or key."""
    headers = [("source.topic", b"sensor"), ("source.partition", b"0"), ("source.offset", b"0")]
    letters = [Record(b"[", record_headers=headers), Record(b"{", b"b", record_headers=headers)]
    row = rows(expect(Record(b"{")), dead=letters)["dead-letter"]
    assert (row.missing, row.different, row.is_true) == (1, 2, False)
    foreign = replace(reading(0, 20.0), record_key=b"bridge")
    copied = [("rekeyed.from", b"sensor[0]@0")]
    wrong = [replace(reading(0, 21.0), record_headers=copied), replace(foreign, record_headers=copied)]
    row = rows(expect(foreign), newer=[replace(one, place=(0, 1)) for one in wrong])["sensor"]
    assert (row.missing, row.different, row.is_true) == (1, 2, False)


def test_a_count_that_no_alert_explains_is_different() -> None:
    """A window without alerts has no result."""
    row = rows(expect(reading(4, 20.0)), counts=[count(0, 1)])["alert-count"]
    assert (row.different, row.is_true) == (1, False)


@pytest.mark.parametrize("settings", [AT_LEAST_ONCE, EMBEDDED], ids=["at-least-once", "embedded"])
def test_at_least_once_equal_repeats_are_duplicated_and_no_fault(settings: Settings) -> None:
    """Each result twice: counted as duplicated, nothing different, and the table is true."""
    expected = expect_with(settings, [reading(0, 40.0), reading(1, 40.0)], 0)
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
    expected = expect_with(AT_LEAST_ONCE, [reading(0, 20.0), reading(1, 20.0)], 0)
    row = rows(expected, AT_LEAST_ONCE, averages=[average(-9, 20.0), average(-9, 20.5)])["avg-temp"]
    assert (row.different, row.duplicated, row.is_true) == (1, 1, False)


@pytest.mark.parametrize(("settings", "number"), [(SETTINGS, 2), (AT_LEAST_ONCE, 1)], ids=["once", "at-least-once"])
def test_two_equal_readings_are_two_alerts_and_count_by_the_guarantee(settings: Settings, number: int) -> None:
    """Exactly once they are two readings; at least once the second cannot be told from a repeat."""
    expected = expect_with(settings, [reading(4, 40.0), reading(4, 40.0)], 0)
    assert (expected.alerts.total(), set(expected.counts.values())) == (2, {number})


def test_what_is_no_alert_in_the_topic_of_alerts_is_different() -> None:
    """Somebody else wrote it; the table says so and where it stands instead of ending."""
    row = rows(expect(reading(0, 20.0)), alert=[Record(b"{", place=(1, 4))])["alert"]
    assert (row.different, row.is_true) == (1, False)
    assert [line.partition(" cannot be read")[0] for line in row.unreadable] == ["results[1]@4"]


@pytest.mark.parametrize(
    ("changed", "warm_up_ms"),
    [
        ({}, 310_000),
        ({"clock_ahead_limit_ms": 0}, 30_000),
        ({"alert_count_length_ms": 60_000, "alert_count_grace_ms": 5_000, "clock_ahead_limit_ms": 9_000}, 195_000),
        ({"avg_temp_grace_ms": 100_000, "clock_ahead_limit_ms": 500_000}, 610_000),
    ],
)
def test_reading_begins_before_the_windows_that_count(changed: dict[str, int], warm_up_ms: int) -> None:
    """By the time that a clock may be ahead: what it has closed since is late by right, and nothing is missing."""
    assert history.warm_up_ms(Settings(**changed)) == warm_up_ms


def test_a_result_that_is_not_expected_may_have_its_reason() -> None:
    """Earlier readings, a window before the time that is looked at, a reading after the newest that was seen."""
    seen = Source(SENSOR, newest_ms=APPEND_MS)
    expected, since_ms = Expected(earlier={("a", start_ms(9))}, sensor=seen), start_ms(6)
    found = {
        ALERT: [alert(9, 40.0), alert(6, 40.0), alert(5, 40.0), Record(alert(6, 40.0).raw, append_ms=APPEND_MS + 1)],
        ALERT_COUNT: [count(9, 1), count(6, 1), count(5, 1), count(6, 1, append_ms=APPEND_MS + 1)],
        AVG_TEMP: [average(9, 1.0), average(6, 1.0), average(5, 1.0)],
        DEAD_LETTER: [],
        SENSOR: [replace(reading(6, 40.0, offset=1), append_ms=APPEND_MS + 1)],
    }
    found[AVG_TEMP].append(Record(average(6, 1.0).raw, append_ms=APPEND_MS + 1))
    comparisons = verify.compare(SETTINGS, expected, found, since_ms)
    assert [row.different for row in comparisons] == [1, 1, 1, 0]


@pytest.mark.parametrize("said", [[], [("source.partition", b"two"), ("source.offset", b"7")]])
def test_a_letter_of_somebody_else_is_none_of_ours(said: list[tuple[str, bytes]]) -> None:
    """It names the topic, and no place in it."""
    foreign = Record(b"{", record_headers=[("source.topic", b"sensor"), *said])
    assert rows(expect(), dead=[foreign])["dead-letter"].is_true
    assert rows(expect(Record(b"{", place=(2, 7))), dead=[foreign])["dead-letter"].missing == 1


def test_the_dead_letters_of_alert_are_not_those_of_sensor() -> None:
    """They may stand at the same place of their topic."""
    headers = [("source.topic", b"alert"), ("source.partition", b"2"), ("source.offset", b"7")]
    expected = expect(Record(b"{", place=(2, 7)))
    assert rows(expected, dead=[Record(b"{", record_headers=headers)])["dead-letter"].missing == 1


def letter_of_alert(offset: int, raw: bytes = b"{", append_ms: int = APPEND_MS) -> Record:
    """Return the letter of the record of `alert` at that offset of partition 2."""
    said = [("source.topic", b"alert"), ("source.partition", b"2"), ("source.offset", b"%d" % offset)]
    return Record(raw, append_ms=append_ms, record_headers=said)


BAD_ALERT = Record(b"{", place=(2, 7))


@pytest.mark.parametrize(
    ("letters", "fault"),
    [
        ([], "missing"),
        ([letter_of_alert(7)], ""),
        ([letter_of_alert(7)] * 2, "duplicated"),
        ([letter_of_alert(7), letter_of_alert(7, b"[")], "different"),
        ([letter_of_alert(7), letter_of_alert(8)], ""),  # of a later alert
    ],
)
def test_what_cannot_be_read_on_alert_has_one_dead_letter(letters: list[Record], fault: str) -> None:
    """With its bytes, beside the letters of `sensor`; the alert is told as different, whoever wrote it."""
    table = rows(expect(), alert=[BAD_ALERT], dead=letters)
    row = table["dead-letter"]
    numbers = {name: getattr(row, name) for name in ("missing", "different", "duplicated", "pending")}
    assert (row.expected, numbers) == (1, dict.fromkeys(numbers, 0) | ({fault: 1} if fault else {}))
    assert (row.is_true, table["alert"].different) == (not fault, 1)


@pytest.mark.parametrize(("different", "looks"), [(1, 1), (2, 3)], ids=["unreadable", "another"])
def test_what_cannot_be_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, different: int, looks: int) -> None:
    """It stays as it is; another difference may be the newest results that are not complete yet."""
    row = Comparison(kind="alert", different=different, unreadable=["alert[0]@1 cannot be read"])
    clock = itertools.count(0.0, 5.0)
    monkeypatch.setattr(verify, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _s: None))
    done: list[list[Comparison]] = []

    def look() -> list[Comparison]:
        done.append([row])
        return [row]

    consumer: Any = None
    assert (verify._looked(Reader(SETTINGS, consumer), look), len(done)) == ([row], looks)


def test_an_alert_that_is_too_large_has_a_letter() -> None:
    """Its job refuses it, though its value is an alert; the letter holds what fits."""
    large = replace(alert(4, 40.0), place=(2, 7))
    large.raw = (large.raw or b"") + b" " * ALERT.max_message_bytes
    kept = large.raw[: ALERT.max_message_bytes - 1_025]
    table = rows(expect(reading(4, 40.0)), alert=[large], dead=[letter_of_alert(7, kept)])
    assert (table["dead-letter"].found, table["dead-letter"].is_true, table["alert"].missing) == (1, True, 1)


def test_the_letter_of_an_alert_that_job_alert_count_has_not_read_is_pending() -> None:
    """As those of `sensor` are that job alert has not read."""
    found = [replace(BAD_ALERT, place=(2, offset)) for offset in (7, 8)]
    table = rows(expect(progress=Progress(alert_count={2: 8})), alert=found)
    assert (table["dead-letter"].missing, table["dead-letter"].pending) == (1, 1)


@pytest.mark.parametrize("key", [b"a", b"bridge"])
def test_a_letter_of_an_alert_that_can_be_read_is_different(key: bytes) -> None:
    """Also of one under a foreign key: its job sends that again under the right one."""
    good = replace(alert(4, 40.0), place=(2, 7), record_key=key)
    row = rows(expect(reading(4, 40.0)), alert=[good], dead=[letter_of_alert(7, good.raw or b"")])["dead-letter"]
    assert (row.expected, row.different, row.is_true) == (0, 1, False)


def test_bad_alerts_before_the_time_that_counts_are_not_compared() -> None:
    """On the embedded broker they are read too; a letter of one may stand there."""
    early = replace(BAD_ALERT, append_ms=APPEND_MS - 1)
    found = {ALERT: [early], ALERT_COUNT: [], AVG_TEMP: [], SENSOR: []}
    for letters in ([], [letter_of_alert(7)]):
        table = verify.compare(EMBEDDED, expect(), {**found, DEAD_LETTER: letters}, APPEND_MS)
        assert [(row.expected, row.different) for row in table] == [(0, 0)] * 4


def test_letters_of_alerts_that_retention_took_are_not_missing() -> None:
    """Those of younger ones are."""
    found = [BAD_ALERT, replace(BAD_ALERT, place=(2, 8), append_ms=APPEND_MS - 1)]
    row = rows(expect_with(SETTINGS, [], 0, letters_ms=APPEND_MS), alert=found)["dead-letter"]
    assert (row.expected, row.missing) == (1, 1)


def test_the_mark_of_a_replay_is_no_letter() -> None:
    """It has no place of a record; the letter that it is of counts as before."""
    mark = Record(None, record_headers=[("replayed", b"2@7")])
    assert rows(expect(), alert=[BAD_ALERT], dead=[letter_of_alert(7), mark])["dead-letter"].is_true


def test_a_mean_may_differ_by_the_rounding_of_sums_only() -> None:
    """A thousandth of a degree is another mean."""
    expected = expect(reading(0, 20.0), reading(1, 20.0))
    different = [
        rows(expected, averages=[average(-9, celsius)])["avg-temp"].different for celsius in (20.000000001, 20.001)
    ]
    assert different == [0, 1]


COUNTS_OF_ONE = [count(second, 1) for second in range(5)]
NOTHING_READ = Progress(alert={0: 0}, avg_temp={0: 0})
ALERT_READ = Progress(alert={0: 1}, avg_temp={0: 0})


def test_what_no_job_has_committed_is_pending() -> None:
    """Neither alert, counts, mean nor dead letter is missing; all that is expected is pending, and true."""
    readings = [reading(4, 40.0), reading(5, 20.0, offset=1), Record(b"{", place=(0, 2))]
    table = rows(expect(*readings, progress=NOTHING_READ))
    numbers = {kind: (row.expected, row.missing, row.pending, row.is_true) for kind, row in table.items()}
    assert numbers == {
        "alert": (1, 0, 1, True),
        "alert-count": (5, 0, 5, True),
        "avg-temp": (1, 0, 1, True),
        "dead-letter": (1, 0, 1, True),
    }


def test_what_is_committed_is_missing_when_it_is_not_there() -> None:
    """Job alert has committed the first of two readings: one alert and its counts are missing, the others pending."""
    table = rows(expect(reading(4, 40.0), reading(4, 41.0, offset=1), progress=ALERT_READ))
    assert [(table[kind].missing, table[kind].pending) for kind in ("alert", "alert-count")] == [(1, 1), (5, 0)]
    assert [table[kind].is_true for kind in ("alert", "alert-count", "avg-temp")] == [False, False, True]


def test_a_pending_result_that_stands_there_is_found() -> None:
    """The job has written it since: all is found, nothing pending."""
    expected = expect(reading(4, 40.0), reading(5, 20.0, offset=1), progress=NOTHING_READ)
    table = rows(expected, alert=[alert(4, 40.0)], counts=COUNTS_OF_ONE, averages=[average(-5, 40.0)])
    assert {kind: (row.found, row.pending, row.is_true) for kind, row in table.items() if row.expected} == {
        "alert": (1, 0, True),
        "alert-count": (5, 0, True),
        "avg-temp": (1, 0, True),
    }


def test_a_pending_result_that_is_wrong_is_different() -> None:
    """Nothing excuses another mean, or a count above all that may come."""
    expected = expect(reading(4, 40.0), reading(5, 20.0, offset=1), progress=NOTHING_READ)
    table = rows(expected, counts=[count(0, 1), count(0, 2)], averages=[average(-5, 20.0)])
    assert [(table[kind].different, table[kind].is_true) for kind in ("alert-count", "avg-temp")] == [(1, False)] * 2


@pytest.mark.parametrize(
    ("numbers", "kept"),
    [([1], "pending"), ([1, 2], "found"), ([], "missing"), ([2], "different"), ([1, 2, 3], "different")],
)
def test_an_alert_that_was_not_counted_yet_makes_the_count_pending(numbers: list[int], kept: str) -> None:
    """Both alerts stand in their topic and the second is not counted: 1 is due, 2 may stand there, 3 may not."""
    uncounted = frozenset({("a", "2023-11-14T22:13:04Z", 41.0, 105.8, 314.15)})
    expected = expect(reading(4, 40.0), reading(4, 41.0, offset=1), progress=Progress(uncounted=uncounted))
    others = [record for second in range(1, 5) for record in (count(second, 1), count(second, 2))]
    row = rows(expected, counts=[*others, *(count(0, number) for number in numbers)])["alert-count"]
    assert (row.expected, getattr(row, kept)) == (5, 5 if kept == "found" else 1)
    assert row.is_true == (kept in ("pending", "found"))


def test_an_alert_that_was_counted_and_repeated_is_due() -> None:
    """The repeat of the first alert is not counted yet; the second alert was, hence the first was too."""
    uncounted = frozenset({("a", "2023-11-14T22:13:04Z", 40.0, 104.0, 313.15)})
    readings = [reading(4, 40.0), reading(5, 41.0, offset=1)]
    expected = expect_with(AT_LEAST_ONCE, readings, 0, Progress(uncounted=uncounted))
    row = rows(expected, AT_LEAST_ONCE, counts=[*COUNTS_OF_ONE, count(5, 1)])["alert-count"]
    assert (row.expected, row.different, row.is_true) == (6, 4, False)  # those that both fall in


def test_copies_have_a_row_where_a_reading_came_under_a_foreign_key() -> None:
    """Only there; a copy that came since `sensor` was read stands among its newer records."""
    foreign = reading(0, 20.0)
    foreign.record_key = b"bridge"
    copied = reading(0, 20.0, offset=1)
    copied.record_headers = [("rekeyed.from", b"sensor[0]@0")]
    assert "sensor" not in rows(expect(reading(0, 20.0)))
    assert not rows(expect(foreign))["sensor"].is_true
    assert rows(expect(foreign, copied))["sensor"].is_true
    assert rows(expect(foreign), newer=[copied])["sensor"].is_true
