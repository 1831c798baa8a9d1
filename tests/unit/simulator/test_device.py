"""The temperature of a device as a pure function."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.device import fractions, temperatures_celsius

NOON_MS = 1_767_268_800_000
seeds = st.integers(0, 2**32)
devices = st.lists(st.integers(0, 1_000_000), min_size=1, max_size=50)
times = st.integers(0, 4_000_000_000_000)


@given(seeds, devices, times)
def test_a_fleet_and_its_devices_one_by_one_agree(seed: int, numbers: list[int], time_ms: int) -> None:
    """The answer does not depend on who else is asked about."""
    together = temperatures_celsius(seed, np.array(numbers), np.full(len(numbers), time_ms))
    alone = [temperatures_celsius(seed, np.array([number]), np.array([time_ms]))[0] for number in numbers]
    assert alone == together.tolist()


def test_the_values_stay_the_same_from_version_to_version() -> None:
    """A seed that somebody wrote down gives these readings for ever."""
    expected = [25.05, 20.43, 23.01]
    assert temperatures_celsius(7, np.arange(3), np.full(3, NOON_MS)).tolist() == expected


@given(seeds, devices, times)
def test_temperatures_are_those_of_a_room_or_a_hot_machine(seed: int, numbers: list[int], time_ms: int) -> None:
    """Every value lies in 15 to 40 °C and has 2 decimals."""
    celsius = temperatures_celsius(seed, np.array(numbers), np.full(len(numbers), time_ms)).tolist()
    assert all(15 <= value <= 40 and round(value, 2) == value for value in celsius)


def test_a_few_devices_overheat_and_come_back() -> None:
    """In 10 min of 20 devices, some are above 303 K most of the time, never all, and each crossing ends."""
    seconds = np.arange(600)
    above = np.array(
        [temperatures_celsius(0, np.full(600, device), NOON_MS + 1000 * seconds) > 29.85 for device in range(20)]
    )
    at_once = above.sum(axis=0)
    longest = max(len(run) for row in above for run in "".join("x" if hot else " " for hot in row).split())
    assert (at_once > 0).mean() > 0.8
    assert at_once.max() <= 8
    assert longest < 120


def test_seeds_differ() -> None:
    """Another seed is another fleet."""
    fleet = [temperatures_celsius(seed, np.arange(10), np.full(10, NOON_MS)).tolist() for seed in (1, 2)]
    assert fleet[0] != fleet[1]


@given(seeds, st.integers(0, 300), devices)
def test_fractions_are_in_the_unit_interval(seed: int, purpose: int, numbers: list[int]) -> None:
    """0 is possible, 1 is not."""
    values = fractions(seed, purpose, np.array(numbers))
    assert ((values >= 0) & (values < 1)).all()
