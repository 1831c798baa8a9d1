"""Dead letters as lines of a file, and which of them can be read by now."""

import base64
import json
from dataclasses import replace
from typing import Final
from unittest.mock import Mock

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from sensorbus import dead_letters
from sensorbus.contract.errors import SettingsError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.dead_letters import DeadLetter, export, repaired_values

NOON_MS: Final = 1_769_860_800_000
READING: Final = b'{"timestamp":"2026-01-31T12:00:00Z","device_id":"a","temperature":20}'
ALERT: Final = b'{"celsius":31.0,"fahrenheit":87.8,"kelvin":304.15,"device_id":"b","timestamp":"2026-01-31T12:00:00Z"}'


class Record:
    """A record of `dead-letter` as the client gives it."""

    def __init__(self, headers: list[tuple[str, bytes | None]], offset: int = 7, value: bytes = b"{") -> None:
        """Hold the headers."""
        self._headers, self._offset, self._value = headers, offset, value

    def partition(self) -> int:
        """Return the partition."""
        return 2

    def offset(self) -> int:
        """Return the offset."""
        return self._offset

    def key(self) -> bytes:
        """Return the key."""
        return b"a"

    def value(self) -> bytes:
        """Return the value."""
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Return the headers."""
        return self._headers


def letter(value: bytes | None, place: str = "0@0", source_topic: str = "sensor") -> DeadLetter:
    """Return a letter with that value."""
    return DeadLetter(
        place=place, source_topic=source_topic, kind="json", reason="broken", key=b"a", value=value, headers=()
    )


@given(st.dictionaries(st.from_regex(r"[0-9]{1,3}@[0-9]{1,9}", fullmatch=True), st.binary(max_size=60), max_size=20))
def test_what_is_exported_comes_back_as_it_was(values: dict[str, bytes]) -> None:
    """Whatever the bytes are, text or not, an export that nobody edited holds the same values."""
    lines = list(export(letter(value, place) for place, value in values.items()))
    assert all(line.count(b"\n") == 0 for line in lines)
    assert repaired_values(lines) == values


def test_text_can_be_read_and_edited_and_other_bytes_are_base64() -> None:
    """A person repairs what is text; null is null."""
    rows = [json.loads(line) for line in export([letter(b'{"a":'), letter(b"\xff\x00"), letter(None)])]
    assert rows[0] == {"place": "0@0", "topic": "sensor", "error": "broken", "value": '{"a":'}
    assert base64.b64decode(rows[1]["value_base64"]) == b"\xff\x00"
    assert rows[2]["value"] is None


def test_an_edited_line_gives_the_new_value() -> None:
    """Empty lines between are no harm, and a value that was null becomes empty."""
    lines = [
        b"",
        b'{"place":"1@5","value":"new"}',
        b"  ",
        b'{"place":"1@6","value":null}',
        b'{"place":"2@0","value_base64":"AA=="}',
    ]
    assert repaired_values(lines) == {"1@5": b"new", "1@6": b"", "2@0": b"\x00"}


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"7",
        b'{"value":"x"}',
        b'{"place":"1@5"}',
        b'{"place":"1@5","value":7}',
        b'{"place":"1@5","value_base64":"A"}',
    ],
)
def test_a_line_that_is_none_of_an_export_is_refused_with_its_number(line: bytes) -> None:
    """Nothing of the file is used then."""
    with pytest.raises(SettingsError, match="line 2 is not a line of `sensorbus dead-letter export`"):
        repaired_values([b'{"place":"1@5","value":"x"}', line])


def test_a_letter_has_its_own_headers_and_ours_as_fields() -> None:
    """What the job has put before the record's headers is not sent back with it."""
    headers: list[tuple[str, bytes | None]] = [
        ("own", b"1"),
        ("own", None),
        ("source.topic", b"sensor"),
        ("source.partition", b"0"),
        ("source.offset", b"1"),
        ("error.kind", b"json\xff"),
        ("error.message", b"broken \xff"),
        ("replayed.from", b"0@3"),
    ]
    found = dead_letters._letter(Record(headers), dict(headers))
    assert found == DeadLetter(
        place="2@7",
        source_topic="sensor",
        kind="json\ufffd",
        reason="broken \ufffd",
        key=b"a",
        value=b"{",
        headers=(("own", b"1"), ("own", None)),
    )


