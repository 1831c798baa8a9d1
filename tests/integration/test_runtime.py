"""What the runtime does on a socket.

Topics, waiting for a broker, the health port, signals.
"""

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
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import ConfigResource

from processors.application import producer_options
from sensorbus.contract.errors import BrokerUnavailableError, PortInUseError, TopicError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR, TOPICS, Topic
from sensorbus.runtime import health, kafka, metrics
from tests.support.parts import child_pids
from tests.support.real_kafka import RealKafka
from tests.support.topics import Record, produce, read_all
from tests.support.waiting import wait_until

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


def _topics_are_there(settings: Settings) -> bool:
    with suppress(BrokerUnavailableError, TopicError):
        kafka.ensure_topics(settings, "test")
        return True
    return False


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
@pytest.mark.timeout(240)
def test_a_jobs_transactions_outlive_a_broker_that_is_fenced(tmp_path: Path) -> None:
    """A broker whose heartbeats come late is in no metadata for a while: what is written then goes out afterwards.

    librdkafka 2.11 and 2.12 stop for good when it names no broker at all; 2.10 when that is while offsets are sent, but
    for the connections that close because they are idle: docs/faults.md, "The hang after a freeze".
    """
    late = {"broker__session__timeout__ms": "2000", "broker__heartbeat__interval__ms": "5000"}
    with RealKafka(tmp_path, **late) as broker, ExitStack() as stack:
        settings = Settings(kafka_bootstrap_servers=broker.address, instance_id="fenced")
        wait_until(lambda: _topics_are_there(settings), 60, "the topics", broker.log)
        producer = kafka.producer(settings, "alert", **producer_options("alert", settings))
        consumer = stack.enter_context(member(settings))
        producer.init_transactions(60)
        written = held_up = 0
        while held_up < 3:
            started_s = time.monotonic()
            consumer.poll(0)
            producer.begin_transaction()
            for partition in range(4):
                producer.produce(settings.topic_name(SENSOR), b"%d" % written, partition=partition)
            read = [TopicPartition(settings.topic_name(SENSOR), 0, written)]
            producer.send_offsets_to_transaction(read, consumer.consumer_group_metadata(), 30)
            producer.commit_transaction(30)
            written += 1
            held_up += time.monotonic() - started_s > 1
        found: list[int] = []

        def is_read() -> bool:
            with suppress(BrokerUnavailableError):  # it is fenced just now
                found[:] = [int(message.value()) for message in read_all(settings, SENSOR)]
            return bool(found)

        wait_until(is_read, 60, "a moment in which the broker can be read", broker.log)
    assert found == list(range(written)) * 4


@contextmanager
def member(settings: Settings) -> Iterator[Consumer]:
    """Give a consumer of a group that has its partitions."""
    consumer = kafka.consumer(settings, "test", **{"group.id": "fenced"})
    consumer.subscribe([settings.topic_name(SENSOR)])

    def has_partitions() -> bool:
        consumer.poll(0.1)
        return bool(consumer.assignment())

    wait_until(has_partitions, 60, "its partitions")
    yield consumer
    consumer.close()


@pytest.mark.real_kafka
def test_what_a_new_topic_acknowledges_is_there(real_kafka_address: str) -> None:
    """Of records for partitions that have no leader yet; with five requests on their way some were lost each time."""
    base = Settings(kafka_bootstrap_servers=real_kafka_address, topic_partitions=10)
    options = {"linger.ms": 0, "batch.num.messages": 1}
    producers = [kafka.producer(base, "test", **options) for _ in range(base.topic_partitions)]
    for producer in producers:
        assert kafka.cluster_metadata(base, producer).brokers  # each is connected before the first topic is there
    for number in range(6):
        settings = base.model_copy(update={"topic_prefix": f"new-{number}-"})
        kafka.ensure_topics(settings, "test", (SENSOR,))
        for value in range(30):
            for partition, producer in enumerate(producers):
                producer.produce(settings.topic_name(SENSOR), b"%d" % value, partition=partition)
        assert [producer.flush(30) for producer in producers] == [0] * len(producers)
        found = [int(message.value()) for message in read_all(settings, SENSOR)]
        assert found == list(range(30)) * len(producers)


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


def test_a_client_that_falls_silent_is_let_go(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the middle of a request; nothing is said of it."""
    monkeypatch.setattr(health._QuietHandler, "timeout", 0.1)
    health.serve(Settings(ops_port=port), dict)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as silent:
        silent.sendall(b"GET /healthz HT")
        assert silent.recv(1) == b""
    assert _get(f"http://127.0.0.1:{port}/healthz")[0] == 200
    assert capsys.readouterr().err == ""


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
        (child,) = child_pids(process.pid)
        process.kill()
        assert process.stdout.readline() == "told\n"
        os.kill(child, signal.SIGKILL)
