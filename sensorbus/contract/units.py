"""Temperatures and times: conversions, nothing else.

A temperature and a difference of temperatures convert differently: a difference of 1 K is 1 °C is 1.8 °F.
"""

from typing import Final

ABSOLUTE_ZERO_CELSIUS: Final = -273.15
MAX_CELSIUS: Final = 1726.85  # 2000 K: above the melting point of steel; what says more is broken


def kelvin_from_celsius(celsius: float) -> float:
    """Return kelvin, rounded to 2 decimals: the number that the alert threshold is compared with."""
    return round(celsius + 273.15, 2)


def celsius_from_kelvin(kelvin: float) -> float:
    """Return °C, rounded to 2 decimals."""
    return round(kelvin - 273.15, 2)


def fahrenheit_from_celsius(celsius: float) -> float:
    """Return °F, rounded to 2 decimals."""
    return round(celsius * 9 / 5 + 32, 2)
