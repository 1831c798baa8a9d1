"""What must stand in the output topics, recomputed from `sensor` by plain code.

Plain on purpose: every window is a sum and a count in a dict. With the jobs it shares the wire contract of
docs/messages.md: how a message is read, its rules (size, key) and its units. Windows, what is late, counting, means and
state are its own. What a job has not committed yet is pending: its results may stand there, or not yet.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import Message

from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.sizes import check_size
from sensorbus.contract.topics import SENSOR
from sensorbus.contract.units import fahrenheit_from_celsius, kelvin_from_celsius
from sensorbus.progress import Identity, Progress
from sensorbus.runtime import kafka

#: A window of a device: (device id, start in ms).
Window = tuple[str, int]
#: A place on `sensor`: (partition, offset).
Place = tuple[int, int]


@dataclass(slots=True)
class Pending:
    """The results among the expected ones whose job has not committed the reading or alert that leads to them."""

    alerts: Counter[Identity] = field(default_factory=Counter)
    counts: dict[Window, int] = field(default_factory=dict)  # up to which count each of these windows must be told
    averages: set[Window] = field(default_factory=set)
    dead_letters: set[Place] = field(default_factory=set)


@dataclass(slots=True)
class Expected:
    """What the output topics must hold once the jobs have read all of `sensor`."""

    readings: int = 0
    alerts: Counter[Identity] = field(default_factory=Counter)
    counts: dict[Window, int] = field(default_factory=dict)
    averages: dict[Window, float] = field(default_factory=dict)
    dead_letters: set[Place] = field(default_factory=set)
    pending: Pending = field(default_factory=Pending)
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


@dataclass
class Expectation:
    """Works through `sensor`, in the order of its partitions; `since_ms` is an append time."""

    settings: Settings
    since_ms: int
    progress: Progress = field(default_factory=Progress)
    expected: Expected = field(default_factory=Expected)

    def __post_init__(self) -> None:
        """Begin with empty windows."""
        own = self.settings
        self._averages = Windows(own.avg_temp_length_ms, own.avg_temp_step_ms, own.avg_temp_grace_ms)
        self._counts = Windows(own.alert_count_length_ms, own.alert_count_step_ms, own.alert_count_grace_ms)
        self._seen: set[tuple[str, str]] | None = None if own.is_exactly_once else set()

    def add(self, message: Message) -> None:
        """Take a record of `sensor`: what it leads to is expected, if it came since then."""
        place, append_ms = (message.partition(), message.offset()), kafka.append_time_ms(*message.timestamp())
        counted = append_ms >= self.since_ms
        try:
            check_size(message.value(), message.key(), kafka.headers(message), SENSOR)
            reading = messages.parse_reading(message.value(), append_ms, self.settings.time_rules)
        except InvalidMessageError:
            if counted:
                self._add_dead_letter(place)
            return
        if not messages.has_device_key(message.key(), reading.device_id):
            return  # job alert sends it again under its device's key
        self.expected.readings += counted
        self._add_to_averages(reading, place, counted=counted)
        kelvin = kelvin_from_celsius(reading.celsius)
        if kelvin > self.settings.alert_threshold_kelvin:
            self._add_alert(reading, kelvin, place, counted=counted)

    def _add_dead_letter(self, place: Place) -> None:
        self.expected.dead_letters.add(place)
        if not self.progress.has_read(self.progress.alert, *place):
            self.expected.pending.dead_letters.add(place)

    def _add_to_averages(self, reading: messages.Reading, place: Place, *, counted: bool) -> None:
        _, means, late = self._averages.add(reading.device_id, reading.event_time_ms, reading.celsius)
        results = {(reading.device_id, start): mean for start, mean in means.items()}
        if not counted:
            self.expected.earlier.update(results, [(reading.device_id, reading.event_time_ms)])
            return
        self.expected.averages.update(results)
        self.expected.late_readings += late
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
        if _is_repeat(reading, self._seen):
            return
        numbers, _, late = self._counts.add(device_id, event_time_ms, 1.0)
        windows = {(device_id, start): number for start, number in numbers.items()}
        if not counted:
            self.expected.earlier.update(windows)
            return
        self.expected.counts.update(windows)
        self.expected.late_alerts += late
        pending = self.expected.pending.counts
        for window, number in windows.items():
            if not is_written or identity in self.progress.uncounted:
                pending.setdefault(window, number - 1)
            else:  # a partition is counted in order: what looked pending before was the repeat of a counted one
                pending.pop(window, None)


def expect(
    settings: Settings, readings: Iterable[Message], since_ms: int, progress: Progress | None = None
) -> Expected:
    """Return what must stand in the output topics after these records of `sensor`, in their order per partition.

    Without `progress` the jobs have read everything.
    """
    expectation = Expectation(settings, since_ms, progress or Progress())
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
