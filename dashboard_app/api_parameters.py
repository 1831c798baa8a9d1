"""The API's parameters: what each is called, what it may hold, and how it is read.

One table for the routes that read them and for the OpenAPI description. Reading raises `ProblemError`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

from dashboard_app.api_problems import refused
from dashboard_app.choice import bits_in
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import MAX_DEVICE_ID_CHARACTERS, device_id_fault, event_time_ms_from_iso

MAX_DEVICES: Final = 100
STATES: Final = ("OK", "HIGH", "STALE", "OFFLINE")
UNITS: Final = ("celsius", "fahrenheit", "kelvin")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
_DURATION: Final = re.compile(r"([1-9]\d{0,8})(ms|s|min|h)", re.ASCII)
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}

Json = dict[str, Any]
DEVICE_ID_SCHEMA: Final[Json] = {"type": "string", "minLength": 1, "maxLength": MAX_DEVICE_ID_CHARACTERS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a query; `schema` is JSON Schema, of one item where it is repeatable."""

    name: str
    description: str
    schema: Json
    read: Callable[[str, str], Any]
    max_items: int = 1


def device_in(_name: str, text: str) -> str:
    """Return a device id."""
    fault = device_id_fault(text)
    if fault is not None:
        raise refused("device", f"`device` {fault}")
    return text


def word_in(words: tuple[str, ...]) -> Callable[[str, str], str]:
    """Return a reader of one of these words."""

    def read(name: str, text: str) -> str:
        if text not in words:
            raise refused(name, f"`{name}` is one of {', '.join(words)}")
        return text

    return read


def time_in(name: str, text: str) -> int:
    """Return a time in ms since the epoch; digits finer than that are cut."""
    hint = f"`{name}` is a time such as 2026-01-31T12:00:00.250Z, from 1970 on; in an URL, + is written %2B"
    if not _TIME.fullmatch(text):
        raise refused(name, hint)
    try:
        time_ms = event_time_ms_from_iso(text, UTC)
    except InvalidMessageError:
        raise refused(name, hint) from None
    if time_ms < 0:
        raise refused(name, hint)
    return time_ms


def duration_in(name: str, text: str) -> int:
    """Return a length of time in ms."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise refused(name, f"`{name}` is a length such as 500ms, 90s, 15min or 1h")
    return int(found[1]) * _UNIT_MS[found[2]]


def text_in(_name: str, text: str) -> str:
    """Return the text as it is."""
    return text


def choice_in(name: str, text: str) -> tuple[str, bytes]:
    """Return the roster's key and the places in it of a choice of devices."""
    key, _, bits_text = text.partition(".")
    bits = bits_in(bits_text)
    if not key or bits is None:
        raise refused(name, f"`{name}` is what the page makes of its choice of devices; name them by `device` instead")
    return key, bits


def limit(default: int, most: int) -> Parameter:
    """Return a route's parameter `limit`."""

    def read(name: str, text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= most:
            raise refused(name, f"`{name}` is a number from 1 to {most}")
        return int(text)

    return Parameter(
        name="limit",
        description="Rows in an answer at most.",
        schema={"type": "integer", "minimum": 1, "maximum": most, "default": default},
        read=read,
    )


DEVICE: Final = Parameter(
    name="device",
    description="Only of this device; may be given several times.",
    schema=DEVICE_ID_SCHEMA,
    read=device_in,
    max_items=MAX_DEVICES,
)
STATE: Final = Parameter(
    name="state",
    description="Only devices in this state; may be given several times.",
    schema={"type": "string", "enum": list(STATES)},
    read=word_in(STATES),
    max_items=len(STATES),
)
SINCE: Final = Parameter(
    name="since",
    description="From this event time on (RFC 3339, with Z or an offset).",
    schema={"type": "string", "format": "date-time"},
    read=time_in,
)
UNTIL: Final = Parameter(
    name="until",
    description="Before this event time (RFC 3339, with Z or an offset).",
    schema={"type": "string", "format": "date-time"},
    read=time_in,
)
LAST: Final = Parameter(
    name="last",
    description="Instead of `since` and `until`: from this long ago on.",
    schema={"type": "string", "pattern": "^[1-9][0-9]{0,8}(ms|s|min|h)$"},
    read=duration_in,
)
UNIT: Final = Parameter(
    name="unit",
    description="Unit of the temperatures.",
    schema={"type": "string", "enum": list(UNITS), "default": UNITS[0]},
    read=word_in(UNITS),
)
CHOSEN: Final = Parameter(
    name="chosen",
    description="Only of these devices, as the page names a choice of many: the roster's key, a dot, their places.",
    schema={"type": "string", "pattern": r"^[0-9a-f]+\.[A-Za-z0-9_-]+$"},
    read=choice_in,
)
CURSOR: Final = Parameter(
    name="cursor",
    description="Goes on where an answer ended: that answer's `next` is an address with it. With the same filters.",
    schema={"type": "string"},
    read=text_in,
)


def read(parameters: tuple[Parameter, ...], given: Mapping[str, list[str]]) -> dict[str, list[Any]]:
    """Return the values of a query by name, each parameter with none or more; unknown names are refused."""
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            choice = f"there are {', '.join(known)}" if known else "there is none"
            raise refused(name[:100], f"no such parameter here; {choice}")
    values: dict[str, list[Any]] = {}
    for name, parameter in known.items():
        texts = given.get(name, [])
        if len(texts) > parameter.max_items:
            most = f"{parameter.max_items} times at most" if parameter.max_items > 1 else "once"
            raise refused(name, f"`{name}` may be given {most}")
        values[name] = [parameter.read(name, text) for text in texts]
    return values
