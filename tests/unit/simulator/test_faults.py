"""Faults on request, each by its rate."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import ERROR_KINDS, TimeRules, parse_reading
from simulator.faults import INVALID_VALUES, FaultyNetwork, Rates, Record
from simulator.fleet import Fleet

START_MS = 1_767_268_800_000
MINUTES = 10
FLEET = Fleet(20, 1_000, 0, START_MS)
DUE = 20 * 60 * MINUTES


def send(rates: Rates) -> list[Record]:
    """Return what is sent in ten minutes of 20 devices, second by second, and what was held back."""
    return send_in_turns(rates, [START_MS + 1000 * second for second in range(60 * MINUTES + 1)])


def send_in_turns(rates: Rates, edges_ms: list[int]) -> list[Record]:
    """Return what is sent when the time is cut at these edges, and what was held back."""
    network = FaultyNetwork(rates, 0)
    sent: list[Record] = []
    for from_ms, to_ms in pairwise(edges_ms):
        sent += network.records(FLEET.due(from_ms, to_ms), to_ms)
    return sent + list(network.held_back())


def test_without_faults_all_is_sent_in_order() -> None:
    """Rates of 0 change nothing."""
    sent = send(Rates())
    assert len(sent) == DUE
    assert [record.time_ms for record in sent] == sorted(record.time_ms for record in sent)


def test_a_late_reading_comes_3_to_30_s_after_its_time() -> None:
    """A tenth is late, and none is lost."""
    sent = send(Rates(late=0.1))
    newest_ms, delays = 0, []
    for record in sent[: DUE - 100]:
        newest_ms = max(newest_ms, record.time_ms)
        delays.append(newest_ms - record.time_ms)
    late = [delay for delay in delays if delay > 1_500]
    assert len(sent) == DUE
    assert len(late) / DUE == pytest.approx(0.1, abs=0.02)
    assert min(late) >= 3_000
    assert max(late) <= 31_000


def test_out_of_order_swaps_neighbours_of_a_device() -> None:
    """A reading goes out after its device's next one; none is lost."""
    sent = send(Rates(out_of_order=0.1))
    inversions = 0
    last_ms: dict[int, int] = {}
    for record in sent:
        inversions += record.time_ms < last_ms.get(record.device, 0)
        last_ms[record.device] = record.time_ms
    assert len(sent) == DUE
    assert inversions / DUE == pytest.approx(0.09, abs=0.02)


def test_a_duplicate_is_the_same_record_twice() -> None:
    """A tenth comes twice."""
    sent = send(Rates(duplicate=0.1))
    assert len(set(sent)) == DUE
    assert (len(sent) - DUE) / DUE == pytest.approx(0.1, abs=0.02)


def test_dropout_is_the_share_of_silence() -> None:
    """A quarter of the time is silent, in pieces of 15 to 60 s."""
    sent = send(Rates(dropout=0.25))
    times = sorted(record.time_ms for record in sent if record.device == 3)
    gaps = [b - a for a, b in pairwise(times) if b - a > 1_000]
    assert 1 - len(sent) / DUE == pytest.approx(0.25, abs=0.06)
    assert all(14_000 <= gap <= 62_000 for gap in gaps)


def test_skew_shifts_whole_devices() -> None:
    """Half of the devices are off by up to 2 min, always by the same."""
    honest = {(record.device, record.time_ms) for record in send(Rates())}
    shifted = {record.device for record in send(Rates(skew=0.5)) if (record.device, record.time_ms) not in honest}
    assert 4 <= len(shifted) <= 16


def test_invalid_replaces_the_value() -> None:
    """A tenth is unreadable, of all kinds in turn."""
    indices = [record.invalid for record in send(Rates(invalid=0.1)) if record.invalid is not None]
    assert len(indices) / DUE == pytest.approx(0.1, abs=0.02)
    assert set(indices[: len(INVALID_VALUES)]) == set(range(len(INVALID_VALUES)))


def test_no_reader_takes_an_invalid_value() -> None:
    """Each of them is refused by the contract, and each kind of error that a value can have is among them."""
    kinds = set()
    for value in INVALID_VALUES:
        with pytest.raises(InvalidMessageError) as refused:
            parse_reading(value, START_MS, TimeRules())
        kinds.add(refused.value.kind)
    assert kinds == set(ERROR_KINDS) - {"compression", "too-large"}


def test_late_is_by_the_true_time_of_a_skewed_device() -> None:
    """A clock that is off does not change by how much its readings are delayed."""
    honest, skewed = send(Rates(late=0.1)), send(Rates(late=0.1, skew=1.0))
    assert [record.device for record in skewed] == [record.device for record in honest]
    assert [record.celsius for record in skewed] == [record.celsius for record in honest]


def test_faults_do_not_hide_each_other() -> None:
    """A reading that is late or swapped can come twice as well."""
    sent = send(Rates(late=0.3, out_of_order=0.3, duplicate=1.0))
    assert len(sent) == 2 * DUE
    assert len(set(sent)) == DUE


rates = st.floats(0.0, 1.0)


@settings(max_examples=50)
@given(st.builds(Rates, rates, rates, rates, rates, rates, rates), st.lists(st.integers(0, 60_000), max_size=20))
def test_the_order_does_not_depend_on_the_turns(wanted: Rates, cuts: list[int]) -> None:
    """However the time is cut into turns, the same records are sent in the same order."""
    end_ms = START_MS + 60_000
    edges = [START_MS, *sorted(START_MS + cut for cut in cuts), end_ms]
    assert send_in_turns(wanted, edges) == send_in_turns(wanted, [START_MS, end_ms])


def test_a_run_can_be_repeated() -> None:
    """The same seed gives the same faults."""
    rates = Rates(0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert send(rates) == send(rates)
