"""Temperatures per second, of all devices or of some."""

import numpy as np
import pytest

from dashboard_app.bands import Bands, bands
from dashboard_app.store import Store
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import HISTORY_MS, NOW_MS, records


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_bands_agree_with_numpy(count: int) -> None:
    """One second's percentiles, with two decimals."""
    values = np.random.default_rng(count).normal(20, 5, count)
    found = bands(np.full(count, NOW_MS + 7), values)
    expected = {NOW_MS: np.percentile(values, [0, 10, 50, 90, 100]).round(2).tolist()} if count else {}
    assert expected == found


def test_bands_of_some_devices_are_of_those_alone() -> None:
    """Kept second by second, or made at once out of what is held."""
    store = Store(10_000, HISTORY_MS)
    some = Bands(store, HISTORY_MS, np.array([0, 2, 4]))
    for second in range(5):
        rows = [[f"d{number}", NOW_MS + 1_000 * second, 10.0 * number] for number in range(5)]
        store.append(SENSOR.name, records(0, 5 * second, rows, NOW_MS + 1_000 * second))
        some.update(NOW_MS + 1_000 * second, is_anew=False)
    now_ms = NOW_MS + 5_500
    some.update(now_ms, is_anew=False)
    assert some.by_second == {NOW_MS + 1_000 * second: [0.0, 4.0, 20.0, 36.0, 40.0] for second in range(5)}
    assert some.by_second == some.anew(now_ms)
    assert Bands(store, HISTORY_MS, np.array([1, 9])).anew(now_ms)[NOW_MS] == [10.0] * 5
