"""Who lacks one right of docs/security.md is refused, and told which it is.

`test_secure_kafka.py` shows that they are enough. Every case has a user, topics and a group of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from confluent_kafka import TopicPartition

from sensorbus.contract.messages import alert_from_reading, encode_alert, encode_reading, iso_timestamp, parse_reading
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.runtime import kafka
from tests.support import real_kafka
from tests.support.dashboards import START_MS, dashboard
from tests.support.needs import need
from tests.support.oidc_provider import Provider
from tests.support.parts import Part, part
from tests.support.rights import Right, rights, rights_of_all
from tests.support.secure_kafka import SecureKafka
from tests.support.topics import Record, produce, values
from tests.support.waiting import wait_until

PASSWORD: Final = "hunter2"  # noqa: S105  # of users that live as long as the broker of these tests
JOBS: Final = ("alert", "alert-count", "avg-temp", "all")
#: What each user's program is called with; of several, any may be the one that needs a right.
COMMANDS: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {
    "topics": [("sensorbus", "topics", "create")],
    "simulator": [("simulator", "--duration", "2")],
    "operator": [("sensorbus", "doctor"), ("sensorbus", "verify")],
    "replay": [("sensorbus", "dead-letter", "replay")] * 20,  # of the group it hears in some runs only
    **{job: [("processors", job)] for job in JOBS},
}
#: How Quix and we call an operation that is missing.
SAID: Final = {"DESCRIBE_CONFIGS": ("DESCRIBE_CONFIGS", '"DescribeConfigs"'), "CREATE": ("CREATE", '"Create"')}
LETTERS: Final = 400

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(180)]


def table(prefix: str) -> list[Right]:
    """Return the rights of all users but KEDA, which `test_rights_of_others.py` tries, and of job `all`.

    Without an operator's on changelogs nothing is refused: `doctor` passes over those that it does not see.
    """
    told = (right for right in rights(prefix) if (right.user, right.name[:9]) != ("operator", "changelog"))
    return [*(right for right in told if right.user != "keda"), *rights_of_all(prefix)]


class Case(NamedTuple):
    """One operation that a user is not given; its number makes the user's and the topics' names."""

    number: int
    row: int
    user: str
    kind: str
    name: str
    operation: str

    def __str__(self) -> str:
        """Return e.g. `alert-without-WRITE-on-topic-sensor`."""
        return f"{self.user}-without-{self.operation}-on-{self.kind.lower()}-{self.name}"

    @property
    def principal(self) -> str:
        """Return the user's name."""
        return f"{self.user}-{self.number}"

    @property
    def prefix(self) -> str:
        """Return what the names of the topics begin with."""
        return f"case{self.number}-"

    @property
    def thing(self) -> str:
        """Return what the right is on, as it is called in this case."""
        return table(self.prefix)[self.row].name

    def given(self) -> Iterator[Right]:
        """Yield what the user has: all that the table gives but this."""
        for row, right in enumerate(table(self.prefix)):
            left = [each for each in right.operations if (row, each) != (self.row, self.operation)]
            if row == self.row and self.operation in {"READ", "WRITE"}:
                left.append("DESCRIBE")  # which they include: that it is needed does not show that they are
            if right.user == self.user and left:
                yield right._replace(operations=left)

    def is_told(self, said: str) -> bool:
        """Tell whether a line names the operation and what it is on; of some groups Kafka's client does not say it."""
        operations = SAID.get(self.operation, (self.operation,))
        return any(
            (self.thing in line and any(each in line.replace(self.thing, "") for each in operations))
            or (self.kind == "GROUP" and "lacks a right on" in line and " group " in line)
            for line in said.splitlines()
            if "lacks " in line or "verify " in line
        )


