"""Conversions of temperatures.

Exact at known points, rounded to 2 decimals, and inverse.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorbus.contract.units import (
    ABSOLUTE_ZERO_CELSIUS,
    MAX_CELSIUS,
    celsius_from_kelvin,
    fahrenheit_from_celsius,
    kelvin_from_celsius,
)

hundredths = st.integers(-27_315, 172_685).map(lambda number: number / 100)


@pytest.mark.parametrize(
    ("celsius", "fahrenheit", "kelvin"),
    [
        (-273.15, -459.67, 0.0),
        (-40.0, -40.0, 233.15),
        (0.0, 32.0, 273.15),
        (29.85, 85.73, 303.0),
        (37.0, 98.6, 310.15),
        (100.0, 212.0, 373.15),
        (1726.85, 3140.33, 2000.0),
    ],
)
def test_known_points(celsius: float, fahrenheit: float, kelvin: float) -> None:
    """The same temperature in the three units."""
    assert fahrenheit_from_celsius(celsius) == fahrenheit
    assert kelvin_from_celsius(celsius) == kelvin
    assert celsius_from_kelvin(kelvin) == celsius


def test_the_bounds_are_0_and_2000_kelvin() -> None:
    """The range of a valid temperature, in its own unit."""
    assert kelvin_from_celsius(ABSOLUTE_ZERO_CELSIUS) == 0.0
    assert kelvin_from_celsius(MAX_CELSIUS) == 2000.0


@given(hundredths)
def test_kelvin_and_back(celsius: float) -> None:
    """Two decimals survive the way to kelvin and back."""
    assert celsius_from_kelvin(kelvin_from_celsius(celsius)) == celsius


@given(hundredths, hundredths)
def test_order_is_kept(one: float, other: float) -> None:
    """The warmer of two temperatures is the warmer one in every unit."""
    if one <= other:
        assert kelvin_from_celsius(one) <= kelvin_from_celsius(other)
        assert fahrenheit_from_celsius(one) <= fahrenheit_from_celsius(other)
