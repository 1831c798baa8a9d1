"""The soak of `make soak`: short in CI, an hour on demand."""

from pathlib import Path

import pytest

from tests.support.real_kafka import RealKafka
from tests.support.soak import JOBS, MOST_GROWTH, Outcome, Soak, Terms, Workers

pytestmark = [pytest.mark.real_kafka]


def test_a_worker_that_is_replaced_is_a_death_unless_the_plan_killed_it() -> None:
    """Its master goes on as if nothing were; the workers of one that has ended are told with it."""
    workers = Workers()
    assert workers.replaced(1, {11, 12}, set()) == set()
    assert workers.replaced(1, {11, 13}, {12}) == set()
    assert workers.replaced(1, {13, 14}, {12}) == {11}
    assert workers.replaced(1, {13, 14}, {12}) == set()
    assert workers.replaced(2, {21, 22}, {12}) == set()


def test_the_verdict_names_who_was_measured_and_who_was_not() -> None:
    """A process that nobody measured has not passed."""
    outcome = Outcome(memory={"alert": (1e6, 1e6)}, unmeasured=["dashboard worker 2"])
    assert "measured: alert; not measured: dashboard worker 2" in str(outcome).splitlines()


def test_ticks_that_were_sent_again_are_a_figure_of_their_own() -> None:
    """Who reads that none failed reads too how often a browser had to ask twice."""
    outcome = Outcome(answers=70_049, sent_again=3)
    line = "page: 70049 ticks answered, 3 of them sent again on a new connection, 0 failed []"
    assert line in str(outcome).splitlines()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_short_soak_is_exact(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Faults of both kinds within 20 s; every process is measured, no tick fails, every result is right."""
    outcome = Soak(own_kafka, tmp_path, Terms(20.0, devices=100, every_s=3.0, lasts_s=1.0)).run()
    assert outcome.verdict == 0, f"\n{outcome}"
    assert outcome.failures == []
    assert len(outcome.faults) >= 5
    assert (outcome.deaths, outcome.unmeasured) == ([], []), f"\n{outcome}"
    assert outcome.memory.keys() == {"simulator", *JOBS, "dashboard", "dashboard worker 1", "dashboard worker 2"}
    assert all(begin > 1_000_000 for begin, _ in outcome.memory.values())


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_an_hour_of_soak(own_kafka: RealKafka, tmp_path: Path) -> None:
    """1000 devices, a fault every minute: nothing is missing, no process dies of itself, none grows by 3 %."""
    outcome = Soak(own_kafka, tmp_path, Terms(3_600.0)).run()
    assert (outcome.verdict, outcome.failures, outcome.deaths, outcome.unmeasured) == (0, [], [], []), f"\n{outcome}"
    assert {name: growth for name, growth in outcome.growth().items() if growth >= MOST_GROWTH} == {}, f"\n{outcome}"
