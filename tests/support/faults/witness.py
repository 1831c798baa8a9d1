"""Writes readings that it can account for.

Each record has a number, and a label of what must become of it.
It keeps which numbers Kafka acknowledged. Single-threaded: `step` writes what is due. The readings come five seconds of
event time to the second, so that windows close often; they are disordered, late, doubled, under foreign keys, of clocks
that are wrong, and some cannot be read, all of it decided by the seed.
"""

import itertools
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, Message

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR, Topic
from sensorbus.runtime import kafka
from sensorbus.runtime.clock import wall_clock_ms
from tests.support.bad_input import Case, alert_cases, sensor_cases

NUMBER_HEADER: Final = "witness.number"
LABEL_HEADER: Final = "witness.label"
#: The labels: a reading, one that is sent again under its own key; any other is the kind of its dead letter.
GOOD, FOREIGN = "good", "foreign"

_DEVICES: Final = 20
_ROUND_S: Final = 0.2
_EVENT_TIME_PER_ROUND_MS: Final = 1_000
_BEGINS_AGO_MS: Final = 3 * 3_600_000
_FLUSH_S: Final = 90.0
#: Bad values from this size on are rare: in a burst of 2,000 they would be a run's most bytes by far.
_LARGE_BYTES: Final = 10_000
_LARGE_TIMES: Final = 3
_OPTIONS: Final = {"message.timeout.ms": 0, "linger.ms": 5}


class Written(NamedTuple):
    """A record that was handed to the client."""

    label: str
    value: bytes | None


class Habits(NamedTuple):
    """Shares of the records, from 0 to 1."""

    bad: float = 0.05
    foreign: float = 0.01
    late: float = 0.03
    disordered: float = 0.10
    doubled: float = 0.01


_USUAL: Final = Habits()


