"""The temperature of a device: a pure function of (seed, device, time).

Whatever the process and the order of the questions, the answer is the same. Everything works on whole arrays, one entry
per reading, because 50,000 devices ask every second.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_DAY_MS: Final = 86_400_000
_OVERHEATING_SHARE: Final = 0.22  # of a device's slots; about a tenth of the fleet is above 303 K at any time
_NOISE_CELSIUS: Final = 0.15

# What a hash is for: one number each, so that two traits of a device have nothing to do with each other.
_BASE, _DAY_PHASE, _DAY_SWING, _CYCLE, _CYCLE_PHASE, _SLOT, _SLOT_PHASE, _OVERHEATS, _PEAK, _NOISE = range(10)


def fractions(seed: int, purpose: int, devices: Integers, moments: Integers | int = 0) -> Floats:
    """Return numbers in [0, 1) that depend on all arguments and on nothing else (splitmix64)."""
    with np.errstate(over="ignore"):
        start = np.uint64(seed & 0xFFFF_FFFF_FFFF_FFFF) ^ (np.uint64(purpose + 1) * np.uint64(0xA24BAED4963EE407))
        state = _mix(start + devices.astype(np.uint64))
        state = _mix(state + np.asarray(moments).astype(np.uint64))
        return np.asarray((state >> np.uint64(11)) * 2.0**-53, np.float64)


def temperatures_celsius(seed: int, devices: Integers, times_ms: Integers) -> Floats:
    """Return the temperature of each device at each time, in °C with 2 decimals; both arrays have the same length.

    A base of 19 to 25 °C, a daily and a short cycle, noise, and now and then a minute of overheating up to 38 °C.
    """
    base = 19.0 + 6.0 * fractions(seed, _BASE, devices)
    swing = 0.5 + fractions(seed, _DAY_SWING, devices)
    day = np.sin(2 * np.pi * (times_ms / _DAY_MS + fractions(seed, _DAY_PHASE, devices))) * swing
    cycle_ms = 30_000 + 90_000 * fractions(seed, _CYCLE, devices)
    cycle = 0.5 * np.sin(2 * np.pi * (times_ms / cycle_ms + fractions(seed, _CYCLE_PHASE, devices)))
    noise = _NOISE_CELSIUS * (2 * fractions(seed, _NOISE, devices, times_ms) - 1)
    calm = base + day + cycle + noise
    return np.round(calm + _overheating(seed, devices, times_ms, calm), 2)


def _overheating(seed: int, devices: Integers, times_ms: Integers, calm: Floats) -> Floats:
    """Return how much warmer each device is than it would be: time comes in slots, and some slots are a bump."""
    slot_ms = (90_000 + 60_000 * fractions(seed, _SLOT, devices)).astype(np.int64)
    shifted_ms = times_ms + (slot_ms * fractions(seed, _SLOT_PHASE, devices)).astype(np.int64)
    slots, inside_ms = np.divmod(shifted_ms, slot_ms)
    overheats = fractions(seed, _OVERHEATS, devices, slots) < _OVERHEATING_SHARE
    peak = 32.0 + 6.0 * fractions(seed, _PEAK, devices, slots)
    bump = np.sin(np.pi * inside_ms / slot_ms) ** 2
    return np.where(overheats, (peak - calm) * bump, 0.0)


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
