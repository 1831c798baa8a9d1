"""`python -m simulator`: a fleet of simulated devices, with faults on request."""

import logging
import time
from threading import Event
from typing import Annotated, Any

import typer

from sensorbus.contract.errors import InvalidMessageError, SettingsError
from sensorbus.contract.messages import event_time_ms_from_iso
from sensorbus.contract.settings import LONGEST_PERIOD_MS, MOST_SIMULATED_DEVICES, SHORTEST_PERIOD_MS, Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import health, kafka
from sensorbus.runtime.clock import wall_clock_ms
from sensorbus.runtime.metrics import SIMULATOR_FAMILIES
from sensorbus.runtime.process import run_part
from simulator.encode import Encoder
from simulator.faults import FaultyNetwork, Rates
from simulator.fleet import Fleet
from simulator.publish import Publisher, producer
from simulator.run import Simulation, run
from simulator.schedule import Schedule

_NOT_READY_BEHIND_S = 10.0

_log = logging.getLogger("simulator")


def _rate(text: str) -> Any:
    return typer.Option(min=0.0, max=1.0, help=f"Rate from 0 to 1: {text}")


def _seconds(shortest: float, longest: float, text: str) -> Any:
    return typer.Option(min=shortest, max=longest, help=text)


def simulate(  # noqa: PLR0913, PLR0917  # the options of a command
    devices: Annotated[int, typer.Option(min=1, max=MOST_SIMULATED_DEVICES, help="Number of devices.")] = 20,
    period: Annotated[
        float,
        _seconds(
            SHORTEST_PERIOD_MS / 1000, LONGEST_PERIOD_MS / 1000, "Seconds between readings of a device, to the ms."
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same temperatures and faults.")] = 0,
    duration: Annotated[float | None, _seconds(0.001, 1e9, "Seconds of event time, then it ends.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Event time of the first reading, ISO 8601; the past is sent at full speed.")
    ] = None,
    dropout: Annotated[float, _rate("share of time in which a device is silent, 15 to 60 s each.")] = 0.0,
    late: Annotated[float, _rate("readings sent 3 to 30 s late.")] = 0.0,
    out_of_order: Annotated[float, _rate("readings sent after the next one of their device.")] = 0.0,
    duplicate: Annotated[float, _rate("readings sent twice.")] = 0.0,
    invalid: Annotated[float, _rate("readings replaced by what no reader can take.")] = 0.0,
    skew: Annotated[float, _rate("devices whose clock is off by up to 2 min.")] = 0.0,
) -> None:
    """Write readings of simulated devices to topic `sensor`."""
    rates = Rates(dropout, late, out_of_order, duplicate, invalid, skew)

    def main(settings: Settings, stop: Event) -> None:
        start_ms = _start_ms(start, settings)
        publisher = Publisher(producer(settings), settings.topic_name(SENSOR), settings)
        schedule: list[Schedule] = []  # empty until the topics are there
        health.serve(settings, lambda: publisher.readiness() | _readiness(schedule), SIMULATOR_FAMILIES)
        if not _topics_exist(settings, stop):
            return
        first_ms = wall_clock_ms() if start_ms is None else start_ms
        fleet = Fleet(devices, round(period * 1000), seed, first_ms)
        network = FaultyNetwork(rates, seed) if any(rates) else None
        end_ms = None if duration is None else first_ms + round(duration * 1000)
        schedule.append(Schedule(first_ms, end_ms, wall_clock_ms, time.process_time))
        schedule[0].limit_turns(devices / period)
        _log.info("%d devices report every %g s (seed %d)", devices, period, seed)
        run(Simulation(fleet, network, Encoder(fleet.names)), publisher, schedule[0], stop)

    run_part("simulator", main)


def _start_ms(start: str | None, settings: Settings) -> int | None:
    if start is None:
        return None
    try:
        return event_time_ms_from_iso(start, settings.time_rules.zone)
    except InvalidMessageError as error:
        raise SettingsError(f"--start: {error}") from None


def _topics_exist(settings: Settings, stop: Event) -> bool:
    """Wait for the broker and make the topics; False when stopped first."""
    return kafka.wait_for_broker(settings, "simulator", stop) and kafka.retry(
        lambda: kafka.ensure_topics(settings, "simulator"), stop
    )


def _readiness(schedule: list[Schedule]) -> dict[str, str]:
    behind_s = schedule[0].behind_s if schedule else 0.0
    return {"schedule": f"{behind_s:.0f} s behind"} if behind_s > _NOT_READY_BEHIND_S else {}


if __name__ == "__main__":
    typer.run(simulate)
