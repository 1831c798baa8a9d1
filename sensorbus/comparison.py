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
from sensorbus.expectation import Expected, Window, copy_of
from sensorbus.runtime import kafka
from sensorbus.source import Content, Place, Source, content

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
    unjudged: int = 0  # results of a time whose readings were not read
    may_repeat: bool = False
    unreadable: list[str] = field(default_factory=list)
    wrong: set[Window] = field(default_factory=set)  # of windows: those that are missing, or expected and different
    told: dict[str, int] = field(default_factory=dict)  # by device: the first window told in the time that counts

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
        self, expected: Mapping[_Result, Content], pending: AbstractSet[_Result], seen: Counter[tuple[_Result, Content]]
    ) -> None:
        """Count results that name the record that they come from; with another content they are different."""
        right: Counter[_Result] = Counter()
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
        self.unreadable.append(f"{place} cannot be read, so no job wrote it: {error}")


class _Letter(NamedTuple):
    """A letter as it stands: of which record it is, what it holds, its kind, and when it was appended."""

    topic: str
    place: Place
    content: Content
    kind: str
    append_ms: int


def compare_letters(settings: Settings, sources: Iterable[Source], found: Iterable[Message]) -> Comparison:
    """Compare the records of these topics that cannot be read with the letters of them."""
    by_name = {settings.topic_name(source.topic): source for source in sources}
    due = {(name, place): held for name, source in by_name.items() for place, held in source.letters.items()}
    pending = {(name, place) for name, source in by_name.items() for place in source.pending}
    row = Comparison(kind="dead-letter", expected=len(due))
    seen: Counter[tuple[tuple[str, Place], Content]] = Counter()
    for letter in filter(None, map(_letter, found)):
        if letter.topic in by_name:
            seen[(letter.topic, letter.place), letter.content] += 1
            row.different += _is_of_a_good_record(by_name[letter.topic], letter)
    row.count_contents(due, pending, seen)
    return row


def _letter(message: Message) -> _Letter | None:
    """Return a letter; None for a mark of a replay, and where no place is named: somebody else has written it."""
    headers = dict(kafka.headers(message))
    try:
        topic = (headers["source.topic"] or b"").decode(errors="replace")
        place = int(headers["source.partition"] or b""), int(headers["source.offset"] or b"")
    except (KeyError, ValueError):
        return None
    kind = (headers.get("error.kind") or b"").decode(errors="replace")
    held, append_ms = content(message.key(), message.value()), kafka.append_time_ms(*message.timestamp())
    return _Letter(topic, place, held, kind, append_ms)


def _is_of_a_good_record(source: Source, letter: _Letter) -> bool:
    """Tell whether a letter is of a record that we have read, and that can be read.

    One older than all that we have read is of a topic of the same name, before it was made anew.
    """
    if letter.kind == _UNREADABLE_BATCH or not source.was_read(letter.place):
        return False
    is_old = letter.append_ms < source.spans[letter.place[0]].first_append_ms
    return not (is_old or letter.place in source.letters or letter.place in source.possible)


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
    row.different += sum(number for source, number in foreign if expected.sensor.was_read(source))
    return row
