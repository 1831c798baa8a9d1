"""What a test needs of the machine.

Skipped with the reason where it is not there, or failed where all must run.
"""

import os
from typing import Final

import pytest

REQUIRE_ALL_VARIABLE: Final = "SENSORBUS_TEST_REQUIRE_ALL"


def need(missing: str | None) -> None:
    """Go on when nothing is missing."""
    if missing is None:
        return
    if os.environ.get(REQUIRE_ALL_VARIABLE):
        pytest.fail(missing)
    pytest.skip(missing)
