"""Job `avg-temp`: the mean temperature of every window that closed.

A window closes when a reading of the same device passes its end (and the grace); each `(device_id, start)` comes once.
The means are exact to the rounding of float sums: a pane's readings in order of arrival, then the panes by `fsum`.
"""

import logging
from collections.abc import Sequence
from typing import Final

from quixstreams.dataframe import StreamingDataFrame

from processors.bus import Bus
from processors.device_state import State
from processors.outputs import Headers, Output, write
from processors.records import NOTHING, Handler, original, place_now, step
from processors.windows import RingRules, Window, add, advance, is_repeat, ring_from_state, state_from_ring
from sensorbus.contract.messages import AvgTemp, Reading, encode_avg_temp, encode_key, parse_reading
from sensorbus.contract.topics import AVG_TEMP, SENSOR
from sensorbus.contract.units import ABSOLUTE_ZERO_CELSIUS, MAX_CELSIUS

STATE_KEY: Final = "avg-temp"

_log = logging.getLogger(__name__)


def build(sensor: StreamingDataFrame, bus: Bus) -> None:
    """Put the job on a dataframe of `sensor`."""
    run = step(bus, SENSOR, parse_reading, [handler(bus)], answers_for_topic=False)
    write(sensor, run, bus.meter.result, stateful=True)


def handler(bus: Bus) -> Handler[Reading]:
    """Return what the job does with a reading."""
    settings, meter, means = bus.settings, bus.meter, bus.topic(AVG_TEMP)
    rules = RingRules(settings.avg_temp_length_ms, settings.avg_temp_step_ms, settings.avg_temp_grace_ms)
    # At least once, job alert may send a reading under a foreign key again twice; the windows know which they have.
    may_repeat = not bus.exactly_once

    def on_reading(reading: Reading, state: State, headers: Headers) -> Sequence[Output]:
        device_id, timestamp, event_time_ms, celsius = reading
        ring = ring_from_state(state.get(STATE_KEY), rules)
        closed = advance(ring, rules, event_time_ms)
        copied = original(headers) if may_repeat and headers else None
        if copied is not None and is_repeat(ring, rules, event_time_ms, copied):
            return NOTHING  # the first has moved the time, so nothing is closed
        if not add(ring, rules, event_time_ms, celsius):
            meter.late()
            place = {"device": device_id, **place_now()._asdict()}
            _log.warning("a reading of %s, %s, came after a window of it was closed", device_id, timestamp, extra=place)
        state.set(STATE_KEY, state_from_ring(ring, rules))
        key = encode_key(device_id)
        return [Output(means, key, encode_avg_temp(_mean(device_id, window))) for window in closed]

    return on_reading


def _mean(device_id: str, window: Window) -> AvgTemp:
    celsius = window.total / window.readings
    # Six times the highest temperature, divided by six, is a little above it: no value that anybody would read.
    celsius = min(max(celsius, ABSOLUTE_ZERO_CELSIUS), MAX_CELSIUS)
    return AvgTemp(device_id, window.start_ms, window.end_ms, celsius)
