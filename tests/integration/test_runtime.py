"""What the runtime does on a socket: topics, waiting for a broker, the health port, forwarding, signals."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka.admin import ConfigResource

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.errors import BrokerUnavailableError, PortInUseError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR, TOPICS, Topic
from sensorbus.runtime import health, kafka, metrics
from sensorbus.runtime.forward import Forwarder
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce, read_all, values

#: Tells its parent that it is up, then stops in its own time: never.
STUBBORN = """
import time
from sensorbus.runtime.process import die_with_supervisor, stop_on_signals

die_with_supervisor()
stop = stop_on_signals()
print("up", flush=True)
while True:
    time.sleep(0.05)
    if stop.is_set():
        print("told", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """Run a server that sends back what it gets, in capitals, connection by connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while chunk := connection.recv(65_536):
                        connection.sendall(chunk.upper())

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def send(port: int, data: bytes) -> bytes:
    """Return what comes back for the data; the sender ends its stream first, as `nc -N` does."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:

        def write() -> None:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        writing = threading.Thread(target=write)
        writing.start()
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
        writing.join(5)
        return received


def test_topics_are_created_once(kafka_settings: Settings) -> None:
    """What is missing is made, in one call; what exists is left as it is and not named."""
    made = kafka.ensure_topics(kafka_settings, "test")
    names = {kafka_settings.topic_name(topic) for topic in TOPICS}
    with closing(kafka.consumer(kafka_settings, "test")) as consumer:
        found = kafka.cluster_metadata(kafka_settings, consumer).topics
    assert {name: len(found[name].partitions) for name in names} == dict.fromkeys(names, 4)
    assert set(made) == (set() if kafka_settings.embedded_broker else names)
    assert kafka.ensure_topics(kafka_settings, "test") == []


@pytest.mark.real_kafka
def test_a_topic_has_what_the_settings_say(real_kafka_address: str) -> None:
    """Partitions, time stamps, retention and the largest record, as Kafka itself reports them."""
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address,
        topic_prefix="own-",
        topic_partitions=6,
        topic_retention_ms=7_200_000,
    )
    kafka.ensure_topics(settings, "test")
    wanted = ConfigResource(ConfigResource.Type.TOPIC, "own-sensor")
    client = kafka.admin(settings, "test")
    config = client.describe_configs([wanted])[wanted].result(10)
    assert config["message.timestamp.type"].value == "LogAppendTime"
    assert config["retention.ms"].value == "7200000"
    assert config["max.message.bytes"].value == str(SENSOR.max_message_bytes)


@pytest.mark.real_kafka
def test_two_parts_may_create_the_topics_at_once(real_kafka_address: str) -> None:
    """The slower one finds them there: no error, and each topic is made by exactly one."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix="race-")
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(kafka.ensure_topics(settings, "test"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(made) == sorted(settings.topic_name(topic) for topic in TOPICS)


@pytest.mark.real_kafka
def test_a_topic_that_kafka_refuses_is_named(real_kafka_address: str) -> None:
    """More replicas than brokers: the error has the topic and Kafka's reason."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix="many-", topic_replication_factor=3)
    with pytest.raises(TopicError, match=r"topic many-sensor cannot be created: .*replication"):
        kafka.ensure_topics(settings, "test", (SENSOR,))
    illegal = Topic(name="no spaces", written_by="x", value="x")
    with pytest.raises(TopicError, match="topic many-no spaces cannot be created"):
        kafka.ensure_topics(settings, "test", (illegal,))