CASES: Final = [
    Case(number, row, right.user, right.kind, right.name, operation)
    for number, (row, right, operation) in enumerate(
        (row, right, operation) for row, right in enumerate(table("")) for operation in right.operations
    )
]
#: Those that are tried with every run of `make real`.
SAMPLE: Final = (
    "topics-without-DESCRIBE-on-topic-sensor",
    "avg-temp-without-WRITE-on-topic-avg-temp",
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """Give a broker that knows the users of all cases."""
    need(real_kafka.why_not())
    plain = dict.fromkeys(("all", *(case.principal for case in CASES)), PASSWORD)
    with Provider() as provider, SecureKafka(tmp_path_factory.mktemp("least") / "kafka", provider, plain) as running:
        yield running


def fill(bus: Settings) -> None:
    """Write what makes a part use all its rights: good and bad input, in two windows, and one under another key."""
    kafka.ensure_topics(bus, "test")
    good = [encode_reading("hot", iso_timestamp(START_MS + ms), 99.0) for ms in (0, 3_600_000)]
    read = [parse_reading(raw, START_MS + 3_600_000, bus.time_rules) for raw in good]
    alerts = [encode_alert(alert_from_reading(reading, 372.15)) for reading in read]
    produce(bus, SENSOR, [Record(b"hot", raw) for raw in [*good, b"no json"]])
    produce(bus, SENSOR, [Record(b"another key", good[1])])
    produce(bus, ALERT, [Record(b"hot", raw) for raw in [*alerts, b"no json"]])
    for topic in (ALERT_COUNT, AVG_TEMP):
        produce(bus, topic, [Record(b"hot", b"1")])


def fill_letters(bus: Settings) -> None:
    """Write letters that can be sent back, to each of the topics that have such."""
    values_of = {SENSOR: values(bus, SENSOR)[0], ALERT: values(bus, ALERT)[0]}
    records = [
        Record(
            b"a",
            value,
            [
                ("source.topic", bus.topic_name(topic).encode()),
                ("source.partition", b"0"),
                ("source.offset", b"0"),
                ("error.kind", b"json"),
            ],
        )
        for topic, value in values_of.items()
    ]
    produce(bus, DEAD_LETTER, records * (LETTERS // len(records)))


def run_before(user: Settings, folder: Path, job: str) -> None:
    """Let a job make its state, which its next life has lost, and end."""
    first = part(user.model_copy(update={"state_dir": folder / "before"}), folder / "before.log", "processors", job)
    with first:
        wait_until(lambda: "reads " in first.said() and has_changes(user, job), 60, "changes of its state", first.log)
        first.stop()


def has_changes(user: Settings, job: str) -> bool:
    """Tell whether a job has committed of its input, and so written changes of its state."""
    asks = kafka.consumer(user, "test", **{"group.id": user.consumer_group(job)})
    source = user.topic_name(ALERT if job == "alert-count" else SENSOR)
    places = [TopicPartition(source, number) for number in range(user.topic_partitions)]
    try:
        return any(place.offset > 0 for place in asks.committed(places, timeout=10))
    finally:
        asks.close()


def try_page(user: Settings, case: Case, folder: Path) -> None:
    """Run the page until it says what it lacks."""
    page = dashboard(user, folder)
    with page.part:
        wait_until(lambda: case.is_told(page.part.said()), 40, "the page to name the right", page.part.log)


def run_to_its_end(program: Part) -> str:
    """Return what a program said until it ended by itself."""
    with program:
        wait_until(lambda: not program.is_running(), 60, "its end", program.log)
    return program.said()


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if str(case) in SAMPLE else pytest.mark.long, id=str(case)) for case in CASES]
)
def test_who_lacks_one_right_is_told_which(broker: SecureKafka, tmp_path: Path, case: Case) -> None:
    """No other part of the table covers for it, and nobody has to guess."""
    bus = Settings(kafka_bootstrap_servers=broker.address, topic_prefix=case.prefix, state_dir=tmp_path / "state")
    if case.user != "topics":
        fill(bus)
    if case.user in {"operator", "replay"}:
        fill_letters(bus)
    for right in case.given():
        broker.allow(right, f"User:{case.principal}")
    if case.operation == "READ" and case.name.startswith("changelog"):
        run_before(bus, tmp_path, case.user)
    user = broker.with_password(bus, case.principal, PASSWORD, sasl_mechanism="PLAIN")
    if case.user == "dashboard":
        try_page(user, case, tmp_path)
        return
    said = ""
    for number, words in enumerate(COMMANDS[case.user]):
        if not case.is_told(said):
            said += run_to_its_end(part(user, tmp_path / f"{number}.log", *words, COLUMNS="500"))
    assert case.is_told(said), said
    assert "Traceback" not in said


def test_one_process_for_all_runs_with_the_rights_of_the_three(broker: SecureKafka, tmp_path: Path) -> None:
    """Group, changelogs and transactional id under its own name; each output is written, and nothing is refused."""
    bus = Settings(kafka_bootstrap_servers=broker.address, topic_prefix="all-", state_dir=tmp_path / "state")
    kafka.ensure_topics(bus, "test")
    for right in rights_of_all("all-"):
        broker.allow(right)
    early, late = (encode_reading("hot", iso_timestamp(START_MS + ms), 99.0) for ms in (0, 3_600_000))
    produce(bus, SENSOR, [Record(b"hot", early), Record(b"hot", b"no json"), Record(b"another key", late)])
    with part(
        broker.with_password(bus, "all", PASSWORD, sasl_mechanism="PLAIN"), tmp_path / "all.log", "processors", "all"
    ) as job:
        for topic in (ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER):
            wait_until(partial(values, bus, topic), 60, f"records in {topic.name}", job.log)
        job.stop()
    assert "lacks" not in job.said()
