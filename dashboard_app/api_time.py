"""Event times as the API writes them: RFC 3339 in UTC with milliseconds."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# An offset may put a device's time out of the years that a date can be written of.
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999


def time_text(time_ms: int) -> str:
    """Return `2026-01-31T12:00:00.250Z`; times outside of the years 1 to 9999 are shown as the nearest inside."""
    moment = _EPOCH + timedelta(milliseconds=min(max(time_ms, _FIRST_MS), _LAST_MS))
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
