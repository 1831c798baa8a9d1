"""Cursors as text and back."""

import base64

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.api_cursor import Cursor, RowPlace, cursor_in, request_key, text_of
from dashboard_app.api_problems import ProblemError

_BIG = st.integers(0, 2**63 - 1)
_PLACES = st.text(max_size=128) | st.builds(RowPlace, st.integers(-(2**62), 2**62), _BIG, _BIG)


@given(st.builds(Cursor, st.text(max_size=16), _PLACES, st.none() | _BIG))
def test_a_cursor_comes_back_as_it_was(cursor: Cursor) -> None:
    """In characters that an URL needs not escape."""
    text = text_of(cursor, "key")
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()
    assert cursor_in(text, "key") == cursor


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda packed: base64.urlsafe_b64encode(packed).decode()))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """In one way, whatever it is."""
    with pytest.raises(ProblemError, match="start again without `cursor`"):
        cursor_in(text, "key")


@pytest.mark.parametrize(
    "packed",
    [
        [1, "other", "epoch", "a", None],
        [2, "key", "epoch", "a", None],
        [1, "key", 7, "a", None],
        [1, "key", "epoch", None, None],
        [1, "key", "epoch", [1, 2], None],
        [1, "key", "epoch", [1, 2, 3, 4], None],
        [1, "key", "epoch", [1, -2, 3], None],
        [1, "key", "epoch", [1, True, 3], None],
        [1, "key", "epoch", [1.5, 2, 3], None],
        [1, "key", "epoch", [1, 2, 2**63], None],
        [1, "key", "epoch", "a", -1],
        [1, "key", "epoch", "a"],
        {},
    ],
    ids=str,
)
def test_a_made_up_cursor_is_refused(packed: object) -> None:
    """Numbers out of bounds would end in the arrays."""
    text = base64.urlsafe_b64encode(orjson.dumps(packed)).decode().rstrip("=")
    with pytest.raises(ProblemError):
        cursor_in(text, "key")


def test_a_key_tells_requests_apart() -> None:
    """By route and by every filter."""
    keys = {request_key("/a", ("x",), None), request_key("/a", ("y",), None), request_key("/b", ("x",), None)}
    assert len(keys) == 3
