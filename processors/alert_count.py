"""Job `alert-count`: alerts of a device in each window.

With every alert comes the new count of each window that it falls in.
A later count of the same `(device_id, start)` replaces the earlier one, so a reader needs no newer alert to see the
truth: the window that ends now has the count last told, or none was told and it is 0.
It also answers for `alert`: what cannot be read there goes to `dead-letter`.
"""

from collections.abc import Sequence
from typing import Final

from quixstreams.dataframe import StreamingDataFrame

from processors.bus import Bus
from processors.outputs import Headers, Output, write
from processors.records import NOTHING, Handler, note_late, step
from processors.windows import DeviceWindows, RingRules, State, open_counts
from sensorbus.contract.messages import Alert, AlertCount, encode_alert_count, encode_key, parse_alert
from sensorbus.contract.topics import ALERT, ALERT_COUNT

STATE_KEY: Final = "alert-count"


def build(alert: StreamingDataFrame, bus: Bus) -> None:
    """Put the job on a dataframe of `alert`."""
    run = step(bus, ALERT, parse_alert, [handler(bus)], answers_for_topic=True)
    write(alert, run, bus.meter.result, stateful=True)


def handler(bus: Bus) -> Handler[Alert]:
    """Return what the job does with an alert."""
    settings, counts = bus.settings, bus.topic(ALERT_COUNT)
    rules = RingRules(settings.alert_count_length_ms, settings.alert_count_step_ms, settings.alert_count_grace_ms)
    windows = DeviceWindows(STATE_KEY, rules, tells_closed=False)
    # At least once, job alert may write an alert twice; exactly once, two equal ones are two readings.
    may_repeat = not bus.exactly_once

    def on_alert(alert: Alert, state: State, _headers: Headers) -> Sequence[Output]:
        device_id, timestamp, event_time_ms = alert[:3]
        entered = windows.enter(state, event_time_ms, 0.0, timestamp if may_repeat else None)
        if entered is None:
            return NOTHING
        if not entered.in_time:
            note_late(bus.meter, "an alert", device_id, timestamp)
        key = encode_key(device_id)
        return [
            Output(counts, key, encode_alert_count(AlertCount(device_id, *window)))
            for window in open_counts(entered.ring, rules, event_time_ms)
        ]

    return on_alert
