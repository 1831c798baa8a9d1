"""The topics of the bus: one table, in the order of the data.

A new topic is one row here, one message in `messages.py` and one row in docs/messages.md; what else: CONTRIBUTING.md.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic: its name without prefix, who writes it, and what its value holds."""

    name: str
    written_by: str
    value: str
    max_message_bytes: int = 1_048_588  # Kafka's own default
    retention_setting: str = "topic_retention_ms"


SENSOR: Final = Topic(
    name="sensor",
    written_by="simulator or devices",
    value="one reading: timestamp, device_id, temperature in °C",
    max_message_bytes=8_388_608,  # whatever a device sends must reach `dead-letter`, not fail at the producer
)
ALERT: Final = Topic(
    name="alert",
    written_by="job alert",
    value="one reading above the threshold, in celsius, fahrenheit and kelvin",
    max_message_bytes=8_388_608,
)
ALERT_COUNT: Final = Topic(name="alert-count", written_by="job alert-count", value="alerts of one device in one window")
AVG_TEMP: Final = Topic(
    name="avg-temp", written_by="job avg-temp", value="mean temperature in °C of one device in one closed window"
)
DEAD_LETTER: Final = Topic(
    name="dead-letter",
    written_by="jobs alert (for sensor) and alert-count (for alert)",
    value="the bytes as received; the headers say from where and why",
    # 1 MiB more than its sources: a record refused at their limit fits in whole, with our headers.
    max_message_bytes=9_437_184,
    retention_setting="dead_letter_retention_ms",
)

TOPICS: Final = (SENSOR, ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER)
BY_NAME: Final = {topic.name: topic for topic in TOPICS}
