"""Values that `sensor` and `alert` may meet, and what becomes of each."""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

_NOW: Final = "2026-01-31T12:00:00Z"


class Case(NamedTuple):
    """A value and the `error.kind` of its dead letter; None: it is a good reading of `device_id`."""

    name: str
    value: bytes | None
    kind: str | None
    device_id: str = ""


def sensor_cases(now: datetime) -> list[Case]:
    """Return every case for `sensor`, on a broker where it is `now`."""
    return [
        *_not_objects(),
        *_fields("temperature"),
        *_temperatures("temperature"),
        *_times(now),
        *_devices(),
        *_accepted(),
    ]


def alert_cases() -> list[Case]:
    """Return every refused case for `alert`: as for `sensor`, and what only an alert can lack."""
    good = b'{"celsius":31.0,"fahrenheit":87.8,"kelvin":304.15,"device_id":"x","timestamp":"2026-01-31T12:00:00Z"}'
    own = [
        Case(f"alert-without-{name}", good.replace(name.encode(), b"other"), "missing-field")
        for name in ("celsius", "fahrenheit", "kelvin", "device_id", "timestamp")
    ]
    return [*_not_objects(), *_temperatures("celsius"), *own]


def _not_objects() -> list[Case]:
    good = _value()
    return [
        Case("empty", b"", "empty"),
        Case("null-value", None, "empty"),
        Case("null", b"null", "not-an-object"),
        Case("number", b"1", "not-an-object"),
        Case("array", b"[1]", "not-an-object"),
        Case("string", b'"text"', "not-an-object"),
        Case("truncated", good[:-3], "json"),
        Case("byte-order-mark", b"\xef\xbb\xbf" + good, "json"),
        Case("invalid-utf8", good.replace(b"x", b"\xff"), "json"),
        Case("100000-brackets", b"[" * 100_000, "json"),
        Case("1-mb-of-text", b"a" * 1_000_000, "json"),
        Case("5-mb-of-text", b"b" * 5_000_000, "json"),
        Case("lone-surrogate", good.replace(b"x", b"\\ud800"), "json"),
    ]


def _fields(temperature: str) -> list[Case]:
    names = ("timestamp", "device_id", temperature)
    return [Case(f"without-{name}", _value().replace(name.encode(), b"other"), "missing-field") for name in names]


def _temperatures(name: str) -> list[Case]:
    wrong = {
        "string": (b'"20"', "temperature"),
        "null": (b"null", "temperature"),
        "true": (b"true", "temperature"),
        "nan": (b"NaN", "json"),
        "infinity": (b"Infinity", "json"),
        "1e999": (b"1e999", "json"),
        "below-absolute-zero": (b"-400", "temperature"),
        "a-million": (b"1e6", "temperature"),
        "400-digits": (b"9" * 400, "json"),
        "20-digits": (b"9" * 20, "temperature"),
    }
    return [
        Case(f"{name}-{case}", _value().replace(b'"temperature":20', f'"{name}":'.encode() + text), kind)
        for case, (text, kind) in wrong.items()
    ]


def _times(now: datetime) -> list[Case]:
    ahead = (now + timedelta(hours=1)).isoformat()
    wrong = {
        "number": b"1769860800",
        "true": b"true",
        "empty": b'""',
        "yesterday": b'"yesterday"',
        "date-only": b'"2026-01-31"',
        "year-0": b'"0000-01-01T00:00:00Z"',
        "feb-30": b'"2026-02-30T12:00:00Z"',
        "leap-second": b'"2026-12-31T23:59:60Z"',
        "offset-25": b'"2026-01-31T12:00:00+25:00"',
        "another-separator": b'"2026-01-31X12:00:00Z"',
        "fraction-of-an-hour": b'"2026-01-31T12.50Z"',
        "space-before-z": b'"2026-01-31T12:00:00 Z"',
    }
    refused = [
        Case(f"time-{case}", _value().replace(f'"{_NOW}"'.encode(), text), "timestamp") for case, text in wrong.items()
    ]
    too_early = {"year-9999": "9999-12-31T23:59:59Z", "an-hour-ahead": ahead}
    return refused + [
        Case(f"time-{case}", _value().replace(_NOW.encode(), text.encode()), "clock-ahead")
        for case, text in too_early.items()
    ]


def _devices() -> list[Case]:
    wrong = {
        "empty": b'""',
        "blank": b'"  "',
        "5000-characters": b'"' + b"d" * 5_000 + b'"',
        "nul": b'"a\\u0000b"',
        "newline": b'"a\\nb"',
        "right-to-left": '"a\u202eb"'.encode(),
        "soft-hyphen": '"a\u00adb"'.encode(),
        "zero-width-joiner": '"a\u200db"'.encode(),
        "joiner-behind-emoji": '"👩\u200d"'.encode(),
        "invisible-tag": '"a\U000e0061b"'.encode(),
        "list": b'["x"]',
        "number": b"7",
    }
    return [Case(f"device-{case}", _value().replace(b'"x"', text), "device-id") for case, text in wrong.items()]


def _accepted() -> list[Case]:
    fine = {
        "emoji": "🌡️-1",
        "joined-emoji": "👩🏽\u200d💻-1",
        "script": "<script>alert(1)</script>",
        "formula": "=cmd()",
        "128-characters": "d" * 128,
    }
    cases = [
        Case(f"accepted-{case}", _value().replace(b'"x"', f'"{device_id}"'.encode()), None, device_id)
        for case, device_id in fine.items()
    ]
    return [
        *cases,
        Case("accepted-unknown-field", _value(device_id="extra")[:-1] + b',"more":[1,{}]}', None, "extra"),
        Case("accepted-duplicate-key", b'{"temperature":"x",' + _value(device_id="twice")[1:], None, "twice"),
        Case("accepted-without-offset", _value(device_id="naive").replace(b"00Z", b"00"), None, "naive"),
        Case(
            "accepted-small-letters",
            _value(device_id="small").replace(_NOW.encode(), _NOW.lower().encode()),
            None,
            "small",
        ),
        Case("accepted-with-offset", _value(device_id="offset").replace(b"00Z", b"00+02:00"), None, "offset"),
        Case("accepted-a-year-ago", _value(device_id="old").replace(b"2026-", b"2025-"), None, "old"),
    ]


def _value(device_id: str = "x") -> bytes:
    return f'{{"timestamp":"{_NOW}","device_id":"{device_id}","temperature":20}}'.encode()
