"""`make faults SEED=7 MINUTES=10`: a seeded plan of faults.

Against a real Kafka, and the verdict on it as a table.
"""

import argparse
import logging
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.faults import plan as plans
from tests.support.faults.bus import LONE_BROKER, bus
from tests.support.faults.nemesis import Nemesis
from tests.support.faults.plan import SIMULATOR, Plan
from tests.support.faults.verdict import Verdict, judge
from tests.support.real_kafka import RealKafka


def main() -> int:
    """Run the plan as often as asked; exit code 1 when a verdict is not clean."""
    arguments = _arguments()
    logging.getLogger("rdkafka").setLevel(logging.CRITICAL)  # its clients say at length that the broker is away
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed  # noqa: S311  # a plan, not a secret
    clean = 0
    for repeat in range(arguments.repeat):
        home = Path(tempfile.mkdtemp(prefix="sensorbus-faults-"))
        members = plans.members(arguments.members)
        plan = _plan(arguments.plan, seed + repeat, arguments.minutes, members)
        _say(f"plan {arguments.plan}, seed {plan.seed}, {plan.duration_s:.0f} s, {len(plan.faults)} faults; {home}")
        with RealKafka(home / "kafka", **LONE_BROKER) as broker:
            verdict = run(plan, broker, home, members, stable=arguments.stable, guarantee=arguments.guarantee)
        clean += not verdict.problems
        _say("verdict: " + ("WRONG" if verdict.problems else "every promise kept"))
    _say(f"{clean} of {arguments.repeat} runs without a wrong record")
    return 0 if clean == arguments.repeat else 1


def run(  # noqa: PLR0913  # what is done, where, to whom, and what is not as usual
    plan: Plan, broker: RealKafka, home: Path, members: Sequence[str], *, stable: bool, guarantee: str
) -> Verdict:
    """Run a plan on a bus of its own, say what happened, and return the verdict."""
    with bus(broker, home, stable=stable, seed=plan.seed, guarantee=guarantee) as driver:
        driver.begin(SIMULATOR, *members)
        Nemesis(driver, plan).run()
        driver.finish()
    for fault in plan.faults:
        _say(str(fault))
    for each in driver.recoveries:
        seconds = "overtaken by the end" if each.seconds is None else f"{each.seconds:5.1f} s"
        _say(f"{seconds} until {each.job} was seen after: {each.fault.strip()}")
    for ended in driver.members.exits:
        _say(f"{ended.name} ended with exit code {ended.code}")
    verdict = judge(driver.settings, driver.witness)
    _say(str(verdict))
    return verdict


def _plan(name: str, seed: int, minutes: float, members: Sequence[str]) -> Plan:
    if name == "mix":
        return plans.mix(seed, minutes * 60)
    if name == "outage":
        return plans.outage(minutes * 60)
    return plans.hardest(seed, members) if name == "hardest" else plans.freeze(seed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--plan", choices=("mix", "hardest", "outage", "freeze"), default="mix")
    parser.add_argument("--seed", type=int, help="the plan's and the readings'; one is drawn when it is not given")
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="length of a mix; of the broker's absence in an outage"
    )
    parser.add_argument("--repeat", type=int, default=1, help="how many runs, each with the next seed")
    parser.add_argument("--dynamic", dest="stable", action="store_false", help="members without an instance id")
    parser.add_argument("--members", type=int, default=1, help="of each job; hardest kills them all, others the first")
    parser.add_argument("--guarantee", choices=("exactly-once", "at-least-once"), default="exactly-once")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
