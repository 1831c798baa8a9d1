"""The command, as a person uses it: one process, its exit code and what it says."""

import contextlib
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from sensorbus.broker import EmbeddedBroker
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, TOPICS
from sensorbus.runtime import kafka
from tests.support.command import run, run_all
from tests.support.parts import Part, environment_of, part
from tests.support.ticks import Ticker
from tests.support.topics import Record, produce, read_all, values
from tests.support.waiting import wait_until
from tests.support.whole_system import command_of, processes_of, up

READING = b'{"timestamp":"%s","device_id":"a","temperature":%s}'


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(address: str) -> bytes:
    """Return an answer's body, or nothing when there is none."""
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310  # our own page
            return bytes(answer.read())
    except OSError:
        return b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_runs_everything_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """The page answers at the free port that is said, all five parts run; a signal ends all, no process is left."""
    with up(tmp_path, 0, "--devices", "3") as system:
        wait_until(lambda: "the page is at" in system.said(), 40, "the page", system.log)
        (address,) = re.findall(r"the page is at (\S+)", system.said())
        wait_until(lambda: b'"ready"' in fetch(f"{address}readyz"), 40, "it to be ready", system.log)
        assert system.process is not None
        supervisor = system.process.pid
        assert len(processes_of(supervisor)) >= 6  # five parts, and gunicorn's worker
        system.signal(number)
        system.wait(0, within_s=10)
        assert processes_of(supervisor) == []
    assert list(tmp_path.glob("embedded-*")) == []
    assert "Traceback" not in system.said()


def test_a_killed_up_takes_its_parts_along(tmp_path: Path) -> None:
    """After kill -9 of the command itself, no part of it runs on."""
    port = free_port()
    with up(tmp_path, port, "--devices", "3") as system:
        wait_until(lambda: fetch(f"http://127.0.0.1:{port}/healthz"), 40, "the page", system.log)
        assert system.process is not None
        supervisor = system.process.pid
        system.kill()
        wait_until(lambda: not processes_of(supervisor), 20, "the parts to end")


@pytest.mark.slow
@pytest.mark.parametrize("job", ["alert", "alert-count", "avg-temp"])
def test_a_killed_job_of_up_is_back_with_results(tmp_path: Path, job: str) -> None:
    """On the embedded broker too: started again within seconds, its next results within 15 s of the kill."""
    port = free_port()
    variables = {"SENSORBUS_ALERT_THRESHOLD_KELVIN": "100"}  # every reading is an alert
    with up(tmp_path, port, "--devices", "3", **variables) as system:
        wait_until(lambda: _age_ms(port, job) is not None, 60, "a first result", system.log)
        assert system.process is not None
        (victim,) = (pid for pid in processes_of(system.process.pid) if command_of(pid)[-2:] == ["processors", job])
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: f"{job} ended (signal SIGKILL)" in system.said(), 20, "the end to be said", system.log)
        killed_s = time.monotonic()
        wait_until(lambda: (_age_ms(port, job) or 0) > 2_000, 20, "silence")
        wait_until(lambda: (_age_ms(port, job) or 9_999) < 1_500, 15, "the next result", system.log)
        assert time.monotonic() - killed_s < 15


def _age_ms(port: int, topic: str) -> int | None:
    """Return how long ago the newest record of a topic came, as the page says."""
    answer = Ticker(f"http://127.0.0.1:{port}/").tick() if fetch(f"http://127.0.0.1:{port}/healthz") else None
    age_ms: int | None = answer["pipeline"]["topics"][topic] if answer else None
    return age_ms


def test_a_signal_that_comes_twice_at_once_is_one(tmp_path: Path) -> None:
    """A terminal signals the whole group, and make and uv pass theirs on: all ends well all the same."""
    port = free_port()
    with up(tmp_path, port, "--devices", "3") as system:
        wait_until(lambda: fetch(f"http://127.0.0.1:{port}/healthz"), 40, "the page", system.log)
        assert system.process is not None
        supervisor = system.process.pid
        system.signal(signal.SIGINT)
        system.signal(signal.SIGTERM)
        system.wait(0, within_s=10)
        assert processes_of(supervisor) == []
    assert list(tmp_path.glob("embedded-*")) == []


