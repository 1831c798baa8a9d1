"""Job `alert`: a reading above the threshold becomes an alert.

It also answers for `sensor`: what cannot be read there goes to `dead-letter`, what has a foreign key is sent again.
"""

from collections.abc import Sequence
from typing import Final

from quixstreams.dataframe import StreamingDataFrame

from processors.bus import Bus
from processors.outputs import Headers, Output, write
from processors.records import NOTHING, Handler, step
from sensorbus.contract.messages import Reading, alert_from_reading, encode_alert, encode_key, parse_reading
from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.contract.units import celsius_from_kelvin, kelvin_from_celsius

_ROUNDING_KELVIN: Final = 0.01  # more than two roundings to 2 decimals add


def build(sensor: StreamingDataFrame, bus: Bus) -> None:
    """Put the job on a dataframe of `sensor`."""
    run = step(bus, SENSOR, parse_reading, [handler(bus)], answers_for_topic=True)
    write(sensor, run, bus.meter.result, stateful=False)


def handler(bus: Bus) -> Handler[Reading]:
    """Return what the job does with a reading."""
    alerts, threshold_kelvin = bus.topic(ALERT), bus.settings.alert_threshold_kelvin
    cold_celsius = celsius_from_kelvin(threshold_kelvin) - _ROUNDING_KELVIN

    def on_reading(reading: Reading, _state: None, _headers: Headers) -> Sequence[Output]:
        if reading.celsius < cold_celsius:  # nearly every one is, and needs no sum to tell
            return NOTHING
        kelvin = kelvin_from_celsius(reading.celsius)
        if kelvin <= threshold_kelvin:
            return NOTHING
        return (Output(alerts, encode_key(reading.device_id), encode_alert(alert_from_reading(reading, kelvin))),)

    return on_reading
