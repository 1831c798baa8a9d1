"""Job `all`: the three jobs in one process, for a demo or a small site.

A reading is parsed once and handled by `alert` and `avg-temp` in turn; alerts come back over Kafka to `alert-count`.
"""

from quixstreams.dataframe import StreamingDataFrame

from processors import alert, alert_count, avg_temp
from processors.bus import Bus
from processors.outputs import write
from processors.records import step
from sensorbus.contract.messages import parse_reading
from sensorbus.contract.topics import SENSOR


def build(sensor: StreamingDataFrame, alerts: StreamingDataFrame, bus: Bus) -> None:
    """Put the jobs on dataframes of `sensor` and `alert`."""
    run = step(bus, SENSOR, parse_reading, [alert.handler(bus), avg_temp.handler(bus)], answers_for_topic=True)
    write(sensor, run, bus.meter.result, stateful=True)
    alert_count.build(alerts, bus)
