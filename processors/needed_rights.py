"""The rights on topics that each job needs, as docs/security.md lists them.

A transaction that Kafka refuses ends in an error that names neither the topic nor, in the next write, the refusal.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.runtime import kafka

_READ: Final = frozenset({"READ"})
_WRITE: Final = frozenset({"WRITE"})
_BOTH: Final = _READ | _WRITE
ON_TOPICS: Final[Mapping[str, Mapping[Topic, frozenset[str]]]] = {
    "alert": {SENSOR: _BOTH, ALERT: _WRITE, DEAD_LETTER: _WRITE},
    "alert-count": {ALERT: _READ, ALERT_COUNT: _WRITE, DEAD_LETTER: _WRITE},
    "avg-temp": {SENSOR: _READ, AVG_TEMP: _WRITE},
    "all": {SENSOR: _BOTH, ALERT: _BOTH, ALERT_COUNT: _WRITE, AVG_TEMP: _WRITE, DEAD_LETTER: _WRITE},
}


def lacking(job: str, settings: Settings, changelogs: Iterable[str]) -> str | None:
    """Return the line for what the job may not do with its topics, None if it may do all; asks Kafka."""
    needed = {settings.topic_name(topic): operations for topic, operations in ON_TOPICS[job].items()}
    return kafka.lacking_rights(settings, job, needed | dict.fromkeys(changelogs, _BOTH))
