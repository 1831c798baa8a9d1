"""Proves that the results are true: recomputes them from `sensor` and compares.

Plain code on purpose, and none of the jobs': every window is a sum and a count in a dict. What it expects follows from
docs/messages.md alone. Readings before `since_ms` only warm the windows up; records after the snapshot are left out.
At least once, a result may stand there again, equal to the first, and an alert is counted once however often it comes.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from sensorbus import records
from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.contract.units import fahrenheit_from_celsius, kelvin_from_celsius
from sensorbus.runtime import kafka

_RELATIVE_TOLERANCE: Final = 1e-9  # sums of the same numbers in another order
_WARM_UP_WINDOWS: Final = 3
_RESULTS_WITHIN_S: Final = 10.0
_PAUSE_S: Final = 1.0

#: A window of a device: (device id, start in ms).
Window = tuple[str, int]
#: Called with the number of records read so far.
Progress = Callable[[int], object]


@dataclass(slots=True, kw_only=True)
class Comparison:
    """One row of the table: results of one kind, counted."""

    kind: str
    expected: int = 0
    found: int = 0
    missing: int = 0
    different: int = 0
    duplicated: int = 0
    late: int = 0
    may_repeat: bool = False
    unreadable: list[str] = field(default_factory=list)

    @property
    def is_true(self) -> bool:
        """Whether each expected result stands there with the right value, nothing else does, and nothing is repeated.

        With `may_repeat` (at least once), equal repeats are no fault.
        """
        return not (self.missing or self.different or (self.duplicated and not self.may_repeat))

    def note_unreadable(self, message: Message, error: InvalidMessageError) -> None:
        """Count a result that cannot be read as a difference, and keep its place: no job writes such."""
        self.different += 1
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        self.unreadable.append(f"{place} cannot be read: {error}")


@dataclass(slots=True)
class Expected:
    """What the output topics must hold, computed from `sensor`."""

    readings: int = 0
    alerts: Counter[tuple[str, str, float, float, float]] = field(default_factory=Counter)
    counts: dict[Window, int] = field(default_factory=dict)
    averages: dict[Window, float] = field(default_factory=dict)
    dead_letters: set[tuple[int, int]] = field(default_factory=set)  # (partition, offset) on `sensor`
    earlier: set[tuple[str, int]] = field(default_factory=set)  # (device, event time or window) before `since_ms`
    late_readings: int = 0
    late_alerts: int = 0


class Windows:
    """Hopping windows of all devices: sums and counts by start, closed by each device's own newest event time."""

    def __init__(self, length_ms: int, step_ms: int, grace_ms: int) -> None:
        """Take the rules; windows are `[start, start + length_ms)`, aligned to the epoch."""
        self._length_ms, self._step_ms, self._grace_ms = length_ms, step_ms, grace_ms
        self._newest_ms: dict[str, int] = {}
        self._open: defaultdict[str, dict[int, tuple[float, int]]] = defaultdict(dict)

    def add(self, device_id: str, event_time_ms: int, value: float) -> tuple[dict[int, int], dict[int, float], bool]:
        """Return the counts of the windows that the value fell in, the means of those it closed, and if it is late."""
        newest_ms = max(self._newest_ms.get(device_id, event_time_ms), event_time_ms)
        self._newest_ms[device_id] = newest_ms
        closed_until_ms = newest_ms - self._grace_ms
        windows = self._open[device_id]
        counts, late = {}, False
        last = event_time_ms // self._step_ms * self._step_ms
        for start in range(last - self._length_ms + self._step_ms, last + 1, self._step_ms):
            if start + self._length_ms <= closed_until_ms:
                late = True
                continue
            total, count = windows.get(start, (0.0, 0))
            windows[start] = (total + value, count + 1)
            counts[start] = count + 1
        closed = sorted(start for start in windows if start + self._length_ms <= closed_until_ms)
        means = {}
        for start in closed:
            total, count = windows.pop(start)
            means[start] = total / count
        return counts, means, late


