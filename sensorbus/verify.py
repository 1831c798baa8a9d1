"""Proves that the results are true: recomputes them from `sensor` and compares.

Readings before `since_ms` only warm the windows up; records after the snapshot are left out. What the jobs had not
committed when it began, because they were stopped or are behind, is pending if its result is not there, and no fault.
At least once, a result may stand there again, equal to the first, and an alert is counted once however often it comes.
Where retention has cut `sensor`, or a clock stepped back before what is read, history.py says what is due.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from sensorbus import count_sequence, history, progress, records
from sensorbus.bounds import Bounds, appended_ms, unseen
from sensorbus.comparison import Comparison, compare_copies, compare_letters
from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.sizes import check_size
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.expectation import Expected, Loss, Window, expect
from sensorbus.reading import Reader, Tell
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from sensorbus.source import Source

_OUTPUTS: Final = (ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER)
_RELATIVE_TOLERANCE: Final = 1e-9  # sums of the same numbers in another order
_RESULTS_WITHIN_S: Final = 10.0
_PAUSE_S: Final = 1.0

_Result = TypeVar("_Result")


class Verdict(NamedTuple):
    """One row per kind of result, and what is to be known of them, as lines."""

    rows: list[Comparison]
    remarks: list[str]


#: What stands in the topics, read as it is compared.
Outputs = Mapping[Topic, Iterable[Message]]


def verify(settings: Settings, consumer: Consumer, since_ms: int | None, tell: Tell) -> Verdict:
    """Return what the results are like; needs a `read_committed` consumer with `enable.partition.eof`.

    `since_ms` is an append time (None: everything that Kafka still holds).
    """
    reader, now_ms = Reader(settings, consumer, tell), wall_clock_ms()
    reader.begin("asks how far the jobs are")
    warm_ms = None if since_ms is None else since_ms - history.warm_up_ms(settings)
    done = progress.progress(reader)
    apart_ms = history.clocks_apart_ms(settings, consumer)
    plan = _Plan(reader, since_ms, warm_ms, apart_ms)
    asked = settings, consumer, plan.whole, since_ms or 0, now_ms
    begin_ms, letters_ms = history.results_from_ms(*asked), history.letters_from_ms(*asked)
    begin_ms = begin_ms + apart_ms if begin_ms > (since_ms or 0) else begin_ms
    letters_ms = letters_ms + apart_ms if letters_ms else 0
    cut = history.cuts(settings, consumer, plan.whole[SENSOR])
    loss = Loss(history.begins_ms(settings, cut, begin_ms, now_ms), history.firsts_ms(settings, cut, warm_ms))
    reader.begin("reads and compares")
    expected = expect(settings, plan.readings(), begin_ms, done, loss, letters_ms=letters_ms)
    expected.counts_cut, expected.apart_ms = history.counts_cut(*asked), apart_ms

    def look() -> list[Comparison]:
        return compare(settings, expected, plan.outputs(), begin_ms)

    rows = _looked(reader, look)
    if warm_ms is not None and not settings.embedded_broker:
        windows = history.behind(settings, set().union(*(row.wrong for row in rows)), warm_ms)
        if windows:
            reader.begin("looks further back")
            history.look_back(reader, expected, windows, since_ms=begin_ms, done=done, cut=cut)
            rows = look()
    unknown = _excuse(settings, expected, rows, cut, begin_ms)
    remarks = [
        *done.remarks,
        *history.remarks_on_cuts(settings, cut, loss.begins_ms),
        *history.remarks_on_clocks(unknown, expected.torn),
        *history.remarks_on_results(settings, since_ms or 0, begin_ms, letters_ms),
    ]
    rows = look() if unknown else rows
    return Verdict(rows, [*remarks, *history.remarks_on_the_unjudged(sum(row.unjudged for row in rows), begin_ms)])


class _Plan:
    """What is to be read of each topic, from where on."""

    def __init__(self, reader: Reader, since_ms: int | None, warm_ms: int | None, apart_ms: int) -> None:
        """Ask Kafka what it holds, and what of that time: of `sensor` from `warm_ms` on.

        A result of that time may have an earlier append time than its reading, by another leader's clock.
        """
        self._reader = reader
        self.whole = {topic: self._held(self._places(topic)) for topic in (SENSOR, *_OUTPUTS)}
        early_ms = None if since_ms is None else since_ms - apart_ms
        self._starts = {
            topic: self._from(held, warm_ms if topic is SENSOR else early_ms) for topic, held in self.whole.items()
        }
        held = {topic: records.held_from(self.whole[topic], starts) for topic, starts in self._starts.items()}
        self._readings = held[SENSOR]
        reader.plan(held.values())

    def _places(self, topic: Topic) -> list[TopicPartition]:
        return records.partitions(self._reader.settings, self._reader.consumer, topic)

    def _held(self, starts: list[TopicPartition]) -> records.Held:
        return records.held_offsets(self._reader.settings, self._reader.consumer, starts)

    def _from(self, held: records.Held, since_ms: int | None) -> list[TopicPartition]:
        if since_ms is None or self._reader.settings.embedded_broker:  # which knows no offsets by time
            return [TopicPartition(*place, OFFSET_BEGINNING) for place in held]
        return history.since(self._reader.settings, self._reader.consumer, held, since_ms)

    def readings(self) -> Iterator[Message]:
        """Yield the readings, to where `sensor` ended when it was asked."""
        return self._reader.read(self._starts[SENSOR], self._readings)

    def outputs(self) -> Outputs:
        """Return what stands in the topics now, to be read in their order; of `sensor`, what came since.

        `sensor` is read after the ends of the others are known: it holds by then all that they follow from.
        """
        held = {topic: self._held(self._starts[topic]) for topic in _OUTPUTS}
        newer = [TopicPartition(*place, offsets.stop) for place, offsets in self._readings.items()]
        outputs: dict[Topic, Iterable[Message]] = {SENSOR: list(self._reader.read(newer))}
        for topic in _OUTPUTS:
            outputs[topic] = self._reader.read(self._starts[topic], held[topic])
        return outputs


def _looked(reader: Reader, look: Callable[[], list[Comparison]]) -> list[Comparison]:
    """Compare until nothing is missing or different, or the newest readings' results had the time to come.

    What cannot be read stays as it is.
    """
    give_up_s = time.monotonic() + _RESULTS_WITHIN_S
    while True:
        rows = look()
        if not any(row.missing or row.different > len(row.unreadable) for row in rows) or time.monotonic() > give_up_s:
            return rows
        reader.begin("waits for the newest results")
        time.sleep(_PAUSE_S)


def _excuse(
    settings: Settings, expected: Expected, rows: list[Comparison], cut: history.Cuts, since_ms: int
) -> set[Window]:
    """Make pending what is missing and may be late by right, where the readings are gone that would tell; return it."""
    told: dict[str, int] = {}
    found: set[Window] = set()
    for kind in (AVG_TEMP, ALERT_COUNT):  # a mean that was told says of alerts too how late it was: they are readings
        row = next(row for row in rows if row.kind == kind.name)
        for device_id, start in row.told.items():
            told[device_id] = min(start, told.get(device_id, start))
        windows = history.unknown(settings, expected, row.wrong, told, cut=cut, since_ms=since_ms)
        if kind is AVG_TEMP:
            expected.pending.averages |= windows
        else:
            expected.pending.counts.update(dict.fromkeys(windows, 0))
        found |= windows
    return found


def compare(settings: Settings, expected: Expected, outputs: Outputs, since_ms: int) -> list[Comparison]:
    """Return the table.

    A result appended after the newest reading seen may be of a later reading, if `sensor` holds one by now that was not
    seen. Copies have a row, `sensor`, where there is a reading under a foreign key.
    """
    newer = expected.unread(outputs[SENSOR])
    bounds = Bounds(since_ms, expected.sensor.newest_ms, *unseen(settings, newer), expected.apart_ms)
    alerts = Source(ALERT, expected.sensor.begin_ms)
    rows = [
        _compare_alerts(settings, expected, alerts, outputs[ALERT], bounds),
        _compare_counts(settings, expected, outputs[ALERT_COUNT], bounds),
        _compare_averages(settings, expected, outputs[AVG_TEMP], bounds),
        compare_letters(settings, (expected.sensor, alerts), outputs[DEAD_LETTER]),
    ]
    if expected.copies or expected.found_copies:
        rows.append(compare_copies(settings, expected, newer))
    for row in rows:
        row.may_repeat = not settings.is_exactly_once
    return rows


def _compare_alerts(
    settings: Settings, expected: Expected, source: Source, found: Iterable[Message], bounds: Bounds
) -> Comparison:
    """Compare the alerts; `source` learns which of them cannot be read: job alert-count writes their letters."""
    row = Comparison(kind="alert", expected=expected.alerts.total())
    before: Counter[progress.Identity] = Counter()  # of readings that do not count
    told: Counter[progress.Identity] = Counter()
    later: Counter[progress.Identity] = Counter()  # of those that are told, what may be of readings not seen
    for message in found:
        headers = kafka.headers(message)  # once: a second answer may end the process
        place, append_ms = source.see(message)
        try:
            check_size(message.value(), message.key(), headers, ALERT)
            alert = messages.parse_alert(message.value(), append_ms, settings.time_rules)
        except InvalidMessageError as error:  # no job writes such
            counted = append_ms >= bounds.since_ms
            is_written = expected.progress.has_read(expected.progress.alert_count, *place)
            source.refuse(message, headers, append_ms, counted=counted, is_written=is_written)
            if counted:
                row.note_unreadable(message, error)
            continue
        identity = progress.identity(alert)
        if identity not in expected.alerts:
            window = (alert.device_id, alert.event_time_ms)
            _judge(row, expected, window, message, bounds)
        elif messages.has_device_key(message.key(), alert.device_id):
            first_ms = expected.begin_ms(alert.device_id, bounds.since_ms) - bounds.apart_ms
            (before if append_ms < first_ms else told)[identity] += 1
            if append_ms >= first_ms and bounds.explain(alert.device_id, append_ms):
                later[identity] += 1
        else:
            row.different += 1
    for identity, wanted in expected.alerts.items():  # equal ones that may be of other readings are no duplicates
        absent = max(0, wanted - told[identity])
        row.found += wanted - absent
        row.missing += max(0, absent - expected.pending.alerts[identity])
        newer, earlier = bounds.newer_equal(identity, later), expected.earlier_equal(identity, before)
        row.duplicated += max(0, told[identity] - newer - earlier - wanted)
    row.pending = row.expected - row.found - row.missing
    return row


def _compare_counts(settings: Settings, expected: Expected, found: Iterable[Message], bounds: Bounds) -> Comparison:
    row = Comparison(kind="alert-count", expected=len(expected.counts), late=expected.late_alerts)
    values: defaultdict[Window, list[int]] = defaultdict(list)
    too_high: set[Window] = set()
    cut: set[Window] = set()
    for message, count in _readable(row, found, messages.parse_alert_count):
        window = (count.device_id, count.start_ms)
        _note_told(row, expected, window, message, bounds)
        if window not in expected.counts:
            _judge(row, expected, window, message, bounds)
        elif _is_in_place(message, count, settings.alert_count_length_ms):
            values[window].append(count.alert_count)
            if count.alert_count > expected.counts[window] and not bounds.explain(window[0], message.timestamp()[1]):
                too_high.add(window)
            if history.has_lost(settings, expected, message.partition(), count.start_ms):
                cut.add(window)
        else:
            row.different += 1
    for window, wanted in expected.counts.items():
        told, due = values.get(window, []), expected.pending.counts.get(window, wanted)
        begin = expected.begin_counts.get(window, 1)
        is_rising = count_sequence.is_gapless(told, None if window in cut else begin)
        is_right = window not in too_high and is_rising and count_sequence.reaches(due if due >= begin else 0, told)
        is_complete = is_right and count_sequence.reaches(wanted, told)
        row.found += is_complete
        row.pending += is_right and not is_complete
        row.missing += not told and not is_right
        row.different += bool(told) and not is_right
        row.duplicated += len(told) - len(count_sequence.without_repeats(told))
        if not is_right:
            row.wrong.add(window)
    return row


def _compare_averages(settings: Settings, expected: Expected, found: Iterable[Message], bounds: Bounds) -> Comparison:
    row = Comparison(kind="avg-temp", expected=len(expected.averages), late=expected.late_readings)
    seen: Counter[Window] = Counter()
    for message, mean in _readable(row, found, messages.parse_avg_temp):
        window = (mean.device_id, mean.start_ms)
        _note_told(row, expected, window, message, bounds)
        wanted = expected.averages.get(window)
        if wanted is None:
            _judge(row, expected, window, message, bounds)
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


def _judge(row: Comparison, expected: Expected, window: Window, message: Message, bounds: Bounds) -> None:
    """Count a result that is not expected as wrong, if it is neither of earlier readings nor of later ones."""
    explained = window in expected.earlier or bounds.explain(window[0], message.timestamp()[1])
    begin_ms = expected.begin_ms(window[0], bounds.since_ms)
    if appended_ms(message) >= begin_ms and not explained:
        row.different += window[1] >= begin_ms
        row.unjudged += window[1] < begin_ms


def _note_told(row: Comparison, expected: Expected, window: Window, message: Message, bounds: Bounds) -> None:
    device_id, start = window
    if appended_ms(message) >= expected.begin_ms(device_id, bounds.since_ms):
        row.told[device_id] = min(start, row.told.get(device_id, start))
