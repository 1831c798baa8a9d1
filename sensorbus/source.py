"""What was read of a topic that has dead letters, and which letters are due."""

from dataclasses import dataclass, field

from confluent_kafka import Message

from sensorbus.contract.sizes import Headers, first_bytes
from sensorbus.contract.topics import Topic
from sensorbus.runtime import kafka

#: A place on a topic: (partition, offset).
Place = tuple[int, int]
#: What a record holds, to tell it from another one in this process: the hash of its key and value.
Content = int


@dataclass(slots=True)
class Span:
    """What was read of a partition: its first and last offset, and when the first was appended."""

    first: int
    last: int
    first_append_ms: int


@dataclass(slots=True)
class Source:
    """A topic, `sensor` or `alert`, whose records a job reads; what it cannot read must have one letter each."""

    topic: Topic
    begin_ms: int = 0  # letters of records appended before may be gone: retention takes them by themselves
    newest_ms: int = 0  # when the newest that was read was appended
    spans: dict[int, Span] = field(default_factory=dict)  # by partition
    letters: dict[Place, Content] = field(default_factory=dict)
    pending: set[Place] = field(default_factory=set)  # of those, what the job has not committed
    #: Records of which a letter may stand: those too old to count, and those whose time the job's own clock told it.
    possible: set[Place] = field(default_factory=set)

    def see(self, message: Message) -> tuple[Place, int]:
        """Take a record as read; return its place and append time."""
        place, append_ms = (message.partition(), message.offset()), kafka.append_time_ms(*message.timestamp())
        span = self.spans.setdefault(place[0], Span(place[1], place[1], append_ms))
        span.last = max(span.last, place[1])
        self.newest_ms = max(self.newest_ms, append_ms)
        if append_ms != message.timestamp()[1]:  # the job's clock said then, and ours says now, whether it is ahead
            self.possible.add(place)
        return place, append_ms

    def refuse(self, message: Message, headers: Headers, append_ms: int, *, counted: bool, is_written: bool) -> None:
        """Expect the letter of a record that cannot be read, if it is `counted`."""
        place = message.partition(), message.offset()
        if not counted or append_ms < self.begin_ms:
            self.possible.add(place)
            return
        value, key, _ = first_bytes(message.value(), message.key(), headers, self.topic)
        self.letters[place] = content(key, value)
        if not is_written:
            self.pending.add(place)

    def was_read(self, place: Place) -> bool:
        """Tell whether a place lies within what was read."""
        span = self.spans.get(place[0])
        return span is not None and span.first <= place[1] <= span.last


def content(key: bytes | None, value: bytes | None) -> Content:
    """Return what tells a record's key and value from others."""
    return hash((key, value))
