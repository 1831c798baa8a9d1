"""Waits for a condition with a deadline; nothing else in the tests sleeps."""

import time
from collections.abc import Callable
from pathlib import Path

_POLL_S = 0.05
_SHOWN_CHARACTERS = 4_000


def wait_until(condition: Callable[[], object], timeout_s: float, describe: str, log: Path | None = None) -> float:
    """Return the seconds until `condition` is true.

    Raises `AssertionError` with `describe` and the end of `log` when it is not within `timeout_s`.
    """
    started_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - started_s
        if waited_s > timeout_s:
            said = log.read_text(errors="replace")[-_SHOWN_CHARACTERS:] if log and log.exists() else ""
            raise AssertionError(f"waited {waited_s:.1f} s for {describe}\n{said}")
        time.sleep(_POLL_S)
    return time.monotonic() - started_s
