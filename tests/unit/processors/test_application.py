"""Tests of how a job is configured and how its errors are told."""

from pathlib import Path

import pytest

from processors import __main__ as command
from processors.application import (
    _SMALL_STATE,
    _STATE,
    JOBS,
    _silence,
    build_application,
    consumer_options,
    producer_options,
)
from processors.meter import Meter
from sensorbus.contract.errors import SensorbusError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import kafka, topic_changes

STABLE = Settings(topic_prefix="p-", instance_id="node-7")


def test_the_command_knows_the_jobs() -> None:
    """The command's own list, which spares it Quix's import, is the table's."""
    assert list(JOBS) == list(command._JOBS)


def test_every_job_has_a_group_of_its_own() -> None:
    """Groups bear the topics' prefix."""
    assert [STABLE.consumer_group(job) for job in JOBS] == [
        "p-sensorbus.alert",
        "p-sensorbus.alert-count",
        "p-sensorbus.avg-temp",
        "p-sensorbus.all",
    ]


def test_a_stable_member_keeps_its_place_for_three_minutes() -> None:
    """With an instance id, member and transaction bear it and outlast a broker's restart."""
    consumer, producer = consumer_options("alert", STABLE), producer_options("alert", STABLE)
    assert consumer["group.instance.id"] == producer["transactional.id"] == "p-sensorbus.alert.node-7"
    assert consumer["session.timeout.ms"] == producer["transaction.timeout.ms"] == 180_000


def test_a_dynamic_member_is_given_up_soon(tmp_path: Path) -> None:
    """Without one, others take over within seconds; a member with another state has other transactions."""
    one, other = (Settings(state_dir=tmp_path / name) for name in ("one", "other"))
    consumer, producer = consumer_options("alert", one), producer_options("alert", one)
    assert "group.instance.id" not in consumer
    assert producer["transactional.id"] != producer_options("alert", other)["transactional.id"]
    assert producer["transactional.id"].startswith("sensorbus.alert.")  # so that a right on the prefix is enough
    assert consumer["session.timeout.ms"] == 6_000
    assert producer["transaction.timeout.ms"] == 10_000


def test_the_embedded_broker_gives_up_a_member_sooner() -> None:
    """It may wait twice for a session; members with an id it would keep for three minutes."""
    options = consumer_options("alert", STABLE.model_copy(update={"embedded_broker": True}))
    assert (options["session.timeout.ms"], options["heartbeat.interval.ms"]) == (3_000, 500)
    assert "group.instance.id" not in options


def test_at_least_once_has_no_transaction() -> None:
    """Not even a time-out of one."""
    options = producer_options("alert", STABLE.model_copy(update={"processing_guarantee": "at-least-once"}))
    assert [name for name in options if name.startswith("transaction")] == []


def test_a_record_of_the_largest_topic_passes() -> None:
    """What a device sends must reach `dead-letter` whole."""
    options = producer_options("alert", STABLE)
    assert options["message.max.bytes"] == 9_437_184
    assert 2 * options["message.max.bytes"] < options["queue.buffering.max.kbytes"] * 1_024 < 100_000_000
    assert consumer_options("alert", Settings())["fetch.message.max.bytes"] == 9_437_184


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_a_job_has_one_request_on_its_way(guarantee: str) -> None:
    """A second one may be taken where the first is refused, and both are told as delivered."""
    settings = Settings.model_validate({"processing_guarantee": guarantee, "instance_id": "one"})
    assert producer_options("alert", settings)["max.in.flight"] == 1


@pytest.mark.parametrize(
    ("silent_s", "answers", "line"),
    [
        (9.0, False, None),
        (20.0, False, "no Kafka broker at kafka:9092 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS) for 20 s; the job waits"),
        (20.0, True, "Kafka at kafka:9092 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS) answers, and the job has waited for its"),
    ],
)
def test_a_job_that_hangs_does_not_blame_a_broker_that_answers(
    monkeypatch: pytest.MonkeyPatch, silent_s: float, *, answers: bool, line: str | None
) -> None:
    """Its own polls tell it of the broker, and it does not poll while it waits for a transaction."""
    meter, settings = Meter("silent"), Settings(kafka_bootstrap_servers="kafka:9092")
    monkeypatch.setattr(meter, "silent_s", lambda: silent_s)
    monkeypatch.setattr(kafka, "answers", lambda _settings, _client: answers)
    said = _silence(settings, meter, None)
    assert said is None if line is None else (said or "").startswith(line)


def test_a_jobs_memory_is_bounded_well_below_its_containers() -> None:
    """Three unwritten buffers of each of 8 partitions, and the cache all share, within 256 MB; the limit is 768 MB."""
    for state in (_STATE, _SMALL_STATE):
        unwritten = 8 * state.max_write_buffer_number * state.write_buffer_size
        assert unwritten + state.block_cache_size <= 256 * 2**20


def test_a_folder_that_cannot_be_made_is_named_with_its_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was committed is looked for there before anything else."""
    (tmp_path / "state").write_text("a file")
    monkeypatch.setattr(topic_changes, "identities", lambda *_: {})
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", state_dir=tmp_path / "state")
    with pytest.raises(SensorbusError, match=r"state \(SENSORBUS_STATE_DIR\) cannot be written"):
        build_application("alert", settings, Meter("alert"))
