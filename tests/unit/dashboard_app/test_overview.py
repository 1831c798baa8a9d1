"""The fleet as a whole, computed once a second for all browsers."""

from typing import Any

import numpy as np
import orjson

from dashboard_app.held import ALL_DETAIL_DEVICES, TURN_DEVICES
from dashboard_app.overview import Overview
from dashboard_app.ring import Records
from dashboard_app.store import Store
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR

HISTORY_S = Settings().dashboard_history_ms // 1_000
NOW_MS = 1_769_860_800_000


def fleet(overview: Overview) -> Any:
    """Return the answer's field `fleet`."""
    return orjson.loads(orjson.dumps(overview.newest.fleet))


def overview_of(overview: Overview) -> Any:
    """Return the answer's field `overview`."""
    return orjson.loads(orjson.dumps(overview.newest.bands))


class Bus:
    """A store with its overview, filled second by second."""

    def __init__(self, rows: int = 200_000) -> None:
        """Hold nothing, and so many readings at most."""
        self.store = Store(rows, 1_000 * HISTORY_S)
        self.overview = Overview(self.store, Settings())
        self._next = 0

    def second(self, at_ms: int, celsius: list[float], late_ms: int = 0) -> None:
        """Put a reading of each device in, `late_ms` after it was taken."""
        count = len(celsius)
        ids = [f"d{number}" for number in range(count)]
        offsets = list(range(self._next, self._next + count))
        self._next += count
        times_ms, fragments = [at_ms - late_ms] * count, [b"[1]"] * count
        self.store.append(
            SENSOR.name, Records([0] * count, offsets, [at_ms] * count, ids, times_ms, celsius, fragments)
        )


def test_a_fleet_that_sends_nothing_has_no_age() -> None:
    """The page says that it waits."""
    bus = Bus()
    bus.overview.update(NOW_MS)
    assert fleet(bus.overview) == {"devices": 0, "rate_hz": 0.0, "age_p95_ms": None, "refused": 0}
    assert overview_of(bus.overview) is None


def test_the_fleet_has_a_size_a_rate_and_an_age() -> None:
    """Readings of the last 5 s per second; of each device the newest reading's age."""
    bus = Bus()
    for second in range(10):
        bus.second(NOW_MS - 9_000 + 1_000 * second, [20.0, 21.0], late_ms=400)
    bus.overview.update(NOW_MS)
    assert fleet(bus.overview) == {"devices": 2, "rate_hz": 2.4, "age_p95_ms": 400, "refused": 0}


def test_the_fleet_says_which_bound_made_readings_go_and_from_when_on_they_are_held() -> None:
    """Nothing where they go by their age."""
    bus = Bus(rows=10)
    for second in range(6):
        bus.second(NOW_MS - 9_000 + 1_000 * second, [20.0, 21.0])
        bus.overview.update(NOW_MS + 1_000 * second)
        limit = {} if second < 4 else {"limit": "rows", "held_from_ms": NOW_MS - 9_000 + 1_000 * (second - 4)}
        assert {name: fleet(bus.overview).get(name) for name in limit} == limit
        assert ("limit" in fleet(bus.overview)) == bool(limit)


def test_it_is_computed_at_most_once_a_second() -> None:
    """Also when the clock was set back."""
    bus = Bus()
    bus.overview.update(NOW_MS)
    bus.second(NOW_MS, [20.0])
    bus.overview.update(NOW_MS + 999)
    assert fleet(bus.overview)["devices"] == 0
    bus.overview.update(NOW_MS + 1_000)
    assert fleet(bus.overview)["devices"] == 1
    bus.overview.update(NOW_MS - 3_600_000)
    assert fleet(bus.overview)["devices"] == 1


def test_a_large_fleet_is_drawn_as_bands_per_second_of_event_time() -> None:
    """Minimum, 10 %, median, 90 % and maximum of all devices; the seconds stay when new ones come."""
    bus, celsius = Bus(), [float(number) for number in range(ALL_DETAIL_DEVICES + 1)]
    for second in range(3):
        bus.second(NOW_MS + 1_000 * second, celsius)
        bus.overview.update(NOW_MS + 1_000 * second)
    bus.overview.update(NOW_MS + 3_500)
    found = overview_of(bus.overview)
    assert (found["step_ms"], found["t"]) == (1_000, [NOW_MS, NOW_MS + 1_000, NOW_MS + 2_000])
    assert [found[name] for name in ("min", "p10", "median", "p90", "max")] == [
        [0.0] * 3, [10.0] * 3, [50.0] * 3, [90.0] * 3, [100.0] * 3
    ]  # fmt: skip