def may_repeat(settings: Settings) -> bool:
    """Tell whether the jobs run at least once: as set, or because the embedded broker isolates no transaction."""
    return settings.processing_guarantee != "exactly-once" or settings.embedded_broker


def verify(settings: Settings, consumer: Consumer, since_ms: int | None, progress: Progress) -> list[Comparison]:
    """Return one row per kind of result; needs a `read_committed` consumer with `enable.partition.eof`.

    `since_ms` is an append time (None: everything that Kafka still holds).
    """
    longest_ms = max(
        settings.alert_count_length_ms + settings.alert_count_grace_ms,
        settings.avg_temp_length_ms + settings.avg_temp_grace_ms,
    )
    warm_ms = None if since_ms is None else since_ms - _WARM_UP_WINDOWS * longest_ms
    readings = _since(settings, consumer, SENSOR, warm_ms)
    newest: list[int] = [0]
    expected = expect(settings, _noted(readings, newest, progress), since_ms or 0)
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


def expect(settings: Settings, readings: Iterable[Message], since_ms: int) -> Expected:
    """Return what must stand in the output topics after these records of `sensor`, in their order per partition."""
    expected, rules = Expected(), settings.time_rules
    seen: set[tuple[str, str]] | None = set() if may_repeat(settings) else None
    averages = Windows(settings.avg_temp_length_ms, settings.avg_temp_step_ms, settings.avg_temp_grace_ms)
    counts = Windows(settings.alert_count_length_ms, settings.alert_count_step_ms, settings.alert_count_grace_ms)
    for message in readings:
        append_ms = message.timestamp()[1]
        counted = append_ms >= since_ms
        try:
            reading = messages.parse_reading(message.value(), append_ms, rules)
        except InvalidMessageError:
            if counted:
                expected.dead_letters.add((message.partition(), message.offset()))
            continue
        if not messages.has_device_key(message.key(), reading.device_id):
            continue  # job alert sends it again under its device's key
        expected.readings += counted
        _, means, late = averages.add(reading.device_id, reading.event_time_ms, reading.celsius)
        results = {(reading.device_id, start): mean for start, mean in means.items()}
        if counted:
            expected.averages.update(results)
        else:
            expected.earlier.update(results, [(reading.device_id, reading.event_time_ms)])
        expected.late_readings += late and counted
        if kelvin_from_celsius(reading.celsius) > settings.alert_threshold_kelvin:
            is_repeat = _is_repeat(reading, seen)
            _expect_alert(expected, counts, reading, counted=counted, is_repeat=is_repeat)
    return expected


def _expect_alert(
    expected: Expected, counts: Windows, reading: messages.Reading, *, counted: bool, is_repeat: bool
) -> None:
    """Note an alert and the counts that it leads to; a repeat leads to none."""
    device_id, timestamp, event_time_ms, celsius = reading
    kelvin, fahrenheit = kelvin_from_celsius(celsius), fahrenheit_from_celsius(celsius)
    if counted:
        expected.alerts[device_id, timestamp, celsius, fahrenheit, kelvin] += 1
    if is_repeat:
        return
    numbers, _, late = counts.add(device_id, event_time_ms, 1.0)
    windows = {(device_id, start): number for start, number in numbers.items()}
    if counted:
        expected.counts.update(windows)
        expected.late_alerts += late
    else:
        expected.earlier.update(windows)


def _is_repeat(reading: messages.Reading, seen: set[tuple[str, str]] | None) -> bool:
    """Tell whether an alert of this device and timestamp was counted before, and note it; never without `seen`."""
    identity = (reading.device_id, reading.timestamp)
    if seen is None or identity in seen:
        return seen is not None
    seen.add(identity)
    return False


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
        row.may_repeat = may_repeat(settings)
    return rows


