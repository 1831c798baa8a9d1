"""How far back `sensor` reaches, and what that means for a comparison.

Retention cuts each topic by segment, so results outlive their readings. And a device's clock may have stepped back long
before what is read: its job still knows the old time, and rightly tells no window that ended by then.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from sensorbus import records
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.expectation import Expected, Loss, Window, expect
from sensorbus.progress import Progress
from sensorbus.reading import Reader
from sensorbus.runtime import kafka

_WARM_UP_WINDOWS: Final = 3
_MOST_NAMED: Final = 5
_CLOCKS_APART_MS: Final = 5_000  # kept by NTP they differ by some ms
#: By partition that has lost its oldest records: when the first that is left was appended, or None where none is.
Cuts = Mapping[int, int | None]
#: What is held of each topic, whole.
Whole = Mapping[Topic, records.Held]


def cuts(settings: Settings, consumer: Consumer, held: records.Held) -> Cuts:
    """Return where each partition of a topic that has lost records begins, of what is held of it."""
    found = {}
    for (topic, partition), offsets in held.items():
        if offsets.start > 0:
            start = TopicPartition(topic, partition, offsets.start)
            first = next(records.read_to_end(settings, consumer, [start]), None)
            found[partition] = None if first is None else kafka.append_time_ms(*first.timestamp())
    return found


def results_from_ms(settings: Settings, consumer: Consumer, held: Whole, since_ms: int, now_ms: int) -> int:
    """Return from which append time on all results stand in their topics, if that is later than `since_ms`.

    Of alerts only on the embedded broker, which cuts by size: where they are rare, the oldest that is left is no limit.
    """
    if is_kept(settings, since_ms, now_ms):
        return since_ms
    topics = (AVG_TEMP, ALERT, ALERT_COUNT) if settings.embedded_broker else (AVG_TEMP,)
    firsts = [first_ms for topic in topics for first_ms in cuts(settings, consumer, held[topic]).values()]
    return max(since_ms, *(first_ms for first_ms in firsts if first_ms is not None), 0)


def is_kept(settings: Settings, since_ms: int, now_ms: int) -> bool:
    """Tell whether retention leaves all results of that time, so that nobody has to look where their topics begin."""
    return since_ms >= now_ms - settings.topic_retention_ms and not settings.embedded_broker


def counts_cut(settings: Settings, consumer: Consumer, held: Whole, since_ms: int, now_ms: int) -> Cuts:
    """Return where `alert-count` has lost records that `results_from_ms` does not see: the first counts of windows."""
    if settings.embedded_broker or is_kept(settings, since_ms, now_ms):
        return {}
    return cuts(settings, consumer, held[ALERT_COUNT])


def has_lost(settings: Settings, expected: Expected, partition: int, start_ms: int) -> bool:
    """Tell whether retention may have taken results of a window: they came before the first that is left there.

    So did their readings, and no event time is later than by how much a clock may be ahead.
    """
    first_ms = expected.counts_cut.get(partition)
    return first_ms is not None and start_ms <= first_ms + expected.apart_ms + settings.clock_ahead_limit_ms


def letters_from_ms(settings: Settings, consumer: Consumer, held: Whole, since_ms: int, now_ms: int) -> int:
    """Return from which append time of its record on a dead letter stands there still; 0: none is gone.

    A letter comes after its record. What was lost by an empty partition was too old.
    """
    oldest_ms = now_ms - settings.dead_letter_retention_ms
    if since_ms >= oldest_ms and not settings.embedded_broker:
        return 0
    firsts = cuts(settings, consumer, held[DEAD_LETTER]).values()
    return max((oldest_ms if first_ms is None else first_ms for first_ms in firsts), default=0)


def begins_ms(settings: Settings, cut: Cuts, since_ms: int, now_ms: int) -> dict[int, int]:
    """Return from which append time on results count, by partition, where a cut makes that later than `since_ms`.

    Where less is held than twice the whole warm-up (1000 devices on the embedded broker: 200 s), only windows warm up,
    or nothing would be left to compare. Where no reading is left, no result is judged.
    """
    whole_ms = warm_up_ms(settings)
    begins = {}
    for partition, first_ms in cut.items():
        if first_ms is None:
            begins[partition] = now_ms
            continue
        is_long = now_ms - first_ms >= 2 * whole_ms
        begins[partition] = first_ms + (whole_ms if is_long else _WARM_UP_WINDOWS * _longest_ms(settings))
    return {partition: begin_ms for partition, begin_ms in begins.items() if begin_ms > since_ms}


def firsts_ms(settings: Settings, cut: Cuts, from_ms: int | None) -> dict[int, int]:
    """Return when the first reading that is left was appended, by partition of which all that is left is read.

    `from_ms` is the append time from which on it is read (None, and always on the embedded broker: from its beginning).
    """
    firsts = {partition: first_ms for partition, first_ms in cut.items() if first_ms is not None}
    if from_ms is None or settings.embedded_broker:
        return firsts
    return {partition: first_ms for partition, first_ms in firsts.items() if from_ms <= first_ms}


def warm_up_ms(settings: Settings) -> int:
    """Return how much earlier reading begins: a clock that was ahead has closed windows for as long as it may be."""
    longest_ms = _longest_ms(settings)
    return max(_WARM_UP_WINDOWS * longest_ms, longest_ms + settings.clock_ahead_limit_ms)


def _longest_ms(settings: Settings) -> int:
    return max(
        settings.alert_count_length_ms + settings.alert_count_grace_ms,
        settings.avg_temp_length_ms + settings.avg_temp_grace_ms,
    )


def since(settings: Settings, consumer: Consumer, held: records.Held, since_ms: int) -> list[TopicPartition]:
    """Return where the records of an append time and later begin; raises `BrokerUnavailableError`.

    Where there is none yet, that is the end as it was when it was asked for, which must be before: what comes from then
    on is read.
    """
    wanted = [TopicPartition(*place, max(0, since_ms)) for place in held]
    try:
        starts: list[TopicPartition] = consumer.offsets_for_times(wanted, kafka.REQUEST_TIMEOUT_S)
    except KafkaException as error:
        raise kafka.unavailable(settings, error) from None
    for start in starts:
        if start.offset == OFFSET_END:
            start.offset = held[start.topic, start.partition].stop
    return starts


def clocks_apart_ms(settings: Settings, consumer: Consumer) -> int:
    """Return by how much the append times of two partitions may be wrong to each other: leaders have their own clocks.

    One broker has one clock.
    """
    return _CLOCKS_APART_MS if len(kafka.cluster_metadata(settings, consumer).brokers) > 1 else 0


def behind(settings: Settings, wrong: Iterable[Window], read_from_ms: int) -> set[Window]:
    """Return those of the windows that hang on what came before `read_from_ms`, the append time of the first reading.

    No event time from there is later than by how much a clock may be ahead: windows of a clock that is right are none.
    """
    return {window for window in wrong if window[1] < read_from_ms + settings.clock_ahead_limit_ms}


def look_back(  # noqa: PLR0913  # what is wrong, and what is known of it
    reader: Reader, expected: Expected, windows: set[Window], *, since_ms: int, done: Progress, cut: Cuts
) -> None:
    """Expect of the devices of these windows what follows from all readings that may bear on them.

    A reading that closed such a window was appended at most so much before its end as a clock may be ahead, so it is
    read from there on, to where it was read before, and only in these devices' partitions.
    """
    settings, consumer = reader.settings, reader.consumer
    devices = {device_id for device_id, _ in windows}
    numbers = {expected.partitions[device_id] for device_id in devices if device_id in expected.partitions}
    from_ms = min(start for _, start in windows) - settings.clock_ahead_limit_ms - _longest_ms(settings)
    places = [place for place in records.partitions(settings, consumer, SENSOR) if place.partition in numbers]
    whole = records.held_offsets(settings, consumer, places)
    starts = since(settings, consumer, whole, from_ms)
    held = records.held_from(whole, starts)
    known = {place: range(of.start, expected.sensor.spans[place[1]].last + 1) for place, of in held.items()}
    found = reader.read(starts, known)
    loss = Loss(expected.begins_ms, firsts_ms(settings, cut, from_ms))
    again = expect(settings, of_devices(found, devices), since_ms, done, loss)
    expected.replace_windows(devices, again)


def of_devices(readings: Iterable[Message], devices: set[str]) -> Iterator[Message]:
    """Yield the records under the keys of these devices."""
    keys = {messages.encode_key(device_id) for device_id in devices}
    return (message for message in readings if message.key() in keys)


def unknown(  # noqa: PLR0913  # what is wrong, and what tells why
    settings: Settings,
    expected: Expected,
    wrong: Iterable[Window],
    told: Mapping[str, int],
    *,
    cut: Cuts,
    since_ms: int,
) -> set[Window]:
    """Return the windows that may be late by right, and what would tell it is gone.

    They end before what is left begins, but for how much a clock may be ahead. Where an earlier window of the device
    was `told` in the time that counts (the first's start, by device), its job had not closed them. A device whose clock
    is right has none of them.
    """
    found = set()
    for device_id, start in wrong:
        first_ms = cut.get(expected.partitions.get(device_id, -1))
        if first_ms is None or start >= told.get(device_id, start + 1):
            continue
        begin_ms = expected.begin_ms(device_id, since_ms)
        if start + _longest_ms(settings) < min(first_ms + settings.clock_ahead_limit_ms, begin_ms):
            found.add((device_id, start))
    return found


def remarks_on_cuts(settings: Settings, cut: Cuts, begins: Mapping[int, int]) -> list[str]:
    """Return a line where `sensor` has lost readings that bear on what is compared."""
    if not begins:
        return []
    numbers, latest = ", ".join(map(str, sorted(begins))), messages.iso_timestamp(max(begins.values()))
    whole_ms = warm_up_ms(settings)
    is_short = any(begin_ms < (cut[number] or 0) + whole_ms for number, begin_ms in begins.items())
    short = "; little is held, and a clock that stepped back just before it may look like missing results"
    remark = (
        f"{settings.topic_name(SENSOR)} has lost its oldest readings in partition {numbers}: results count from where "
        f"windows are whole again, {latest} at the latest{short if is_short else ''}"
    )
    return [remark]


def remarks_on_clocks(windows: set[Window], torn: set[str]) -> list[str]:
    """Return a line each that names the devices of windows that nobody can judge, and of those that are `torn`."""
    remarks = []
    if windows:
        devices = {device_id for device_id, _ in windows}
        remarks.append(
            "windows of devices whose clocks are behind are pending, because they may be late by right "
            f"({len(windows)} of {len(devices)}: {_named(devices)}): whether these clocks stepped back stood in "
            "readings that are gone"
        )
    if torn:
        remarks.append(
            "windows that may hold readings that are gone are not judged: of clocks that stand still or are slow, of "
            "rare readings, or of devices that came or came back since then "
            f"({len(torn)} {'device' if len(torn) == 1 else 'devices'}: {_named(torn)})"
        )
    return remarks


def _named(devices: set[str]) -> str:
    return ", ".join(sorted(devices)[:_MOST_NAMED]) + (", ..." if len(devices) > _MOST_NAMED else "")


def remarks_on_the_unjudged(number: int, begin_ms: int) -> list[str]:
    """Return a line if there are results that only readings may explain which were not read."""
    if not number:
        return []
    begin = messages.iso_timestamp(begin_ms)
    return [f"not judged: {number} results of event times before {begin}, for the readings behind them were not read"]


def remarks_on_results(settings: Settings, since_ms: int, begin_ms: int, letters_ms: int) -> list[str]:
    """Return a line each where results, or dead letters alone, are gone that began in the time that was asked for."""
    remarks = []
    if begin_ms > since_ms:
        begin = messages.iso_timestamp(begin_ms)
        remarks.append(f"results count from {begin} on: older ones are gone from their topics")
    if letters_ms > begin_ms:
        begin = messages.iso_timestamp(letters_ms)
        remarks.append(
            f"dead letters count from {begin} on: older ones are gone from {settings.topic_name(DEAD_LETTER)}"
        )
    return remarks
