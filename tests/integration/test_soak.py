"""The soak of `make soak`: short in CI, an hour on demand."""

from pathlib import Path

import pytest

from tests.support.real_kafka import RealKafka
from tests.support.soak import JOBS, MOST_GROWTH, Soak, Terms

pytestmark = [pytest.mark.real_kafka]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_short_soak_is_exact(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Faults of both kinds within 20 s; every process is measured, no tick fails, every result is right."""
    outcome = Soak(own_kafka, tmp_path, Terms(20.0, devices=100, every_s=3.0, lasts_s=1.0)).run()
    assert outcome.verdict == 0, f"\n{outcome}"
    assert outcome.failures == []
    assert len(outcome.faults) >= 5
    assert outcome.memory.keys() == {"simulator", *JOBS, "dashboard", "dashboard worker 1", "dashboard worker 2"}
    assert all(begin > 1_000_000 for begin, _ in outcome.memory.values())


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_an_hour_of_soak(own_kafka: RealKafka, tmp_path: Path) -> None:
    """1000 devices, a fault every minute: nothing is missing, no process dies of itself, none grows by 3 %."""
    outcome = Soak(own_kafka, tmp_path, Terms(3_600.0)).run()
    assert (outcome.verdict, outcome.failures, outcome.deaths) == (0, [], []), f"\n{outcome}"
    assert {name: growth for name, growth in outcome.growth().items() if growth >= MOST_GROWTH} == {}, f"\n{outcome}"