def test_up_says_a_port_in_use_before_anything_starts(tmp_path: Path) -> None:
    """One line that names the port and the option; exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with up(tmp_path, port) as system:
            system.wait(1, within_s=20)
    (line,) = system.said().splitlines()
    assert f"127.0.0.1:{port}" in line
    assert "--port or SENSORBUS_DASHBOARD_PORT" in line


def test_up_says_a_parts_port_in_use_before_anything_starts(tmp_path: Path) -> None:
    """One line that names the part, its port and the setting; the page's own port is taken too."""
    page = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        others = taken.getsockname()[1]
        for first in (others, page):
            with up(tmp_path, page, SENSORBUS_OPS_PORT=str(first)) as system:
                system.wait(1, within_s=20)
    one, other = system.said().splitlines()
    assert f"simulator cannot listen on 127.0.0.1:{others}: Address already in use; SENSORBUS_OPS_PORT is" in one
    assert f"simulator cannot listen on 127.0.0.1:{page}: the page listens there; SENSORBUS_OPS_PORT is" in other


def test_up_uses_the_broker_that_is_set(fresh_settings: Settings, tmp_path: Path) -> None:
    """With an address set, no embedded broker starts, and the readings are on the given one."""
    environment = environment_of(fresh_settings)
    command = [sys.executable, "-m", "sensorbus", "up", "--port", str(free_port()), "--devices", "4"]
    with Part(command, environment, tmp_path / "log") as system:
        wait_until(lambda: len(values(fresh_settings, SENSOR)) > 12, 40, "readings", system.log)
        system.stop(within_s=10)
    assert f"Kafka at {fresh_settings.bootstrap_servers}" in system.said()
    assert "embedded" not in system.said()


def test_a_wrong_setting_is_one_line(fresh_settings: Settings) -> None:
    """It names the variable and the value, and the exit code is 2."""
    done = run(fresh_settings, "doctor", SENSORBUS_AVG_TEMP_STEP_MS="3000")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "sensorbus: SENSORBUS_AVG_TEMP_STEP_MS=3000 does not divide SENSORBUS_AVG_TEMP_LENGTH_MS=10000"
    ]


def test_an_unknown_setting_is_a_warning(fresh_settings: Settings) -> None:
    """It names the nearest one that exists."""
    done = run(fresh_settings, "doctor", SENSORBUS_ALERT_TRESHOLD_KELVIN="300")
    assert done.returncode == 0
    assert "did you mean SENSORBUS_ALERT_THRESHOLD_KELVIN?" in done.stderr


def test_doctor_is_content_with_a_good_bus(fresh_settings: Settings) -> None:
    """Exit code 0, and a line for the broker and each topic."""
    produce(fresh_settings, SENSOR, [Record(b"a", READING % (b"2026-01-01T00:00:00Z", b"20.0"))])
    done = run(fresh_settings, "doctor")
    assert done.returncode == 0, done.stdout
    assert fresh_settings.bootstrap_servers in done.stdout
    for name in ("sensor", "alert", "alert-count", "avg-temp", "dead-letter"):
        assert f"topic {fresh_settings.topic_prefix}{name}" in done.stdout
    assert "last record" in done.stdout


@pytest.mark.real_kafka
def test_doctor_reports_other_numbers_of_partitions_and_replicas(real_kafka_address: str) -> None:
    """What exists is never changed, and the difference is a warning."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix=f"six-{os.getpid()}-")
    assert run(settings, "topics", "create", SENSORBUS_TOPIC_PARTITIONS="6").returncode == 0
    done = run(settings, "doctor", SENSORBUS_TOPIC_REPLICATION_FACTOR="3")
    assert done.returncode == 0
    assert (
        "6 partitions, no record; not 4 partitions, as SENSORBUS_TOPIC_PARTITIONS says; not 3 replicas, as"
        in done.stdout
    )


@pytest.mark.real_kafka
def test_doctor_reports_other_policies_and_leaves_them(real_kafka_address: str) -> None:
    """A compacted `sensor` loses readings; a shorter retention too."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix=f"policies-{os.getpid()}-")
    kafka.ensure_topics(settings, "test")
    client, given = kafka.admin(settings, "test"), {"cleanup.policy": "compact", "retention.ms": "60000"}
    entries = [ConfigEntry(*pair, incremental_operation=AlterConfigOpType.SET) for pair in given.items()]
    sensor = ConfigResource(ResourceType.TOPIC, settings.topic_name(SENSOR), incremental_configs=entries)
    client.incremental_alter_configs([sensor])[sensor].result()
    done = run(settings, "doctor")
    (warning,) = [line for line in done.stdout.splitlines() if "warning" in line]
    assert done.returncode == 0
    assert "cleanup.policy is compact, not delete, so only the last record of a device stays; " in warning
    assert warning.endswith(
        "retention.ms is 60000, below 86400000 (SENSORBUS_TOPIC_RETENTION_MS), so records go sooner"
    )
    found = client.describe_configs([sensor])[sensor].result()
    assert {name: found[name].value for name in given} == given