def test_a_missing_broker_is_one_line(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Address and setting, for a question and while waiting; waiting ends when told to."""
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{port}")
    line = f"no Kafka broker at 127.0.0.1:{port} (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS): "
    with pytest.raises(BrokerUnavailableError) as caught:
        kafka.ensure_topics(settings, "test")
    assert str(caught.value).startswith(line)
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    assert kafka.wait_for_broker(settings, "test", stop) is False
    said = [record.getMessage() for record in caplog.records if record.name == "sensorbus.runtime.kafka"]
    assert said[0].startswith(line)
    assert said[0].endswith("; trying again")


@pytest.mark.real_kafka
def test_a_broker_that_comes_is_found(own_kafka: RealKafka) -> None:
    """Waiting begins before Kafka is there and ends when it is."""
    own_kafka.kill()
    settings = Settings(kafka_bootstrap_servers=own_kafka.address)
    answers: list[bool] = []
    waiting = threading.Thread(
        target=lambda: answers.append(kafka.wait_for_broker(settings, "test", threading.Event()))
    )
    waiting.start()
    assert answers == []
    own_kafka.start()
    waiting.join(30)
    assert answers == [True]


def test_a_key_is_in_the_partition_that_java_would_choose(fresh_settings: Settings) -> None:
    """The hash is murmur2, as in every other client of Kafka: keys of both kinds of writers meet."""
    # From the tests of Kafka's own Java client: key and its 32-bit hash.
    java = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    produce(fresh_settings, SENSOR, [Record(key, b"x") for key in java])
    found = {message.key(): message.partition() for message in read_all(fresh_settings, SENSOR)}
    assert found == {key: (number & 0x7FFFFFFF) % 4 for key, number in java.items()}


def test_the_embedded_broker_answers_at_a_known_port(port: int) -> None:
    """With a port of its choice it is there too, and forgets all when it stops."""
    with EmbeddedBroker(port=port) as broker:
        assert broker.address == f"localhost:{port}"
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True)
        kafka.ensure_topics(settings, "test")
        produce(settings, SENSOR, [Record(b"a", b"1")])
        assert values(settings, SENSOR) == [b"1"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()


def test_the_embedded_broker_says_when_its_port_is_taken(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """It runs all the same, at the address that it got."""
    with socket.create_server(("127.0.0.1", port)), EmbeddedBroker(port=port) as broker:
        assert broker.address != f"localhost:{port}"
        assert f"port {port} is taken, so the embedded broker answers at {broker.address} only" in caplog.text
        assert kafka.wait_for_broker(Settings(kafka_bootstrap_servers=broker.address), "test", threading.Event())


def test_forwarding_changes_nothing(port: int, echo: tuple[str, int]) -> None:
    """Short and long streams come back whole, one connection after the other."""
    with Forwarder("127.0.0.1", port, echo):
        for size in (1, 100, 5_000_000):
            assert send(port, b"x" * size) == b"X" * size


def test_forwarding_to_nobody_closes_the_connection(port: int) -> None:
    """A client sees the end at once instead of waiting."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()
    with Forwarder("127.0.0.1", port, nobody), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        assert connection.recv(1) == b""


def test_forwarding_ends_with_connections_open(port: int, echo: tuple[str, int]) -> None:
    """Leaving closes what is open, within a second, and frees the port for the next."""
    with Forwarder("127.0.0.1", port, echo):
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.sendall(b"x")
        assert connection.recv(1) == b"X"
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 1
    with connection:
        assert connection.recv(1) == b""
    with Forwarder("127.0.0.1", port, echo):
        assert send(port, b"y") == b"Y"


def test_a_taken_port_is_refused_by_the_forwarder(port: int) -> None:
    """The caller decides what to do without it."""
    with socket.create_server(("127.0.0.1", port)), pytest.raises(OSError, match="in use"):
        Forwarder("127.0.0.1", port, ("127.0.0.1", 1)).__enter__()


def test_health_is_served_on_the_ops_port(port: int) -> None:
    """Alive, ready or not with the reason, metrics; the answers come from a thread of their own."""
    reasons: dict[str, str] = {}
    metrics.JOB_COMMITS.labels("test").inc()
    health.serve(Settings(ops_port=port), lambda: dict(reasons))
    address = f"http://127.0.0.1:{port}"
    assert _get(f"{address}/healthz") == (200, b'{"status":"alive"}')
    assert _get(f"{address}/readyz")[0] == 200
    assert b'sensorbus_job_commits_total{job="test"} 1.0' in _get(f"{address}/metrics")[1]
    reasons["kafka"] = "away"
    assert _get(f"{address}/readyz") == (503, b'{"status":"not ready","reasons":{"kafka":"away"}}')
    assert _get(f"{address}/else")[0] == 404


def _get(address: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310  # our own port
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_taken_ops_port_is_one_line(port: int) -> None:
    """The setting is named, so that the second process on a machine gets a port of its own."""
    line = rf"cannot listen on 127.0.0.1:{port} \(SENSORBUS_OPS_PORT\): Address already in use"
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUseError, match=line):
        health.serve(Settings(ops_port=port), dict)


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[str]]:
    """Start a process that hears a signal and does not stop."""
    environment = {**os.environ, "_SENSORBUS_SUPERVISOR_PID": str(os.getpid())}
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_what_does_not_stop(stubborn: subprocess.Popen[str], number: signal.Signals) -> None:
    """The first is heard, the second ends the process: Ctrl-C twice always works."""
    assert stubborn.stdout is not None
    stubborn.send_signal(number)
    assert stubborn.stdout.readline() == "told\n"
    assert stubborn.poll() is None
    time.sleep(2.1)  # sooner it is the first one again, passed on by a launcher
    stubborn.send_signal(number)
    assert stubborn.wait(5) == -number


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died")
def test_a_part_is_told_when_its_supervisor_is_killed() -> None:
    """Kill -9 of the supervisor reaches its children as SIGTERM."""
    supervisor = f"""
import os, subprocess, sys
environment = {{**os.environ, "_SENSORBUS_SUPERVISOR_PID": str(os.getpid())}}
subprocess.run([sys.executable, "-c", {STUBBORN!r}], env=environment)
"""
    with subprocess.Popen([sys.executable, "-c", supervisor], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        (child,) = _children(process.pid)
        process.kill()
        assert process.stdout.readline() == "told\n"
        os.kill(child, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123  # procfs, whole at once
        return [int(child) for child in file.read().split()]
