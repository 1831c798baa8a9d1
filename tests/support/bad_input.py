"""Values that `sensor` and `alert` may meet, and what becomes of each."""

import json
import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

_NOW: Final = "2026-01-31T12:00:00Z"
_READING: Final = f'{{"timestamp":"{_NOW}","device_id":"x","temperature":20}}'.encode()
_ALERT: Final = f'{{"celsius":20,"fahrenheit":68,"kelvin":293.15,"device_id":"x","timestamp":"{_NOW}"}}'.encode()


class Case(NamedTuple):
    """A value and the `error.kind` of its dead letter; None: it is a good one of `device_id`."""

    name: str
    value: bytes | None
    kind: str | None
    device_id: str = ""


def sensor_cases(now: datetime) -> list[Case]:
    """Return every case for `sensor`, on a broker where it is `now`."""
    return [*_cases(_READING, now), *_temperatures(_READING)]


def alert_cases(now: datetime) -> list[Case]:
    """Return every case for `alert`: as for `sensor`, and what only an alert can have wrong."""
    return [*_cases(_ALERT, now), *_temperatures(_ALERT), *_derived_temperatures()]


def _cases(good: bytes, now: datetime) -> list[Case]:
    return [*_not_objects(good), *_fields(good), *_times(good, now), *_devices(good), *_accepted(good)]


def _not_objects(good: bytes) -> list[Case]:
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


def _fields(good: bytes) -> list[Case]:
    return [
        Case(f"without-{name}", good.replace(name.encode(), b"other"), "missing-field") for name in json.loads(good)
    ]


def _temperatures(good: bytes) -> list[Case]:
    name = "temperature" if b"temperature" in good else "celsius"
    wrong = {
        "nan": (b"NaN", "json"),
        "infinity": (b"Infinity", "json"),
        "1e999": (b"1e999", "json"),
        "below-absolute-zero": (b"-400", "temperature"),
        "a-million": (b"1e6", "temperature"),
        "400-digits": (b"9" * 400, "json"),
        "20-digits": (b"9" * 20, "temperature"),
    }
    return _not_numbers(good, name) + [
        Case(f"{name}-{case}", _with_number(good, name, text), kind) for case, (text, kind) in wrong.items()
    ]


def _derived_temperatures() -> list[Case]:
    return [case for name in ("fahrenheit", "kelvin") for case in _not_numbers(_ALERT, name)]


def _not_numbers(good: bytes, name: str) -> list[Case]:
    wrong = {"string": b'"20"', "null": b"null", "true": b"true"}
    return [Case(f"{name}-{case}", _with_number(good, name, text), "temperature") for case, text in wrong.items()]


def _times(good: bytes, now: datetime) -> list[Case]:
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
        "leap-second-without-offset": b'"2026-12-31T23:59:60"',
        "offset-25": b'"2026-01-31T12:00:00+25:00"',
        "another-separator": b'"2026-01-31X12:00:00Z"',
        "fraction-of-an-hour": b'"2026-01-31T12.50Z"',
        "space-before-z": b'"2026-01-31T12:00:00 Z"',
    }
    refused = [
        Case(f"time-{case}", good.replace(f'"{_NOW}"'.encode(), text), "timestamp") for case, text in wrong.items()
    ]
    too_early = {"year-9999": "9999-12-31T23:59:59Z", "an-hour-ahead": ahead}
    return refused + [
        Case(f"time-{case}", good.replace(_NOW.encode(), text.encode()), "clock-ahead")
        for case, text in too_early.items()
    ]


def _devices(good: bytes) -> list[Case]:
    wrong = {
        "empty": b'""',
        "blank": b'"  "',
        "5000-characters": b'"' + b"d" * 5_000 + b'"',
        "nul": b'"a\\u0000b"',
        "newline": b'"a\\nb"',
        "right-to-left-override": '"a\u202eb"'.encode(),
        "right-to-left-mark": '"a\u200fb"'.encode(),
        "soft-hyphen": '"a\u00adb"'.encode(),
        "zero-width-joiner": '"a\u200db"'.encode(),
        "joiner-behind-emoji": '"👩\u200d"'.encode(),
        "invisible-tag": '"a\U000e0061b"'.encode(),
        "list": b'["x"]',
        "number": b"7",
    }
    return [Case(f"device-{case}", good.replace(b'"x"', text), "device-id") for case, text in wrong.items()]


def _accepted(good: bytes) -> list[Case]:
    fine = {
        "emoji": "🌡️-1",
        "joined-emoji": "👩🏽\u200d💻-1",
        "script": "<script>alert(1)</script>",
        "formula": "=cmd()",
        "128-characters": "d" * 128,
    }
    small, doubled = _NOW.lower().encode(), good.replace(b"{", b'{"timestamp":"x",')
    return [
        *(_accepted_case(case, good, device_id) for case, device_id in fine.items()),
        _accepted_case("unknown-field", good[:-1] + b',"more":[1,{}]}', "extra"),
        _accepted_case("duplicate-key", doubled, "twice"),
        _accepted_case("without-offset", good.replace(b"00Z", b"00"), "naive"),
        _accepted_case("small-letters", good.replace(_NOW.encode(), small), "small"),
        _accepted_case("with-offset", good.replace(b"00Z", b"00+02:00"), "offset"),
        _accepted_case("a-year-ago", good.replace(b"2026-", b"2025-"), "old"),
    ]


def _accepted_case(name: str, value: bytes, device_id: str) -> Case:
    own = value.replace(b'"device_id":"x"', f'"device_id":"{device_id}"'.encode())
    return Case(f"accepted-{name}", own, None, device_id)


def _with_number(good: bytes, name: str, text: bytes) -> bytes:
    """Return the value with another text for the number of that name."""
    return re.sub(rb'("%s":)[\d.]+' % name.encode(), lambda found: found[1] + text, good)
