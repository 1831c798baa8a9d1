"""The gateway in front of the embedded broker.

What programs of others need is answered at a known port.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from confluent_kafka.cimpl import NewTopic

from sensorbus.broker import EmbeddedBroker
from sensorbus.runtime.gateway import Gateway
from sensorbus.runtime.kafka import EMBEDDED_PARTITIONS, EMBEDDED_TOPIC_CONFIG
from tests.support.real_kafka import free_ports
from tests.support.waiting import wait_until

_TIMEOUT_S: Final = 10.0
ENDLESS_LIST: Final = b"\0\0\0\x0e\0\x13\0\4\0\0\0\1\xff\xff\x7f\xff\xff\xff"
_SILENT: Final = logging.getLogger("test.gateway.clients")


@pytest.fixture
def port() -> int:
    """Give a port that nobody listens on."""
    return free_ports()[0]


@pytest.fixture
def broker(port: int) -> Iterator[EmbeddedBroker]:
    """Run the embedded broker with its gateway."""
    with EmbeddedBroker(port=port) as running:
        yield running


@pytest.fixture
def admin(broker: EmbeddedBroker) -> AdminClient:
    """Give an admin client that knows the gateway only."""
    return AdminClient({"bootstrap.servers": broker.public_address}, logger=_SILENT)


def creation(admin: AdminClient, topic: NewTopic, **options: Any) -> KafkaError | None:
    """Create a topic and return what was wrong."""
    (future,) = admin.create_topics([topic], request_timeout=_TIMEOUT_S, **options).values()
    return refusal(future.result)


def refusal(action: Callable[[], object]) -> KafkaError | None:
    """Do it and return Kafka's error, if any."""
    try:
        action()
    except KafkaException as error:
        refused: KafkaError = error.args[0]
        return refused
    return None


def topics(admin: AdminClient) -> set[str]:
    """Return the names of all topics."""
    return set(admin.list_topics(timeout=_TIMEOUT_S).topics)


def test_it_is_the_only_broker_and_the_controller(broker: EmbeddedBroker, admin: AdminClient, port: int) -> None:
    """Clients that asked it once keep talking to it: only it answers all that they may ask."""
    assert broker.public_address == f"localhost:{port}"
    assert broker.address != broker.public_address
    metadata = admin.list_topics(timeout=_TIMEOUT_S)
    assert [(known.host, known.port) for known in metadata.brokers.values()] == [("127.0.0.1", port)]
    assert metadata.controller_id in metadata.brokers


def test_topics_are_created_once(admin: AdminClient) -> None:
    """A topic exists after CreateTopics; the second time it is said to exist."""
    assert creation(admin, NewTopic("readings", 1, 1)) is None
    assert topics(admin) == {"readings"}
    again = creation(admin, NewTopic("readings", 1, 1))
    assert again is not None
    assert (again.code(), again.str()) == (KafkaError.TOPIC_ALREADY_EXISTS, "topic readings exists")


@pytest.mark.parametrize(
    ("topic", "code"),
    [
        (NewTopic("wide", EMBEDDED_PARTITIONS + 1, 1), KafkaError.INVALID_PARTITIONS),
        (NewTopic("safe", 1, 3), KafkaError.INVALID_REPLICATION_FACTOR),
    ],
)
def test_what_it_cannot_have_is_refused(admin: AdminClient, topic: NewTopic, code: int) -> None:
    """More partitions than it gives and more brokers than one are errors and make no topic."""
    refused = creation(admin, topic)
    assert refused is not None
    assert refused.code() == code
    assert topics(admin) == set()


def test_a_creation_that_is_only_checked_makes_nothing(admin: AdminClient) -> None:
    """As with `kafka-topics --validate-only`."""
    assert creation(admin, NewTopic("readings", 1, 1), validate_only=True) is None
    assert topics(admin) == set()


