"""docs/operations.md, chapter by chapter.

Each of its commands is run as it stands there, on a real Kafka.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sensorbus.contract.messages import encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, TOPICS
from sensorbus.runtime import kafka
from tests.support.dashboards import START_MS
from tests.support.groups import committed, forget
from tests.support.jobs import INPUTS, THREE_JOBS, Jobs
from tests.support.parts import environment_of
from tests.support.real_kafka import RealKafka, free_ports
from tests.support.shell import Shell, blocks
from tests.support.ticks import get
from tests.support.topics import Record, produce, values
from tests.support.waiting import wait_until

CHAPTERS = blocks("operations.md")
#: The tests below, by the chapter whose commands they run.
RUN = {
    "Run it",
    "A transaction without an end",
    "Offsets that Kafka has forgotten",
    "Dead letters",
    "Backup and restore",
    "A copy of offsets and state folders",
    "Replay: compute all results anew",
    "More partitions",
    "Disaster: the cluster is gone",
}
READINGS = 60

pytestmark = [pytest.mark.real_kafka, pytest.mark.timeout(180)]


@pytest.fixture
def bus(own_kafka: RealKafka, tmp_path: Path) -> Settings:
    """Give an empty Kafka, for topics without a prefix, as in the docs; what one test wrote is false for another."""
    bus = Settings(kafka_bootstrap_servers=own_kafka.address, state_dir=tmp_path / Settings().state_dir)
    wipe(bus)
    return bus


def wipe(bus: Settings) -> None:
    """Delete all topics and consumer groups of a cluster."""
    client = kafka.admin(bus, "test")
    for group in client.list_consumer_groups().result().valid:  # confluent-kafka fails with several at once
        client.delete_consumer_groups([group.group_id])[group.group_id].result()
    if topics := _topics(client):
        for deleted in client.delete_topics(topics).values():
            deleted.result()
    wait_until(lambda: not _topics(client), 20, "the topics to be gone")


def _topics(client: AdminClient) -> list[str]:
    return [name for name in client.list_topics(timeout=10).topics if not name.startswith("__")]


@pytest.fixture
def shell(bus: Settings, tmp_path: Path) -> Iterator[Shell]:
    """Give a shell with the bus's environment; as by default, where the state is follows from its folder."""
    environment = environment_of(bus, KAFKA=bus.bootstrap_servers, SENSORBUS_DASHBOARD_PORT=str(free_ports()[0]))
    del environment["SENSORBUS_STATE_DIR"]
    with Shell(tmp_path, environment) as opened:
        yield opened


def send(bus: Settings, first: int, devices: str = "ab") -> None:
    """Write hot readings of devices of one letter, a second apart."""
    kafka.ensure_topics(bus, "test")
    for device in devices:
        moments = (START_MS + 1_000 * number for number in range(first, first + READINGS))
        produce(
            bus,
            SENSOR,
            [Record(device.encode(), encode_reading(device, iso_timestamp(at_ms), 40.0)) for at_ms in moments],
        )


def settle(bus: Settings, folder: Path) -> None:
    """Wait until the running jobs have read everything and it is visible."""
    Jobs(bus, folder / "part-0.log").settle(*THREE_JOBS)


def work_through(bus: Settings, folder: Path) -> None:
    """Let the jobs read everything, and stop them."""
    with Jobs(bus, folder / "jobs.log") as jobs:
        jobs.start(*THREE_JOBS)
        jobs.settle(*THREE_JOBS)
        jobs.stop(*THREE_JOBS)


def test_every_chapter_with_commands_is_run() -> None:
    """A new block in the docs is a new test here."""
    assert set(CHAPTERS) == RUN


