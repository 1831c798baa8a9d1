"""The loop of the simulator.

From turn to turn, what is due becomes records and is sent.
"""

from collections.abc import Iterator
from threading import Event
from typing import NamedTuple

from sensorbus.contract.errors import SensorbusError
from simulator.encode import Encoder
from simulator.faults import INVALID_VALUES, FaultyNetwork
from simulator.fleet import Fleet
from simulator.publish import Publisher, Totals
from simulator.schedule import TURN_MS, Schedule

Pairs = Iterator[tuple[bytes, bytes | None]]


class Simulation(NamedTuple):
    """A fleet, what goes wrong on its way (None: nothing, which is cheaper), and how its readings are written."""

    fleet: Fleet
    network: FaultyNetwork | None
    encoder: Encoder


def run(simulation: Simulation, publisher: Publisher, schedule: Schedule, stop: Event) -> Totals:
    """Send until the schedule ends or `stop` is set, then what is held back; return the totals."""
    try:
        waited_s = 0.0
        while not stop.is_set() and (turn := schedule.turn(waited_s)) is not None:
            from_ms, to_ms = turn
            waited_s = publisher.send(_due(simulation, from_ms, to_ms), stop)
            if to_ms - from_ms < schedule.longest_turn_ms:  # up with the clock
                stop.wait(TURN_MS / 1000)
        publisher.send_rest(_held_back(simulation), stop)
    except SensorbusError:
        stop.set()  # what waits for a topic that takes no more must not keep us
        raise
    finally:
        totals = publisher.finish(stop)
    return totals


def _due(simulation: Simulation, from_ms: int, to_ms: int) -> Pairs:
    readings = simulation.fleet.due(from_ms, to_ms)
    encoder = simulation.encoder
    if simulation.network is None:
        columns = [column.tolist() for column in readings]
        return zip(map(encoder.keys.__getitem__, columns[0]), map(encoder.value, *columns), strict=True)
    return _pairs(encoder, simulation.network.records(readings, to_ms))


def _held_back(simulation: Simulation) -> Pairs:
    if simulation.network is not None:
        yield from _pairs(simulation.encoder, simulation.network.held_back())


def _pairs(encoder: Encoder, records: Iterator[tuple[int, int, float, int | None]]) -> Pairs:
    for device, time_ms, celsius, invalid in records:
        value = encoder.value(device, time_ms, celsius) if invalid is None else INVALID_VALUES[invalid]
        yield encoder.keys[device], value
