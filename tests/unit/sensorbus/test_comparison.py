"""Dead letters and copies, counted by the place that they name."""

import pytest

from sensorbus.comparison import Comparison, compare_copies, compare_letters
from sensorbus.contract.settings import Settings
from sensorbus.expectation import Expected, expect
from sensorbus.progress import Progress
from tests.support.results import APPEND_MS, Record, reading

SETTINGS = Settings()


def original(offset: int = 0) -> Record:
    """Return a reading without a key, at that offset of partition 0."""
    record = reading(0, 40.0, offset=offset)
    record.record_key = None
    return record


def copy(source: int = 0, offset: int = 0, *, topic: str = "sensor") -> Record:
    """Return the copy of the reading at that offset of partition 0, as job alert sends it to partition 1."""
    record = reading(0, 40.0)
    record.place = (1, offset)
    record.record_headers = [("rekeyed.from", f"{topic}[0]@{source}".encode())]
    return record


def copies(expected: Expected, *newer: Record, settings: Settings = SETTINGS) -> Comparison:
    """Return the row of the copies."""
    row = compare_copies(settings, expected, expected.unread(newer))
    row.may_repeat = not settings.is_exactly_once
    return row


def test_a_copy_of_each_reading_under_a_foreign_key_is_true() -> None:
    """Whichever of the two is read first."""
    for order in ([original(), original(1), copy(1), copy(0, 1)], [copy(), original()]):
        row = copies(expect(SETTINGS, order, 0))
        assert (row.kind, row.expected, row.found) == ("sensor", len(order) // 2, len(order) // 2)
        assert (row.missing, row.duplicated, row.different, row.is_true) == (0, 0, 0, True)


def test_a_copy_that_was_never_sent_is_missing() -> None:
    """Until job alert has committed its reading it is pending; one that came since counts."""
    row = copies(expect(SETTINGS, [original()], 0))
    assert (row.missing, row.pending, row.is_true) == (1, 0, False)
    row = copies(expect(SETTINGS, [original()], 0, Progress(alert={0: 0})))
    assert (row.missing, row.pending, row.is_true) == (0, 1, True)
    row = copies(expect(SETTINGS, [original()], 0), copy())
    assert (row.found, row.missing, row.is_true) == (1, 0, True)
    row = copies(expect(SETTINGS, [original(), copy()], 0), original(), copy())  # both were read before
    assert (row.found, row.duplicated, row.is_true) == (1, 0, True)


def test_a_copy_that_was_sent_twice_is_a_fault_exactly_once() -> None:
    """At least once it is told as repeated, and no fault."""
    expected = expect(SETTINGS, [original(), copy(), copy(offset=1)], 0)
    row = copies(expected)
    assert (row.found, row.duplicated, row.is_true) == (1, 1, False)
    assert copies(expected, settings=Settings(processing_guarantee="at-least-once")).is_true


def test_a_copy_of_a_reading_under_its_own_key_is_different() -> None:
    """Unless the reading is older than what was read, or of another bus."""
    good = reading(0, 40.0, offset=5)
    rows = [copies(expect(SETTINGS, [good, record], 0)) for record in (copy(5), copy(4), copy(5, topic="other-sensor"))]
    assert [(row.different, row.is_true) for row in rows] == [(1, False), (0, True), (0, True)]


def test_a_copy_of_an_earlier_reading_is_neither_expected_nor_wrong() -> None:
    """It came before the time that counts."""
    early = original()
    early.append_ms -= 1
    row = copies(expect(SETTINGS, [early, copy()], APPEND_MS))
    assert (row.expected, row.different, row.is_true) == (0, 0, True)


def test_a_copy_that_was_a_dead_letter_and_was_sent_back_is_no_second_one() -> None:
    """It has the header of the copy, and behind it that of the replay."""
    replayed = copy(offset=1)
    replayed.record_headers.append(("replayed.from", b"0@7"))
    row = copies(expect(SETTINGS, [original(), copy(), replayed], 0))
    assert (row.found, row.duplicated, row.is_true) == (1, 0, True)


@pytest.mark.parametrize("said", [b"", b"sensor[0]", b"sensor[0]@x", b"\xff[0]@0", None])
def test_a_header_that_names_no_place_is_of_no_copy(said: bytes | None) -> None:
    """Anybody may write one."""
    record = copy()
    record.record_headers = [("rekeyed.from", said)]  # type: ignore[list-item]  # a null value is one
    assert expect(SETTINGS, [record], 0).found_copies.total() == 0


def letter(partition: int, offset: int, kind: str = "json", append_ms: int = APPEND_MS) -> Record:
    """Return a letter of a record of `sensor`."""
    headers = [("source.topic", "sensor"), ("source.partition", partition), ("source.offset", offset)]
    said = [(name, str(value).encode()) for name, value in (*headers, ("error.kind", kind))]
    return Record(b"{", append_ms=append_ms, record_headers=said)


@pytest.mark.parametrize(
    ("found", "different"),
    [
        (letter(0, 6), 1),
        (letter(0, 6, "compression"), 0),  # its offset is no record's that can be read
        (letter(0, 4), 0),  # older than what was read
        (letter(0, 8), 0),  # younger
        (letter(1, 6), 0),  # of a partition of which nothing was read
        (letter(0, 6, append_ms=APPEND_MS - 1), 0),  # of `sensor` as it was before it was made anew
    ],
)
def test_a_letter_of_a_good_reading_is_different(found: Record, different: int) -> None:
    """Of what was read, whatever a letter says of it."""
    expected = expect(SETTINGS, [reading(second, 20.0, offset=5 + second) for second in range(3)], 0)
    row = compare_letters(SETTINGS, [expected.sensor], [found])
    assert (row.different, row.is_true) == (different, not different)


def test_a_letter_of_a_bad_record_before_the_time_that_counts_is_not_different() -> None:
    """Nor is it expected."""
    early = Record(b"{", append_ms=APPEND_MS - 1)
    expected = expect(SETTINGS, [early, reading(1, 20.0, offset=1)], APPEND_MS)
    row = compare_letters(SETTINGS, [expected.sensor], [letter(0, 0)])
    assert (row.expected, row.different, row.is_true) == (0, 0, True)


def test_a_letter_of_a_reading_whose_time_is_not_believed_may_be_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a topic of CreateTime the job's own clock said whether it was ahead, and that moment is gone."""
    one = reading(0, 20.0)
    monkeypatch.setattr(one, "timestamp", lambda: (1, -1))
    assert compare_letters(SETTINGS, [expect(SETTINGS, [one], 0).sensor], [letter(0, 0, "clock-ahead")]).is_true
