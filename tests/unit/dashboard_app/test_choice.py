"""A choice of devices in a request."""

import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.choice import bits_in, devices_in
from dashboard_app.devices import MAX_DEVICES, roster


@given(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39)))
def test_places_are_the_devices_that_stand_there(gone: set[int], chosen: set[int]) -> None:
    """Whatever numbers are free, and in whatever order the names are."""
    by_number = ["" if number in gone else f"d{number * 7 % 40:02d}" for number in range(40)]
    made = roster(by_number, 1)
    names = sorted(name for name in by_number if name)
    wanted = {names[place] for place in chosen if place < len(names)}
    is_chosen = np.isin(np.arange(48), list(chosen))
    text = base64.urlsafe_b64encode(np.packbits(is_chosen, bitorder="little").tobytes()).decode().rstrip("=")
    bits = bits_in(text)
    assert bits is not None
    found = devices_in(bits, made).tolist()
    assert (found, {by_number[number] for number in found}) == (sorted(found), wanted)


@pytest.mark.parametrize("text", [None, 7, "", "a", "ab=", "+/+/", "\n", "ä", [], "A" * MAX_DEVICES])
def test_what_is_no_choice_is_none(text: Any) -> None:
    """A browser sends what it likes."""
    assert bits_in(text) is None
