"""Job `all`: what the jobs do alone, done in one step."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors import alert, avg_temp, everything
from sensorbus.contract.messages import encode_reading, iso_timestamp
from tests.support.job_parts import Frame, at, bus_of, seen

NOON_MS: Final = 1_769_860_800_000
Produced = list[tuple[Any, ...]]


def job_all() -> tuple[Any, Any]:
    """Return the dataframes of `sensor` and `alert` with the job on them."""
    sensor: Any = Frame()
    alerts: Any = Frame()
    everything.build(sensor, alerts, bus_of())
    return sensor, alerts


def run(frame: Any, values: Sequence[bytes]) -> Produced:
    """Return what these values of device `a` lead to."""
    for offset, value in enumerate(values):
        at("sensor", 0, offset, lambda value=value: frame.run(value, b"a", NOON_MS + 60_000, None))  # type: ignore[misc]  # a default binds it
    produced: Produced = frame.produced
    return produced


def alone(build: Any, values: Sequence[bytes]) -> Produced:
    """Return what a job alone makes of them."""
    frame: Any = Frame()
    build(frame, bus_of())
    return run(frame, values)


readings = st.lists(
    st.builds(
        lambda after_ms, celsius: encode_reading("a", iso_timestamp(NOON_MS + after_ms), celsius),
        st.integers(0, 60_000),
        st.sampled_from([20.0, 29.85, 31.5]),
    )
    | st.sampled_from([b"", b"{"]),
    max_size=30,
)


@given(readings)
def test_it_writes_what_alert_and_avg_temp_write(values: list[bytes]) -> None:
    """The same records, of each topic in the same order, bad input once."""
    together = run(job_all()[0], values)
    for build, topics in ((alert.build, {"alert", "dead-letter"}), (avg_temp.build, {"avg-temp"})):
        assert [each for each in together if each[0] in topics] == alone(build, values)


def test_a_reading_makes_an_alert_and_closes_windows_in_one_step() -> None:
    """The alert of the reading comes first, then the means of the windows that it closed."""
    values = [encode_reading("a", iso_timestamp(NOON_MS + after_ms), 40.0) for after_ms in (0, 10_000)]
    produced = run(job_all()[0], values)
    assert [topic for topic, *_ in produced] == ["alert", "alert", *["avg-temp"] * 10]


def test_alerts_are_counted_from_their_topic() -> None:
    """They come back over Kafka, and are the other dataframe's."""
    sensor, alerts = job_all()
    value = encode_reading("a", iso_timestamp(NOON_MS), 40.0)
    (written,) = run(sensor, [value])
    run(alerts, [written[1]])
    assert {topic for topic, *_ in alerts.produced} == {"alert-count"}
    assert [orjson.loads(each[1])["alert_count"] for each in alerts.produced] == [1] * 5


@pytest.mark.parametrize("value", [b"", b"{"])
def test_bad_input_is_metered_once(value: bytes) -> None:
    """Two handlers see one reading; the first step sees the record."""
    frame: Any = Frame()
    bus = bus_of()
    everything.build(frame, Frame(), bus)  # type: ignore[arg-type]  # a dataframe as far as the job uses it
    run(frame, [value])
    assert len(seen(bus)) == 1
