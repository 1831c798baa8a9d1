"""Proves that the results are true: recomputes them from `sensor` and compares.

Readings before `since_ms` only warm the windows up; records after the snapshot are left out. What the jobs had not
committed when it began, because they were stopped or are behind, is pending if its result is not there, and no fault.
At least once, a result may stand there again, equal to the first, and an alert is counted once however often it comes.
Where retention has cut `sensor`, or a clock stepped back before what is read, history.py says what is due.
"""

import contextlib
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from sensorbus import history, progress, records
from sensorbus.comparison import Comparison, compare_copies, compare_letters
from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.expectation import Expected, Window, expect
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms

_RELATIVE_TOLERANCE: Final = 1e-9  # sums of the same numbers in another order
_RESULTS_WITHIN_S: Final = 10.0
_PAUSE_S: Final = 1.0
_MOST_NAMED: Final = 5

_Result = TypeVar("_Result")
#: Called with the number of records read so far, and how many there are about.
Tell = Callable[[int, int], object]


class Verdict(NamedTuple):
    """One row per kind of result, and what is to be known of them, as lines."""

    rows: list[Comparison]
    remarks: list[str]


Outputs = dict[Topic, list[Message]]


def verify(settings: Settings, consumer: Consumer, since_ms: int | None, tell: Tell) -> Verdict:
    """Return what the results are like; needs a `read_committed` consumer with `enable.partition.eof`.

    `since_ms` is an append time (None: everything that Kafka still holds).
    """
    now_ms = wall_clock_ms()
    warm_ms = None if since_ms is None else since_ms - history.warm_up_ms(settings)
    begin_ms = history.results_from_ms(settings, consumer, since_ms or 0, now_ms)
    cut = history.cuts(settings, consumer, SENSOR)
    begins = history.begins_ms(settings, cut, begin_ms, now_ms)
    done = progress.progress(settings, consumer)
    newest: list[int] = [0]
    starts = _starts(settings, consumer, SENSOR, warm_ms)
    total = records.held_from(settings, consumer, starts)
    readings = _noted(records.read_to_end(settings, consumer, starts), newest, lambda done: tell(done, total))
    expected = expect(settings, readings, begin_ms, done, begins)

    def look() -> list[Comparison]:
        return compare(settings, expected, _outputs(settings, consumer, expected, since_ms), begin_ms, newest[0])

    rows = _looked(look)
    if warm_ms is not None and not settings.embedded_broker:
        windows = history.behind(settings, set().union(*(row.wrong for row in rows)), warm_ms)
        if windows:
            history.look_back(settings, consumer, expected, windows, since_ms=begin_ms, done=done)
            rows = look()
    unknown = _excuse(settings, expected, rows, cut, begin_ms)
    remarks = [*done.remarks, *_remarks_on_cuts(settings, cut, begins), *_remarks_on_clocks(unknown)]
    if begin_ms > (since_ms or 0):
        remarks.append(
            f"results count from {messages.iso_timestamp(begin_ms)} on: older ones are gone from their topics"
        )
    return Verdict(look() if unknown else rows, remarks)


def _looked(look: Callable[[], list[Comparison]]) -> list[Comparison]:
    """Compare until nothing is missing or different, or the newest readings' results had the time to come."""
    give_up_s = time.monotonic() + _RESULTS_WITHIN_S
    while True:
        rows = look()
        if not any(row.missing or row.different for row in rows) or time.monotonic() > give_up_s:
            return rows
        time.sleep(_PAUSE_S)


def _outputs(settings: Settings, consumer: Consumer, expected: Expected, since_ms: int | None) -> Outputs:
    """Return what stands in the topics; of `sensor`, what had come by then since it was read."""
    outputs = {
        topic: list(records.read_to_end(settings, consumer, _starts(settings, consumer, topic, since_ms)))
        for topic in (ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER)
    }
    starts = [
        TopicPartition(place.topic, place.partition, expected.spans[place.partition].last + 1)
        if place.partition in expected.spans
        else TopicPartition(place.topic, place.partition, OFFSET_BEGINNING)
        for place in records.partitions(settings, consumer, SENSOR)
    ]
    outputs[SENSOR] = list(records.read_to_end(settings, consumer, starts))
    return outputs