def test_a_letter_that_a_marker_names_is_not_open() -> None:
    """The others are; what is neither letter nor marker is passed over."""
    letters = [Record([("source.topic", b"sensor")], offset) for offset in (7, 8)]
    held = [*letters, Record([("replayed", b"2@8")], 9), Record([("replayed", None)], 10), Record([], 11)]
    assert [letter.place for letter in dead_letters._not_sent_back(held)] == ["2@7"]


def test_letters_of_one_record_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """At least once a job may write a letter again: the record is sent once, and a marker stands beside each letter."""
    place: list[tuple[str, bytes | None]] = [("source.topic", b"sensor"), ("source.partition", b"1")]
    first, again, other = ([*place, ("source.offset", at)] for at in (b"5", b"5", b"6"))
    held = [Record(first, 7), Record(again, 8), Record(other, 9)]
    opened = dead_letters._not_sent_back(held)
    assert [(one.place, one.repeats) for one in opened] == [("2@7", ("2@8",)), ("2@9", ())]
    assert [one.place for one in dead_letters._not_sent_back([*held, Record([("replayed", b"2@8")], 10)])] == ["2@9"]
    done, sender = replay([replace(opened[0], value=READING)], monkeypatch)
    assert done == (1, 0)
    assert [(topic, headers) for topic, _, _, headers, _ in sender.transactions[0]] == [
        ("sensor", [("replayed.from", b"2@7")]),
        ("dead-letter", [("replayed", b"2@7")]),
        ("dead-letter", [("replayed", b"2@8")]),
    ]


def test_records_at_one_place_of_a_topic_that_was_made_anew_are_two() -> None:
    """They held something else."""
    headers: list[tuple[str, bytes | None]] = [("source.topic", b"sensor"), ("source.partition", b"1")]
    held = [Record([*headers, ("source.offset", b"5")], at, value) for at, value in ((7, b"{"), (8, b"}"))]
    assert [one.place for one in dead_letters._not_sent_back(held)] == ["2@7", "2@8"]


@pytest.mark.parametrize("said", [b"2@8", b"\xff", None])
def test_a_letter_is_no_marker_whatever_headers_its_record_came_with(said: bytes | None) -> None:
    """What a device writes in a header neither hides a letter nor ends the command."""
    forged = Record([("replayed", said), ("source.topic", b"sensor")])
    held = [forged, Record([("source.topic", b"sensor")], 8)]
    assert [letter.place for letter in dead_letters._not_sent_back(held)] == ["2@7", "2@8"]


class Sender:
    """Stands for the transactional producer: what it was given, by transaction."""

    def __init__(self, refused: BaseException | None = None) -> None:
        """Nothing is begun; with `refused`, the second transaction cannot be committed."""
        self.transactions: list[list[tuple[object, ...]]] = []
        self.committed = self.aborted = 0
        self._refused = refused

    def begin_transaction(self) -> None:
        """Begin the next."""
        self.transactions.append([])

    def produce(self, topic: str, value: object, key: object, partition: int = -1, *, headers: object) -> None:
        """Take a record, for a partition or (-1) the key's."""
        self.transactions[-1].append((topic, value, key, headers, partition))

    def commit_transaction(self, _timeout_s: float) -> None:
        """Count it, or refuse."""
        if self._refused and self.committed:
            raise self._refused
        self.committed += 1

    def abort_transaction(self, _timeout_s: float) -> None:
        """Count it."""
        self.aborted += 1


def replay(
    letters: list[DeadLetter],
    monkeypatch: pytest.MonkeyPatch,
    repaired: dict[str, bytes] | None = None,
    *,
    dry_run: bool = False,
    sender: Sender | None = None,
) -> tuple[tuple[int, int], Sender]:
    """Return how many of these letters were sent and were not, and the sender."""
    sender, consumer = sender or Sender(), Mock()
    monkeypatch.setattr(dead_letters, "open_letters", lambda *_: letters)
    monkeypatch.setattr(dead_letters, "_transactional_producer", lambda _: sender)
    bus = Settings(embedded_broker=True)  # has no rights to look at
    done = dead_letters.replay(bus, consumer, lambda: NOON_MS, repaired, dry_run=dry_run)
    return (done.sent, done.still_refused), sender


def test_a_letter_and_its_marker_are_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record goes to its topic under its device's key, the marker beside the letter."""
    sent = letter(READING, "1@5")
    done, sender = replay([replace(sent, key=b"as received", headers=(("own", b"1"),)), letter(b"{")], monkeypatch)
    assert (done, sender.committed) == ((1, 1), 1)
    assert sender.transactions == [
        [
            ("sensor", READING, b"a", [("own", b"1"), ("replayed.from", b"1@5")], -1),
            ("dead-letter", None, b"as received", [("replayed", b"1@5")], 1),
        ]
    ]


