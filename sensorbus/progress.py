"""How far the jobs are: what their consumer groups have committed.

A reading or alert from there on leads to results that may stand in the output topics, or not yet.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from sensorbus import records
from sensorbus.contract import messages
from sensorbus.contract.errors import BrokerUnavailableError, InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.reading import Reader
from sensorbus.runtime import access, kafka

# A broker that has just started reads its groups first.
_COORDINATOR_TIMEOUT_S: Final = 15.0
_EVENTS_AT_MOST: Final = 100
_JOBS: Final = ("alert", "avg-temp", "alert-count")
_ALL: Final = "all"  # the job that does the work of the three others, with a group of its own

#: Device id, timestamp, celsius, fahrenheit, kelvin of an alert.
Identity = tuple[str, str, float, float, float]
#: The first offset that is not committed, by partition.
Offsets = Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What each job has committed; None: everything, or nothing ever, which excuses no missing result."""

    alert: Offsets | None = None
    avg_temp: Offsets | None = None
    alert_count: Offsets | None = None
    #: Alerts that stand in their topic and job alert-count has yet to commit.
    uncounted: frozenset[Identity] = frozenset()
    #: A line for each job that has no offset where there are records.
    remarks: tuple[str, ...] = ()

    @staticmethod
    def has_read(offsets: Offsets | None, partition: int, offset: int) -> bool:
        """Tell whether a job has committed a record of its input."""
        return offsets is None or offset < offsets.get(partition, 0)


def progress(reader: Reader) -> Progress:
    """Return how far the jobs are now; raises `BrokerUnavailableError`, also for a missing right.

    In this order: an alert that is written after we have looked at its topic is one of a reading not committed before.
    """
    settings, consumer = reader.settings, reader.consumer
    readings, alerts = (records.partitions(settings, consumer, topic) for topic in (SENSOR, ALERT))
    with contextlib.ExitStack() as clients:
        # All of them first: each takes up to 1 s to find its coordinator, and none has to be asked to do so.
        asks = {job: clients.enter_context(_client_of_group(settings, job)) for job in (*_JOBS, _ALL)}
        alert = _committed(settings, asks, "alert", readings)
        avg_temp = _committed(settings, asks, "avg-temp", readings)
        alert_count = _committed(settings, asks, "alert-count", alerts)
    uncounted = frozenset() if alert_count is None else _alerts_from(reader, alerts, alert_count)
    remarks = [
        *_without_offset(settings, consumer, "alert", readings, alert),
        *_without_offset(settings, consumer, "avg-temp", readings, avg_temp),
        *_without_offset(settings, consumer, "alert-count", alerts, alert_count),
    ]
    return Progress(
        alert=alert, avg_temp=avg_temp, alert_count=alert_count, uncounted=uncounted, remarks=tuple(remarks)
    )


def _without_offset(
    settings: Settings, consumer: Consumer, job: str, places: list[TopicPartition], offsets: Offsets | None
) -> list[str]:
    """Return a line if the job's group has no offset of partitions that hold records."""
    if settings.embedded_broker:  # it forgets those of transactions
        return []
    bounds = {
        place.partition: records.watermarks(settings, consumer, place)
        for place in places
        if place.partition not in (offsets or {})
    }
    numbers = [str(number) for number, (low, high) in sorted(bounds.items()) if low < high]
    if not numbers:
        return []
    group, numbered = settings.consumer_group(job), ", ".join(numbers)
    without = f"job {job}'s group {group} has no committed offset on partition {numbered} of {places[0].topic}"
    return [f"{without}: what it holds was never read, or Kafka has forgotten the offset"]


def _client_of_group(settings: Settings, job: str) -> contextlib.closing[Consumer]:
    """Return a consumer of the job's group that never joins it.

    librdkafka's admin client ends the process with a segmentation fault where the group's coordinator is not there yet,
    as on a broker that has just started (librdkafka's issue 5040); its consumer asks again.
    """
    return contextlib.closing(kafka.consumer(settings, "verify", **{"group.id": settings.consumer_group(job)}))


def _committed(
    settings: Settings, asks: Mapping[str, Consumer], job: str, places: list[TopicPartition]
) -> Offsets | None:
    """Return what the job has committed of a topic, by itself or as a part of job `all`."""
    offsets: dict[int, int] = {}
    for name in (job, _ALL):
        for place in _offsets(settings, asks[name], settings.consumer_group(name), places):
            if place.offset >= 0:
                offsets[place.partition] = max(place.offset, offsets.get(place.partition, 0))
    return offsets or None


def _offsets(settings: Settings, client: Consumer, group: str, places: list[TopicPartition]) -> list[TopicPartition]:
    """Ask what the client's group has committed."""
    try:
        return _checked(client.committed(places, _COORDINATOR_TIMEOUT_S))
    except KafkaException as error:
        if lacks := access.missing_right(error.args[0], group) or _refused(client, group):
            raise BrokerUnavailableError(lacks) from None
        if error.args[0].code() == KafkaError._TIMED_OUT:  # noqa: SLF001  # its public name
            kafka.cluster_metadata(settings, client)  # raises where nobody answers
            raise kafka.offsets_held(settings, f"group {group}") from None
        raise kafka.unavailable(settings, error) from None


def _refused(client: Consumer, group: str) -> str | None:
    """Return the line for a right on the group that is missing: librdkafka only lets the question wait for its end."""
    for message in client.consume(_EVENTS_AT_MOST, timeout=0):
        error = message.error()
        if error is not None and (lacks := access.missing_right(error, group, "DESCRIBE", of="group")):
            return lacks
    return None


def _checked(places: list[TopicPartition]) -> list[TopicPartition]:
    """Raise the first error that Kafka told of one partition alone: without its offset nothing is known of it."""
    for place in places:
        if place.error is not None:
            raise KafkaException(place.error)
    return places


def _alerts_from(reader: Reader, places: list[TopicPartition], offsets: Offsets) -> frozenset[Identity]:
    starts = [
        TopicPartition(place.topic, place.partition, offsets.get(place.partition, OFFSET_BEGINNING)) for place in places
    ]
    found = set()
    for message in reader.read(starts):
        with contextlib.suppress(InvalidMessageError):  # no job writes such
            alert = messages.parse_alert(message.value(), message.timestamp()[1], reader.settings.time_rules)
            found.add(identity(alert))
    return frozenset(found)


def identity(alert: messages.Alert) -> Identity:
    """Return what tells an alert from others; two that share it are of equal readings."""
    return (alert.device_id, alert.timestamp, alert.celsius, alert.fahrenheit, alert.kelvin)
