"""What is due becomes keys and values."""

from sensorbus.contract.messages import encode_reading, iso_timestamp
from simulator.encode import Encoder
from simulator.faults import INVALID_VALUES, FaultyNetwork, Rates
from simulator.fleet import Fleet
from simulator.run import Simulation, _due, _held_back

START_MS = 1_767_268_800_000
FLEET = Fleet(20, 1_000, 0, START_MS)


def pairs(network: FaultyNetwork | None) -> list[tuple[bytes, bytes | None]]:
    """Return what is sent in ten seconds and at the end."""
    simulation = Simulation(FLEET, network, Encoder(FLEET.names))
    return [*_due(simulation, START_MS, START_MS + 10_000), *_held_back(simulation)]


def test_each_reading_is_sent_under_its_devices_key() -> None:
    """Key and value are those of the contract, in the order of time."""
    expected = [
        (FLEET.names[device].encode(), encode_reading(FLEET.names[device], iso_timestamp(time_ms), celsius))
        for device, time_ms, celsius in zip(
            *(column.tolist() for column in FLEET.due(START_MS, START_MS + 10_000)), strict=True
        )
    ]
    assert pairs(None) == expected


def test_a_network_without_faults_changes_nothing() -> None:
    """The way with faults and the cheaper one without send the same."""
    assert pairs(FaultyNetwork(Rates(), 0)) == pairs(None)


def test_an_invalid_reading_is_sent_under_its_devices_key() -> None:
    """Only the value is replaced."""
    sent = pairs(FaultyNetwork(Rates(invalid=1.0), 0))
    assert [key for key, _ in sent] == [key for key, _ in pairs(None)]
    assert {value for _, value in sent} == set(INVALID_VALUES)
