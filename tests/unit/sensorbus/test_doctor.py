"""What the doctor makes of what it has found.

Its questions to Kafka are asked in tests/integration/test_command.py.
"""

import re
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorbus import doctor
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import DEAD_LETTER, SENSOR

#: What `dead-letter` has where we have made it.
OURS: Final[dict[str, str | None]] = {
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "9437184",
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
}
UNITS_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


@pytest.mark.parametrize(
    ("age_ms", "text"),
    [
        (-5_000, "0.0 s"),
        (0, "0.0 s"),
        (1_550, "1.6 s"),
        (119_949, "119.9 s"),
        (120_000, "2 min"),
        (7_199_000, "120 min"),
        (7_200_000, "2 h"),
        (172_800_000, "2 d"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_of_which_there_are_two(age_ms: int, text: str) -> None:
    """As people say it; a clock that is behind makes it 0."""
    assert doctor.age_text(age_ms) == text


@given(st.integers(0, 400 * 86_400_000))
def test_an_age_that_is_told_is_the_age(age_ms: int) -> None:
    """To half of the last digit that is shown."""
    found = re.fullmatch(r"([0-9.]+) (s|min|h|d)", doctor.age_text(age_ms))
    assert found is not None
    unit_ms = UNITS_MS[found[2]]
    assert abs(float(found[1]) * unit_ms - age_ms) <= unit_ms / (20 if found[2] == "s" else 2)


def test_another_number_of_partitions_is_a_difference_where_it_can_be_chosen() -> None:
    """The embedded broker always has four."""
    settings = Settings(topic_partitions=16)
    assert list(doctor.partition_difference(settings, 16)) == []
    assert list(doctor.partition_difference(settings, 4)) == ["not 16 partitions, as SENSORBUS_TOPIC_PARTITIONS says"]
    assert list(doctor.partition_difference(settings.model_copy(update={"embedded_broker": True}), 4)) == []


@pytest.mark.parametrize(
    ("wanted", "replicas", "brokers", "told"),
    [
        (1, 1, 1, []),
        (3, 3, 5, []),
        (2, 3, 3, []),
        (3, 2, 3, ["not 3 replicas, as SENSORBUS_TOPIC_REPLICATION_FACTOR says, but 2"]),
        (1, 1, 3, ["1 replica on 3 brokers (SENSORBUS_TOPIC_REPLICATION_FACTOR), so what a broker holds goes with it"]),
    ],
)
def test_too_few_replicas_are_told(wanted: int, replicas: int, brokers: int, told: list[str]) -> None:
    """Fewer than the setting says, or one on a cluster that could keep more."""
    settings = Settings(topic_replication_factor=wanted)
    assert list(doctor.replica_difference(settings, replicas, brokers)) == told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, []),
        ({0: None, 1: b""}, []),
        ({2: b"foobar"}, []),
        ({0: None, 1: b"foobar", 3: b"foobar"}, ["key foobar stands in partition 1, not 2, where murmur2"]),
        ({1: "\u202eé".encode() + b"\xff"}, ["key \\u202eé\ufffd stands in partition 1, not"]),
    ],
)
def test_a_writer_with_another_partitioner_is_told(keys: dict[int, bytes | None], told: list[str]) -> None:
    """By the last keys of the partitions; the first is enough, and it is shown harmlessly."""
    found = list(doctor.placement_difference(keys, 4))
    assert len(found) == len(told)
    assert all(line.startswith(words) for line, words in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("policies", "words"),
    [
        ({}, []),
        ({"max.message.bytes": "1048588"}, ["max.message.bytes is below 9437184"]),
        ({"message.timestamp.type": "CreateTime"}, ["message.timestamp.type is not LogAppendTime"]),
        ({"cleanup.policy": "compact"}, ["cleanup.policy is compact, not delete, so only the last record of a device"]),
        ({"cleanup.policy": "compact,delete"}, ["cleanup.policy is compact,delete, not delete, so only the last"]),
        ({"cleanup.policy": ""}, ["cleanup.policy is nothing, not delete, so old records stay for ever"]),
        (
            {"retention.ms": "604799999"},
            ["retention.ms is 604799999, below 604800000 (SENSORBUS_DEAD_LETTER_"],
        ),
        ({"retention.ms": "0"}, ["retention.ms is 0, below"]),
        ({"retention.ms": "604800001"}, []),
        ({"retention.ms": "-1"}, []),
        (
            dict.fromkeys(["message.timestamp.type", "max.message.bytes", "cleanup.policy", "retention.ms"]),
            ["message.timestamp.type", "max.message.bytes", "cleanup.policy is nothing", "retention.ms is 0"],
        ),
    ],
    ids=str,
)
def test_policies_that_are_not_ours_are_told_with_what_they_do(
    policies: dict[str, str | None], words: list[str]
) -> None:
    """Old event times must not shorten retention, nor a limit or a policy lose records."""
    told = list(doctor.policy_differences(Settings(), OURS | policies, DEAD_LETTER))
    assert [line[: len(word)] for line, word in zip(told, words, strict=True)] == words


def test_policies_that_cannot_be_seen_are_told() -> None:
    """A broker that does not name one of them is not believed to have it as we want it."""
    assert len(list(doctor.policy_differences(Settings(), {}, SENSOR))) == len(OURS)


def test_a_topic_is_held_to_its_own_limits() -> None:
    """`sensor` takes less and for less long than `dead-letter`, which takes it whole with our headers."""
    limits = {"max.message.bytes": str(SENSOR.max_message_bytes), "retention.ms": "86400000"}
    assert list(doctor.policy_differences(Settings(), OURS | limits, SENSOR)) == []
    assert len(list(doctor.policy_differences(Settings(), OURS | limits, DEAD_LETTER))) == 2
    longer = Settings(topic_retention_ms=86_400_001)
    (told,) = doctor.policy_differences(longer, OURS | limits, SENSOR)
    assert "SENSORBUS_TOPIC_RETENTION_MS" in told


def test_the_changelogs_of_our_jobs_are_found_with_their_inputs() -> None:
    """By Quix's names; those of another prefix, and topics that are none, are not ours."""
    ours = {
        "changelog__t-sensorbus.avg-temp--t-sensor--w": "t-sensor",
        "changelog__t-sensorbus.all--t-alert-count--w": "t-alert-count",
        "changelog__t-sensorbus.alert-count--t-alert--w": "t-alert",
    }
    others = ["t-sensor", "changelog__sensorbus.avg-temp--sensor--w", "changelog__t-sensorbus.all--other--w"]
    assert doctor.changelog_sources(Settings(topic_prefix="t-"), [*ours, *others]) == ours


@pytest.mark.parametrize(
    ("partitions", "source", "cleanup", "words"),
    [
        (4, 4, "compact", []),
        (4, None, "compact", []),
        (3, 4, "compact", ["not 4 partitions"]),
        (4, 4, "delete", ["cleanup.policy is delete, not compact"]),
        (4, 4, "compact,delete", ["cleanup.policy is compact,delete, not compact"]),
        (4, 4, None, ["cleanup.policy is nothing, not compact"]),
    ],
)
def test_a_changelog_that_loses_state_is_told(
    partitions: int, source: int | None, cleanup: str | None, words: list[str]
) -> None:
    """What goes by its age is a device's state, however quiet the device."""
    told = list(doctor.changelog_differences(partitions, source, {"cleanup.policy": cleanup}))
    assert [line[: len(word)] for line, word in zip(told, words, strict=True)] == words
