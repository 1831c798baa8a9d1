"""The wire contract: bytes to messages and back.

Parsing is strict and raises `InvalidMessageError` only, whatever the bytes are. Times are
milliseconds since the epoch (`_ms`), windows are `[start_ms, end_ms)`. Keys are device ids in UTF-8.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from sensorbus.contract.emoji import joiner_places
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.units import (
    ABSOLUTE_ZERO_CELSIUS,
    MAX_CELSIUS,
    fahrenheit_from_celsius,
    kelvin_from_celsius,
)

#: The words for the header `error.kind`, in the order in which a value is checked.
ERROR_KINDS: Final = (
    "compression",  # the batch of the record cannot be decompressed
    "too-large",  # the record has more bytes than its topic takes: Kafka counts them compressed
    "empty",  # no value, or one of no bytes
    "json",  # not JSON in UTF-8 (a byte order mark, NaN and Infinity are not JSON either)
    "not-an-object",
    "missing-field",
    "device-id",
    "temperature",
    "timestamp",
    "clock-ahead",  # the payload's time is too far ahead of the time at which Kafka appended the record
)

MAX_DEVICE_ID_CHARACTERS: Final = 128
# Unicode's control and format characters and its line and paragraph separators: what hides, reorders or breaks text.
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: A date and time with each digit as 0: a calendar or week date, a time to the hour or finer, an offset or none; all
#: with separators or without, as ISO 8601 has it. `datetime.fromisoformat` alone reads `12.5Z`, half past twelve, as
#: half a second past twelve, and takes any character at some places, other ones in each version of Python.
_ISO_SHAPE: Final = re.compile(
    rb"(?:0000-00-00|0{8}|0000-W00-0|0000W000)[Tt ]"
    rb"00(?::00(?::00(?:[.,]0{1,9})?)?|00(?:00(?:[.,]0{1,9})?)?)?"
    rb"(?:[Zz]|[+-]00(?::?00)?)?"
)
_DIGITS_TO_0: Final = bytes.maketrans(b"123456789", b"0" * 9)


#: So much further ahead an alert may be than its reading: another broker, with a clock of its own, gave it its time.
ALERT_AHEAD_SLACK_MS: Final = 60_000


class TimeRules(NamedTuple):
    """How a payload's timestamp becomes event time.

    `zone` reads timestamps without an offset (None: this machine's local zone).
    """

    zone: tzinfo | None = UTC
    clock_ahead_limit_ms: int = 300_000


class Reading(NamedTuple):
    """One reading of topic `sensor`; `timestamp` is the text as received."""

    device_id: str
    timestamp: str
    event_time_ms: int
    celsius: float


class Alert(NamedTuple):
    """One reading above the threshold, of topic `alert`; `timestamp` is the text as received."""

    device_id: str
    timestamp: str
    event_time_ms: int
    celsius: float
    fahrenheit: float
    kelvin: float


class AlertCount(NamedTuple):
    """Alerts of one device in one window, of topic `alert-count`; a later one of the same start replaces it."""

    device_id: str
    start_ms: int
    end_ms: int
    alert_count: int


class AvgTemp(NamedTuple):
    """Mean temperature of one device in one closed window, of topic `avg-temp`."""

    device_id: str
    start_ms: int
    end_ms: int
    avg_celsius: float


def parse_reading(raw: bytes | None, append_time_ms: int, rules: TimeRules) -> Reading:
    """Return the reading in a value of `sensor`.

    `append_time_ms` is the record's time on the broker (LogAppendTime).
    """
    fields = _parse_object(raw)
    device_id = _device_id(fields)
    celsius = _celsius(fields, "temperature")
    timestamp, event_time_ms = _event_time(fields, append_time_ms, rules)
    return Reading(device_id, timestamp, event_time_ms, celsius)


def parse_alert(raw: bytes | None, append_time_ms: int, rules: TimeRules) -> Alert:
    """Return the alert in a value of `alert`."""
    fields = _parse_object(raw)
    device_id = _device_id(fields)
    celsius = _celsius(fields, "celsius")
    timestamp, event_time_ms = _event_time(fields, append_time_ms, rules, ALERT_AHEAD_SLACK_MS)
    return Alert(
        device_id,
        timestamp,
        event_time_ms,
        celsius,
        _number(fields, "fahrenheit"),
        _number(fields, "kelvin"),
    )


def parse_alert_count(raw: bytes | None) -> AlertCount:
    """Return the count in a value of `alert-count`."""
    fields = _parse_object(raw)
    return AlertCount(
        _device_id(fields), _integer(fields, "start"), _integer(fields, "end"), _integer(fields, "alert_count")
    )


def parse_avg_temp(raw: bytes | None) -> AvgTemp:
    """Return the mean in a value of `avg-temp`."""
    fields = _parse_object(raw)
    return AvgTemp(_device_id(fields), _integer(fields, "start"), _integer(fields, "end"), _celsius(fields, "avg_temp"))


def encode_reading(device_id: str, timestamp: str, celsius: float) -> bytes:
    """Return the value of a record of `sensor`."""
    return orjson.dumps({"timestamp": timestamp, "device_id": device_id, "temperature": celsius})


def alert_from_reading(reading: Reading, kelvin: float) -> Alert:
    """Return the alert that a reading is; `kelvin` is its rounded temperature, already compared."""
    return Alert(
        reading.device_id,
        reading.timestamp,
        reading.event_time_ms,
        reading.celsius,
        fahrenheit_from_celsius(reading.celsius),
        kelvin,
    )


def encode_alert(alert: Alert) -> bytes:
    """Return the value of a record of `alert`."""
    return orjson.dumps(
        {
            "celsius": alert.celsius,
            "fahrenheit": alert.fahrenheit,
            "kelvin": alert.kelvin,
            "device_id": alert.device_id,
            "timestamp": alert.timestamp,
        }
    )


def encode_alert_count(count: AlertCount) -> bytes:
    """Return the value of a record of `alert-count`."""
    return orjson.dumps(
        {
            "device_id": count.device_id,
            "start": count.start_ms,
            "end": count.end_ms,
            "alert_count": count.alert_count,
        }
    )


def encode_avg_temp(mean: AvgTemp) -> bytes:
    """Return the value of a record of `avg-temp`."""
    return orjson.dumps(
        {"device_id": mean.device_id, "start": mean.start_ms, "end": mean.end_ms, "avg_temp": mean.avg_celsius}
    )


def encode_key(device_id: str) -> bytes:
    """Return the key of every record of that device."""
    return device_id.encode()


def has_device_key(key: bytes | None, device_id: str) -> bool:
    """Tell whether a record of `sensor` is under its device's key.

    If not, it is no reading yet: job `alert` sends it again under the right one (docs/decisions/0004-foreign-keys.md).
    """
    return key is not None and key == device_id.encode()


def is_alert(celsius: float, threshold_kelvin: float) -> bool:
    """Tell whether a temperature is above the threshold (equal is not above), in kelvin as an alert tells it."""
    return kelvin_from_celsius(celsius) > threshold_kelvin


def device_id_fault(device_id: str) -> str | None:
    """Return what is wrong with a device id, as a sentence without its subject; None when it is good."""
    if not 1 <= len(device_id) <= MAX_DEVICE_ID_CHARACTERS:
        return f"has {len(device_id)} characters, not 1 to {MAX_DEVICE_ID_CHARACTERS}"
    if device_id.isspace():
        return "is blank"
    joiners = joiner_places(device_id)
    for place, character in enumerate(device_id):
        if unicodedata.category(character) in _FORBIDDEN_CATEGORIES and place not in joiners:
            return f"has the control or format character U+{ord(character):04X}"
    return None


def iso_timestamp(event_time_ms: int) -> str:
    """Return ISO 8601 in UTC with milliseconds, e.g. `2026-01-31T12:00:00.250Z`."""
    moment = datetime.fromtimestamp(event_time_ms // 1000, UTC).replace(tzinfo=None)
    return f"{moment.isoformat()}.{event_time_ms % 1000:03d}Z"


def _parse_object(raw: bytes | None) -> Mapping[str, Any]:
    if not raw:
        raise InvalidMessageError("empty", "the value is null" if raw is None else "the value has no bytes")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidMessageError("json", f"the value is not JSON: {error}") from None
    if type(fields) is not dict:
        raise InvalidMessageError("not-an-object", f"the value is a JSON {_json_type(fields)}, not an object")
    return fields


def _device_id(fields: Mapping[str, Any]) -> str:
    device_id = fields.get("device_id")
    if type(device_id) is not str:
        _refuse_type(fields, "device_id", "device-id", "a string")
    # The fast way for nearly every id: what is forbidden is not printable either.
    if not (0 < len(device_id) <= MAX_DEVICE_ID_CHARACTERS and device_id.isprintable() and not device_id.isspace()):
        fault = device_id_fault(device_id)
        if fault is not None:
            raise InvalidMessageError("device-id", f"device_id {fault}")
    return device_id


def _celsius(fields: Mapping[str, Any], name: str) -> float:
    celsius = fields.get(name)
    if type(celsius) is float and ABSOLUTE_ZERO_CELSIUS <= celsius <= MAX_CELSIUS:  # the fast way for nearly every one
        return celsius
    celsius = _number(fields, name)
    if not ABSOLUTE_ZERO_CELSIUS <= celsius <= MAX_CELSIUS:
        raise InvalidMessageError(
            "temperature", f"{name} is {celsius:g} °C, not {ABSOLUTE_ZERO_CELSIUS} to {MAX_CELSIUS} °C"
        )
    return celsius


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if type(value) is not float and type(value) is not int:  # `true` is no number
        _refuse_type(fields, name, "temperature", "a number")
    return float(value)


def _integer(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int:
        _refuse_type(fields, name, "timestamp", "an integer")
    return value


def _event_time(fields: Mapping[str, Any], append_time_ms: int, rules: TimeRules, slack_ms: int = 0) -> tuple[str, int]:
    timestamp = fields.get("timestamp")
    if type(timestamp) is not str:
        _refuse_type(fields, "timestamp", "timestamp", "a string")
    event_time_ms = event_time_ms_from_iso(timestamp, rules.zone)
    ahead_ms, limit_ms = event_time_ms - append_time_ms, rules.clock_ahead_limit_ms + slack_ms
    if ahead_ms > limit_ms:
        hint = _zone_hint(timestamp, rules.zone)
        raise InvalidMessageError(
            "clock-ahead",
            f"timestamp {timestamp} is {ahead_ms / 1000:.0f} s ahead of the record's append time, more than "
            f"{limit_ms / 1000:g} s (SENSORBUS_CLOCK_AHEAD_LIMIT_MS{' and a minute' if slack_ms else ''}){hint}",
        )
    return timestamp, event_time_ms


def _zone_hint(timestamp: str, zone: tzinfo | None) -> str:
    """Return how a timestamp without an offset was read; "" for one that has its own."""
    if datetime.fromisoformat(timestamp.upper()).tzinfo is not None:
        return ""
    return f"; it has no offset, so it was read as {zone or 'local time'} (SENSORBUS_TIMESTAMP_ZONE)"


def event_time_ms_from_iso(timestamp: str, zone: tzinfo | None) -> int:
    """Return ms since the epoch of an ISO 8601 date and time; what is below a ms is cut off."""
    try:
        if _has_small_z(timestamp.encode().translate(_DIGITS_TO_0)):
            timestamp = timestamp.upper()
        moment = datetime.fromisoformat(timestamp)
        if moment.tzinfo is None:
            moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
        since_epoch = moment - _EPOCH
    except (ValueError, OverflowError, OSError) as error:
        shown = timestamp[:64].encode("unicode_escape").decode()
        raise InvalidMessageError(
            "timestamp", f"timestamp {shown!r} is not an ISO 8601 date and time: {error}"
        ) from None
    return since_epoch.days * 86_400_000 + since_epoch.seconds * 1000 + since_epoch.microseconds // 1000


@lru_cache(maxsize=256)  # devices write few shapes; what raises is not kept, so it stays small
def _has_small_z(shape: bytes) -> bool:
    """Tell whether a date and time, its digits as 0, ends in `z`, which Python does not read; `ValueError` if none."""
    if not _ISO_SHAPE.fullmatch(shape):
        raise ValueError("it is not written as e.g. 2026-01-31T12:00:00.250Z")
    return shape.endswith(b"z")


def _refuse_type(fields: Mapping[str, Any], name: str, kind: str, wanted: str) -> NoReturn:
    if name not in fields:
        raise InvalidMessageError("missing-field", f"the field {name} is missing")
    raise InvalidMessageError(kind, f"{name} is a JSON {_json_type(fields[name])}, not {wanted}")


def _json_type(value: object) -> str:
    return {
        type(None): "null",
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }[type(value)]
