"""Parameters: texts to values, or a problem that names the parameter."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app import api_parameters as parameters
from dashboard_app.api_problems import ProblemError


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_is_read_to_the_millisecond(time_ms: int) -> None:
    """In UTC and with an offset."""
    seconds = datetime.fromtimestamp(time_ms // 1000, UTC)
    text = f"{seconds:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}"
    assert parameters.time_in("since", f"{text}Z") == parameters.time_in("since", f"{text}999+00:00") == time_ms


def test_a_time_may_have_small_letters() -> None:
    """RFC 3339 allows both, and so do readings."""
    assert parameters.time_in("since", "2026-01-31t12:00:00z") == parameters.time_in("since", "2026-01-31T12:00:00Z")


@pytest.mark.parametrize(
    ("text", "fault"),
    [("", "has 0 characters"), (" ", "is blank"), ("a\u200db", "has the control or format character")],
)
def test_a_device_is_what_a_reading_may_name(text: str, fault: str) -> None:
    """The rule of the contract, in the words of the API."""
    with pytest.raises(ProblemError, match=f"`device` {fault}"):
        parameters.device_in("device", text)
    assert parameters.device_in("device", "Kühlraum 7 🌡️ 👩\u200d💻") == "Kühlraum 7 🌡️ 👩\u200d💻"


@pytest.mark.parametrize(("text", "ms"), [("500ms", 500), ("90s", 90_000), ("15min", 900_000), ("1h", 3_600_000)])
def test_a_length_of_time_has_a_unit(text: str, ms: int) -> None:
    """A bare number could be anything."""
    assert parameters.duration_in("last", text) == ms


@given(st.text(max_size=30))
def test_any_other_text_is_refused(text: str) -> None:
    """In one way: no other error comes out."""
    for read in (parameters.time_in, parameters.duration_in, parameters.limit(1, 5).read, parameters.STATE.read):
        with contextlib.suppress(ProblemError):
            read("name", text)


def test_a_name_that_a_route_has_not_is_refused_with_those_it_has() -> None:
    """A typo must not read as no filter."""
    with pytest.raises(ProblemError, match="there are device, state") as refused:
        parameters.read((parameters.DEVICE, parameters.STATE), {"devices": ["a"]})
    assert refused.value.parameter == "devices"
    with pytest.raises(ProblemError, match="there is none"):
        parameters.read((), {"a": ["b"]})


def test_what_is_not_given_has_no_value() -> None:
    """What may come several times has all of them."""
    told = parameters.read((parameters.DEVICE, parameters.LAST), {"device": ["b", "a"]})
    assert told == {"device": ["b", "a"], "last": []}