def test_a_second_is_told_when_its_readings_are_there() -> None:
    """Half a second after its end: a band of those devices that reported first would be too narrow."""
    bus, celsius = Bus(), [20.0] * (ALL_DETAIL_DEVICES + 1)
    bus.second(NOW_MS, celsius)
    bus.second(NOW_MS + 1_000, celsius)
    bus.overview.update(NOW_MS + 2_499)
    assert overview_of(bus.overview)["t"] == [NOW_MS]
    bus.overview.update(NOW_MS + 2_500, has_caught_up=True)
    assert overview_of(bus.overview)["t"] == [NOW_MS, NOW_MS + 1_000]


def test_the_bands_are_those_of_all_readings_computed_at_once() -> None:
    """Second by second with late readings, or in one go: the same."""
    bus, whole = Bus(), Bus()
    rng = np.random.default_rng(7)
    for second in range(1_000):
        celsius = rng.normal(20, 5, ALL_DETAIL_DEVICES + 1).round(2).tolist()
        at_ms, late_ms = NOW_MS + 1_000 * second, int(rng.integers(0, 4_000))
        for one in (bus, whole):
            one.second(at_ms, celsius, late_ms)
        bus.overview.update(at_ms)
    for one in (bus, whole):
        one.overview.update(NOW_MS + 1_001_000)
    assert overview_of(bus.overview) == overview_of(whole.overview)
    assert 600 < len(overview_of(bus.overview)["t"]) <= HISTORY_S + 1


def test_who_has_caught_up_computes_the_history_anew() -> None:
    """One partition's came before the other's: bands of the first alone would stay."""
    bus, half = Bus(), ALL_DETAIL_DEVICES + 1
    for celsius in (20.0, 30.0):
        for second in range(60):
            bus.second(NOW_MS + 1_000 * second, [celsius] * half)
        bus.overview.update(NOW_MS + 60_000 + 1_000 * int(celsius), is_behind=True)
    assert overview_of(bus.overview)["max"] == []
    bus.overview.update(NOW_MS + 90_100, has_caught_up=True)
    assert set(overview_of(bus.overview)["max"]) == {30.0}


def test_bands_outlive_the_readings_that_they_were_made_of() -> None:
    """The ring holds less than the history: what is computed anew begins behind the second in which it begins."""
    bus, celsius = Bus(rows=5_000), [float(number) for number in range(ALL_DETAIL_DEVICES + 1)]
    for second in range(120):
        bus.second(NOW_MS + 1_000 * second, celsius)
        bus.overview.update(NOW_MS + 1_000 * second)
    before = overview_of(bus.overview)
    bus.overview.update(NOW_MS + 119_001, has_caught_up=True)
    assert overview_of(bus.overview) == before
    assert before["t"][0] == NOW_MS


def test_a_ragged_begin_of_the_ring_has_no_bands() -> None:
    """Partitions came in batches: of its first seconds some have the readings of half of the fleet alone."""
    bus, half = Bus(rows=6_060), [20.0] * (ALL_DETAIL_DEVICES // 2)
    for second in range(70):
        celsius = half if second < 20 else [*half, *half, 20.0, 20.0]
        bus.second(NOW_MS + 1_000 * second, celsius)
    bus.overview.update(NOW_MS + 71_000, has_caught_up=True)
    assert overview_of(bus.overview)["t"][0] == NOW_MS + 20_000


def test_a_clear_begins_anew() -> None:
    """The topics are other ones: nothing of the old bands stays."""
    bus = Bus()
    bus.second(NOW_MS, [20.0] * (ALL_DETAIL_DEVICES + 1))
    bus.overview.update(NOW_MS)
    bus.store.clear("anew")
    bus.overview.clear()
    bus.overview.update(NOW_MS)
    assert (overview_of(bus.overview), fleet(bus.overview)["devices"]) == (None, 0)


def test_of_a_fleet_that_is_told_in_turn_the_states_are_told() -> None:
    """A browser that hears of a part of it cannot count them."""
    bus = Bus()
    bus.second(NOW_MS, [20.0] * TURN_DEVICES)
    bus.overview.update(NOW_MS)
    assert "states" not in fleet(bus.overview)
    bus.second(NOW_MS + 1_000, [*[20.0] * TURN_DEVICES, 40.0])
    bus.overview.update(NOW_MS + 1_000)
    told = fleet(bus.overview)
    assert (told["states"], told["mean"], told["hottest"]) == ([1_000, 1, 0, 0], 20.02, ["d1000", 40.0])
