"""What was read of a topic, and which dead letters are due of it."""

import pytest

from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.source import Source, content
from tests.support.results import APPEND_MS, Record


def refused(source: Source, record: Record, *, counted: bool = True, is_written: bool = True) -> Source:
    """Return the source after it has seen this record, which cannot be read."""
    _, append_ms = source.see(record)
    source.refuse(record, record.headers(), append_ms, counted=counted, is_written=is_written)
    return source


def test_a_bad_record_must_have_a_letter_with_its_key_and_bytes() -> None:
    """Until its job has committed it, the letter is pending."""
    done = refused(Source(ALERT), Record(b"{", b"k", place=(2, 7)))
    assert (done.letters, done.pending, done.possible) == ({(2, 7): content(b"k", b"{")}, set(), set())
    assert refused(Source(ALERT), Record(b"{", place=(2, 7)), is_written=False).pending == {(2, 7)}


@pytest.mark.parametrize(("begin_ms", "counted"), [(APPEND_MS + 1, True), (0, False)], ids=["gone", "not counted"])
def test_a_letter_that_need_not_stand_there_may(begin_ms: int, *, counted: bool) -> None:
    """Retention may have taken it, or its record came before the time that is looked at."""
    done = refused(Source(SENSOR, begin_ms), Record(b"{", place=(2, 7)), counted=counted)
    assert (done.letters, done.possible) == ({}, {(2, 7)})
    assert refused(Source(SENSOR, APPEND_MS), Record(b"{", place=(2, 7))).letters.keys() == {(2, 7)}


def test_of_a_record_that_is_too_large_the_letter_has_the_first_bytes() -> None:
    """As job alert keeps them: 1,024 bytes less than the topic takes, of which one is the key."""
    done = refused(Source(SENSOR), Record(b"x" * SENSOR.max_message_bytes))
    assert done.letters == {(0, 0): content(b"a", b"x" * (SENSOR.max_message_bytes - 1_025))}


def test_what_was_read_reaches_from_the_first_to_the_last_record() -> None:
    """Of each partition by itself; places of markers between are within."""
    source = Source(SENSOR)
    for place, append_ms in [((0, 5), 2_000), ((0, 9), 3_000), ((1, 2), 1_000)]:
        source.see(Record(b"", append_ms=append_ms, place=place))
    read = [place for place in [(0, 4), (0, 5), (0, 7), (0, 9), (0, 10), (1, 5), (2, 5)] if source.was_read(place)]
    assert read == [(0, 5), (0, 7), (0, 9)]
    assert (source.spans[0].first_append_ms, source.newest_ms) == (2_000, 3_000)


def test_of_a_record_whose_time_is_not_believed_a_letter_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's clock said then whether it was ahead."""
    record, source = Record(b""), Source(SENSOR)
    monkeypatch.setattr(record, "timestamp", lambda: (1, -1))
    source.see(record)
    assert source.possible == {(0, 0)}
