"""Records to readings and alerts: the first step of every job.

It never raises, whatever the bytes are.
What cannot be read becomes a dead letter of the job that answers for the topic; the others only count it. A reading
whose key is not its device's is not yet a reading: the same job sends it to the topic again under the right key (state
and order live in a partition, and the key decides which), and every job waits for that copy.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from quixstreams import message_context

from processors.batches import UnreadableBatch
from processors.bus import Bus
from processors.meter import Meter
from processors.outputs import Headers, Output, Step
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import Alert, Reading, TimeRules, encode_key, has_device_key
from sensorbus.contract.sizes import check_size, first_bytes
from sensorbus.contract.topics import DEAD_LETTER, Topic

#: Names of the headers of a dead letter, in their order. A record that had some of these before gets new ones.
DEAD_LETTER_HEADERS: Final = ("source.topic", "source.partition", "source.offset", "error.kind", "error.message")
REKEYED_HEADER: Final = "rekeyed.from"
#: Of a dead letter that was sent back (sensorbus/dead_letters.py).
_REPLAYED_HEADER: Final = "replayed.from"
_ORIGINAL_BYTES: Final = 12  # a whole place, or what a stranger has put there, would fill the state
NOTHING: Final[Sequence[Output]] = ()

_log = logging.getLogger(__name__)
Message = TypeVar("Message", Reading, Alert)
#: Reads a value, or raises `InvalidMessageError`: `messages.parse_reading`, `messages.parse_alert`.
Parse = Callable[[bytes | None, int, TimeRules], Message]
#: What a job does with a message, the state under its key (None where the dataframe has none) and the record's headers.
Handler = Callable[[Message, Any, Headers], Sequence[Output]]


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return `topic[partition]@offset`."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


def step(
    bus: Bus, topic: Topic, parse: Parse[Message], handlers: Sequence[Handler[Message]], *, answers_for_topic: bool
) -> Step:
    """Return the step of a job over `topic`; one that `answers_for_topic` writes the dead letters and the copies."""
    rules, meter, source = bus.settings.time_rules, bus.meter, bus.topic(topic)
    dead_letters = bus.topic(DEAD_LETTER)

    def refuse(
        value: bytes | None, key: bytes | None, headers: Headers, error: InvalidMessageError
    ) -> Sequence[Output]:
        if isinstance(value, UnreadableBatch):
            error, value = value.error(), None
        meter.dead_letter(error.kind)
        if not answers_for_topic:
            return NOTHING
        value, key, headers = first_bytes(value, key, headers, topic)  # all of them, if it is not too large
        return (Output(dead_letters, key, value, _refused(topic, headers, error)),)

    def send_again(value: bytes | None, headers: Headers, device_id: str) -> Sequence[Output]:
        if not answers_for_topic:
            return NOTHING
        meter.rekeyed()
        return (Output(source, encode_key(device_id), value, rekeyed_headers(headers, place_now())),)

    def run(
        value: bytes | None, key: bytes | None, append_time_ms: int, headers: Headers | None, state: Any = None
    ) -> Sequence[Output]:
        meter.record(source, append_time_ms)
        try:
            check_size(value, key, headers, topic)
            message = parse(value, append_time_ms, rules)
        except InvalidMessageError as error:
            return refuse(value, key, headers or (), error)
        if not has_device_key(key, message.device_id):
            return send_again(value, headers or (), message.device_id)
        if len(handlers) == 1:
            return handlers[0](message, state, headers or ())
        return [output for handler in handlers for output in handler(message, state, headers or ())]

    return run


def _refused(topic: Topic, headers: Headers, error: InvalidMessageError) -> Headers:
    """Say that the record that is being processed is refused; return the headers of its letter."""
    place = place_now()
    said = "%s is not what %s holds and goes to %s: %s"
    _log.warning(said, place, topic.name, DEAD_LETTER.name, error, extra=place._asdict())
    return dead_letter_headers(headers, place, error)


def dead_letter_headers(headers: Headers, place: Place, error: InvalidMessageError) -> Headers:
    """Return the record's own headers and ours."""
    ours = (place.topic, str(place.partition), str(place.offset), error.kind, str(error))
    return [
        *((name, value) for name, value in headers if name not in DEAD_LETTER_HEADERS),
        *((name, text.encode()) for name, text in zip(DEAD_LETTER_HEADERS, ours, strict=True)),
    ]


def rekeyed_headers(headers: Headers, place: Place) -> Headers:
    """Return the record's own headers and the place of the original."""
    return [
        *((name, value) for name, value in headers if name != REKEYED_HEADER),
        (REKEYED_HEADER, str(place).encode()),
    ]


def original(headers: Headers) -> str | None:
    """Return what tells the reading that a record is the copy of from others, None if it is none: a hash of its place.

    A copy that was a dead letter and was sent back has both headers, that of the replay last: it is no second copy.
    """
    ours = [(name, place or b"") for name, place in headers if name in (REKEYED_HEADER, _REPLAYED_HEADER)]
    if not ours or ours[-1][0] == _REPLAYED_HEADER:
        return None
    return hashlib.blake2s(ours[-1][1], digest_size=_ORIGINAL_BYTES).hexdigest()


def note_late(meter: Meter, what: str, device_id: str, timestamp: str) -> None:
    """Count and log that the reading or alert that is being processed came after a window of its own was closed."""
    meter.late()
    more = {"device": device_id, **place_now()._asdict(), "fold_by": what}  # in job `all` each has its line
    _log.warning("%s of %s, %s, came after a window of it was closed", what, device_id, timestamp, extra=more)


def place_now() -> Place:
    """Return where the record that is being processed stands."""
    context: Any = message_context()
    return Place(context.topic, context.partition, context.offset)