@pytest.mark.real_kafka
def test_doctor_warns_of_a_changelog_that_loses_state(real_kafka_address: str) -> None:
    """One that was made by hand and deletes, with another number of partitions than `sensor`."""
    settings = Settings(kafka_bootstrap_servers=real_kafka_address, topic_prefix=f"changelogs-{os.getpid()}-")
    kafka.ensure_topics(settings, "test")
    client, begin = kafka.admin(settings, "test"), f"changelog__{settings.topic_prefix}sensorbus.avg-temp"
    wrong = f"{begin}--{settings.topic_name(SENSOR)}--default"
    client.create_topics([NewTopic(wrong, 1, 1, config={"cleanup.policy": "delete"})])[wrong].result()
    wait_until(lambda: wrong in run(settings, "doctor").stdout, 20, "the changelog to be listed")
    done = run(settings, "doctor")
    (warning,) = [line for line in done.stdout.splitlines() if "warning" in line]
    assert done.returncode == 0
    assert wrong in warning
    assert f"1 partitions; not {settings.topic_partitions} partitions, as the job's input has" in warning
    assert "cleanup.policy is delete, not compact" in warning


def test_doctor_gives_each_finding_a_line(kafka_settings: Settings) -> None:
    """In a pipe of 80 columns too, so that grep finds the whole of it."""
    done = run(kafka_settings, "doctor")
    assert len(done.stdout.splitlines()) == 1 + 2 + 5, done.stdout  # the head, versions and broker, the topics
    for name in ("sensor", "alert", "alert-count", "avg-temp", "dead-letter"):
        topic = f"{kafka_settings.topic_prefix}{name}"
        (row,) = (row for row in done.stdout.splitlines() if f"topic {topic} " in row)
        assert row.endswith(f"topic {topic} does not exist; `sensorbus topics create` makes it")


def test_all_topics_that_are_missing_are_named_at_once(kafka_settings: Settings) -> None:
    """One line with the command that makes them; exit code 1."""
    names = ", ".join(kafka_settings.topic_name(topic) for topic in TOPICS)
    for done in run_all(kafka_settings, "topics list", "verify"):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"sensorbus: topics {names} do not exist; `sensorbus topics create` makes them\n"


def test_a_broker_that_cannot_be_reached_is_one_line() -> None:
    """The address, the setting that gives it, and the cause; nothing of the client's own."""
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:9")
    *others, doctor = run_all(settings, "tail sensor", "topics list", "verify", "dead-letter replay", "doctor")
    assert doctor.returncode == 1
    assert "no Kafka broker at 127.0.0.1:9 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in doctor.stdout
    for done in others:
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("sensorbus: no Kafka broker at 127.0.0.1:9 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS): ")
        assert line.endswith("Connection refused")


def test_topics_are_created_and_listed(kafka_settings: Settings) -> None:
    """`create` makes five topics, again it leaves them; `list` shows their partitions."""
    created, again = (run(kafka_settings, "topics", "create") for _ in range(2))
    listed = run(kafka_settings, "topics", "list")
    assert (created.returncode, again.returncode, listed.returncode) == (0, 0, 0)
    assert again.stdout.count("exists") == 5
    assert f"{kafka_settings.topic_prefix}avg-temp" in listed.stdout


def test_tail_shows_the_last_records_on_one_line_each(fresh_settings: Settings) -> None:
    """Whatever is in a record, it cannot break the line or colour the terminal."""
    produce(fresh_settings, SENSOR, [Record(b"a", b"first"), Record(b"a", b"x\n\x1b[31my\xff", [("h", b"\x00")])])
    done = run(fresh_settings, "tail", "sensor", "--last", "1", "--no-follow")
    (line,) = done.stdout.splitlines()
    assert line.endswith(r" a x\n\x1b[31my\xff h=\x00")


def test_tail_cuts_what_is_long(fresh_settings: Settings) -> None:
    """Unless all of it is wanted."""
    produce(fresh_settings, SENSOR, [Record(b"a", b"x" * 500_000)])
    cut, whole = (run(fresh_settings, "tail", "sensor", "--no-follow", *more) for more in ((), ("--whole",)))
    assert cut.stdout.endswith(f" a {'x' * 1_000}... and 499,000 characters more\n")
    assert whole.stdout.endswith(f" a {'x' * 500_000}\n")


def test_tail_names_the_topics_there_are(fresh_settings: Settings) -> None:
    """A wrong name is one line with the right ones."""
    done = run(fresh_settings, "tail", "alerts", "--no-follow")
    assert done.returncode == 1
    assert "there are: sensor, alert, alert-count, avg-temp, dead-letter" in done.stderr