def _excuse(
    settings: Settings, expected: Expected, rows: list[Comparison], cut: history.Cuts, since_ms: int
) -> set[Window]:
    """Make pending what is missing and may be late by right, where the readings are gone that would tell; return it."""
    told: set[Window] = set()
    found: set[Window] = set()
    for kind in (AVG_TEMP, ALERT_COUNT):  # a mean that was told says of alerts too how late it was: they are readings
        row = next(row for row in rows if row.kind == kind.name)
        told |= row.told
        windows = history.unknown(settings, expected, row.wrong, told, cut=cut, since_ms=since_ms)
        if kind is AVG_TEMP:
            expected.pending.averages |= windows
        else:
            expected.pending.counts.update(dict.fromkeys(windows, 0))
        found |= windows
    return found


def _remarks_on_cuts(settings: Settings, cut: history.Cuts, begins: dict[int, int]) -> list[str]:
    if not begins:
        return []
    numbers, latest = ", ".join(map(str, sorted(begins))), messages.iso_timestamp(max(begins.values()))
    whole_ms = history.warm_up_ms(settings)
    is_short = any(begin_ms < (cut[number] or 0) + whole_ms for number, begin_ms in begins.items())
    short = "; little is held, and a clock that stepped back just before it may look like missing results"
    remark = (
        f"{settings.topic_name(SENSOR)} has lost its oldest readings in partition {numbers}: results count from where "
        f"windows are whole again, {latest} at the latest{short if is_short else ''}"
    )
    return [remark]


def _remarks_on_clocks(windows: set[Window]) -> list[str]:
    if not windows:
        return []
    devices = sorted({device_id for device_id, _ in windows})
    named = ", ".join(devices[:_MOST_NAMED]) + (", ..." if len(devices) > _MOST_NAMED else "")
    remark = (
        f"windows of devices whose clocks are behind are pending, because they may be late by right ({len(windows)} of "
        f"{len(devices)}: {named}): whether these clocks stepped back stood in readings that are gone"
    )
    return [remark]


def compare(settings: Settings, expected: Expected, outputs: Outputs, since_ms: int, until_ms: int) -> list[Comparison]:
    """Return the table.

    A result appended after `until_ms`, the newest reading seen, may be of a later reading, if `sensor` holds one by now
    that was not seen. Copies have a row, `sensor`, where there is a reading under a foreign key.
    """
    newer = expected.unread(outputs[SENSOR])
    later = _Later(until_ms, frozenset(_devices(settings, newer)))
    rows = [
        _compare_alerts(settings, expected, outputs[ALERT], since_ms, later),
        _compare_counts(settings, expected, outputs[ALERT_COUNT], since_ms, later),
        _compare_averages(settings, expected, outputs[AVG_TEMP], since_ms, later),
        compare_letters(settings, expected, outputs[DEAD_LETTER]),
    ]
    if expected.copies or expected.found_copies:
        rows.append(compare_copies(settings, expected, newer))
    for row in rows:
        row.may_repeat = not settings.is_exactly_once
    return rows


class _Later(NamedTuple):
    """Which results may be of readings that were not seen: appended after the newest that was, of these devices."""

    after_ms: int
    devices: frozenset[str]

    def explains(self, device_id: str, append_ms: int) -> bool:
        """Tell whether a result of this device, appended then, may be of a later reading."""
        return append_ms > self.after_ms and device_id in self.devices


def _devices(settings: Settings, readings: Iterable[Message]) -> Iterator[str]:
    for message in readings:
        with contextlib.suppress(InvalidMessageError):
            yield messages.parse_reading(message.value(), _append_ms(message), settings.time_rules).device_id


def _compare_alerts(
    settings: Settings, expected: Expected, found: list[Message], since_ms: int, later: _Later
) -> Comparison:
    row = Comparison(kind="alert", expected=expected.alerts.total())
    seen: Counter[progress.Identity] = Counter()
    for message in found:
        try:
            alert = messages.parse_alert(message.value(), message.timestamp()[1], settings.time_rules)
        except InvalidMessageError as error:  # no job writes such; job alert-count moves it to `dead-letter`
            row.note_unreadable(message, error)
            continue
        identity = (alert.device_id, alert.timestamp, alert.celsius, alert.fahrenheit, alert.kelvin)
        if identity not in expected.alerts:
            window = (alert.device_id, alert.event_time_ms)
            row.different += _needs_a_reason(expected, window, message, since_ms, later)
        elif messages.has_device_key(message.key(), alert.device_id):
            seen[identity] += 1
        else:
            row.different += 1
    absent = expected.alerts - seen
    row.found = (seen & expected.alerts).total()
    row.missing = (absent - expected.pending.alerts).total()
    row.pending = absent.total() - row.missing
    row.duplicated = (seen - expected.alerts).total()
    return row


