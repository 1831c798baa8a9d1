"""Sends readings to topic `sensor` when they are due, and loses none that Kafka could still take.

One thread. The schedule is absolute, so nothing drifts: each turn sends what became due since the last one. Behind
schedule, it catches up; only after a suspension (of the process, of the machine) it goes on with the present, since a
suspended device takes no readings. While a full queue makes it wait, it is not suspended.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer

from sensorbus.contract.messages import iso_timestamp
from sensorbus.runtime.clock import ClockMs
from sensorbus.runtime.metrics import SIMULATOR_BEHIND_SECONDS, SIMULATOR_FAILED, SIMULATOR_PRODUCED
from simulator.faults import FaultyNetwork, Rates, Record
from simulator.fleet import Fleet, Readings

_TURN_MS: Final = 25
_REPLAY_TURN_MS: Final = 1_000
_SUSPENDED_MS: Final = 10_000
_FLUSH_S: Final = 8.0
_SAY_BEHIND_S: Final = 2.0

_log = logging.getLogger(__name__)


class Totals(NamedTuple):
    """What became of the readings, in records."""

    acknowledged: int
    failed: int
    undelivered: int


class Publisher:
    """Encodes records and hands them to the producer; counts what Kafka acknowledged."""

    def __init__(self, producer: Producer, topic: str, names: list[str]) -> None:
        """Take a producer that reports errors only (`delivery.report.only.error`): all else was acknowledged."""
        self._producer, self._topic = producer, topic
        self._keys = [name.encode() for name in names]
        self._middles = [f'","device_id":"{name}","temperature":'.encode() for name in names]
        self._second, self._prefix = -1, b""
        self._handed_over = self._failed = self._counted = 0

    def send(self, columns: Sequence[list[Any]], stop: Event) -> float:
        """Send readings, given as columns (device, ms, °C); return the seconds that a full queue made us wait."""
        produce, topic, keys, middles = self._producer.produce, self._topic, self._keys, self._middles
        waited_s = 0.0
        for device, time_ms, temperature in zip(*columns, strict=True):
            value = b"%b%03dZ%b%a}" % (
                self._until_second(time_ms // 1000),
                time_ms % 1000,
                middles[device],
                temperature,
            )
            try:
                produce(topic, value, keys[device], on_delivery=self._on_failure)
                self._handed_over += 1
            except BufferError:
                waited_s += self._send_when_possible(value, keys[device], stop)
        self._producer.poll(0)
        return waited_s

    def send_records(self, records: Iterator[Record], stop: Event) -> float:
        """Send records with faults, one by one; return the seconds that a full queue made us wait."""
        waited_s = 0.0
        for record in records:
            if record.invalid is None:
                waited_s += self.send(([record.device], [record.time_ms], [record.celsius]), stop)
            else:
                waited_s += self._send_when_possible(record.invalid, self._keys[record.device], stop)
        return waited_s

    def count(self) -> None:
        """Bring the metric of acknowledged readings up to date."""
        acknowledged = self._handed_over - self._failed - len(self._producer)
        if acknowledged > self._counted:
            SIMULATOR_PRODUCED.inc(acknowledged - self._counted)
            self._counted = acknowledged

    def finish(self) -> Totals:
        """Wait for what is on its way, 8 s at most, and return the totals."""
        undelivered = self._producer.flush(_FLUSH_S)
        self.count()
        return Totals(self._handed_over - self._failed - undelivered, self._failed, undelivered)

    def _send_when_possible(self, value: bytes, key: bytes, stop: Event) -> float:
        started_s = time.monotonic()
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._on_failure)
            except BufferError:
                if stop.is_set():
                    self._failed += 1
                    self._handed_over += 1
                    SIMULATOR_FAILED.inc()
                    break
                _log.warning("the queue to Kafka is full (%d readings); waiting until it moves", len(self._producer))
                self._producer.poll(0.1)
            else:
                self._handed_over += 1
                break
        return time.monotonic() - started_s

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        self._failed += 1
        SIMULATOR_FAILED.inc()
        _log.error("%s did not take a reading: %s", message.topic(), error.str())

    def _until_second(self, second: int) -> bytes:
        """Return the value up to the dot before the milliseconds; readings of a turn mostly share it."""
        if second != self._second:
            self._second = second
            self._prefix = b'{"timestamp":"' + iso_timestamp(second * 1000)[:-4].encode()
        return self._prefix


class Schedule:
    """Goes from turn to turn: `[from, to)` in event time, never ahead of the clock, without a gap but a suspension."""

    def __init__(self, start_ms: int, end_ms: int | None, now_ms: ClockMs) -> None:
        """Start at `start_ms`; in the past, it is a replay until the present is reached."""
        self._next_ms, self._end_ms, self._now_ms = start_ms, end_ms, now_ms
        self._replays = start_ms < now_ms() - _SUSPENDED_MS
        self._excused_ms = 0.0

    def turn(self, waited_s: float) -> tuple[int, int] | None:
        """Return the next `[from_ms, to_ms)`, empty when nothing is due, or None after the end.

        `waited_s` is how long the last turn's sending had to wait: that much more may be behind.
        """
        now_ms = self._now_ms()
        behind_ms = now_ms - self._next_ms
        SIMULATOR_BEHIND_SECONDS.set(max(0, behind_ms) / 1000)
        self._excused_ms = self._excused_ms + waited_s * 1000 if behind_ms > _SUSPENDED_MS / 2 else waited_s * 1000
        if self._replays:
            self._replays = behind_ms > _REPLAY_TURN_MS
        elif behind_ms > _SUSPENDED_MS + self._excused_ms:
            _log.warning("suspended for %.0f s; going on with the present", behind_ms / 1000)
            self._next_ms = now_ms - _TURN_MS
        elif behind_ms > _SAY_BEHIND_S * 1000:
            _log.warning("behind schedule by %.1f s; catching up", behind_ms / 1000)
        from_ms = self._next_ms
        to_ms = max(from_ms, min(now_ms, from_ms + _REPLAY_TURN_MS))
        if self._end_ms is not None:
            if from_ms >= self._end_ms:
                return None
            to_ms = min(to_ms, self._end_ms)
        self._next_ms = to_ms
        return from_ms, to_ms


def run(fleet: Fleet, faults: FaultyNetwork | None, publisher: Publisher, schedule: Schedule, stop: Event) -> Totals:
    """Send until the schedule ends or `stop` is set; return the totals."""
    waited_s = 0.0
    while not stop.is_set() and (turn := schedule.turn(waited_s)) is not None:
        from_ms, to_ms = turn
        waited_s = _send(fleet.due(from_ms, to_ms), to_ms, faults, publisher, stop)
        publisher.count()
        if to_ms - from_ms < _REPLAY_TURN_MS:  # up with the clock
            stop.wait(_TURN_MS / 1000)
    if faults is not None:
        publisher.send_records(faults.held_back(), stop)
    return publisher.finish()


def _send(readings: Readings, to_ms: int, faults: FaultyNetwork | None, publisher: Publisher, stop: Event) -> float:
    if faults is None:
        return publisher.send([column.tolist() for column in readings], stop)
    return publisher.send_records(faults.records(readings, to_ms), stop)


def faulty_network(fleet: Fleet, rates: Rates, seed: int) -> FaultyNetwork | None:
    """Return the faults, or None when none are wanted, which costs a third."""
    return FaultyNetwork(fleet, rates, seed) if any(rates) else None