@pytest.mark.slow
def test_commands_see_by_themselves_that_the_broker_is_the_embedded_one() -> None:
    """In another shell than that of `up` nobody tells them."""
    with EmbeddedBroker() as broker:
        settings = Settings(kafka_bootstrap_servers=broker.address, embedded_broker=True)
        kafka.ensure_topics(settings, "test")
        now = datetime.now(UTC).isoformat().encode()
        produce(settings, SENSOR, [Record(b"a", READING % (now, b"20.0"))])
        told = {"SENSORBUS_EMBEDDED_BROKER": "false"}
        examined = run(settings, "doctor", **told)
        assert (examined.returncode, "the embedded one" in examined.stdout) == (0, True)
        assert "warning" not in examined.stdout
        nothing = run(settings, "verify", "--since", "1m", **told)
        assert (nothing.returncode, "nothing was compared" in nothing.stderr) == (1, True)
        produce(settings, SENSOR, [Record(b"a", READING % (now, b"40.0"))])
        assert "FALSE" in run(settings, "verify", "--since", "1m", **told).stdout


def test_nobody_makes_a_real_kafka_the_embedded_broker(real_kafka_address: str, tmp_path: Path) -> None:
    """Set by mistake, the setting ends each part in one line, the page shows it, and no topic is made by asking."""
    settings = Settings(
        kafka_bootstrap_servers=real_kafka_address, embedded_broker=True, topic_prefix="mistaken-", state_dir=tmp_path
    )
    line = f"SENSORBUS_EMBEDDED_BROKER is true, but the broker at {real_kafka_address} is not the embedded one"
    jobs = [part(settings, tmp_path / name, name, *rest) for name, *rest in (("simulator",), ("processors", "alert"))]
    page = part(settings, tmp_path / "page", "dashboard_app", SENSORBUS_DASHBOARD_PORT=str(free_port()))
    with contextlib.ExitStack() as stack:
        for each in (*jobs, page):
            stack.enter_context(each)
        for done in run_all(settings, "topics create", "topics list", "tail sensor", "verify", "up --port 0"):
            assert (done.returncode, done.stderr.count(line), "Traceback" in done.stderr) == (2, 1, False), done
        examined = run(settings, "doctor")
        assert (examined.returncode, examined.stdout.count(line), examined.stderr) == (1, 1, "")
        for each in jobs:
            each.wait(exit_code=2, within_s=20)
            assert each.said().count(line) == 1
        wait_until(lambda: line in page.said(), 20, "the page to say it", page.log)
        assert page.is_running()
        assert "Traceback" not in page.said()
    found = kafka.cluster_metadata(Settings(kafka_bootstrap_servers=real_kafka_address), kafka.admin(settings, "test"))
    assert [name for name in found.topics if name.startswith("mistaken-")] == []


@pytest.mark.slow
def test_a_result_that_cannot_be_read_is_a_difference_with_its_place(fresh_settings: Settings) -> None:
    """The rest is compared all the same."""
    produce(fresh_settings, SENSOR, [Record(b"a", READING % (b"2026-01-01T00:00:00Z", b"20.0"))])
    for topic in (ALERT_COUNT, AVG_TEMP):
        produce(fresh_settings, topic, [Record(b"a", b"{")])
    done = run(fresh_settings, "verify")
    assert done.returncode == 1
    for topic in (ALERT_COUNT, AVG_TEMP):
        assert f"{fresh_settings.topic_name(topic)}[" in done.stderr


def test_verify_finds_what_is_missing(fresh_settings: Settings) -> None:
    """An alert without its result makes the exit code 1 and stands in the table."""
    produce(fresh_settings, SENSOR, [Record(b"a", READING % (b"2026-01-01T00:00:00Z", b"40.0"))])
    done = run(fresh_settings, "verify")
    assert done.returncode == 1
    assert "FALSE" in done.stdout
    assert read_all(fresh_settings, ALERT) == []


@pytest.mark.parametrize("module", [("simulator",), ("processors", "alert")])
def test_a_part_waits_for_a_broker_that_is_not_there_yet(module: tuple[str, ...], tmp_path: Path) -> None:
    """It says which address it tried and which setting gives it, goes on trying, and stops when told to."""
    port = free_port()
    settings = Settings(kafka_bootstrap_servers=f"127.0.0.1:{port}", embedded_broker=True, state_dir=tmp_path / "state")
    with part(settings, tmp_path / "log", *module) as waiting:
        wait_until(lambda: "trying again" in waiting.said(), 20, "the first try", waiting.log)
        assert f"no Kafka broker at 127.0.0.1:{port} (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in waiting.said()
        with EmbeddedBroker(port=port):
            wait_until(
                lambda: "report every" in waiting.said() or "reads " in waiting.said(), 30, "it to go on", waiting.log
            )
            waiting.stop(within_s=20)
    assert "Traceback" not in waiting.said()