class Witness:
    """The devices `witness-1`..n and a few with wrong clocks; another `name` gives other devices."""

    def __init__(self, settings: Settings, seed: int, name: str = "witness", habits: Habits = _USUAL) -> None:
        """Write nothing yet; event time begins 3 h ago."""
        self.name = name
        self._settings = settings
        self._client = kafka.producer(settings, "witness", **_OPTIONS)
        self._chance = random.Random(seed)  # noqa: S311  # readings, not secrets
        self._habits = habits
        self._begin_ms = wall_clock_ms() - _BEGINS_AGO_MS
        now = datetime.fromtimestamp(wall_clock_ms() / 1_000, UTC)
        self._bad, large = _unreadable(sensor_cases(now))
        bad_alerts, large_alerts = _unreadable(alert_cases(now))
        self._bad_alerts = itertools.cycle(bad_alerts)
        self._large = iter(list(zip(large, large_alerts, strict=True)) * _LARGE_TIMES)
        self._numbers = itertools.count()
        self._rounds = 0
        self._next_s: float | None = None
        self.written: dict[int, Written] = {}
        self.acknowledged: set[int] = set()
        self.refused: list[str] = []

    def step(self) -> None:
        """Write what is due since the last step, and take acknowledgements; never waits."""
        now_s = time.monotonic()
        while self._next_s is not None and now_s >= self._next_s:
            self._next_s += _ROUND_S
            self.round()
        self._client.poll(0)

    def begin(self) -> None:
        """Write from now on, five seconds of event time to the second."""
        self._next_s = time.monotonic()

    def rest(self) -> None:
        """Write nothing until it begins again; event time stands still."""
        self._next_s = None

    def round(self) -> None:
        """Write one second of all devices."""
        time_ms = self._begin_ms + self._rounds * _EVENT_TIME_PER_ROUND_MS
        for device in range(1, _DEVICES + 1):
            self._report(device, time_ms + device)
        for name, clock_ms in _wrong_clocks(self.name, self._rounds, time_ms):
            self.reading(name, clock_ms, self._celsius(1))
        self._rounds += 1

    def reading(self, device_id: str, event_time_ms: int, celsius: float, label: str | None = None) -> None:
        """Write one reading; without a label it is good, or too far ahead of the clock."""
        ahead = event_time_ms > wall_clock_ms() + 301_000
        label = label or ("clock-ahead" if ahead else GOOD)
        self.write(device_id.encode(), encode_reading(device_id, iso_timestamp(event_time_ms), celsius), label)

    def bad(self, count: int) -> None:
        """Write as many records that cannot be read, of every kind in turn."""
        for case in itertools.islice(itertools.cycle(self._bad), count):
            self._write_bad(case, b"nobody")

    def bad_alerts(self, count: int) -> None:
        """Write as many records to `alert` that cannot be read, of every kind in turn, over all partitions."""
        for case in itertools.islice(self._bad_alerts, count):
            self._write_bad(case, None, ALERT)

    def large(self) -> None:
        """Write the next large bad value to `sensor` and to `alert`, under a device's key; each comes a few times."""
        key = f"{self.name}-{len(self.written) % _DEVICES + 1}".encode()
        for topic, case in zip((SENSOR, ALERT), next(self._large, ()), strict=False):
            self._write_bad(case, key, topic)

    def write(self, key: bytes | None, value: bytes | None, label: str, topic: Topic = SENSOR) -> None:
        """Write one record with its number and label; waits while the client's queue is full."""
        number = next(self._numbers)
        headers = [(NUMBER_HEADER, str(number).encode()), (LABEL_HEADER, label.encode())]
        self.written[number] = Written(label, value)
        name = self._settings.topic_name(topic)

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                self.acknowledged.add(number)
            else:
                self.refused.append(f"{number}: {error.str()}")

        while True:
            try:
                self._client.produce(name, value, key, headers=headers, on_delivery=on_delivery)
            except BufferError:
                self._client.poll(0.1)
            else:
                return

    def finish(self) -> None:
        """Wait until Kafka has everything."""
        assert self._client.flush(_FLUSH_S) == 0, "the witness could not write all its records"

    def _report(self, device: int, time_ms: int) -> None:
        chance, habits = self._chance.random, self._habits
        device_id = f"{self.name}-{device}"
        if chance() < habits.bad:
            self._write_bad(self._chance.choice(self._bad), device_id.encode())
            return
        if chance() < habits.late:
            time_ms -= 15_000
        elif chance() < habits.disordered:
            time_ms -= 1_500
        value = encode_reading(device_id, iso_timestamp(time_ms), self._celsius(device))
        if chance() < habits.foreign:
            self.write(self._chance.choice((None, b"", b"other", b"\xff")), value, FOREIGN)
            return
        for _ in range(2 if chance() < habits.doubled else 1):
            self.write(device_id.encode(), value, GOOD)

    def _write_bad(self, case: Case, key: bytes | None, topic: Topic = SENSOR) -> None:
        assert case.kind is not None, case.name
        self.write(key, case.value, case.kind, topic)

    def _celsius(self, device: int) -> float:
        """Return a temperature around the threshold of 29.85 °C, above it about four times in eleven."""
        return round(29.85 + ((self._rounds * 7 + device * 3) % 11 - 6) / 100, 2)


def _wrong_clocks(name: str, rounds: int, time_ms: int) -> Iterator[tuple[str, int]]:
    """Yield devices whose clocks are behind, and two whose clocks jump for a reading: to 2100 and to 1970."""
    jumps = rounds % 10 == 7
    yield f"{name}-an-hour-behind", time_ms - 3_600_000
    yield f"{name}-3-s-behind", time_ms - 3_000
    yield f"{name}-in-2100", 4_102_444_800_000 if jumps else time_ms
    yield f"{name}-in-1970", time_ms // 1_000 if jumps else time_ms


def is_bad(message: Message) -> bool:
    """Tell whether the witness has written this and it cannot be read."""
    label = dict(message.headers() or ()).get(LABEL_HEADER)
    return label is not None and label.decode() not in (GOOD, FOREIGN)


def _unreadable(cases: list[Case]) -> tuple[list[Case], list[Case]]:
    """Return the small bad ones and the large ones."""
    bad = [case for case in cases if case.kind]
    large = [case for case in bad if len(case.value or b"") >= _LARGE_BYTES]
    return [case for case in bad if case not in large], large
