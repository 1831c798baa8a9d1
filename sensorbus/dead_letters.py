"""Dead letters: reads, exports, repairs, and sends them back once.

A replay is one transaction per batch: the record on its source topic and a marker in `dead-letter` that names the
letter become visible together or not at all, so a letter is sent back at most once, whatever is killed when. At least
once, a killed job may have written the letter of a record again: what is sent back is the record, once.
"""

import base64
import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition

from sensorbus import records
from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError, SettingsError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.sizes import check_size
from sensorbus.contract.topics import ALERT, DEAD_LETTER, SENSOR
from sensorbus.runtime import access, kafka
from sensorbus.runtime.clock import ClockMs

#: The marker's header: the letter that was sent back, as `partition@offset` of `dead-letter`.
MARKER_HEADER: Final = "replayed"
#: The header of the record that was sent back: the same place.
ORIGIN_HEADER: Final = "replayed.from"
_OUR_HEADERS: Final = frozenset(
    {"source.topic", "source.partition", "source.offset", "error.kind", "error.message", ORIGIN_HEADER}
)
_BATCH: Final = 500
_BATCH_BYTES: Final = 1_000_000
_TIMEOUT_S: Final = 30.0
#: After so long Kafka ends the transaction of a replay that was killed: until then the jobs wait behind it.
_GIVEN_UP_MS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record that could not be read: `place` is its `partition@offset` in `dead-letter`."""

    place: str
    source_topic: str
    kind: str
    reason: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]  # as received, without ours
    repeats: tuple[str, ...] = ()  # places of further letters of this record


_Source = tuple[str | bytes | None, ...]
#: A letter, the value that is sent, and whose it is.
Ready = tuple[DeadLetter, bytes | None, str]


@dataclass(slots=True, kw_only=True)
class Replay:
    """What a replay did, in letters."""

    sent: int = 0
    still_refused: int = 0
    #: Of the repaired values: those of no letter that is open.
    unknown: int = 0


def open_letters(settings: Settings, consumer: Consumer) -> list[DeadLetter]:
    """Return the letters that were not sent back yet, oldest first per partition.

    Behind an open transaction the markers of a replay are not seen, and what it sent would be sent again: so it waits.
    """
    records.wait_until_committed(settings, consumer, DEAD_LETTER)
    starts = [
        TopicPartition(one.topic, one.partition, OFFSET_BEGINNING)
        for one in records.partitions(settings, consumer, DEAD_LETTER)
    ]
    return _not_sent_back(records.read_to_end(settings, consumer, starts))


def _not_sent_back(held: Iterable[Message]) -> list[DeadLetter]:
    """Return the letters among the records of `dead-letter` that no marker names, one for each record."""
    letters: dict[_Source, list[DeadLetter]] = {}
    replayed: set[str] = set()
    for message in held:
        headers = dict(kafka.headers(message))
        if "source.topic" in headers:  # a letter, though its record may have come with a header of the marker's name
            letter = _letter(message, headers)
            letters.setdefault(_source(letter, headers), []).append(letter)
        elif MARKER_HEADER in headers:
            replayed.add((headers[MARKER_HEADER] or b"").decode(errors="replace"))
    return [
        replace(first, repeats=tuple(letter.place for letter in others))
        for first, *others in letters.values()
        if replayed.isdisjoint(letter.place for letter in (first, *others))
    ]


def _source(letter: DeadLetter, headers: Mapping[str, bytes | None]) -> _Source:
    """Return what tells a letter's record from others: its place, and what it held, for topics are made anew."""
    place = headers.get("source.partition"), headers.get("source.offset")
    return letter.source_topic, *(place if None not in place else (letter.place, None)), letter.key, letter.value


def export(letters: Iterable[DeadLetter]) -> Iterator[bytes]:
    """Yield one JSON line per letter; a value that is not UTF-8 stands as `value_base64`."""
    for letter in letters:
        row: dict[str, Any] = {"place": letter.place, "topic": letter.source_topic, "error": letter.reason}
        try:
            row["value"] = None if letter.value is None else letter.value.decode()
        except UnicodeDecodeError:
            row["value_base64"] = base64.b64encode(letter.value or b"").decode()
        yield orjson.dumps(row)


def repaired_values(lines: Iterable[bytes]) -> dict[str, bytes]:
    """Return the values of an edited export by place; raises `SettingsError` naming the line."""
    values = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
            value = base64.b64decode(row["value_base64"]) if "value_base64" in row else (row["value"] or "").encode()
            values[str(row["place"])] = value
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(f"line {number} is not a line of `sensorbus dead-letter export`: {error!r}") from None
    return values


