"""Job `avg-temp`: the mean temperature of every window that closed.

A window closes when a reading of the same device passes its end (and the grace); each `(device_id, start)` comes once.
The means are exact to the rounding of float sums: a pane's readings in order of arrival, then the panes by `fsum`.
"""

from collections.abc import Sequence
from typing import Final

from quixstreams.dataframe import StreamingDataFrame

from processors.bus import Bus
from processors.outputs import Headers, Output, write
from processors.records import NOTHING, Handler, note_late, original, step
from processors.windows import DeviceWindows, RingRules, State, Window
from sensorbus.contract.messages import AvgTemp, Reading, encode_avg_temp, encode_key, parse_reading
from sensorbus.contract.topics import AVG_TEMP, SENSOR
from sensorbus.contract.units import ABSOLUTE_ZERO_CELSIUS, MAX_CELSIUS

STATE_KEY: Final = "avg-temp"


def build(sensor: StreamingDataFrame, bus: Bus) -> None:
    """Put the job on a dataframe of `sensor`."""
    run = step(bus, SENSOR, parse_reading, [handler(bus)], answers_for_topic=False)
    write(sensor, run, bus.meter.result, stateful=True)


def handler(bus: Bus) -> Handler[Reading]:
    """Return what the job does with a reading."""
    settings, means = bus.settings, bus.topic(AVG_TEMP)
    rules = RingRules(settings.avg_temp_length_ms, settings.avg_temp_step_ms, settings.avg_temp_grace_ms)
    windows = DeviceWindows(STATE_KEY, rules, tells_closed=True)
    # At least once, job alert may send a reading under a foreign key again twice; the windows know which they have.
    may_repeat = not bus.exactly_once

    def on_reading(reading: Reading, state: State, headers: Headers) -> Sequence[Output]:
        device_id, timestamp, event_time_ms, celsius = reading
        copied = original(headers) if may_repeat and headers else None
        entered = windows.enter(state, event_time_ms, celsius, copied)
        if entered is None:
            return NOTHING
        if not entered.in_time:
            note_late(bus.meter, "a reading", device_id, timestamp)
        key = encode_key(device_id)
        return [Output(means, key, encode_avg_temp(_mean(device_id, window))) for window in entered.closed]

    return on_reading


def _mean(device_id: str, window: Window) -> AvgTemp:
    celsius = window.total / window.readings
    # Six times the highest temperature, divided by six, is a little above it: no value that anybody would read.
    celsius = min(max(celsius, ABSOLUTE_ZERO_CELSIUS), MAX_CELSIUS)
    return AvgTemp(device_id, window.start_ms, window.end_ms, celsius)
