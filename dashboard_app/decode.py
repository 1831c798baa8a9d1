"""Kafka's messages to the rows that the store holds.

What cannot be read is counted and left out.
Pure but for the metrics; for the consumer thread.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from dashboard_app.encoded import encode
from dashboard_app.ring import Records
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import (
    TimeRules,
    has_device_key,
    parse_alert,
    parse_alert_count,
    parse_avg_temp,
    parse_reading,
)
from sensorbus.contract.sizes import check_size
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.runtime.metrics import FEED_INVALID, FEED_RECORDS

_LAST_MS: Final = 253_402_300_800_000  # the year 10000


class Message(Protocol):
    """What is used of confluent-kafka's messages."""

    def partition(self) -> int: ...  # noqa: D102  # confluent-kafka's own names and meanings
    def offset(self) -> int: ...  # noqa: D102  # the same
    def key(self) -> bytes | None: ...  # noqa: D102  # the same
    def value(self) -> bytes | None: ...  # noqa: D102  # the same
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102  # the same


class Row(NamedTuple):
    """What one value says."""

    device_id: str
    time_ms: int
    value: float


#: Returns the row in a message, None for one that is no row of ours; raises `InvalidMessageError`.
_Decode = Callable[[Message, int, TimeRules], Row | None]


def records_in(topic: str, messages: Sequence[Message], rules: TimeRules, now_ms: int) -> Records:
    """Return the records in messages of one topic, by name without prefix.

    An append time that is missing or in the future counts as now: on a topic with CreateTime it is the sender's word.
    """
    FEED_RECORDS.labels(topic).inc(len(messages))
    decode = _DECODE[topic]
    partitions: list[int] = []
    offsets: list[int] = []
    appends_ms: list[int] = []
    device_ids: list[str] = []
    times_ms: list[int] = []
    values: list[float] = []
    fragments: list[bytes] = []
    for message in messages:
        append_ms = message.timestamp()[1]
        if not 0 < append_ms <= now_ms:
            append_ms = now_ms
        try:
            row = decode(message, append_ms, rules)
        except InvalidMessageError as error:
            FEED_INVALID.labels(topic, error.kind).inc()
            continue
        if row is not None:
            partitions.append(message.partition())
            offsets.append(message.offset())
            appends_ms.append(append_ms)
            device_ids.append(row[0])
            times_ms.append(row[1])
            values.append(row[2])
            if topic == SENSOR.name:  # the others are told as columns
                fragments.append(encode((*row,)))
    return Records(partitions, offsets, appends_ms, device_ids, times_ms, values, fragments)


def _reading(message: Message, append_ms: int, rules: TimeRules) -> Row | None:
    check_size(message.value(), message.key(), None, SENSOR)
    device_id, _, time_ms, celsius = parse_reading(message.value(), append_ms, rules)
    if not has_device_key(message.key(), device_id):
        return None  # job alert sends it again under its device's key
    return Row(device_id, time_ms, celsius)


def _alert(message: Message, append_ms: int, rules: TimeRules) -> Row | None:
    check_size(message.value(), message.key(), None, ALERT)
    alert = parse_alert(message.value(), append_ms, rules)
    if not has_device_key(message.key(), alert.device_id):
        return None  # job alert-count sends it again under its device's key
    return Row(alert.device_id, alert.event_time_ms, alert.celsius)


def _alert_count(message: Message, _append_ms: int, _rules: TimeRules) -> Row:
    count = parse_alert_count(message.value())
    _check_window(count.start_ms, count.end_ms)
    return Row(count.device_id, count.start_ms, count.alert_count)


def _avg_temp(message: Message, _append_ms: int, _rules: TimeRules) -> Row:
    mean = parse_avg_temp(message.value())
    _check_window(mean.start_ms, mean.end_ms)
    return Row(mean.device_id, mean.end_ms, mean.avg_celsius)


def _dead_letter(_message: Message, _append_ms: int, _rules: TimeRules) -> Row:
    return Row("", 0, 0.0)  # whatever it is, it counts


def _check_window(start_ms: int, end_ms: int) -> None:
    if not 0 <= start_ms < end_ms <= _LAST_MS:
        raise InvalidMessageError("timestamp", f"{start_ms} to {end_ms} is no window in ms since the epoch")


_DECODE: Final[dict[str, _Decode]] = {
    SENSOR.name: _reading,
    ALERT.name: _alert,
    ALERT_COUNT.name: _alert_count,
    AVG_TEMP.name: _avg_temp,
    DEAD_LETTER.name: _dead_letter,
}
