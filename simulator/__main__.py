"""`python -m simulator`: a fleet of simulated devices, with faults on request."""

import logging
from threading import Event
from typing import Annotated, Any

import typer

from sensorbus.contract.errors import InvalidMessageError, SettingsError
from sensorbus.contract.messages import event_time_ms_from_iso
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import health, kafka
from sensorbus.runtime.clock import wall_clock_ms
from sensorbus.runtime.process import run_part
from simulator.faults import Rates
from simulator.fleet import Fleet
from simulator.publish import Publisher, Schedule, faulty_network, run

_log = logging.getLogger("simulator")


def _rate(text: str) -> Any:
    return typer.Option(min=0.0, max=1.0, help=f"Rate from 0 to 1: {text}")


def simulate(  # noqa: PLR0913, PLR0917  # the options of a command
    devices: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of devices.")] = 20,
    period: Annotated[float, typer.Option(min=0.01, max=86_400, help="Seconds between readings of a device.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same temperatures.")] = 0,
    duration: Annotated[float | None, typer.Option(min=0.001, help="Seconds of event time, then it ends.")] = None,
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
        health.serve(settings, dict)
        if not kafka.retry(lambda: kafka.ensure_topics(settings, "simulator"), stop):
            return
        period_ms = round(period * 1000)
        start_at_ms = wall_clock_ms() if start_ms is None else start_ms
        fleet = Fleet(devices, period_ms, seed, start_at_ms)
        # Errors alone are reported: a callback for each reading would cost as much as sending it.
        producer = kafka.producer(settings, "simulator", **{"delivery.report.only.error": True, "linger.ms": 5})
        publisher = Publisher(producer, settings.topic_name(SENSOR), fleet.names)
        end_ms = None if duration is None else start_at_ms + round(duration * 1000)
        schedule = Schedule(start_at_ms, end_ms, wall_clock_ms)
        _log.info("%d devices report every %g s (seed %d)", devices, period, seed)
        totals = run(fleet, faulty_network(fleet, rates, seed), publisher, schedule, stop)
        _log.info("%d readings acknowledged, %d failed, %d not delivered", *totals)

    run_part("simulator", main)


def _start_ms(start: str | None, settings: Settings) -> int | None:
    if start is None:
        return None
    try:
        return event_time_ms_from_iso(start, settings.time_rules.zone)
    except InvalidMessageError as error:
        raise SettingsError(f"--start: {error}") from None


if __name__ == "__main__":
    typer.run(simulate)
