"""What every test of faults begins and ends with.

A bus with a witness on it, and the verdict.
"""

from pathlib import Path
from typing import Final

from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka
from tests.support.faults.driver import Driver
from tests.support.faults.verdict import judge
from tests.support.faults.witness import Witness
from tests.support.real_kafka import RealKafka

#: What is promised: seconds until every partition of a job's output has a new result.
AFTER_A_KILL_S: Final = 10.0
AFTER_A_REBALANCE_S: Final = 20.0
AFTER_AN_OUTAGE_S: Final = 15.0
#: A broker that is alone, as docker-compose.yml has it, hands no partitions over (docs/faults.md).
LONE_BROKER: Final = {"controlled__shutdown__enable": "false"}
#: Machines are shared: a test allows so many times what is promised.
PATIENCE: Final = 2.0
_SHOWN_CHARACTERS: Final = 6_000


def bus(  # noqa: PLR0913  # where, how, and what is not as usual
    broker: RealKafka, home: Path, *, stable: bool, seed: int = 1, prefix: str = "", guarantee: str = "exactly-once"
) -> Driver:
    """Return a bus with empty topics of its own; `stable`: each member has an instance id."""
    settings = Settings.model_validate(
        {
            "kafka_bootstrap_servers": broker.address,
            "topic_prefix": f"{prefix or home.name[-40:]}-",
            "processing_guarantee": guarantee,
        }
    )
    kafka.ensure_topics(settings, "test")
    return Driver(settings, broker, home, Witness(settings, seed), stable=stable)


def assert_exact(driver: Driver) -> None:
    """End the input, let all be read, stop the members and judge every record."""
    driver.finish()
    verdict = judge(driver.settings, driver.witness)
    assert verdict.problems == [], f"\n{verdict}\n{driver.said()[-_SHOWN_CHARACTERS:]}"