@pytest.mark.parametrize(("letters", "sizes"), [(0, []), (500, [1_000]), (501, [1_000, 2]), (1_001, [1_000, 1_000, 2])])
def test_letters_are_sent_in_batches(letters: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them once."""
    done, sender = replay([letter(READING, f"0@{number}") for number in range(letters)], monkeypatch)
    assert (done, sender.committed) == ((letters, 0), len(sizes))
    assert [len(transaction) for transaction in sender.transactions] == sizes
    places = [
        headers for transaction in sender.transactions for topic, _, _, headers, _ in transaction if topic == "sensor"
    ]
    assert places == [[("replayed.from", b"0@%d" % number)] for number in range(letters)]


def test_values_of_letters_that_are_not_open_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent back before, or of another bus: nothing is sent, and it is said."""
    monkeypatch.setattr(dead_letters, "open_letters", lambda *_: [letter(b"{", "0@1")])
    values = {"0@1": READING, "0@2": READING, "7@9": READING}
    done = dead_letters.replay(Settings(), Mock(), lambda: NOON_MS, values, dry_run=True)
    assert (done.sent, done.still_refused, done.unknown) == (1, 0, 2)


def test_large_letters_do_not_fill_the_clients_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 letters of 8 MB are more than it holds, and more than Kafka takes before it gives a transaction up."""
    large = letter(READING + b" " * 1_000_000)
    done, sender = replay([letter(READING), large, large, letter(READING)], monkeypatch)
    assert (done, [len(transaction) for transaction in sender.transactions]) == ((4, 0), [4, 2, 2])


def test_a_batch_that_cannot_be_sent_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent before is told, and no reader waits behind the rest."""
    sender = Sender(KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer")))  # the client's own code
    letters = [letter(READING, f"0@{number}") for number in range(501)]
    with pytest.raises(TopicError, match=r"\(500 were before\): no answer; a replay sends the rest, and none twice"):
        replay(letters, monkeypatch, sender=sender)
    assert (sender.committed, sender.aborted) == (1, 1)


def test_who_is_interrupted_leaves_no_transaction_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-C."""
    sender = Sender(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        replay([letter(READING)] * 501, monkeypatch, sender=sender)
    assert sender.aborted == 1


def test_repaired_letters_alone_are_sent_with_their_new_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay, readable or not; a repaired one that is still wrong is told."""
    letters = [letter(b"{", "0@0"), letter(READING, "0@1"), letter(READING, "0@2")]
    repaired = READING.replace(b":20}", b":21}")
    done, sender = replay(letters, monkeypatch, {"0@0": repaired, "0@2": b"["})
    assert done == (1, 1)
    assert [value for _, value, *_ in sender.transactions[0]] == [repaired, None]


def test_a_dry_run_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts alone."""
    done, sender = replay([letter(READING), letter(b"{")], monkeypatch, dry_run=True)
    assert (done, sender.transactions) == ((1, 1), [])


@pytest.mark.parametrize(
    ("source_topic", "value", "device_id"),
    [
        ("p-sensor", READING, "a"),
        ("p-alert", ALERT, "b"),
        ("p-alert", READING, None),
        ("p-sensor", b"{", None),
        ("p-sensor", READING + b" " * 8_388_608, None),  # Kafka would refuse it, and all of its batch
        ("p-alert", ALERT + b" " * 8_388_608, None),
        ("p-sensor", None, None),
        ("sensor", READING, None),  # of another bus on the same cluster
        ("p-avg-temp", READING, None),
    ],
)
def test_a_value_can_be_sent_back_when_its_topic_takes_it(
    source_topic: str, value: bytes | None, device_id: str | None
) -> None:
    """It goes under its device's key; what is refused still stays."""
    settings = Settings(topic_prefix="p-")
    assert dead_letters._device_id(settings, letter(value, source_topic=source_topic), value, NOON_MS) == device_id


def test_a_reading_from_the_future_can_be_sent_back_when_that_has_come() -> None:
    """The clock's limit is measured from now, not from when it was refused."""
    early = [dead_letters._device_id(Settings(), letter(READING), READING, NOON_MS - ago) for ago in (300_001, 300_000)]
    assert early == [None, "a"]
