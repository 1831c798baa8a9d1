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
    ("policies", "words"),
    [
        ({"message.timestamp.type": "LogAppendTime", "max.message.bytes": "9437184"}, []),
        ({"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1048588"}, ["max.message.bytes is below"]),
        ({"message.timestamp.type": "CreateTime", "max.message.bytes": "9437184"}, ["message.timestamp.type is not"]),
        ({"message.timestamp.type": None, "max.message.bytes": None}, ["message.timestamp.type", "max.message.bytes"]),
        ({}, ["message.timestamp.type", "max.message.bytes"]),
    ],
)
def test_policies_that_are_not_ours_are_told_with_what_they_do(
    policies: dict[str, str | None], words: list[str]
) -> None:
    """Old event times must not shorten retention, nor a limit lose large records."""
    told = list(doctor.policy_differences(policies, DEAD_LETTER))
    assert [line.startswith(word) for line, word in zip(told, words, strict=True)] == [True] * len(words)


def test_a_topic_is_held_to_its_own_limit() -> None:
    """`sensor` takes less than `dead-letter`, which takes it whole with our headers."""
    policies = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(SENSOR.max_message_bytes)}
    assert list(doctor.policy_differences(policies, SENSOR)) == []
    assert len(list(doctor.policy_differences(policies, DEAD_LETTER))) == 1
