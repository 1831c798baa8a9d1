"""What goes wrong around simulator and jobs.

Each time with the verdict on every record; docs/faults.md is the table.
`tests/support/faults` runs the bus: a witness writes readings of every kind, bad ones and wrong clocks included, and
knows which of them Kafka acknowledged. `make faults` runs the longer plans.
"""

import random
import signal
import time
from pathlib import Path

import pytest
from quixstreams.models import TopicAdmin, TopicManager

from processors.recovery import bounds_of
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from sensorbus.runtime import kafka
from tests.support.faults.bus import (
    AFTER_A_KILL_S,
    AFTER_A_REBALANCE_S,
    AFTER_AN_OUTAGE_S,
    LONE_BROKER,
    PATIENCE,
    assert_exact,
    bus,
)
from tests.support.faults.driver import Driver
from tests.support.faults.nemesis import Nemesis
from tests.support.faults.plan import (
    BROKER,
    JOBS,
    SECOND,
    SIMULATOR,
    Kind,
    Plan,
    freeze,
    hardest,
    members,
    minute,
    mix,
    outage,
)
from tests.support.faults.verdict import judge
from tests.support.groups import partitions
from tests.support.real_kafka import RealKafka

STOPS_WITHIN_S = 10.0
#: Twice the 10 s of silence after which a job says so.
AWAY_S = 20.0
#: How often one thing may be said.
SAID_EVERY_S = 10.0
#: Longer than a session (6 s) and a transaction (10 s) of a member without an instance id.
FROZEN_S = 12.0
# All but the slow ones on demand, `pytest -m long`; a busy machine makes some of these miss their deadlines.
ON_DEMAND = pytest.mark.long
OWN_KAFKA = LONE_BROKER
MEMBERSHIPS = pytest.mark.parametrize("stable", [True, False], ids=["stable-id", "dynamic"])


def test_a_plan_follows_from_its_seed() -> None:
    """The same seed gives the same faults, another one gives others, and ten minutes have every kind."""
    assert mix(7, 600) == mix(7, 600)
    assert mix(7, 600).faults != mix(8, 600).faults
    assert {fault.kind for fault in mix(7, 600).faults} == set(Kind)
    assert [fault.kind for fault in hardest(7).faults].count(Kind.KILL) == 10
    killed = {fault.target for seed in range(10) for fault in hardest(seed, members(2)).faults}
    assert killed == {*JOBS, *(f"{job}.2" for job in JOBS), BROKER}
    assert {(fault.target, fault.for_s) for fault in freeze(7).faults} == {
        (target, 30.0) for target in (*JOBS, SIMULATOR, BROKER)
    }


