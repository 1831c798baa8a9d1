"""States by the rules of the page's cards.

test_api_devices.py shows them of single devices.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app import states
from dashboard_app.states import are_high
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.contract.units import kelvin_from_celsius
from tests.support.held_parts import NOW_MS, held, records

SETTINGS = Settings()
DEVICE = st.tuples(st.integers(-5_000, 15_000), st.floats(29.8, 29.9) | st.floats(-50, 100))
WORDS = ("OK", "HIGH", "STALE", "OFFLINE")


@given(st.lists(DEVICE, max_size=30))
def test_a_fleets_numbers_are_those_of_its_devices(devices: list[tuple[int, float]]) -> None:
    """States counted one by one; mean and hottest of those that are OK or HIGH."""
    holds = held()
    rows = [[f"d{number}", NOW_MS - age_ms, celsius] for number, (age_ms, celsius) in enumerate(devices)]
    if rows:
        holds.append(SENSOR.name, records(0, 0, rows))
    holds.append(ALERT.name, records(0, 0, [["known by an alert alone", NOW_MS, 40.0]]))
    told = [(states.state(celsius, max(0, age_ms), SETTINGS), celsius) for age_ms, celsius in devices]
    live = [celsius for word, celsius in told if word in {"OK", "HIGH"}]
    found = states.of_fleet(holds, SETTINGS, NOW_MS)
    assert found["states"] == [sum(word == one for word, _ in told) for one in WORDS]
    if live:
        assert found["mean"] == pytest.approx(np.mean(live), abs=0.001)
        name, celsius = found["hottest"]
        assert (celsius, devices[int(name[1:])][1]) == (max(live), celsius)
    else:
        assert found.keys() == {"states", "states_ms"}


@pytest.mark.parametrize("later_ms", [0, 60_500])
def test_a_device_whose_clock_is_ahead_is_as_old_as_its_coming(later_ms: int) -> None:
    """Whether or not its reading is still held, and also when the time has come that it told."""
    holds = held(ring_rows=4)
    holds.append(SENSOR.name, records(0, 0, [["late", NOW_MS + 60_000, 20.0]], NOW_MS - 60_000))
    holds.append(SENSOR.name, records(0, 1, [[f"d{number}", NOW_MS + later_ms, 21.0] for number in range(5)]))
    assert states.of_fleet(holds, SETTINGS, NOW_MS + later_ms)["states"][3] == (1 if later_ms == 0 else 6)


@given(threshold_kelvin=st.integers(29_000, 31_000).map(lambda hundredths: hundredths / 100), data=st.data())
def test_alerts_are_those_of_the_job_at_ties_too(threshold_kelvin: float, data: st.DataObject) -> None:
    """Thousandths around the threshold, where one way of rounding differs from another."""
    nearby = st.integers(-30, 30).map(lambda thousandths: threshold_kelvin - 273.15 + thousandths / 1000)
    celsius = data.draw(st.lists(st.one_of(nearby, st.floats(-273.15, 1726.85)), max_size=20))
    expected = [kelvin_from_celsius(value) > threshold_kelvin for value in celsius]
    assert are_high(np.array(celsius, np.float64), threshold_kelvin).tolist() == expected


def test_a_tie_that_numpy_rounds_up_is_no_alert() -> None:
    """29.805 °C is a little less than 302.955 K in binary, which is 302.95 to job alert and 302.96 to numpy."""
    celsius = np.array([29.805])
    assert (np.round(celsius + 273.15, 2) > 302.95).tolist() == [True]
    assert are_high(celsius, 302.95).tolist() == [False]
