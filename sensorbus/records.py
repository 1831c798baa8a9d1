"""Reads topics as they stand: sizes, last records, new records.

Nothing is committed or changed.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import ClusterMetadata

from sensorbus.contract.errors import SensorbusError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import BY_NAME, Topic
from sensorbus.runtime import access, batches, kafka
from sensorbus.runtime.logs import escape

# The end of a partition may hold transaction markers, which are offsets without a record. A commit writes one per
# partition and at least one record before it, so this far back there is a record if there is one at all.
_MARKERS_LOOKED_PAST: Final = 100
_POLL_S: Final = 0.2
_COMMITTED_WITHIN_S: Final = 30.0
#: Of a key, a value or a header, that much is shown: all of what the jobs write, little of 8 MB of garbage.
MOST_CHARACTERS: Final = 1_000
_MOST_HEADERS: Final = 20
#: By topic and partition: the offset after the last record that is to be read.
Ends = Mapping[tuple[str, int], int]
#: By topic and partition: the offsets that are to be read.
Held = Mapping[tuple[str, int], range]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """What stands in a topic: `offsets` counts transaction markers too; `last_append_ms` is None when it is empty.

    `last_keys` are those of the last records, by partition.
    """

    name: str
    partitions: int
    offsets: int
    last_append_ms: int | None
    last_keys: Mapping[int, bytes | None]


def topic_by_name(settings: Settings, name: str) -> Topic:
    """Return the topic of that name, with or without the prefix; `TopicError` names the known ones."""
    topic = BY_NAME.get(name.removeprefix(settings.topic_prefix) if settings.topic_prefix else name)
    if topic is None:
        raise TopicError(f"{name} is not a topic of sensorbus; there are: {', '.join(BY_NAME)}")
    return topic


def missing(settings: Settings, metadata: ClusterMetadata, topics: Sequence[Topic]) -> list[Topic]:
    """Return those of the topics that the cluster does not have."""
    return [topic for topic in topics if not _exists(metadata, settings.topic_name(topic))]


def not_seen_error(settings: Settings, topics: Sequence[Topic]) -> TopicError:
    """Return the one line for topics that the cluster does not list: a right is missing, or the topics; asks Kafka."""
    return hidden_error(settings, topics) or missing_error(settings, topics)


def hidden_error(settings: Settings, topics: Sequence[Topic]) -> TopicError | None:
    """Ask for topics by name, because a list leaves out those that one may not see; None when none is hidden."""
    needed = dict.fromkeys(map(settings.topic_name, topics), ("DESCRIBE",))
    lacks = kafka.lacking_rights(settings, "topics", needed)
    return TopicError(lacks) if lacks else None


def missing_error(settings: Settings, topics: Sequence[Topic]) -> TopicError:
    """Return the one line that names all these topics and the command that makes them."""
    names = ", ".join(settings.topic_name(topic) for topic in topics)
    if len(topics) == 1:
        return TopicError(f"topic {names} does not exist; `sensorbus topics create` makes it")
    return TopicError(f"topics {names} do not exist; `sensorbus topics create` makes them")


def partitions(settings: Settings, consumer: Consumer, topic: Topic) -> list[TopicPartition]:
    """Return the topic's partitions; `TopicError` when it does not exist, or this user may not see it."""
    name = settings.topic_name(topic)
    metadata = kafka.cluster_metadata(settings, consumer)
    if not _exists(metadata, name):
        raise not_seen_error(settings, [topic])
    return [TopicPartition(name, number) for number in sorted(metadata.topics[name].partitions)]


def held_offsets(settings: Settings, consumer: Consumer, starts: Sequence[TopicPartition]) -> Held:
    """Return by place the offsets from there on that Kafka holds now and that may be read, if any; markers too."""
    whole = {(one.topic, one.partition): range(*watermarks(settings, consumer, one)) for one in starts}
    return held_from(whole, starts)


def held_from(held: Held, starts: Sequence[TopicPartition]) -> Held:
    """Return by place the offsets from there on, of those that are held."""
    found = {}
    for start in starts:
        offsets = held[start.topic, start.partition]
        found[start.topic, start.partition] = range(min(max(offsets.start, start.offset), offsets.stop), offsets.stop)
    return found


