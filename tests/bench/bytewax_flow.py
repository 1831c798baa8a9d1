"""The mean of every window, as a Bytewax user writes it.

One worker, no recovery store.
Bytewax is in the dependency group `bench`, so nothing here is imported before a run.
"""

import importlib.util
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import AVG_TEMP, SENSOR

LENGTH_MS: Final = 10_000
STEP_MS: Final = 1_000


def why_not() -> str | None:
    """Return why it cannot run, or None."""
    if importlib.util.find_spec("bytewax") is None:
        return "Bytewax is not installed: `uv sync --group bench` (Python 3.11 or 3.12)"
    return None


def run(settings: Settings, _readings: int) -> None:
    """Read `sensor` to its end; the windows that are open there are told too."""
    from bytewax.testing import run_main  # noqa: PLC0415  # it may not be installed

    run_main(_flow(settings))


def _flow(settings: Settings) -> Any:
    import bytewax.operators as op  # noqa: PLC0415  # it may not be installed
    import bytewax.operators.windowing as win  # noqa: PLC0415  # the same
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource  # noqa: PLC0415  # the same
    from bytewax.dataflow import Dataflow  # noqa: PLC0415  # the same

    def result(item: tuple[str, tuple[int, tuple[float, int]]]) -> Any:
        device_id, (window, (total, count)) = item
        start_ms = window * STEP_MS
        value = {"start": start_ms, "end": start_ms + LENGTH_MS, "value": total / count}
        return KafkaSinkMessage(device_id.encode(), orjson.dumps(value))

    servers = [settings.bootstrap_servers]
    flow = Dataflow("averages")
    records = op.input("sensor", flow, KafkaSource(servers, [settings.topic_name(SENSOR)], tail=False))
    readings = op.map("parse", records, _device_and_reading)
    windows = win.fold_window(
        "windows",
        readings,
        # Time is the readings' alone, as with all contenders. By itself it goes on with the system's too, and a backlog
        # that halts for longer than it is behind then finds its next readings late, and drops them.
        win.EventClock(
            _event_time,
            wait_for_system_duration=timedelta(0),
            now_getter=lambda: datetime.fromtimestamp(0, UTC),
            to_system_utc=lambda _: None,
        ),
        win.SlidingWindower(
            length=timedelta(milliseconds=LENGTH_MS),
            offset=timedelta(milliseconds=STEP_MS),
            align_to=datetime.fromtimestamp(0, UTC),
        ),
        builder=lambda: (0.0, 0),
        folder=lambda sum_, reading: (sum_[0] + reading[1], sum_[1] + 1),
        merger=lambda one, other: (one[0] + other[0], one[1] + other[1]),
    )
    results = op.map("result", windows.down, result)
    op.output("avg-temp", results, KafkaSink(servers, settings.topic_name(AVG_TEMP)))
    return flow


def _device_and_reading(record: Any) -> tuple[str, tuple[datetime, float]]:
    fields = orjson.loads(record.value)
    return fields["device_id"], (datetime.fromisoformat(fields["timestamp"]), fields["temperature"])


def _event_time(reading: tuple[datetime, float]) -> datetime:
    return reading[0]
