"""The fast encoding is the contract's."""

from hypothesis import given
from hypothesis import strategies as st

from sensorbus.contract.messages import TimeRules, encode_key, encode_reading, iso_timestamp, parse_reading
from simulator.encode import Encoder
from simulator.fleet import Fleet

NAMES = Fleet(20, 1_000, 0, 0).names
times = st.integers(0, 4_000_000_000_000)
temperatures = st.floats(-273.15, 1726.85).map(lambda celsius: round(celsius, 2) + 0.0)


@given(st.lists(st.tuples(st.integers(0, 19), times, temperatures), min_size=1, max_size=20))
def test_the_bytes_are_those_of_the_contract(readings: list[tuple[int, int, float]]) -> None:
    """Whatever was encoded before, each value equals `encode_reading` to the byte."""
    encoder = Encoder(NAMES)
    for device, time_ms, celsius in readings:
        expected = encode_reading(NAMES[device], iso_timestamp(time_ms), celsius)
        assert encoder.value(device, time_ms, celsius) == expected


@given(st.integers(0, 19), times, temperatures)
def test_a_reader_gets_the_reading_back(device: int, time_ms: int, celsius: float) -> None:
    """Device, time and temperature come through unchanged."""
    reading = parse_reading(Encoder(NAMES).value(device, time_ms, celsius), time_ms, TimeRules())
    assert (reading.device_id, reading.event_time_ms, reading.celsius) == (NAMES[device], time_ms, celsius)


def test_keys_are_those_of_the_contract() -> None:
    """One key per device, by index."""
    assert Encoder(NAMES).keys == [encode_key(name) for name in NAMES]


def test_what_it_keeps_is_bounded() -> None:
    """A replay of a month does not grow the tables for ever."""
    encoder = Encoder(NAMES)
    values = {encoder.value(0, 1_000 * second, second / 100) for second in range(25_000)}
    assert len(values) == 25_000
    assert len(encoder._until_second) <= 10_000
    assert len(encoder._ends) <= 10_000