def wait_until_committed(settings: Settings, consumer: Consumer, topic: Topic) -> None:
    """Wait until no transaction hides what stands in a topic now; raises `TopicError` after 30 s.

    Committed records behind an open transaction are not shown to a `read_committed` consumer.
    """
    with contextlib.closing(kafka.consumer(settings, "records", **{"isolation.level": "read_uncommitted"})) as other:
        places = [(place, watermarks(settings, other, place)[1]) for place in partitions(settings, consumer, topic)]
    deadline_s = time.monotonic() + _COMMITTED_WITHIN_S
    for place, end in places:
        while watermarks(settings, consumer, place)[1] < end:
            if time.monotonic() > deadline_s:
                raise TopicError(
                    f"{place.topic}[{place.partition}] cannot be read to its end: a transaction there is open; that of "
                    "a killed job ends within 180 s, and what to do when it does not is in docs/operations.md"
                )
            time.sleep(_POLL_S)


def behind_transactions(settings: Settings, consumer: Consumer, topics: Sequence[Topic]) -> list[TopicPartition]:
    """Return the partitions of which a `read_committed` consumer does not see the end: a transaction there is open."""
    with contextlib.closing(kafka.consumer(settings, "records", **{"isolation.level": "read_uncommitted"})) as other:
        return [
            place
            for topic in topics
            for place in partitions(settings, consumer, topic)
            if watermarks(settings, consumer, place)[1] < watermarks(settings, other, place)[1]
        ]


def topic_state(settings: Settings, consumer: Consumer, topic: Topic) -> TopicState:
    """Return the topic's size, the time of its last record, and the last keys."""
    held, starts, known = 0, [], {}
    all_partitions = partitions(settings, consumer, topic)
    for partition in all_partitions:
        low, high = watermarks(settings, consumer, partition)
        held += high - low
        if high > low:
            starts.append(TopicPartition(partition.topic, partition.partition, max(low, high - _MARKERS_LOOKED_PAST)))
            known[partition.topic, partition.partition] = high
    last = {message.partition(): message for message in read_to_end(settings, consumer, starts, known)}
    return TopicState(
        name=settings.topic_name(topic),
        partitions=len(all_partitions),
        offsets=held,
        last_append_ms=max((message.timestamp()[1] for message in last.values()), default=None),
        last_keys={partition: message.key() for partition, message in last.items()},
    )


def read_to_end(
    settings: Settings, consumer: Consumer, starts: list[TopicPartition], known: Ends | None = None
) -> Iterator[Message]:
    """Yield every record from the given offsets to the end as it is now; needs `enable.partition.eof`.

    `known` are the ends, where they were asked for already. A partition that is written to all the time may never tell
    that its end is reached: a later record tells it too.
    """
    if known is None:
        known = {place: offsets.stop for place, offsets in held_offsets(settings, consumer, starts).items() if offsets}
    pending = dict(known)
    consumer.assign([start for start in starts if (start.topic, start.partition) in pending])
    deadline_s = time.monotonic() + kafka.REQUEST_TIMEOUT_S
    while pending:
        message = consumer.poll(_POLL_S)
        if message is None:
            if time.monotonic() > deadline_s:
                raise _silence(settings, consumer, [one for one in starts if (one.topic, one.partition) in pending])
            continue
        deadline_s = time.monotonic() + kafka.REQUEST_TIMEOUT_S
        place = (message.topic(), message.partition())
        if message.error() is None and message.offset() < pending.get(place, 0):
            yield message
        if _read_to(settings, consumer, message) >= pending.get(place, 0):
            pending.pop(place, None)
    consumer.unassign()