def test_a_minute_always_freezes_the_broker_and_stops_it() -> None:
    """Whatever the seed; and the plan is that of the seed which it names, so `make faults` repeats it."""
    for plan in map(minute, range(100)):
        kinds = {fault.kind for fault in plan.faults if fault.target == BROKER}
        assert Kind.PAUSE in kinds
        assert kinds & {Kind.AWAY, Kind.RESTART}
        assert plan == mix(plan.seed, 60)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_minute_of_everything(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Kills, pauses, lost state, outages, second members and bad input, as the seed says: every record is exact.

    The broker is frozen, and killed or restarted, each time.
    """
    _run(minute(random.randrange(1_000_000)), own_kafka, tmp_path)  # noqa: S311  # it follows from the seed that pytest prints


@ON_DEMAND
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    "plan",
    [hardest(41), freeze(41), outage(360), mix(41, 600)],
    ids=["hardest", "each-frozen-for-30-s", "no-broker-for-6-min", "ten-minutes-of-everything"],
)
def test_a_long_plan(plan: Plan, own_kafka: RealKafka, tmp_path: Path) -> None:
    """Every record is exact."""
    _run(plan, own_kafka, tmp_path)


def _run(plan: Plan, kafka_: RealKafka, folder: Path) -> None:
    with bus(kafka_, folder, stable=True, seed=plan.seed) as driver:
        driver.begin(SIMULATOR, *JOBS)
        Nemesis(driver, plan).run()
        driver.finish()
        verdict = judge(driver.settings, driver.witness)
    faults = "\n".join(map(str, plan.faults))
    assert verdict.problems == [], f"seed {plan.seed}\n{faults}\n{verdict}\n{driver.said()[-6_000:]}"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_outage_under_load_is_survived_in_place(own_kafka: RealKafka, tmp_path: Path) -> None:
    """The broker killed for 20 s while readings come: the same processes go on in time; a line per 10 s; exact."""
    with bus(own_kafka, tmp_path, stable=True) as driver:
        driver.begin(*JOBS)
        driver.supervised = False
        processes = [driver.members[job].part.process for job in JOBS]
        before = {job: len(driver.said(job).splitlines()) for job in JOBS}
        driver.away()
        away_since_s = time.monotonic()
        driver.go_on(AWAY_S)
        outage_s = driver.wait_for(driver.back("kill -9 of the broker"), within_s=90)
        most = (time.monotonic() - away_since_s) / SAID_EVERY_S
        said = {job: driver.said(job).splitlines()[before[job] :] for job in JOBS}
        assert [driver.members[job].part.process for job in JOBS] == processes
        assert_exact(driver)
    assert outage_s < PATIENCE * AFTER_AN_OUTAGE_S
    for lines in said.values():
        no_broker = [line for line in lines if f"no Kafka broker at {own_kafka.address} (SENSORBUS_KAFKA_" in line]
        assert 1 <= len(no_broker) <= most, lines
        assert len(lines) <= 3 * most + 1, lines  # and bad input, late readings; "the job goes on" comes once
    assert "Traceback" not in driver.said()


@pytest.mark.slow
def test_a_client_that_knew_the_broker_asks_it_after_its_restart(own_kafka: RealKafka) -> None:
    """Each partition's leader has another epoch then: an assignment failed for 30 s, and ended the job."""
    settings = Settings(kafka_bootstrap_servers=own_kafka.address, topic_prefix="epoch-")
    kafka.ensure_topics(settings, "test", (SENSOR,))
    manager = TopicManager(TopicAdmin(own_kafka.address), "epoch")
    places = partitions(settings, SENSOR, 0)
    before = bounds_of(manager, places, 10.0)
    own_kafka.kill()
    own_kafka.start()
    assert bounds_of(manager, places, 10.0) == before


@ON_DEMAND
@pytest.mark.timeout(400)
@MEMBERSHIPS
def test_jobs_killed_stopped_and_frozen_are_back_in_time(own_kafka: RealKafka, tmp_path: Path, *, stable: bool) -> None:
    """All three at once: kill -9, SIGTERM, then SIGSTOP for longer than the others wait; every record is exact."""
    with bus(own_kafka, tmp_path, stable=stable) as driver:
        driver.witness.bad(100)  # before any reading
        driver.begin(*JOBS)
        for job in JOBS:
            driver.kill(job)
        killed = driver.measure("kill -9", *JOBS)
        driver.start(*JOBS)
        driver.wait_for(killed)
        stopped_s = terminate(driver)
        driver.start(*JOBS)
        restarted_s = driver.recover("SIGTERM")
        for job in JOBS:
            driver.pause(job)
        driver.go_on(FROZEN_S)
        for job in JOBS:
            driver.resume(job)
        frozen_s = driver.recover("SIGSTOP")
        driver.witness.rest()
        driver.witness.bad(100)  # after the last one
        assert_exact(driver)
    slowest_s = AFTER_A_KILL_S if stable else AFTER_A_REBALANCE_S
    assert max(each.seconds or 0 for each in killed) < PATIENCE * AFTER_A_KILL_S
    assert stopped_s < STOPS_WITHIN_S
    assert (restarted_s < PATIENCE * AFTER_A_KILL_S, frozen_s < PATIENCE * slowest_s) == (True, True)
    assert "Traceback" not in driver.said()


def terminate(driver: Driver) -> float:
    """Send SIGTERM to all jobs, expect exit code 0, and return the seconds until the last was gone."""
    started_s = time.monotonic()
    driver.terminate(*JOBS)
    return time.monotonic() - started_s


@ON_DEMAND
@pytest.mark.timeout(300)
def test_a_second_member_comes_and_goes(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Without instance ids a second `avg-temp` starts, stops, starts and is killed for good: exact, no long pause."""
    with bus(own_kafka, tmp_path, stable=False) as driver:
        driver.begin(*JOBS)
        pauses_s = []
        for ending in (signal.SIGTERM, signal.SIGKILL):
            driver.start(SECOND)
            driver.wait(lambda: " reads " in driver.said(SECOND), 60, "the second member to start")
            driver.go_on(5)
            pauses_s.append(driver.recover("a second member starts", "avg-temp"))
            if ending == signal.SIGTERM:
                driver.terminate(SECOND)
            else:
                driver.kill(SECOND)
            pauses_s.append(driver.recover("the second member goes", "avg-temp"))
        assert_exact(driver)
    assert max(pauses_s) < PATIENCE * AFTER_A_REBALANCE_S, pauses_s


@ON_DEMAND
@pytest.mark.timeout(300)
@MEMBERSHIPS
def test_a_broker_that_is_away_is_waited_for(own_kafka: RealKafka, tmp_path: Path, *, stable: bool) -> None:
    """Restarted cleanly, then killed; jobs told to stop meanwhile do, started meanwhile wait; every record is exact."""
    with bus(own_kafka, tmp_path, stable=stable) as driver:
        driver.begin(*JOBS)
        driver.away(clean=True)
        restarted = driver.back("clean restart")
        driver.wait_for(restarted, within_s=90)
        driver.away()
        driver.supervised = False
        for job in JOBS:
            driver.members[job].part.signal(signal.SIGTERM)
        stopped_s = driver.wait(lambda: not any(map(driver.is_running, JOBS)), 20, "the jobs to end without a broker")
        driver.start(*JOBS)
        driver.supervised = True
        driver.go_on(3)
        started_absent = driver.back("absent at start")
        driver.wait_for(started_absent, within_s=90)
        assert_exact(driver)
    assert stopped_s < STOPS_WITHIN_S
    slowest_s = max(each.seconds or 0 for each in (*restarted, *started_absent))
    assert slowest_s < PATIENCE * (AFTER_AN_OUTAGE_S if stable else AFTER_AN_OUTAGE_S + AFTER_A_REBALANCE_S)
    assert f"no Kafka broker at {own_kafka.address} (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in driver.said()
    assert "Traceback" not in driver.said()


@ON_DEMAND
@pytest.mark.timeout(300)
def test_at_least_once_loses_nothing_either(own_kafka: RealKafka, tmp_path: Path) -> None:
    """At least once, kills and an outage: repeats are equal to the first, and an alert counts once."""
    with bus(own_kafka, tmp_path, stable=True, guarantee="at-least-once") as driver:
        driver.begin(*JOBS)
        for job in JOBS:
            driver.kill(job)
            driver.start(job)
            driver.go_on(1)
        driver.recover("kill -9")
        driver.away()
        driver.go_on(3)
        driver.wait_for(driver.back("kill -9 of the broker"), within_s=90)
        assert_exact(driver)


@ON_DEMAND
@pytest.mark.timeout(300)
def test_bad_input_first_last_and_in_bursts_does_no_harm(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Bad records before any reading, 20,000 in a row, and as the last ones: each a dead letter; memory stays."""
    with bus(own_kafka, tmp_path, stable=True) as driver:
        driver.witness.bad(200)
        driver.begin(*JOBS)
        before_mb = driver.members.memory_mb(*JOBS)
        driver.go_on(5)
        driver.witness.bad(20_000)
        driver.recover("20,000 bad records")
        driver.witness.rest()
        driver.witness.bad(200)
        grown_mb = driver.members.memory_mb(*JOBS) - before_mb
        assert_exact(driver)
    assert grown_mb < 50 * len(JOBS)
    assert len(driver.said()) < 100_000
