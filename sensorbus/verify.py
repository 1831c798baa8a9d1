"""Proves that the results are true: recomputes them from `sensor` and compares.

Readings before `since_ms` only warm the windows up; records after the snapshot are left out. What the jobs had not
committed when it began, because they were stopped or are behind, is pending if its result is not there, and no fault.
At least once, a result may stand there again, equal to the first, and an alert is counted once however often it comes.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from sensorbus import progress, records
from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.expectation import Expected, Window, expect
from sensorbus.runtime import kafka

_RELATIVE_TOLERANCE: Final = 1e-9  # sums of the same numbers in another order
_WARM_UP_WINDOWS: Final = 3
_RESULTS_WITHIN_S: Final = 10.0
_PAUSE_S: Final = 1.0

_Result = TypeVar("_Result")
#: Called with the number of records read so far.
Tell = Callable[[int], object]


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

    @property
    def is_true(self) -> bool:
        """Whether each result that is due stands there with the right value, no wrong one does, and none is repeated.

        With `may_repeat` (at least once), equal repeats are no fault.
        """
        return not (self.missing or self.different or (self.duplicated and not self.may_repeat))

    def note_unreadable(self, message: Message, error: InvalidMessageError) -> None:
        """Count a result that cannot be read as a difference, and keep its place: no job writes such."""
        self.different += 1
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        self.unreadable.append(f"{place} cannot be read: {error}")


def verify(settings: Settings, consumer: Consumer, since_ms: int | None, tell: Tell) -> list[Comparison]:
    """Return one row per kind of result; needs a `read_committed` consumer with `enable.partition.eof`.

    `since_ms` is an append time (None: everything that Kafka still holds).
    """
    warm_ms = None if since_ms is None else since_ms - _warm_up_ms(settings)
    done = progress.progress(settings, consumer)
    readings = _since(settings, consumer, SENSOR, warm_ms)
    newest: list[int] = [0]
    expected = expect(settings, _noted(readings, newest, tell), since_ms or 0, done)
    give_up_s = time.monotonic() + _RESULTS_WITHIN_S
    while True:
        outputs = {
            topic: list(_since(settings, consumer, topic, since_ms))
            for topic in (ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER)
        }
        comparisons = compare(settings, expected, outputs, since_ms or 0, newest[0])
        if not any(row.missing or row.different for row in comparisons) or time.monotonic() > give_up_s:
            return comparisons
        time.sleep(_PAUSE_S)  # the newest readings' results may still be on their way


def _warm_up_ms(settings: Settings) -> int:
    """Return how much earlier reading begins: a clock that was ahead has closed windows for as long as it may be."""
    longest_ms = max(
        settings.alert_count_length_ms + settings.alert_count_grace_ms,
        settings.avg_temp_length_ms + settings.avg_temp_grace_ms,
    )
    return max(_WARM_UP_WINDOWS * longest_ms, longest_ms + settings.clock_ahead_limit_ms)


def compare(
    settings: Settings, expected: Expected, outputs: dict[Topic, list[Message]], since_ms: int, until_ms: int
) -> list[Comparison]:
    """Return the table; a result appended after `until_ms` (the newest reading seen) may be of a later reading."""
    dead_letters = [
        message for message in outputs[DEAD_LETTER] if _source_topic(message) == settings.topic_name(SENSOR)
    ]
    rows = [
        _compare_alerts(settings, expected, outputs[ALERT], since_ms, until_ms),
        _compare_counts(expected, outputs[ALERT_COUNT], since_ms, until_ms),
        _compare_averages(expected, outputs[AVG_TEMP], since_ms, until_ms),
        _compare_dead_letters(expected, dead_letters),
    ]
    for row in rows:
        row.may_repeat = not settings.is_exactly_once
    return rows


def _compare_alerts(
    settings: Settings, expected: Expected, found: list[Message], since_ms: int, until_ms: int
) -> Comparison:
    row = Comparison(kind="alert", expected=expected.alerts.total())
    seen: Counter[progress.Identity] = Counter()
    for message in found:
        try:
            alert = messages.parse_alert(message.value(), message.timestamp()[1], settings.time_rules)
        except InvalidMessageError:  # no job writes such; job alert-count moves it to `dead-letter`
            row.different += message.timestamp()[1] <= until_ms
            continue
        identity = (alert.device_id, alert.timestamp, alert.celsius, alert.fahrenheit, alert.kelvin)
        if identity in expected.alerts:
            seen[identity] += 1
        else:
            window = (alert.device_id, alert.event_time_ms)
            row.different += _needs_a_reason(expected, window, message, since_ms, until_ms)
    absent = expected.alerts - seen
    row.found = (seen & expected.alerts).total()
    row.missing = (absent - expected.pending.alerts).total()
    row.pending = absent.total() - row.missing
    row.duplicated = (seen - expected.alerts).total()
    return row


def _compare_counts(expected: Expected, found: list[Message], since_ms: int, until_ms: int) -> Comparison:
    row = Comparison(kind="alert-count", expected=len(expected.counts), late=expected.late_alerts)
    values: defaultdict[Window, list[tuple[int, int]]] = defaultdict(list)
    for message, count in _readable(row, found, messages.parse_alert_count):
        window = (count.device_id, count.start_ms)
        values[window].append((count.alert_count, message.timestamp()[1]))
        if window not in expected.counts:
            row.different += _needs_a_reason(expected, window, message, since_ms, until_ms)
    for window, wanted in expected.counts.items():
        told, due = values[window], expected.pending.counts.get(window, wanted)
        is_right = _leads_to(due, wanted, told, until_ms)
        is_complete = is_right and _leads_to(wanted, wanted, told, until_ms)
        row.found += is_complete
        row.pending += is_right and not is_complete
        row.missing += not told and not is_right
        row.different += bool(told) and not is_right
        row.duplicated += len(told) - len({number for number, _ in told})
    return row


def _leads_to(due: int, wanted: int, told: list[tuple[int, int]], until_ms: int) -> bool:
    """Tell whether a reader of these counts, each with its append time, came to know the one that is due.

    Readers keep the last one: after repeats of earlier counts it must come again. One above `wanted` is of a later
    alert.
    """
    numbers = [0, *(number for number, _ in told)]
    is_too_high = any(number > wanted and append_ms <= until_ms for number, append_ms in told)
    return due in numbers and numbers[-1] >= due and not is_too_high


def _compare_averages(expected: Expected, found: list[Message], since_ms: int, until_ms: int) -> Comparison:
    row = Comparison(kind="avg-temp", expected=len(expected.averages), late=expected.late_readings)
    seen: Counter[Window] = Counter()
    for message, mean in _readable(row, found, messages.parse_avg_temp):
        window = (mean.device_id, mean.start_ms)
        wanted = expected.averages.get(window)
        if wanted is None:
            row.different += _needs_a_reason(expected, window, message, since_ms, until_ms)
            continue
        seen[window] += 1
        if not math.isclose(wanted, mean.avg_celsius, rel_tol=_RELATIVE_TOLERANCE, abs_tol=_RELATIVE_TOLERANCE):
            row.different += 1
    row.found = len(seen)
    absent = expected.averages.keys() - seen.keys()
    row.missing = len(absent - expected.pending.averages)
    row.pending = len(absent) - row.missing
    row.duplicated = seen.total() - len(seen)
    return row


def _readable(
    row: Comparison, found: Iterable[Message], parse: Callable[[bytes | None], _Result]
) -> Iterator[tuple[Message, _Result]]:
    """Yield the results with what they say; what cannot be read is noted in the row."""
    for message in found:
        try:
            result = parse(message.value())
        except InvalidMessageError as error:
            row.note_unreadable(message, error)
        else:
            yield message, result


def _needs_a_reason(expected: Expected, window: Window, message: Message, since_ms: int, until_ms: int) -> bool:
    """Tell whether a result that is not expected is wrong: neither of earlier readings nor of later ones."""
    return window not in expected.earlier and window[1] >= since_ms and message.timestamp()[1] <= until_ms


def _compare_dead_letters(expected: Expected, found: list[Message]) -> Comparison:
    row = Comparison(kind="dead-letter", expected=len(expected.dead_letters))
    seen = Counter(_source(message) for message in found)
    row.found = len(expected.dead_letters & seen.keys())
    absent = expected.dead_letters - seen.keys()
    row.missing = len(absent - expected.pending.dead_letters)
    row.pending = len(absent) - row.missing
    row.duplicated = sum(number - 1 for source, number in seen.items() if source in expected.dead_letters)
    return row


def _source_topic(message: Message) -> str:
    return (dict(kafka.headers(message)).get("source.topic") or b"").decode(errors="replace")


def _source(message: Message) -> tuple[int, int] | None:
    """Return partition and offset of the record that a letter is of; None: somebody else has written it."""
    headers = dict(kafka.headers(message))
    try:
        return int(headers["source.partition"] or b""), int(headers["source.offset"] or b"")
    except (KeyError, ValueError):
        return None


def _since(settings: Settings, consumer: Consumer, topic: Topic, since_ms: int | None) -> Iterator[Message]:
    wanted = records.partitions(settings, consumer, topic)
    if since_ms is None or settings.embedded_broker:  # which knows no offsets by time
        starts = [TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) for one in wanted]
    else:
        try:
            starts = consumer.offsets_for_times(
                [TopicPartition(one.topic, one.partition, max(0, since_ms)) for one in wanted], kafka.REQUEST_TIMEOUT_S
            )
        except KafkaException as error:
            raise kafka.unavailable(settings, error) from None
    return records.read_to_end(settings, consumer, starts)


def _noted(readings: Iterable[Message], newest: list[int], tell: Tell) -> Iterator[Message]:
    for number, message in enumerate(readings, 1):
        newest[0] = max(newest[0], kafka.append_time_ms(*message.timestamp()))
        if not number % 1000:
            tell(number)
        yield message