def _compare_counts(
    settings: Settings, expected: Expected, found: list[Message], since_ms: int, later: _Later
) -> Comparison:
    row = Comparison(kind="alert-count", expected=len(expected.counts), late=expected.late_alerts)
    values: defaultdict[Window, list[tuple[int, bool]]] = defaultdict(list)
    for message, count in _readable(row, found, messages.parse_alert_count):
        window = (count.device_id, count.start_ms)
        _note_told(row, expected, window, message, since_ms)
        if window not in expected.counts:
            row.different += _needs_a_reason(expected, window, message, since_ms, later)
        elif _is_in_place(message, count, settings.alert_count_length_ms):
            may_be_higher = later.explains(count.device_id, message.timestamp()[1])
            values[window].append((count.alert_count, may_be_higher))
        else:
            row.different += 1
    for window, wanted in expected.counts.items():
        told, due = values[window], expected.pending.counts.get(window, wanted)
        is_right = _leads_to(due, wanted, told)
        is_complete = is_right and _leads_to(wanted, wanted, told)
        row.found += is_complete
        row.pending += is_right and not is_complete
        row.missing += not told and not is_right
        row.different += bool(told) and not is_right
        row.duplicated += len(told) - len({number for number, _ in told})
        if not is_right:
            row.wrong.add(window)
    return row


def _leads_to(due: int, wanted: int, told: list[tuple[int, bool]]) -> bool:
    """Tell whether a reader of these counts, each with whether it may be of a later alert, came to know the one due.

    Readers keep the last one: after repeats of earlier counts it must come again.
    """
    numbers = [0, *(number for number, _ in told)]
    is_too_high = any(number > wanted and not may_be_higher for number, may_be_higher in told)
    return due in numbers and numbers[-1] >= due and not is_too_high


def _compare_averages(
    settings: Settings, expected: Expected, found: list[Message], since_ms: int, later: _Later
) -> Comparison:
    row = Comparison(kind="avg-temp", expected=len(expected.averages), late=expected.late_readings)
    seen: Counter[Window] = Counter()
    for message, mean in _readable(row, found, messages.parse_avg_temp):
        window = (mean.device_id, mean.start_ms)
        _note_told(row, expected, window, message, since_ms)
        wanted = expected.averages.get(window)
        if wanted is None:
            row.different += _needs_a_reason(expected, window, message, since_ms, later)
            continue
        seen[window] += 1
        if not (_is_in_place(message, mean, settings.avg_temp_length_ms) and _is_equal(wanted, mean.avg_celsius)):
            row.different += 1
            row.wrong.add(window)
    row.wrong |= row.count(expected.averages.keys(), expected.pending.averages, seen)
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


def _is_equal(wanted: float, found: float) -> bool:
    return math.isclose(wanted, found, rel_tol=_RELATIVE_TOLERANCE, abs_tol=_RELATIVE_TOLERANCE)


def _is_in_place(message: Message, result: messages.AlertCount | messages.AvgTemp, length_ms: int) -> bool:
    """Tell whether a result stands under its device's key, and ends where its window does."""
    has_its_key = messages.has_device_key(message.key(), result.device_id)
    return has_its_key and result.end_ms - result.start_ms == length_ms


def _note_told(row: Comparison, expected: Expected, window: Window, message: Message, since_ms: int) -> None:
    if _append_ms(message) >= max(since_ms, expected.begin_ms(window[0])):
        row.told.add(window)


def _needs_a_reason(expected: Expected, window: Window, message: Message, since_ms: int, later: _Later) -> bool:
    """Tell whether a result that is not expected is wrong: neither of earlier readings nor of later ones."""
    begin_ms = max(since_ms, expected.begin_ms(window[0]))
    is_in_time = _append_ms(message) >= begin_ms and not later.explains(window[0], message.timestamp()[1])
    return window not in expected.earlier and window[1] >= begin_ms and is_in_time


def _append_ms(message: Message) -> int:
    return kafka.append_time_ms(*message.timestamp())


def _starts(settings: Settings, consumer: Consumer, topic: Topic, since_ms: int | None) -> list[TopicPartition]:
    wanted = records.partitions(settings, consumer, topic)
    if since_ms is None or settings.embedded_broker:  # which knows no offsets by time
        return [TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) for one in wanted]
    return history.since(settings, consumer, wanted, since_ms)


def _noted(readings: Iterable[Message], newest: list[int], tell: Callable[[int], object]) -> Iterator[Message]:
    for number, message in enumerate(readings, 1):
        newest[0] = max(newest[0], kafka.append_time_ms(*message.timestamp()))
        if not number % 1000:
            tell(number)
        yield message