def replay(
    settings: Settings, consumer: Consumer, now_ms: ClockMs, repaired: Mapping[str, bytes] | None, *, dry_run: bool
) -> Replay:
    """Send back the letters that can be read now, or those of `repaired` with their new values; each once.

    `consumer` must be `read_committed` with `enable.partition.eof`. Without `repaired`, a letter can have become
    readable by a change of settings (zone, clock limit). A second replay at the same time fences the first one.
    """
    done = Replay()
    producer = None if dry_run else _transactional_producer(settings)
    readable = []
    letters = open_letters(settings, consumer)  # after the fencing, so that nothing is sent between the two
    done.unknown = len((repaired or {}).keys() - {letter.place for letter in letters})
    for letter in letters:
        if repaired is not None and letter.place not in repaired:
            continue
        value = letter.value if repaired is None else repaired[letter.place]
        device_id = _device_id(settings, letter, value, now_ms())
        if device_id is None:
            done.still_refused += 1
        else:
            readable.append((letter, value, device_id))
    for batch in _batches(readable):
        if producer is not None:
            _send(settings, producer, batch, done.sent)
        done.sent += len(batch)
    return done


def _batches(readable: Iterable[Ready]) -> Iterator[list[Ready]]:
    """Yield what one transaction sends: no more than Kafka takes well before it gives the transaction up."""
    batch: list[Ready] = []
    size = 0
    for ready in readable:
        if batch and (len(batch) == _BATCH or size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(ready)
        size += len(ready[1] or b"")
    if batch:
        yield batch


def _letter(message: Message, headers: Mapping[str, bytes | None]) -> DeadLetter:
    return DeadLetter(
        place=f"{message.partition()}@{message.offset()}",
        source_topic=(headers["source.topic"] or b"").decode(errors="replace"),
        kind=(headers.get("error.kind") or b"").decode(errors="replace"),
        reason=(headers.get("error.message") or b"").decode(errors="replace"),
        key=message.key(),
        value=message.value(),
        headers=tuple((name, value) for name, value in kafka.headers(message) if name not in _OUR_HEADERS),
    )


def _device_id(settings: Settings, letter: DeadLetter, value: bytes | None, now_ms: int) -> str | None:
    """Return the device of a value that its source topic takes now, or None."""
    try:
        if letter.source_topic == settings.topic_name(SENSOR):
            check_size(value, letter.key, letter.headers, SENSOR)
            return messages.parse_reading(value, now_ms, settings.time_rules).device_id
        if letter.source_topic == settings.topic_name(ALERT):
            check_size(value, letter.key, letter.headers, ALERT)
            return messages.parse_alert(value, now_ms, settings.time_rules).device_id
    except InvalidMessageError:
        pass
    return None


def _transactional_producer(settings: Settings) -> Producer:
    identity = f"{settings.topic_prefix}sensorbus.dead-letter.replay"
    options = {"transactional.id": identity, "transaction.timeout.ms": _GIVEN_UP_MS}
    producer = kafka.producer(settings, "dead-letter", **options)
    try:
        producer.init_transactions(_TIMEOUT_S)
    except KafkaException as error:
        if lacks := access.missing_right(error.args[0], identity, "WRITE", of="transactional id"):
            raise TopicError(lacks) from None
        raise kafka.unavailable(settings, error) from None
    return producer


def _send(settings: Settings, producer: Producer, batch: Sequence[Ready], sent: int) -> None:
    """Send a batch, or nothing of it; `sent` letters were before."""
    markers = settings.topic_name(DEAD_LETTER)
    try:
        producer.begin_transaction()
        for letter, value, device_id in batch:
            headers = [*letter.headers, (ORIGIN_HEADER, letter.place.encode())]
            producer.produce(letter.source_topic, value, messages.encode_key(device_id), headers=headers)
            for place in (letter.place, *letter.repeats):
                # Beside its letter, so that retention does not take it first.
                partition, marker = int(place.partition("@")[0]), [(MARKER_HEADER, place.encode())]
                producer.produce(markers, None, letter.key, partition, headers=marker)
        producer.commit_transaction(_TIMEOUT_S)
    except KafkaException as error:
        _abort(producer)
        needed = dict.fromkeys(sorted({markers, *(letter.source_topic for letter, _, _ in batch)}), ("WRITE",))
        # The error of a transaction does not say which topic may not be written, or why.
        why = kafka.lacking_rights(settings, "dead-letter", needed) or error.args[0].str()
        raise TopicError(
            f"letters could not be sent back ({sent} were before): {why}; a replay sends the rest, and none twice"
        ) from None
    except BaseException:
        _abort(producer)
        raise


def _abort(producer: Producer) -> None:
    """End the transaction, behind which readers wait, if that can be done; else Kafka does."""
    with contextlib.suppress(KafkaException):
        producer.abort_transaction(_TIMEOUT_S)
