"""What members of groups do out of turn at the embedded broker, which runs on.

Each of these ended the process of the mock cluster, and with it all of `sensorbus up`.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sensorbus.contract.settings import Settings
from tests.support.members import Member, cut_connections, join, joined, leave, sync
from tests.support.parts import Part, part
from tests.support.real_kafka import free_ports
from tests.support.waiting import wait_until

JOB: Final = Settings().consumer_group("alert")
UNKNOWN_MEMBER: Final = 25
INCONSISTENT: Final = 23
SEEN_WITHIN_S: Final = 0.3
ELECTED_WITHIN_S: Final = 5.0
HANGING_UP: Final = 20
_SILENT: Final = logging.getLogger("test.hostile.members")


@pytest.fixture
def port() -> int:
    """Give a port that nobody listens on."""
    return free_ports()[0]


@pytest.fixture
def broker(port: int, tmp_path: Path) -> Iterator[Part]:
    """Run the embedded broker in a process of its own, which has not ended at the end."""
    with part(Settings(), tmp_path / "broker.log", "tests.support.embedded", str(port), JOB) as running:
        wait_until(lambda: is_answered(port), 20, "the broker", running.log)
        yield running
        assert running.is_running(), running.said()
        assert is_answered(port)


def is_answered(port: int) -> bool:
    """Tell whether a client is told of the topics."""
    try:
        AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}, logger=_SILENT).list_topics(timeout=1)
    except KafkaException:
        return False
    return True


def consumer(address: str, group: str, assignor: str) -> Consumer:
    """Return a consumer that reads topic `readings` as soon as its group has agreed."""
    options: dict[str, Any] = {"group.id": group, "partition.assignment.strategy": assignor}
    options |= {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 300}
    one = Consumer(options | {"bootstrap.servers": address}, logger=_SILENT)
    one.subscribe(["readings"])
    return one


def make_topic(port: int) -> None:
    """Make topic `readings`."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}, logger=_SILENT)
    (made,) = admin.create_topics([NewTopic("readings", 1, 1)]).values()
    made.result(10)


def waiting_to_join(member: Member) -> str:
    """Have a member ask to join once more, and return its name while it waits."""
    name, _ = joined(member, "group")
    member.send(join("group", name))
    time.sleep(SEEN_WITHIN_S)
    return name


@pytest.mark.usefixtures("broker")
def test_a_second_join_while_the_first_waits(port: int) -> None:
    """The second is told to join under another name; the first gets its answer."""
    with Member(port) as first, Member(port) as second:
        name = waiting_to_join(first)
        second.send(join("group", name))
        assert second.answer()[0] == UNKNOWN_MEMBER
        assert first.answer()[0] == 0


@pytest.mark.usefixtures("broker")
def test_a_second_join_after_the_first_hung_up(port: int) -> None:
    """It is answered as if there had been no other."""
    with Member(port) as first, Member(port) as second:
        name = waiting_to_join(first)
        first.__exit__(None, None, None)
        time.sleep(SEEN_WITHIN_S)
        second.send(join("group", name))
        assert second.answer()[0] == 0


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_second_sync_while_the_first_waits(port: int, hangs_up: bool) -> None:  # a parameter of pytest
    """The member is not known any more, for the one reason or the other."""
    with Member(port) as first, Member(port) as second:
        name, generation = joined(first, "group")
        first.send(sync("group", name, generation))
        time.sleep(SEEN_WITHIN_S)
        if hangs_up:
            first.__exit__(None, None, None)
            time.sleep(SEEN_WITHIN_S)
        second.send(sync("group", name, generation))
        assert second.answer()[0] == UNKNOWN_MEMBER


@pytest.mark.usefixtures("broker")
def test_a_member_that_left_while_it_waited(port: int) -> None:
    """Its name may be used again, as soon as nobody waits under it."""
    with Member(port) as first, Member(port) as second:
        name = waiting_to_join(first)
        second.send(leave("group", name))
        assert second.answer()[0] == 0
        second.send(join("group", name))
        assert second.answer()[0] == UNKNOWN_MEMBER


@pytest.mark.usefixtures("broker")
def test_a_way_to_share_out_with_a_nul_in_its_name(port: int) -> None:
    """The mock cluster takes it for another than itself."""
    with Member(port) as member:
        member.send(join("group", "", "ran\0ge"))
        assert member.answer()[0] == INCONSISTENT
    time.sleep(ELECTED_WITHIN_S)


def test_who_hangs_up_leaves_nothing_open(broker: Part, port: int) -> None:
    """Neither at the gateway nor at the broker, which reads nothing where a member waits."""
    assert broker.process is not None
    open_files = Path(f"/proc/{broker.process.pid}/fd")
    before = len(list(open_files.iterdir()))
    for _ in range(HANGING_UP):
        with Member(port) as member:
            member.send(join("group", ""))
    wait_until(lambda: len(list(open_files.iterdir())) <= before, 10, "the end of all connections")


def test_a_stranger_in_the_group_of_a_job(broker: Part, port: int) -> None:
    """Who shares out in another way than the job, which is at the broker's own port, is refused; the job goes on."""
    make_topic(port)
    job, stranger = consumer(broker.said().split()[0], JOB, "range"), consumer(f"127.0.0.1:{port}", JOB, "roundrobin")
    told: list[int] = []
    with closing(job), closing(stranger):

        def is_refused() -> bool:
            job.poll(0.1)
            message = stranger.poll(0.1)
            told.extend([message.error().code()] if message and message.error() else [])
            return KafkaError.INCONSISTENT_GROUP_PROTOCOL in told and len(job.assignment()) > 0

        wait_until(is_refused, 30, "the refusal", broker.log)
        assert stranger.assignment() == []


def test_a_name_that_the_broker_gave_to_a_job(broker: Part, port: int) -> None:
    """Nobody may use it here: what the job waits for at its own port is not seen by the gateway."""
    own_port = int(broker.said().split()[0].rpartition(":")[2])
    with Member(own_port) as job, Member(port) as stranger:
        name, generation = joined(job, JOB)
        job.send(join(JOB, name))
        time.sleep(SEEN_WITHIN_S)
        for request in (join(JOB, name), sync(JOB, name, generation), leave(JOB, name)):
            stranger.send(request)
            assert stranger.answer()[0] == UNKNOWN_MEMBER
        assert job.answer()[0] == 0


def test_consumers_that_are_cut_off_while_they_join_come_back(broker: Part, port: int) -> None:
    """Real ones, several times; then all partitions are shared out among them."""
    make_topic(port)
    address = f"127.0.0.1:{port}"
    with closing(consumer(address, "group", "range,roundrobin")) as first:
        wait_until(lambda: first.poll(0.1) is None and first.assignment(), 20, "the first", broker.log)
        with closing(consumer(address, "group", "range,roundrobin")) as second:
            for _ in range(3):
                until_s = time.monotonic() + 2.5
                while time.monotonic() < until_s:
                    first.poll(0.05)
                    second.poll(0.05)
                assert cut_connections(port) > 0

            def is_shared() -> bool:
                first.poll(0.1)
                second.poll(0.1)
                return [len(first.assignment()), len(second.assignment())] == [2, 2]

            wait_until(is_shared, 60, "the partitions", broker.log)
