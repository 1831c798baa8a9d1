"""Event times as the API writes them: RFC 3339 in UTC with milliseconds."""

from typing import Final

from sensorbus.contract.messages import iso_timestamp

# An offset may put a device's time out of the years that a date can be written of.
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999


def time_text(time_ms: int) -> str:
    """Return `2026-01-31T12:00:00.250Z`; times outside of the years 1 to 9999 are shown as the nearest inside."""
    return iso_timestamp(min(max(time_ms, _FIRST_MS), _LAST_MS))