def _compare_alerts(
    settings: Settings, expected: Expected, found: list[Message], since_ms: int, until_ms: int
) -> Comparison:
    row = Comparison(kind="alert", expected=expected.alerts.total())
    seen: Counter[tuple[str, str, float, float, float]] = Counter()
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
    row.found = (seen & expected.alerts).total()
    row.missing = (expected.alerts - seen).total()
    row.duplicated = (seen - expected.alerts).total()
    return row


def _compare_counts(expected: Expected, found: list[Message], since_ms: int, until_ms: int) -> Comparison:
    row = Comparison(kind="alert-count", expected=len(expected.counts), late=expected.late_alerts)
    values: defaultdict[Window, list[tuple[int, int]]] = defaultdict(list)
    for message in found:
        try:
            count = messages.parse_alert_count(message.value())
        except InvalidMessageError as error:
            row.note_unreadable(message, error)
            continue
        window = (count.device_id, count.start_ms)
        values[window].append((count.alert_count, message.timestamp()[1]))
        if window not in expected.counts:
            row.different += _needs_a_reason(expected, window, message, since_ms, until_ms)
    for window, wanted in expected.counts.items():
        told = values[window]
        is_right = _leads_to(wanted, told, until_ms)
        row.found += is_right
        row.missing += not told
        row.different += bool(told) and not is_right
        row.duplicated += len(told) - len({number for number, _ in told})
    return row


def _leads_to(wanted: int, told: list[tuple[int, int]], until_ms: int) -> bool:
    """Tell whether a reader of these counts, each with its append time, came to know the one that is wanted.

    Readers keep the last one: after repeats of earlier counts it must come again. A higher one is of a later alert.
    """
    numbers = [number for number, _ in told]
    is_too_high = any(number > wanted and append_ms <= until_ms for number, append_ms in told)
    return wanted in numbers and numbers[-1] >= wanted and not is_too_high


def _compare_averages(expected: Expected, found: list[Message], since_ms: int, until_ms: int) -> Comparison:
    row = Comparison(kind="avg-temp", expected=len(expected.averages), late=expected.late_readings)
    seen: Counter[Window] = Counter()
    for message in found:
        try:
            mean = messages.parse_avg_temp(message.value())
        except InvalidMessageError as error:
            row.note_unreadable(message, error)
            continue
        window = (mean.device_id, mean.start_ms)
        wanted = expected.averages.get(window)
        if wanted is None:
            row.different += _needs_a_reason(expected, window, message, since_ms, until_ms)
            continue
        seen[window] += 1
        if not math.isclose(wanted, mean.avg_celsius, rel_tol=_RELATIVE_TOLERANCE, abs_tol=_RELATIVE_TOLERANCE):
            row.different += 1
    row.found = len(seen)
    row.missing = len(expected.averages.keys() - seen.keys())
    row.duplicated = seen.total() - len(seen)
    return row


def _needs_a_reason(expected: Expected, window: Window, message: Message, since_ms: int, until_ms: int) -> bool:
    """Tell whether a result that is not expected is wrong: neither of earlier readings nor of later ones."""
    return window not in expected.earlier and window[1] >= since_ms and message.timestamp()[1] <= until_ms


def _compare_dead_letters(expected: Expected, found: list[Message]) -> Comparison:
    row = Comparison(kind="dead-letter", expected=len(expected.dead_letters))
    seen = Counter(_source(message) for message in found)
    row.found = len(expected.dead_letters & seen.keys())
    row.missing = len(expected.dead_letters - seen.keys())
    row.duplicated = sum(number - 1 for source, number in seen.items() if source in expected.dead_letters)
    return row


def _source_topic(message: Message) -> str:
    return (dict(message.headers() or ()).get("source.topic") or b"").decode()


def _source(message: Message) -> tuple[int, int]:
    headers = dict(message.headers() or ())
    return int(headers["source.partition"]), int(headers["source.offset"])


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


def _noted(readings: Iterable[Message], newest: list[int], progress: Progress) -> Iterator[Message]:
    for number, message in enumerate(readings, 1):
        newest[0] = max(newest[0], message.timestamp()[1])
        if not number % 1000:
            progress(number)
        yield message