def test_run_it(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """The parts start, `doctor` is content, results come out, and each stops with exit code 0."""
    send(bus, 0)
    for block in CHAPTERS["Run it"]:
        assert "FAILED" not in shell.run(block)
    settle(bus, tmp_path)
    page = shell._environment["SENSORBUS_DASHBOARD_PORT"]
    wait_until(lambda: get(f"http://127.0.0.1:{page}/readyz")[0] == 200, 30, "the page to be ready")
    assert len(values(bus, AVG_TEMP)) > READINGS
    shell.stop()


def test_a_transaction_without_an_end(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """One that nobody ends holds up who reads what is committed, until it is aborted by hand."""
    send(bus, 0)
    work_through(bus, tmp_path)
    before = values(bus, SENSOR)
    options = {"transactional.id": "left", "partitioner": "murmur2_random"}
    left = Producer({"bootstrap.servers": bus.bootstrap_servers, **options})
    left.init_transactions(20)
    left.begin_transaction()
    places: list[Message] = []
    left.produce(SENSOR.name, b"undone", b"a", on_delivery=lambda _error, message: places.append(message))
    left.flush(20)
    place = {"TOPIC": SENSOR.name, "PARTITION": str(places[0].partition()), "START": str(places[0].offset())}
    produce(bus, SENSOR, [Record(b"a", b"behind")])
    assert values(bus, SENSOR) == before
    shell._environment |= {**place, "GROUP": bus.consumer_group("alert")}
    mend, look = CHAPTERS["A transaction without an end"]
    shell.run(mend)
    assert sorted(values(bus, SENSOR)) == sorted([*before, b"behind"])
    assert "left" in shell.run(look)


def test_offsets_that_kafka_has_forgotten(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """Set to what the job names, it goes on: nothing is missing or there twice."""
    send(bus, 0, "a")
    work_through(bus, tmp_path)
    forget(bus, "alert")
    send(bus, READINGS, "a")
    (block,) = CHAPTERS["Offsets that Kafka has forgotten"]
    with Jobs(bus, tmp_path / "refused.log") as jobs:
        jobs.start("alert")
        jobs.running["alert"].wait(1, within_s=30)
        named = re.search(r"nothing of (\S+)\[(\d)], and it had committed offset (\d+):", jobs.running["alert"].said())
    assert named
    place = dict(zip(("TOPIC", "PARTITION", "OFFSET"), named.groups(), strict=True))
    shell._environment |= {**place, "GROUP": bus.consumer_group("alert")}
    shell.run(block)
    work_through(bus, tmp_path)
    assert len(values(bus, ALERT)) == 2 * READINGS
    assert "FALSE" not in shell.run(["sensorbus verify"])


def test_dead_letters(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """They are shown, exported, repaired and sent back, once."""
    kafka.ensure_topics(bus, "test")
    produce(bus, SENSOR, [Record(b"a", b'{"timestamp": "soon", "device_id": "a", "temperature": 1}')])
    (block,) = CHAPTERS["Dead letters"]
    with Jobs(bus, tmp_path / "jobs.log") as jobs:
        jobs.start("alert")
        jobs.settle("alert")
        before = len(values(bus, SENSOR))
        assert "soon" in shell.run(block[:2])
        letters = [json.loads(line) for line in (tmp_path / "letters.jsonl").read_text().splitlines()]
        text = (tmp_path / "letters.jsonl").read_text().replace("soon", iso_timestamp(START_MS))
        (tmp_path / "letters.jsonl").write_text(text)
        assert f"would send {len(letters)}" in shell.run(block[2:3])
        assert f"sent {len(letters)}" in shell.run(block[3:])
        assert "sent 0" in shell.run(block[3:])
        assert len(values(bus, SENSOR)) == before + len(letters)
        jobs.stop("alert")


def test_backup_and_restore(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """A job whose folder is gone goes on exactly; the readings can be written to a file."""
    restore, archive = CHAPTERS["Backup and restore"]
    send(bus, 100)
    with Jobs(bus, tmp_path / "jobs.log") as jobs:
        jobs.start(*THREE_JOBS)
        jobs.settle("avg-temp")
        jobs.stop("avg-temp")
        shell.run(restore[:1])
        assert not (bus.state_dir / "avg-temp").exists()
        send(bus, 160)
        shell.run(restore[1:2])
        jobs.settle(*THREE_JOBS)
        jobs.stop("alert", "alert-count")
    assert "FALSE" not in shell.run(restore[2:])
    shell.run(archive)
    assert len((tmp_path / "readings.txt").read_text().splitlines()) == len(values(bus, SENSOR))
    shell.stop()


@pytest.mark.long
def test_a_copy_of_offsets_and_state_folders(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """Folders of before the last readings, and offsets of after them: restored, the jobs go on exactly."""
    save, restore = CHAPTERS["A copy of offsets and state folders"]
    send(bus, 0)
    work_through(bus, tmp_path)
    shell.run(save)
    send(bus, READINGS)
    work_through(bus, tmp_path)
    shell.run(save[1:])
    at_the_end = {job: committed(bus, job, INPUTS[job][0]) for job in THREE_JOBS}
    for job in THREE_JOBS:
        forget(bus, job)
    shell.run(restore[:1])
    assert not bus.state_dir.exists()
    shell.run(restore)
    assert {job: committed(bus, job, INPUTS[job][0]) for job in THREE_JOBS} == at_the_end
    send(bus, 2 * READINGS)
    work_through(bus, tmp_path)
    assert len(values(bus, ALERT)) == 3 * 2 * READINGS
    assert "FALSE" not in shell.run(["sensorbus verify"])


@pytest.mark.parametrize("prefix", ["", "v2-"])
def test_replay(bus: Settings, shell: Shell, tmp_path: Path, prefix: str) -> None:
    """All results are computed anew from `sensor`, here with another threshold, and are true."""
    own = bus.model_copy(update={"topic_prefix": prefix})
    shell._environment["SENSORBUS_TOPIC_PREFIX"] = prefix
    send(own, 300)
    work_through(own, tmp_path)
    assert values(own, ALERT_COUNT)
    anew, verify = CHAPTERS["Replay: compute all results anew"]
    wait_for_lags(shell, verify[:-1], {"0", "1"}, tmp_path)  # all is read; the alerts were written in transactions
    old = own.state_dir / "avg-temp" / "old"
    old.touch()
    shell._environment["SENSORBUS_ALERT_THRESHOLD_KELVIN"] = "320"
    assert "0 letters in old-letters.jsonl" in shell.run(anew)
    assert not old.exists()
    settle(own, tmp_path)
    assert (own.state_dir / "avg-temp").exists()
    said = shell.run(verify)
    assert "FALSE" not in said
    wait_for_lags(shell, verify, {"0", "-"}, tmp_path)  # there is no alert
    shell.stop()
    assert values(own, ALERT_COUNT) == []
    assert values(own, AVG_TEMP)


def wait_for_lags(shell: Shell, commands: Sequence[str], wanted: set[str], folder: Path) -> None:
    """Wait until these are the lags that Kafka's tool tells of; what it said last stands in the failure."""
    described = folder / "described"

    def are_told() -> bool:
        described.write_text(shell.run(commands))
        return {*lags(described.read_text())} == wanted

    wait_until(are_told, 30, f"lags of {sorted(wanted)}", described)


def lags(described: str) -> list[str]:
    """Return the column LAG of what Kafka's tool says of groups: one value for each partition."""
    rows = [row.split() for row in described.splitlines()]
    places = [row.index("LAG") for row in rows if "LAG" in row]
    return [row[places[0]] for row in rows if row and "sensorbus." in row[0]]


@pytest.mark.long
def test_more_partitions(bus: Settings, shell: Shell, tmp_path: Path) -> None:
    """All is read before; the second set of topics has the new number and exact results, the first is as it was."""
    drain, begin = CHAPTERS["More partitions"]
    send(bus, 0)
    with Jobs(bus, tmp_path / "old.log") as jobs:
        jobs.start(*THREE_JOBS)
        jobs.settle(*THREE_JOBS)
        said = shell.run(drain)
        assert "FALSE" not in said
        assert {*lags(said)} <= {"0", "1", "-"}
        jobs.stop(*THREE_JOBS)
    before = {topic: values(bus, topic) for topic in TOPICS}
    assert shell.run(begin).count("created") == len(TOPICS)
    second = bus.model_copy(update={"topic_prefix": "v2-", "topic_partitions": 8})
    send(second, READINGS)
    settle(second, tmp_path)
    assert "FALSE" not in shell.run(["sensorbus verify"])
    shell.stop()
    assert len(values(second, ALERT)) == 2 * READINGS
    assert {topic: values(bus, topic) for topic in TOPICS} == before
    found = kafka.cluster_metadata(bus, kafka.admin(bus, "test")).topics
    assert {len(found[f"v2-{topic.name}"].partitions) for topic in TOPICS} == {8}
    assert {len(found[topic.name].partitions) for topic in TOPICS} == {4}


def test_disaster(bus: Settings, shell: Shell) -> None:
    """On a cluster without our topics, with empty folders, everything is as at the first start."""
    (block,) = CHAPTERS["Disaster: the cluster is gone"]
    (bus.state_dir / "alert").mkdir(parents=True)
    shell._environment["SENSORBUS_STATE_DIR"] = str(bus.state_dir)
    shell._environment["SENSORBUS_TOPIC_PREFIX"] = "after-"  # to this process, a cluster without its topics
    assert "FAILED" not in shell.run(block)
    assert not bus.state_dir.exists()


def changelog(bus: Settings, topic: str) -> list[Message]:
    """Return the last record of each key of a changelog."""
    consumer: Consumer = kafka.consumer(bus, "test", **{"auto.offset.reset": "earliest"})
    partitions = kafka.cluster_metadata(bus, kafka.admin(bus, "test")).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    last: dict[bytes, Message] = {}
    try:
        wait_until(lambda: not _poll_into(consumer, last) and last, 20, f"the end of {topic}")
    finally:
        consumer.close()
    return list(last.values())


def last_values(bus: Settings, topic: str) -> dict[bytes, bytes]:
    """Return the last value of each key of a changelog."""
    return {held.key(): held.value() for held in changelog(bus, topic)}


def _poll_into(consumer: Consumer, last: dict[bytes, Message]) -> bool:
    come = [message for message in consumer.consume(500, 1.0) if message.error() is None]
    last |= {message.key(): message for message in come if message.value()}
    return bool(come)


@pytest.mark.parametrize(
    ("newer", "version", "others"),
    [(b"[99,1000,null,[],[],[],{}]", "99", "b"), (b'{"version":99}', "unknown", "bcdefgh")],
)
def test_a_state_of_another_version_is_said_and_left_alone(
    bus: Settings, tmp_path: Path, newer: bytes, version: str, others: str
) -> None:
    """The job ends with a line that names the version, before it has written or committed anything.

    Not even for other devices: that of the state has sent nothing, and those have states, or are new.
    """
    own = bus.model_copy(update={"topic_prefix": "version-", "state_dir": tmp_path / "state"})
    send(own, 0)
    with Jobs(own, tmp_path / "jobs.log") as jobs:
        jobs.start("avg-temp")
        jobs.settle("avg-temp")
        jobs.stop("avg-temp")
        producer: Producer = kafka.producer(own, "test")
        states = "changelog__version-sensorbus.avg-temp--version-sensor--default"
        held = next(held for held in changelog(own, states) if held.key().startswith(b"a|"))
        producer.produce(held.topic(), newer, held.key(), held.partition(), headers=held.headers())
        producer.flush(10)
        before = values(own, AVG_TEMP), committed(own, "avg-temp", SENSOR), last_values(own, states)
        (tmp_path / "state").rename(tmp_path / "old-state")
        send(own, 60, others)
        jobs.start("avg-temp")
        jobs.running["avg-temp"].wait(1, within_s=40)
        assert f"state of version {version}, not 2: go back to the version" in jobs.running["avg-temp"].said()
        assert (values(own, AVG_TEMP), committed(own, "avg-temp", SENSOR), last_values(own, states)) == before
