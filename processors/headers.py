"""Rows of records whose headers cannot be read.

Quix asks for the headers of every record, so one name that is not UTF-8 ended a job at every start.
"""

from collections.abc import Callable
from typing import Any

from sensorbus.runtime import kafka

Deserialize = Callable[..., Any]


class _WithoutHeaders:
    """A message but for its headers, for which it must not be asked again."""

    def __init__(self, message: Any) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def __len__(self) -> int:
        return len(self._message)

    def headers(self) -> None:
        """Return none."""


def left_out_if_unreadable(deserialize: Deserialize) -> Deserialize:
    """Return what makes a row of any message: one whose headers cannot be read has none of them."""

    def deserialize_any(message: Any) -> Any:
        try:
            kafka.ask_for_headers(message)
        except SystemError:
            message = _WithoutHeaders(message)
        return deserialize(message=message)

    return deserialize_any
