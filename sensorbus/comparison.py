"""A row of the table of `verify`; those of dead letters and copies.

Both name in a header the place of the record that they come from, and are counted by it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import Message

from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.expectation import Content, Expected, Place, Window, content, copy_of
from sensorbus.runtime import kafka

_Result = TypeVar("_Result")
_UNREADABLE_BATCH: Final = "compression"  # its letter stands for a batch, at whose offset nothing can be read


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One row of the table: results of one kind, counted."""

    kind: str
    expected: int = 0
    found: int = 0
    missing: int = 0
    pending: int = 0
    different: int = 0
    duplicated: int = 0
    late: int = 0
    may_repeat: bool = False
    unreadable: list[str] = field(default_factory=list)
    wrong: set[Window] = field(default_factory=set)  # of windows: those that are missing, or expected and different
    told: set[Window] = field(default_factory=set)  # those that were told in the time that counts

    @property
    def is_true(self) -> bool:
        """Whether each result that is due stands there with the right value, no wrong one does, and none is repeated.

        With `may_repeat` (at least once), equal repeats are no fault.
        """
        return not (self.missing or self.different or (self.duplicated and not self.may_repeat))

    def count(
        self, expected: AbstractSet[_Result], pending: AbstractSet[_Result], seen: Counter[_Result]
    ) -> AbstractSet[_Result]:
        """Count results by how often each was seen, others left out; return those that are missing."""
        absent = expected - seen.keys()
        missing = absent - pending
        self.found, self.missing, self.pending = len(expected) - len(absent), len(missing), len(absent) - len(missing)
        self.duplicated = sum(number - 1 for result, number in seen.items() if result in expected)
        return missing

    def count_contents(
        self, expected: Mapping[Place, Content], pending: AbstractSet[Place], seen: Counter[tuple[Place, Content]]
    ) -> None:
        """Count results that name the record that they come from; with another content they are different."""
        right: Counter[Place] = Counter()
        for (source, held), number in seen.items():
            if expected.get(source, held) == held:
                right[source] += number
            else:
                self.different += number
        self.count(expected.keys(), pending, right)

    def note_unreadable(self, message: Message, error: InvalidMessageError) -> None:
        """Count a result that cannot be read as a difference, and keep its place: no job writes such."""
        self.different += 1
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        self.unreadable.append(f"{place} cannot be read: {error}")


class _Letter(NamedTuple):
    """Of which record a dead letter is, what it holds, its kind, and when it was appended."""

    source: Place | None
    content: Content
    kind: str
    append_ms: int


def compare_letters(settings: Settings, expected: Expected, found: Iterable[Message]) -> Comparison:
    """Compare the records that cannot be read with the letters of them."""
    letters = _letters(settings, found)
    row = Comparison(kind="dead-letter", expected=len(expected.dead_letters))
    seen = Counter((letter.source, letter.content) for letter in letters if letter.source is not None)
    row.count_contents(expected.dead_letters, expected.pending.dead_letters, seen)
    row.different += sum(_is_of_a_good_record(expected, letter) for letter in letters)
    return row


def _is_of_a_good_record(expected: Expected, letter: _Letter) -> bool:
    """Tell whether a letter is of a record that we have read, and that can be read.

    One older than all that we have read is of a topic of the same name, before `sensor` was made anew.
    """
    if letter.source is None or letter.kind == _UNREADABLE_BATCH or not expected.was_read(letter.source):
        return False
    is_old = letter.append_ms < expected.spans[letter.source[0]].first_append_ms
    return not (is_old or letter.source in expected.dead_letters or letter.source in expected.possible_letters)


def compare_copies(settings: Settings, expected: Expected, newer: Iterable[Message]) -> Comparison:
    """Compare the readings under a foreign key with their copies on `sensor`, by the place that each copy names.

    `newer` is what came to `sensor` since it was read.
    """
    row = Comparison(kind="sensor", expected=len(expected.copies))
    topic = settings.topic_name(SENSOR)
    seen = expected.found_copies.copy()
    for message in newer:
        seen.update(copy_of(topic, message, kafka.headers(message)))
    row.count_contents(expected.copies, expected.pending.copies, seen)
    known = expected.copies.keys() | expected.earlier_copies
    foreign = ((source, number) for (source, _), number in seen.items() if source not in known)
    row.different += sum(number for source, number in foreign if expected.was_read(source))
    return row


def _letters(settings: Settings, found: Iterable[Message]) -> list[_Letter]:
    """Return the letters of records of `sensor`; a source of None: somebody else has written it."""
    letters = []
    for message in found:
        headers = dict(kafka.headers(message))
        if (headers.get("source.topic") or b"").decode(errors="replace") != settings.topic_name(SENSOR):
            continue
        kind = (headers.get("error.kind") or b"").decode(errors="replace")
        held, append_ms = content(message.key(), message.value()), kafka.append_time_ms(*message.timestamp())
        letters.append(_Letter(_source(headers), held, kind, append_ms))
    return letters


def _source(headers: Mapping[str, bytes | None]) -> Place | None:
    try:
        return int(headers["source.partition"] or b""), int(headers["source.offset"] or b"")
    except (KeyError, ValueError):
        return None
