"""Rows as JSON, against a plain dict."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.encoded import HEAD_BYTES, Encoded, encode, sizes_of


def test_a_row_is_json_in_utf8() -> None:
    """Nothing is escaped that need not be."""
    assert encode(("Ofen-ß", 1, 20.5)) == '["Ofen-ß",1,20.5]'.encode()


@given(
    batches=st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=4), max_size=12),
    places=st.integers(4, 12),
    resized=st.integers(4, 12),
    released=st.integers(0, 12),
)
def test_it_holds_and_counts_as_a_plain_dict(
    batches: list[list[bytes]], places: int, resized: int, released: int
) -> None:
    """The newest rows are there and no others are counted, after each put, a resize and a release."""
    encoded, end, plain = Encoded(places), 0, dict[int, bytes]()
    for batch in batches:
        rows = np.arange(end, end + len(batch))
        encoded.put(rows, batch, sizes_of(batch))
        end += len(batch)
        plain |= dict(zip(rows.tolist(), batch, strict=True))
        plain = {row: value for row, value in plain.items() if row >= end - places}
        assert encoded.bytes == sum(len(value) + HEAD_BYTES for value in plain.values())
    first = max(0, end - places)
    encoded = encoded.moved(first, end, resized)
    first = max(first, end - resized)
    until = min(end, first + released)
    encoded.release(first, until)
    held = {row: value for row, value in plain.items() if row >= until}
    assert encoded.of(np.arange(until, end)) == list(held.values())
    assert encoded.bytes == sum(len(value) + HEAD_BYTES for value in held.values())
