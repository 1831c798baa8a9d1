"""Times as text."""

import pytest

from dashboard_app.api_time import time_text


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_769_860_800_250, "2026-01-31T12:00:00.250Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        (-(2**62), "0001-01-01T00:00:00.000Z"),
        (2**62, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_has_milliseconds_and_four_digits_of_the_year(time_ms: int, text: str) -> None:
    """The nearest one that can be written."""
    assert time_text(time_ms) == text
