"""The schedule: who reports when."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from simulator.fleet import Fleet

START_MS = 1_767_268_800_000


def test_each_device_reports_once_per_period() -> None:
    """In three periods, each of 20 devices has three readings, a period apart."""
    readings = Fleet(20, 1_000, 0, START_MS).due(START_MS, START_MS + 3_000)
    by_device: dict[int, list[int]] = {}
    for device, time_ms in zip(readings.devices.tolist(), readings.times_ms.tolist(), strict=True):
        by_device.setdefault(device, []).append(time_ms)
    assert sorted(by_device) == list(range(20))
    assert all([b - a for a, b in pairwise(times)] == [1000, 1000] for times in by_device.values())


@given(st.integers(1, 40), st.integers(10, 3_000), st.integers(0, 9), st.lists(st.integers(0, 5_000), max_size=8))
def test_turns_cut_the_time_without_gap_or_overlap(devices: int, period_ms: int, seed: int, cuts: list[int]) -> None:
    """However the time is cut into turns, the readings are those of the whole."""
    fleet = Fleet(devices, period_ms, seed, START_MS)
    edges = [START_MS, *sorted(START_MS + cut for cut in cuts), START_MS + 5_000]
    parts = [fleet.due(first, last) for first, last in pairwise(edges)]
    whole = fleet.due(START_MS, START_MS + 5_000)
    assert [t for part in parts for t in part.times_ms.tolist()] == whole.times_ms.tolist()
    assert [d for part in parts for d in part.devices.tolist()] == whole.devices.tolist()


def test_readings_come_in_the_order_of_time() -> None:
    """A turn of several periods is sorted."""
    times = Fleet(50, 700, 3, START_MS).due(START_MS + 123, START_MS + 4_567).times_ms.tolist()
    assert times == sorted(times)


def test_nothing_is_due_before_the_start() -> None:
    """The first reading is not earlier than the start."""
    assert len(Fleet(5, 1_000, 0, START_MS).due(START_MS - 5_000, START_MS).devices) == 0


def test_names_have_the_width_of_the_fleet() -> None:
    """Sorted by name is sorted by number."""
    assert Fleet(3, 1_000, 0, 0).names == ["device-0001", "device-0002", "device-0003"]
    assert Fleet(10_000, 1_000, 0, 0).names[-1] == "device-10000"
    assert Fleet(10_000, 1_000, 0, 0).names[0] == "device-00001"
