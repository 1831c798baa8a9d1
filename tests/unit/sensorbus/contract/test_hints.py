"""Hints for people; what settings make of them is in test_settings.py."""

import re

from sensorbus.contract import hints
from sensorbus.contract.settings import Settings

KNOWN = ("SENSORBUS_ALERT_THRESHOLD_KELVIN", "SENSORBUS_TOPIC_PREFIX")


def test_the_nearest_name_is_told_whole() -> None:
    """With the prefix, which is no likeness itself."""
    assert hints.nearest("SENSORBUS_TOPIC_PREFX", KNOWN, "SENSORBUS_") == "did you mean SENSORBUS_TOPIC_PREFIX?"
    assert hints.nearest("SENSORBUS_X", KNOWN, "SENSORBUS_") == "docs/settings.md lists the known ones"


def test_each_field_with_a_pattern_has_its_words() -> None:
    """And no other one: a pattern is never shown."""
    patterned = {
        name
        for name, field in Settings.model_fields.items()
        if any(getattr(each, "pattern", None) for each in field.metadata)
    }
    assert patterned == set(hints.FORMS)
    assert not any(re.search(r"[\\^$\[\]]", words) for words in hints.FORMS.values())
