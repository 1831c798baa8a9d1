"""Tests of how a job is configured and how its errors are told."""

import pytest
from confluent_kafka import KafkaError, KafkaException
from quixstreams.exceptions import PartitionAssignmentError
from quixstreams.kafka.exceptions import KafkaConsumerException

from processors import __main__ as command
from processors.application import JOBS, _explain, consumer_group, consumer_options, producer_options
from sensorbus.contract.errors import BrokerUnavailableError, SensorbusError, StateError
from sensorbus.contract.settings import Settings

STABLE = Settings(topic_prefix="p-", instance_id="node-7")


def test_the_command_knows_the_jobs() -> None:
    """The command's own list, which spares it Quix's import, is the table's."""
    assert list(JOBS) == list(command._JOBS)


def test_every_job_has_a_group_of_its_own() -> None:
    """Groups bear the topics' prefix."""
    assert [consumer_group(job, STABLE) for job in JOBS] == [
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


def test_a_dynamic_member_is_given_up_soon() -> None:
    """Without one, others take over within seconds."""
    consumer, producer = consumer_options("alert", Settings()), producer_options("alert", Settings())
    assert "group.instance.id" not in consumer
    again = producer_options("alert", Settings())
    assert producer["transactional.id"] != again["transactional.id"]
    assert producer["transactional.id"].startswith("sensorbus.alert.")  # so that a right on the prefix is enough
    assert consumer["session.timeout.ms"] == 6_000
    assert producer["transaction.timeout.ms"] == 10_000


def test_at_least_once_has_no_transaction() -> None:
    """Not even a time-out of one."""
    options = producer_options("alert", STABLE.model_copy(update={"processing_guarantee": "at-least-once"}))
    assert [name for name in options if name.startswith("transaction")] == []


def test_a_record_of_the_largest_topic_passes() -> None:
    """What a device sends must reach `dead-letter` whole."""
    assert producer_options("alert", Settings())["message.max.bytes"] == 9_437_184
    assert consumer_options("alert", Settings())["fetch.message.max.bytes"] == 9_437_184


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError.FENCED_INSTANCE_ID, KafkaError.INVALID_PRODUCER_EPOCH])
def test_a_fenced_job_names_the_setting(code: int) -> None:
    """The older of two twins says what to change."""
    line = str(_explain(KafkaException(KafkaError(code)), STABLE))
    assert "another process took this one's place" in line
    assert "SENSORBUS_INSTANCE_ID=node-7 must be unique" in line


def test_a_job_without_an_id_has_no_twin() -> None:
    """Fenced, it was away for longer than its transaction lives: the line blames no setting that is not set."""
    told = _explain(KafkaException(KafkaError(KafkaError._FENCED)), Settings(kafka_bootstrap_servers="kafka:9092"))
    assert "SENSORBUS_INSTANCE_ID" not in str(told)
    assert "Kafka at kafka:9092" in str(told)
    assert "start it again" in str(told)


def test_an_error_of_kafkas_names_address_and_setting() -> None:
    """It is found behind Quix's own errors too."""
    error = PartitionAssignmentError("Error during partition assignment")
    error.__cause__ = KafkaException(KafkaError(KafkaError.UNKNOWN_MEMBER_ID))
    told = _explain(error, Settings(kafka_bootstrap_servers="kafka:9092"))
    assert isinstance(told, BrokerUnavailableError)
    assert "Kafka at kafka:9092 (SENSORBUS_KAFKA_BOOTSTRAP_SERVERS)" in str(told)
    assert "UNKNOWN_MEMBER_ID" in str(told)


def test_another_error_of_quixs_is_told_in_one_line() -> None:
    """Its kind and its words."""
    told = _explain(PartitionAssignmentError("no room"), Settings())
    assert type(told) is SensorbusError
    assert "PartitionAssignmentError: no room" in str(told)


@pytest.mark.parametrize("code", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_a_missing_right_is_told_as_such(code: int) -> None:
    """Quix's own exceptions keep Kafka's error beside their arguments; the line says where the rights are listed."""
    line = str(_explain(KafkaConsumerException(error=KafkaError(code)), STABLE))
    assert "lacks a right on a " in line
    assert line.endswith("docs/security.md lists the rights of each part")


def test_the_cause_is_told_and_not_what_it_led_to() -> None:
    """A step of ours that fails leaves a transaction that cannot be ended well."""
    error = KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE))
    error.__context__ = StateError("state of version 2, not 1")
    assert str(_explain(error, STABLE)) == "state of version 2, not 1"
