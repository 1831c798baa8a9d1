"""A record whose headers cannot be read is one without headers."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from processors.headers import left_out_if_unreadable


def _message(**parts: Any) -> MagicMock:
    return MagicMock(**{"value.return_value": b"v", "__len__.return_value": 7, **parts})


def _deserialize(message: Any) -> Any:
    """Ask for what makes a row."""
    return message.headers(), message.value(), len(message)


def test_headers_that_can_be_read_stay() -> None:
    """The message passes as it is."""
    message = _message(**{"headers.return_value": [("a", b"1")]})
    assert left_out_if_unreadable(_deserialize)(message=message) == ([("a", b"1")], b"v", 7)


def test_a_message_is_asked_once_for_headers_that_cannot_be_read() -> None:
    """All else of it is there."""
    message = _message(**{"headers.side_effect": SystemError})
    assert left_out_if_unreadable(_deserialize)(message=message) == (None, b"v", 7)
    assert message.headers.call_count == 1


def test_other_errors_are_raised() -> None:
    """As they are."""
    message = _message(**{"headers.side_effect": SystemError, "value.side_effect": SystemError("a bug")})
    with pytest.raises(SystemError, match="a bug"):
        left_out_if_unreadable(_deserialize)(message=message)
