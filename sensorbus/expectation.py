"""What must stand in the output topics, recomputed from `sensor` by plain code.

Plain on purpose: every window is a sum and a count in a dict. With the jobs it shares the wire contract of
docs/messages.md: how a message is read, its rules (size, key) and its units. Windows, what is late, counting, means and
state are its own. What a job has not committed yet is pending: its results may stand there, or not yet.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import Message

from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.sizes import Headers, check_size
from sensorbus.contract.topics import SENSOR
from sensorbus.contract.units import fahrenheit_from_celsius, kelvin_from_celsius
from sensorbus.progress import Identity, Progress
from sensorbus.runtime import kafka
from sensorbus.source import Content, Place, Source, content

#: A window of a device: (device id, start in ms).
Window = tuple[str, int]

_Value = TypeVar("_Value", int, float)
_COPY_HEADER: Final = "rekeyed.from"
_REPLAY_HEADER: Final = "replayed.from"
_PLACE: Final = re.compile(r"(?P<topic>.+)\[(?P<partition>[0-9]{1,9})\]@(?P<offset>[0-9]{1,18})")


class Loss(NamedTuple):
    """What it means that `sensor` has lost its oldest readings, by partition; times are append times."""

    begins_ms: Mapping[int, int]  # from which on results count, where that is later than for all
    firsts_ms: Mapping[int, int]  # of the first reading that is left, where all that is left is read


NO_LOSS: Final = Loss({}, {})


@dataclass(slots=True)
class Pending:
    """The results among the expected ones whose job has not committed the reading or alert that leads to them."""

    alerts: Counter[Identity] = field(default_factory=Counter)
    counts: dict[Window, int] = field(default_factory=dict)  # up to which count each of these windows must be told
    averages: set[Window] = field(default_factory=set)
    copies: set[Place] = field(default_factory=set)


@dataclass(slots=True)
class Expected:
    """What the output topics, and `sensor` of copies, must hold once the jobs have read all of `sensor`."""

    readings: int = 0
    alerts: Counter[Identity] = field(default_factory=Counter)
    counts: dict[Window, int] = field(default_factory=dict)
    #: Of windows with alerts from before `since_ms`: the first count of an alert that counts; those below came before.
    begin_counts: dict[Window, int] = field(default_factory=dict)
    averages: dict[Window, float] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)
    earlier: set[tuple[str, int]] = field(default_factory=set)  # (device, event time or window) before `since_ms`
    earlier_alerts: Counter[Identity] = field(default_factory=Counter)
    #: Devices with results that would count, but of windows that may hold readings that are gone: they are not judged.
    torn: set[str] = field(default_factory=set)
    late_readings_of: Counter[str] = field(default_factory=Counter)  # by device
    late_alerts_of: Counter[str] = field(default_factory=Counter)
    copies: dict[Place, Content] = field(default_factory=dict)  # of the readings under a foreign key: each has one
    earlier_copies: set[Place] = field(default_factory=set)
    found_copies: Counter[tuple[Place, Content]] = field(default_factory=Counter)  # by the reading that they copy
    sensor: Source = field(default_factory=lambda: Source(SENSOR))
    partitions: dict[str, int] = field(default_factory=dict)  # by device
    #: From which append time on results count, by partition, where that is later than `since_ms`.
    begins_ms: Mapping[int, int] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)
    counts_cut: Mapping[int, int | None] = field(default_factory=dict)  # where `alert-count` begins, if it was cut
    apart_ms: int = 0  # by how much append times on two partitions may be wrong to each other

    @property
    def late_readings(self) -> int:
        """Readings of which a window was closed before."""
        return self.late_readings_of.total()

    @property
    def late_alerts(self) -> int:
        """Alerts of which a window was closed before."""
        return self.late_alerts_of.total()

    def begin_ms(self, device_id: str, since_ms: int) -> int:
        """Return from when on results of a device count; of one that has no reading here, when those of all do."""
        if device_id in self.partitions:
            return max(since_ms, self.begins_ms.get(self.partitions[device_id], 0))
        return max(since_ms, *self.begins_ms.values(), 0)

    def earlier_equal(self, identity: Identity, before: Counter[Identity]) -> int:
        """Return how many alerts of earlier readings, equal to this one, may have come since results count.

        Those of `before` came before that. Where `sensor` was not read from its first reading on, they may be of
        readings that were not seen, and say nothing: then it may be as many as there were earlier readings.
        """
        span = self.sensor.spans.get(self.partitions[identity[0]])
        is_whole = span is not None and span.first == 0
        return max(0, self.earlier_alerts[identity] - before[identity] * is_whole)

    def unread(self, records: Iterable[Message]) -> list[Message]:
        """Return those of these records of `sensor` that do not lie within what was read."""
        return [one for one in records if not self.sensor.was_read((one.partition(), one.offset()))]

    def replace_windows(self, devices: set[str], other: "Expected") -> None:
        """Take what the windows of these devices must hold from another expectation of the same results."""
        pairs: list[tuple[dict[Window, float] | dict[Window, int], Mapping[Window, int | float]]] = [
            (self.averages, other.averages),
            (self.counts, other.counts),
            (self.begin_counts, other.begin_counts),
            (self.pending.counts, other.pending.counts),
        ]
        for mine, theirs in pairs:
            for window in [window for window in mine if window[0] in devices]:
                del mine[window]
            mine.update(theirs)  # type: ignore[arg-type]  # each pair is of one kind
        self.pending.averages = {w for w in self.pending.averages if w[0] not in devices} | other.pending.averages
        self.earlier |= other.earlier
        self.torn |= other.torn
        for counted, anew in (
            (self.late_readings_of, other.late_readings_of),
            (self.late_alerts_of, other.late_alerts_of),
        ):
            for device_id in devices:
                counted[device_id] = anew[device_id]


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


class TornWindows:
    """Windows that may hold readings that are gone: what was told of them is known, and not judged."""

    def __init__(self, settings: Settings, loss: Loss, expected: Expected) -> None:
        """Take what is lost, and where to note which devices have such windows."""
        self._longest_ms = max(settings.avg_temp_length_ms, settings.alert_count_length_ms)
        self._limit_ms = settings.clock_ahead_limit_ms
        self._firsts_ms, self._expected = loss.firsts_ms, expected
        self._to_ms: dict[str, int] = {}  # by device: windows that begin later hold no lost reading

    def note(self, reading: messages.Reading, partition: int) -> None:
        """Take a reading, before its partition is noted: the first that is left of a device tells which are torn.

        The lost ones were hardly later than it, however slow its clock, nor later than a clock may be ahead.
        """
        if partition in self._firsts_ms and reading.device_id not in self._expected.partitions:
            latest_ms = self._firsts_ms[partition] + self._limit_ms
            self._to_ms[reading.device_id] = min(reading.event_time_ms + self._longest_ms, latest_ms)

    def whole(self, device_id: str, results: dict[Window, _Value]) -> dict[Window, _Value]:
        """Return the results of windows that are not torn."""
        to_ms = self._to_ms.get(device_id)
        if to_ms is None:
            return results
        torn = [window for window in results if window[1] <= to_ms]
        if torn:
            self._expected.earlier.update(torn)
            self._expected.torn.add(device_id)
        return {window: value for window, value in results.items() if window[1] > to_ms}


@dataclass
class Expectation:
    """Works through `sensor`, in the order of its partitions; `since_ms` is an append time."""

    settings: Settings
    since_ms: int
    progress: Progress = field(default_factory=Progress)
    loss: Loss = NO_LOSS
    letters_ms: int = 0
    expected: Expected = field(default_factory=Expected)

    def __post_init__(self) -> None:
        """Begin with empty windows."""
        own = self.settings
        self.expected.begins_ms, self.expected.progress = self.loss.begins_ms, self.progress
        self.expected.sensor.begin_ms = self.letters_ms
        self._topic = own.topic_name(SENSOR)
        self._torn = TornWindows(own, self.loss, self.expected)
        self._averages = Windows(own.avg_temp_length_ms, own.avg_temp_step_ms, own.avg_temp_grace_ms)
        self._counts = Windows(own.alert_count_length_ms, own.alert_count_step_ms, own.alert_count_grace_ms)
        self._seen: set[tuple[str, str]] | None = None if own.is_exactly_once else set()
        self._copied: set[tuple[str, bytes]] | None = None if own.is_exactly_once else set()

    def add(self, message: Message) -> None:
        """Take a record of `sensor`: what it leads to is expected, if it came since then."""
        place, append_ms = self.expected.sensor.see(message)
        headers = kafka.headers(message)  # once: a second answer may end the process
        counted = append_ms >= max(self.since_ms, self.loss.begins_ms.get(place[0], 0))
        self.expected.found_copies.update(copy_of(self._topic, message, headers))
        try:
            check_size(message.value(), message.key(), headers, SENSOR)
            reading = messages.parse_reading(message.value(), append_ms, self.settings.time_rules)
        except InvalidMessageError:
            is_written = self.progress.has_read(self.progress.alert, *place)
            self.expected.sensor.refuse(message, headers, append_ms, counted=counted, is_written=is_written)
            return
        reading = reading._replace(device_id=sys.intern(reading.device_id))  # all that it leads to holds it: once
        if not messages.has_device_key(message.key(), reading.device_id):
            if counted:  # job alert sends it again under its device's key
                copied = content(messages.encode_key(reading.device_id), message.value())
                self.expected.copies[place] = copied
                if not self.progress.has_read(self.progress.alert, *place):
                    self.expected.pending.copies.add(place)
            else:
                self.expected.earlier_copies.add(place)
            return
        self._torn.note(reading, place[0])
        self.expected.partitions[reading.device_id] = place[0]
        self.expected.readings += counted
        if not self._is_second_copy(reading.device_id, headers):  # an alert of it is there twice
            self._add_to_averages(reading, place, counted=counted)
        kelvin = kelvin_from_celsius(reading.celsius)
        if kelvin > self.settings.alert_threshold_kelvin:
            self._add_alert(reading, kelvin, place, counted=counted)

    def _is_second_copy(self, device_id: str, headers: Headers) -> bool:
        """Tell whether the same reading was copied before, and note it; never exactly once."""
        if self._copied is None or (original := _original(headers)) is None:
            return False
        known = len(self._copied)
        self._copied.add((device_id, original))
        return len(self._copied) == known

    def _add_to_averages(self, reading: messages.Reading, place: Place, *, counted: bool) -> None:
        _, means, late = self._averages.add(reading.device_id, reading.event_time_ms, reading.celsius)
        results = {(reading.device_id, start): mean for start, mean in means.items()}
        if not counted:
            self.expected.earlier.update(results, [(reading.device_id, reading.event_time_ms)])
            return
        results = self._torn.whole(reading.device_id, results)
        self.expected.averages.update(results)
        self.expected.late_readings_of[reading.device_id] += late
        if not self.progress.has_read(self.progress.avg_temp, *place):
            self.expected.pending.averages.update(results)

    def _add_alert(self, reading: messages.Reading, kelvin: float, place: Place, *, counted: bool) -> None:
        """Note an alert and the counts that it leads to; a repeat leads to none."""
        device_id, timestamp, event_time_ms, celsius = reading
        identity = (device_id, timestamp, celsius, fahrenheit_from_celsius(celsius), kelvin)
        is_written = self.progress.has_read(self.progress.alert, *place)
        if counted:
            self.expected.alerts[identity] += 1
            self.expected.pending.alerts[identity] += not is_written
        else:
            self.expected.earlier_alerts[identity] += 1
        if _is_repeat(reading, self._seen):
            return
        numbers, _, late = self._counts.add(device_id, event_time_ms, 1.0)
        windows = {(device_id, start): number for start, number in numbers.items()}
        if not counted:
            self.expected.earlier.update(windows)
            return
        windows = self._torn.whole(device_id, windows)
        begun = {of: number for of, number in windows.items() if number > 1 and of not in self.expected.counts}
        self.expected.begin_counts.update(begun)
        self.expected.counts.update(windows)
        self.expected.late_alerts_of[device_id] += late
        pending = self.expected.pending.counts
        for window, number in windows.items():
            if not is_written or identity in self.progress.uncounted:
                pending.setdefault(window, number - 1)
            else:  # a partition is counted in order: what looked pending before was the repeat of a counted one
                pending.pop(window, None)


def expect(  # noqa: PLR0913  # what was read, and what of it counts
    settings: Settings,
    readings: Iterable[Message],
    since_ms: int,
    progress: Progress | None = None,
    loss: Loss = NO_LOSS,
    *,
    letters_ms: int = 0,
) -> Expected:
    """Return what must stand in the output topics after these records of `sensor`, in their order per partition.

    Without `progress` the jobs have read everything. `letters_ms`: from when on dead letters count.
    """
    expectation = Expectation(settings, since_ms, progress or Progress(), loss, letters_ms)
    for message in readings:
        expectation.add(message)
    return expectation.expected


def _is_repeat(reading: messages.Reading, seen: set[tuple[str, str]] | None) -> bool:
    """Tell whether an alert of this device and timestamp was counted before, and note it; never without `seen`."""
    identity = (reading.device_id, reading.timestamp)
    if seen is None or identity in seen:
        return seen is not None
    seen.add(identity)
    return False


def copy_of(topic: str, message: Message, headers: Headers) -> list[tuple[Place, Content]]:
    """Return the reading of `sensor`, under the name `topic`, that a record is the copy of, and what it holds; or none.

    A copy that was a dead letter and was sent back has both headers, that of the replay last: it is no second copy.
    """
    place = _PLACE.fullmatch((_original(headers) or b"").decode(errors="replace"))
    if place is None or place["topic"] != topic:
        return []
    return [((int(place["partition"]), int(place["offset"])), content(message.key(), message.value()))]


def _original(headers: Headers) -> bytes | None:
    """Return the place that a copy names, as it stands there; None where a record is none."""
    ours = [(name, value or b"") for name, value in headers if name in (_COPY_HEADER, _REPLAY_HEADER)]
    return ours[-1][1] if ours and ours[-1][0] == _COPY_HEADER else None