def _silence(settings: Settings, consumer: Consumer, starts: Sequence[TopicPartition]) -> SensorbusError:
    """Return why nothing comes of these: records that go before they are read, else a broker that does not answer.

    A client that is overtaken goes to where it last saw the beginning, which has moved on where all the time is cut.
    """
    for start, read in zip(starts, consumer.position(list(starts)), strict=True):
        if 0 <= max(start.offset, read.offset) < watermarks(settings, consumer, start)[0]:
            return TopicError(
                f"{start.topic}[{start.partition}] cannot be read to its end: its oldest records go before they "
                "are read; Kafka holds too little of it for how fast it is written and read"
            )
    return kafka.unavailable(settings, KafkaException(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001  # its name


def _read_to(settings: Settings, consumer: Consumer, message: Message) -> float:
    """Return up to which offset a partition is read with this message; raises `TopicError`."""
    error = message.error()
    if error is None:
        return (message.offset() or 0) + 1
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # the client's own name for it
        return math.inf
    if batches.is_unreadable(error):
        return batches.go_on_behind(settings, consumer, message)
    if not error.retriable():
        raise _unreadable(message, error)
    return 0


def tail(  # noqa: PLR0913  # what to read, how much of it, until when
    settings: Settings, consumer: Consumer, topic: Topic, *, last: int | None, follow: bool, stop: Event
) -> Iterator[Message]:
    """Yield the `last` records of each partition (None: all of them), by append time, then new ones as they come."""
    starts, known = [], {}
    for partition in partitions(settings, consumer, topic):
        low, high = watermarks(settings, consumer, partition)
        offset = low if last is None else max(low, high - last - (_MARKERS_LOOKED_PAST if last else 0))
        starts.append(TopicPartition(partition.topic, partition.partition, offset))
        if high > offset:
            known[partition.topic, partition.partition] = high
    held = sorted(read_to_end(settings, consumer, starts, known), key=lambda message: message.timestamp()[1])
    yield from held if last is None else held[len(held) - last :] if last else ()
    if not follow:
        return
    ends = {start.partition: start.offset for start in starts}
    for message in held:
        ends[message.partition()] = max(ends[message.partition()], message.offset() + 1)
    consumer.assign([TopicPartition(settings.topic_name(topic), number, offset) for number, offset in ends.items()])
    while not stop.is_set():
        message = consumer.poll(_POLL_S)
        if message is None:
            continue
        error = message.error()
        if error is None:
            yield message
        elif batches.is_unreadable(error):
            batches.go_on_behind(settings, consumer, message)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise _unreadable(message, error)


def line(message: Message, most: int | None = MOST_CHARACTERS) -> str:
    """Return a record as one line for people: time, place, key, value, headers; nothing in it can break the line.

    What is longer than `most` characters is cut, and says so (None: nothing is).
    """
    seconds, milliseconds = divmod(max(0, message.timestamp()[1]), 1000)
    clock = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"
    headers = kafka.headers(message)
    shown = headers if most is None else headers[:_MOST_HEADERS]
    texts = [_text(message.key(), most), _text(message.value(), most)]
    texts += [f"{_text(name, most)}={_text(value, most)}" for name, value in shown]
    texts += [f"... and {len(headers) - len(shown)} headers more"] if len(shown) < len(headers) else []
    place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
    return escape(f"{clock} {place} {' '.join(texts)}")


def _text(raw: bytes | str | None, most: int | None) -> str:
    if raw is None:
        return "null"
    text = raw if isinstance(raw, str) else raw.decode(errors="backslashreplace")
    if most is None or len(text) <= most:
        return text
    return f"{text[:most]}... and {len(text) - most:,} characters more"


def _unreadable(message: Message, error: KafkaError) -> TopicError:
    topic = message.topic()
    if topic is None:  # it is of the consumer's group
        return TopicError(f"topics cannot be read: {access.missing_right(error) or error.str()}")
    why = access.missing_right(error, topic, "READ") or error.str()
    return TopicError(f"topic {topic}[{message.partition()}] cannot be read: {why}")


def _exists(metadata: ClusterMetadata, name: str) -> bool:
    topic = metadata.topics.get(name)
    return topic is not None and topic.error is None and bool(topic.partitions)


def watermarks(settings: Settings, consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """Return the first offset and the one after the last; a new leader may need a moment before it knows itself one."""
    deadline_s = time.monotonic() + kafka.REQUEST_TIMEOUT_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(partition, timeout=kafka.REQUEST_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() not in kafka.NEW_LEADER or time.monotonic() > deadline_s:
                raise kafka.unavailable(settings, error) from None
            time.sleep(kafka.NEW_LEADER_PAUSE_S)
        else:
            return low, high
