"""The table of topics: complete, and in the order of the data.

Large enough for what is refused.
"""

import re

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, BY_NAME, DEAD_LETTER, SENSOR, TOPICS


def test_the_topics_stand_in_the_order_of_the_data() -> None:
    """From the reading to its results; what could not be read comes last."""
    assert [topic.name for topic in TOPICS] == ["sensor", "alert", "alert-count", "avg-temp", "dead-letter"]
    assert list(BY_NAME.values()) == list(TOPICS)


def test_names_are_legal_and_do_not_collide() -> None:
    """Kafka takes `.` and `_` for the same in metrics: our names have neither."""
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", topic.name) for topic in TOPICS)


def test_a_dead_letter_holds_the_largest_record_of_its_sources_and_our_headers() -> None:
    """A record at the limit of `sensor` or `alert` fits in whole."""
    assert DEAD_LETTER.max_message_bytes >= max(SENSOR.max_message_bytes, ALERT.max_message_bytes) + 65_536


def test_each_retention_is_a_setting() -> None:
    """The table names fields that exist."""
    assert {topic.retention_setting for topic in TOPICS} <= set(Settings.model_fields)