def test_configurations_are_described(admin: AdminClient) -> None:
    """All of a topic's values; an unknown topic is an error and is not made by asking."""
    creation(admin, NewTopic("readings", 1, 1))
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in ("readings", "unknown")]
    known, unknown = admin.describe_configs(asked, request_timeout=_TIMEOUT_S).values()
    assert {name: entry.value for name, entry in known.result().items()} == EMBEDDED_TOPIC_CONFIG
    refused = refusal(unknown.result)
    assert refused is not None
    assert refused.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert topics(admin) == {"readings"}


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_messages_pass_whole(broker: EmbeddedBroker, acks: str) -> None:
    """Short and long ones, with and without acknowledgement, come back in order through a consumer group."""
    sent = [b"x" * size for size in (0, 1, 100, 900_000)] + [str(number).encode() for number in range(1_000)]
    producer = Producer({"bootstrap.servers": broker.public_address, "acks": acks}, logger=_SILENT)
    for value in sent:
        producer.produce("readings", value, key=b"device", partition=2)
    assert producer.flush(_TIMEOUT_S) == 0
    options = {"bootstrap.servers": broker.public_address, "group.id": "test", "auto.offset.reset": "earliest"}
    consumer = Consumer(options, logger=_SILENT)
    consumer.subscribe(["readings"])
    received: list[bytes] = []

    def is_all() -> bool:
        messages = consumer.consume(2_000, timeout=0.1)
        received.extend(message.value() or b"" for message in messages if message.error() is None)
        return len(received) >= len(sent)

    wait_until(is_all, 30, "all messages")
    consumer.close()
    assert received == sent


def test_members_that_share_out_otherwise_than_their_group_are_refused(
    broker: EmbeddedBroker, admin: AdminClient
) -> None:
    """The mock cluster would end the process; Kafka says the same."""
    creation(admin, NewTopic("readings", 1, 1))
    seen: list[KafkaError] = []
    options = {"bootstrap.servers": broker.public_address, "group.id": "test"}
    ways = [options | {"partition.assignment.strategy": name} for name in ("range", "roundrobin")]
    first, second = (Consumer(way, logger=_SILENT) for way in ways)
    with closing(first), closing(second):
        first.subscribe(["readings"])
        wait_until(lambda: first.poll(0.1) is None and first.assignment(), 20, "the first member")
        second.subscribe(["readings"])

        def is_told() -> bool:
            message = second.poll(0.1)
            seen.extend([message.error()] if message and message.error() else [])
            return any(error.code() == KafkaError.INCONSISTENT_GROUP_PROTOCOL for error in seen)

        wait_until(is_told, 20, "the refusal")
        assert first.assignment()


def test_it_forgets_all_when_it_stops(port: int) -> None:
    """Afterwards nobody answers at the port."""
    with EmbeddedBroker(port=port):
        socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S).close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S).close()


def test_a_taken_port_is_said(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """The broker runs all the same, at the address that it got."""
    with socket.create_server(("127.0.0.1", port)), EmbeddedBroker(port=port) as broker:
        assert broker.public_address == broker.address
        assert f"port {port} is taken, so the embedded broker answers at {broker.address} only" in caplog.text
        assert AdminClient({"bootstrap.servers": broker.address}, logger=_SILENT).list_topics(timeout=_TIMEOUT_S)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
        Gateway("127.0.0.1", port, ("127.0.0.1", 1)).__enter__()


@pytest.mark.usefixtures("broker")
@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\1x", b"\xff\xff\xff\xff", b"\0\0\0\x0a\0\x13\0\4\0\0\0\1\0\x05", ENDLESS_LIST],
)
def test_what_is_not_kafka_is_closed_with_one_line(port: int, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A browser, a frame of one byte, a negative length, CreateTopics that is cut short, or of 2^31 topics."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
        connection.sendall(sent)
        assert connection.recv(1) == b""
    lines = [record.getMessage() for record in caplog.records if record.name == "sensorbus.runtime.gateway"]
    assert len(lines) == 1
    assert lines[0].startswith(f"port {port}: closed a connection that does not speak Kafka: ")


def test_nobody_behind_it_closes_the_connection(port: int) -> None:
    """A client sees the end at once instead of waiting."""
    nobody = ("127.0.0.1", free_ports()[1])
    with Gateway("127.0.0.1", port, nobody), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        assert connection.recv(1) == b""


def test_it_ends_with_connections_open(port: int) -> None:
    """Leaving closes what is open, within a second, and frees the port for the next."""
    with EmbeddedBroker(port=port):
        connection = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        connection.sendall(b"\0\0\0\x0a\0\x12\0\0\0\0\0\1\xff\xff")  # ApiVersions, version 0
        assert connection.recv(4) != b""
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 1
    with connection:
        while connection.recv(65_536):
            pass
    with EmbeddedBroker(port=port) as broker:
        assert broker.public_address == f"localhost:{port}"
