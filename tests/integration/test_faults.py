"""What goes wrong around simulator and jobs, each time with the verdict on every record; docs/faults.md is the table.

`tests/support/faults` runs the bus: a witness writes readings of every kind, bad ones included, and knows which Kafka
acknowledged. `make faults` runs the longer plans. Machines are shared: a test allows twice the time that is promised.
"""

import random
from pathlib import Path

import pytest

from tests.support.faults.driver import Driver, bus_settings
from tests.support.faults.plan import JOBS, SIMULATOR, Kind, hardest, mix
from tests.support.faults.verdict import judge
from tests.support.faults.witness import Witness
from tests.support.real_kafka import RealKafka

PATIENCE = 2.0
AFTER_A_KILL_S = 10.0
AFTER_A_REBALANCE_S = 20.0
AFTER_AN_OUTAGE_S = 15.0
STOPS_WITHIN_S = 10.0
STARTS_WITHIN_S = 90.0


@pytest.fixture
def seed() -> int:
    """Give a seed that comes from the one that pytest prints at its start."""
    return random.randrange(1_000_000)  # noqa: S311  # a plan, not a secret


def bus(broker: RealKafka, home: Path, *, stable: bool, seed: int = 1, **settings: object) -> Driver:
    """Return a bus of the test's own, its witness at work once the driver is entered and steps."""
    own = bus_settings(broker.address, f"{home.name[-60:]}-", **settings)
    witness = Witness(own, seed)
    witness.begin()
    return Driver(own, broker, home, witness, stable=stable)


def assert_exact(driver: Driver) -> None:
    """End the input, let all be read, and judge every record."""
    driver.finish()
    verdict = judge(driver.settings, driver.witness)
    assert verdict.problems == [], f"\n{verdict}\n{driver.said()[-6_000:]}"


def test_a_plan_follows_from_its_seed() -> None:
    """The same seed gives the same faults, another one gives others, and ten minutes have every kind."""
    assert mix(7, 600) == mix(7, 600)
    assert mix(7, 600).faults != mix(8, 600).faults
    assert {fault.kind for fault in mix(7, 600).faults} == set(Kind)
    assert [fault.kind for fault in hardest(7).faults].count(Kind.KILL) == 10


@pytest.mark.timeout(400)
def test_a_minute_of_everything(own_kafka: RealKafka, tmp_path: Path, seed: int) -> None:
    """Kills, pauses, lost state, outages, second members and bad input, as the seed says: every record is exact."""
    plan = mix(seed, 60)
    with bus(own_kafka, tmp_path, stable=True, seed=seed) as driver:
        driver.start(SIMULATOR, *JOBS)
        driver.recover("start", within_s=STARTS_WITHIN_S)
        driver.run(plan)
        driver.finish()
        verdict = judge(driver.settings, driver.witness)
    faults = "\n".join(map(str, plan.faults))
    assert verdict.problems == [], f"make faults SEED={seed}\n{faults}\n{verdict}\n{driver.said()[-6_000:]}"
