"""What `sensorbus up` decides for its parts, and what it says of them."""

import os
from pathlib import Path

import pytest

from sensorbus import up
from sensorbus.contract.settings import Settings, load


def test_the_parts_read_what_was_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The children's settings are ours with the broker, the folder, the port and a name; other variables go along."""
    monkeypatch.setenv("SENSORBUS_ALERT_THRESHOLD_KELVIN", "300")
    monkeypatch.delenv("SENSORBUS_TEST_REQUIRE_ALL", raising=False)  # the tests' own, not a setting
    decided = Settings(
        kafka_bootstrap_servers="localhost:9092",
        embedded_broker=True,
        topic_partitions=4,
        state_dir=Path("embedded-1"),
        dashboard_port=8051,
    )
    variables = up.environment(decided)
    assert variables["PATH"] == os.environ["PATH"]
    read, warnings = load(variables)
    assert warnings == {}
    assert read.alert_threshold_kelvin == 300
    assert read.model_copy(update={"alert_threshold_kelvin": 303.0, "instance_id": None}) == decided


@pytest.mark.parametrize("host", ["machine", "a.b_c d", "x" * 64, "größe"])
def test_the_parts_have_a_stable_name_on_each_machine(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Made of the machine's, whatever that is, so that a part killed comes back at once; a name that is set wins."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    name = up.environment(Settings())["SENSORBUS_INSTANCE_ID"]
    assert name.startswith("up-")
    assert up.environment(Settings())["SENSORBUS_INSTANCE_ID"] == name
    assert up.environment(Settings(instance_id="own"))["SENSORBUS_INSTANCE_ID"] == "own"


@pytest.mark.parametrize("host", ["machine", "a.b_c d", "x" * 64])
def test_that_name_is_one_that_the_settings_take(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Letters of any machine's name, in the bounds of an instance id."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert load(up.environment(Settings()))[0].instance_id is not None


@pytest.mark.parametrize(
    ("devices", "period_ms", "said"),
    [
        (0, 1_000, ""),
        (20, 1_000, "; it holds about the last 159 min of 20 devices and forgets all when it stops"),
        (10_000, 1_000, "; it holds about the last 19 s of 10000 devices and forgets all when it stops"),
        (10_000, 10_000, "; it holds about the last 3 min of 10000 devices and forgets all when it stops"),
    ],
)
def test_it_says_how_far_back_the_embedded_broker_remembers(devices: int, period_ms: int, said: str) -> None:
    """In minutes or seconds, for that many devices at their pace."""
    assert up.history_held(devices, Settings(reading_period_ms=period_ms)) == said


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://localhost:8050/"),
        ("0.0.0.0", "http://localhost:8050/"),  # noqa: S104  # an address to show, nothing is bound
        ("::", "http://localhost:8050/"),
        ("::1", "http://[::1]:8050/"),
        ("10.0.0.7", "http://10.0.0.7:8050/"),
    ],
)
def test_the_page_has_an_address_that_a_browser_takes(host: str, address: str) -> None:
    """Where it listens everywhere, this machine's own name."""
    assert up.page_address(Settings(dashboard_host=host)) == address
    behind = Settings(dashboard_host=host, dashboard_url_prefix="/bus/")
    assert up.page_address(behind) == f"{address}bus/"
    assert up.probe_address(behind) == f"{address}healthz"


def test_each_part_has_an_ops_port_of_its_own() -> None:
    """From the setting upwards; none without the setting, and none for the page, which answers at its own."""
    assert up.ops_ports(Settings()) == {}
    ports = {"simulator": 9100, "alert": 9101, "alert-count": 9102, "avg-temp": 9103}
    assert up.ops_ports(Settings(ops_port=9100)) == ports


def test_the_simulator_reports_as_often_as_the_page_expects() -> None:
    """Otherwise all devices would be STALE, or the broker's memory be told wrong."""
    assert up.simulator_arguments(Settings(), 20, None) == ["--devices", "20", "--period", "1.0"]
    slow = Settings(reading_period_ms=1_234_567)
    assert up.simulator_arguments(slow, 5, 7) == ["--devices", "5", "--period", "1234.567", "--seed", "7"]


def test_what_the_embedded_broker_cannot_do_is_told() -> None:
    """Settings that are what they are anyway are not."""
    assert up.without_effect(Settings(topic_partitions=4, topic_retention_ms=86_400_000)) == []
    given = Settings(topic_partitions=8, instance_id="a", alert_threshold_kelvin=300)
    assert up.without_effect(given) == ["SENSORBUS_TOPIC_PARTITIONS", "SENSORBUS_INSTANCE_ID"]
