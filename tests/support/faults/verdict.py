"""The verdict on a bus after faults.

What stands in the topics against what must stand there.
Two judges: `sensorbus verify` recomputes the results from `sensor`, and the witness knows of each of its records
whether Kafka acknowledged it and what must become of it. With the jobs they share the wire contract: how a message is
read, its rules (size, key) and units. Windows, counting, means and state are their own, and the witness's labels say of
each record what the contract must make of it, without asking it.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, TypeVar

from confluent_kafka import Message

from sensorbus import verify
from sensorbus.contract import messages
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, TOPICS, Topic
from sensorbus.expectation import expect
from tests.support.faults.witness import FOREIGN, GOOD, LABEL_HEADER, NUMBER_HEADER, Witness, is_bad
from tests.support.topics import read_all

_REKEYED_HEADER: Final = "rekeyed.from"
_SHOWN: Final = 5
_COLUMNS: Final = ("expected", "found", "missing", "wrong", "repeated", "late")


@dataclass
class Row:
    """One line of the table."""

    name: str
    expected: int
    found: int
    missing: int = 0
    wrong: int = 0
    repeated: int = 0
    late: int = 0

    def __str__(self) -> str:
        """Return the numbers in columns."""
        numbers = (self.expected, self.found, self.missing, self.wrong, self.repeated, self.late)
        return f"{self.name:<18}" + "".join(f"{number:>10,}" for number in numbers)


@dataclass
class Verdict:
    """The table, and what is wrong, in words; nothing: every promise was kept."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return the table and the problems."""
        head = f"{'':<18}" + "".join(f"{name:>10}" for name in _COLUMNS)
        return "\n".join([head, *map(str, self.rows), *self.problems])


Topics = dict[Topic, list[Message]]
_Result = TypeVar("_Result", str, int)


def judge(settings: Settings, witness: Witness, *, its_own: bool = False) -> Verdict:
    """Read every topic whole and compare; a repeat is wrong unless the guarantee is at least once.

    With `its_own`, only what is under the keys of the witness's devices: what another wrote was deleted.
    """
    held = {topic: read_all(settings, topic) for topic in TOPICS}
    if its_own:
        prefix = f"{witness.name}-".encode()
        held = {topic: [m for m in found if (m.key() or b"").startswith(prefix)] for topic, found in held.items()}
    bad_alerts = list(filter(is_bad, held[ALERT]))  # the others are results
    held[ALERT] = [message for message in held[ALERT] if not is_bad(message)]
    once = settings.processing_guarantee == "exactly-once"
    verdict = Verdict()
    _judge_witness(verdict, [*held[SENSOR], *bad_alerts], witness)
    _judge_partitions(verdict, settings, held)
    if not its_own:  # their originals are under other keys
        _judge_copies(verdict, settings, held, once=once)
    _judge_sources(verdict, settings, held)
    bad_readings = [message for message in held[SENSOR] if _fate(message, settings) == "dead-letter"]
    for topic, bad in ((SENSOR, bad_readings), (ALERT, bad_alerts)):
        letters = _letters_of(held, settings.topic_name(topic))
        _judge_dead_letters(verdict, Row(f"letters of {topic.name}", len(bad), 0), bad, letters, once=once)
    _judge_results(verdict, settings, held, once=once)
    _judge_last_counts(verdict, settings, held)
    _judge_order(verdict, settings, held, once=once)
    return verdict


def _judge_witness(verdict: Verdict, found: list[Message], witness: Witness) -> None:
    """Compare what stands there with what the witness wrote: what was acknowledged is there once, byte by byte.

    Copies of it are judged by themselves.
    """
    seen: Counter[int] = Counter()
    row = Row("acknowledged", len(witness.acknowledged), 0)
    for message in found:
        headers = _headers(message)
        if NUMBER_HEADER in headers and _REKEYED_HEADER not in headers:
            number = int(headers[NUMBER_HEADER])
            seen[number] += 1
            row.wrong += message.value() != witness.written[number].value
    row.found, row.missing = len(seen), len(witness.acknowledged - seen.keys())
    row.repeated = seen.total() - len(seen)
    _add(verdict, row, may_repeat=False)
    verdict.problems += [f"refused by Kafka: {line}" for line in witness.refused[:_SHOWN]]


def _judge_partitions(verdict: Verdict, settings: Settings, held: Topics) -> None:
    """Account for each partition of `sensor`: in = ok + sent again + dead letters."""
    dead: defaultdict[int, set[int]] = defaultdict(set)
    for headers in map(_headers, _letters_of(held, settings.topic_name(SENSOR))):
        dead[int(headers["source.partition"])].add(int(headers["source.offset"]))
    copied = _copies(held)
    partitions: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for message in held[SENSOR]:
        partition, offset = message.partition(), message.offset()
        fate = _fate(message, settings)
        is_there = {
            "ok": True,  # its results are compared below
            "dead-letter": offset in dead[partition],
            "sent again": _place(message) in copied,
        }
        partitions[partition][fate if is_there[fate] else f"{fate} missing"] += 1
    for partition, fates in sorted(partitions.items()):
        found = fates["ok"] + fates["dead-letter"] + fates["sent again"]
        row = Row(f"sensor[{partition}]", fates.total(), found, missing=fates.total() - found)
        row.wrong = len(dead[partition]) - fates["dead-letter"]
        _add(verdict, row, may_repeat=False)


def _judge_copies(verdict: Verdict, settings: Settings, held: Topics, *, once: bool) -> None:
    """Count the copies of each reading under a foreign key: one, the same bytes under the device's key.

    A second copy is a reading more to all who recompute from `sensor`, and one under a foreign key is none to them:
    nothing else can tell.
    """
    wanted = {
        _place(message): (json.loads(message.value())["device_id"].encode(), message.value())
        for message in held[SENSOR]
        if _fate(message, settings) == "sent again"
    }
    copies = _copies(held)
    row = Row("copies", len(wanted), len(wanted.keys() & copies.keys()))
    row.missing = row.expected - row.found
    for place, found in copies.items():
        row.wrong += sum(copy != wanted.get(place) for copy in found)
        row.repeated += len(found) - 1
    _add(verdict, row, may_repeat=not once)


def _copies(held: Topics) -> dict[str, list[tuple[bytes | None, bytes | None]]]:
    """Return key and value of what was sent again, by the place of its source."""
    copies: defaultdict[str, list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
    for message in held[SENSOR]:
        source = _headers(message).get(_REKEYED_HEADER)
        if source is not None:
            copies[source.decode()].append((message.key(), message.value()))
    return copies


def _place(message: Message) -> str:
    return f"{message.topic()}[{message.partition()}]@{message.offset()}"


def _fate(message: Message, settings: Settings) -> str:
    """Return what must become of a record of `sensor`: by the witness's label, or else by the contract."""
    headers = _headers(message)
    if _REKEYED_HEADER in headers:
        return "ok"
    label = (headers.get(LABEL_HEADER) or b"").decode()
    if not label:
        try:
            reading = messages.parse_reading(message.value(), message.timestamp()[1], settings.time_rules)
        except InvalidMessageError:
            return "dead-letter"
        return "ok" if messages.has_device_key(message.key(), reading.device_id) else "sent again"
    return {GOOD: "ok", FOREIGN: "sent again"}.get(label, "dead-letter")


def _letters_of(held: Topics, name: str) -> list[Message]:
    return [message for message in held[DEAD_LETTER] if _headers(message)["source.topic"] == name.encode()]


def _headers(message: Message) -> dict[str, bytes]:
    return dict(message.headers() or ())


def _judge_sources(verdict: Verdict, settings: Settings, held: Topics) -> None:
    """Expect no dead letter of another topic than the two that jobs read."""
    read = {settings.topic_name(topic).encode() for topic in (SENSOR, ALERT)}
    others = sum(_headers(message)["source.topic"] not in read for message in held[DEAD_LETTER])
    _add(verdict, Row("letters of others", 0, others, wrong=others), may_repeat=False)


def _judge_dead_letters(verdict: Verdict, row: Row, bad: list[Message], letters: list[Message], *, once: bool) -> None:
    """Look into each dead letter of a topic: the bytes and key of its source, its kind, once."""
    sources = {(m.partition(), m.offset()): m for m in bad}
    seen: Counter[tuple[int, int]] = Counter()
    for message in letters:
        headers = _headers(message)
        place = (int(headers["source.partition"]), int(headers["source.offset"]))
        source = sources.get(place)
        seen[place] += 1
        label = headers.get(LABEL_HEADER)
        row.wrong += (
            source is None
            or (source.value(), source.key()) != (message.value(), message.key())
            or (label is not None and label != headers["error.kind"])
        )
    row.found, row.missing = len(seen), len(sources.keys() - seen.keys())
    row.repeated = seen.total() - len(seen)
    _add(verdict, row, may_repeat=not once)


def _judge_results(verdict: Verdict, settings: Settings, held: Topics, *, once: bool) -> None:
    """Compare alerts, counts and averages with those that `sensorbus verify` recomputes."""
    expected = expect(settings, held[SENSOR], 0)
    for found in verify.compare(settings, expected, held, 0):
        if found.kind not in (DEAD_LETTER.name, SENSOR.name):  # letters and copies have judges of their own
            row = Row(found.kind, found.expected, found.found, found.missing, found.different, 0, found.late)
            row.repeated = found.duplicated
            _add(verdict, row, may_repeat=not once)


def _judge_last_counts(verdict: Verdict, settings: Settings, held: Topics) -> None:
    """Compare the last count of each window, which is the one that readers keep."""
    wanted = expect(settings, held[SENSOR], 0).counts
    last: dict[tuple[str, int], int] = {}
    for message in held[ALERT_COUNT]:
        count = messages.parse_alert_count(message.value())
        last[count.device_id, count.start_ms] = count.alert_count
    row = Row("last counts", len(wanted), len(last), missing=len(wanted.keys() - last.keys()))
    row.wrong = sum(wanted.get(window) != number for window, number in last.items())
    _add(verdict, row, may_repeat=False)


def _judge_order(verdict: Verdict, settings: Settings, held: Topics, *, once: bool) -> None:
    """Compare the order of each device's alerts with that of its readings, and of its averages with time's.

    Of what may be repeated the first counts: who was killed tells again in the same order.
    """
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for message in held[SENSOR]:
        if _fate(message, settings) == "ok":
            reading = messages.parse_reading(message.value(), message.timestamp()[1], settings.time_rules)
            if messages.is_alert(reading.celsius, settings.alert_threshold_kelvin):
                wanted[reading.device_id].append(reading.timestamp)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for message in held[ALERT]:
        alert = messages.parse_alert(message.value(), message.timestamp()[1], settings.time_rules)
        found[alert.device_id].append(alert.timestamp)
    starts: defaultdict[str, list[int]] = defaultdict(list)
    for message in held[AVG_TEMP]:
        mean = messages.parse_avg_temp(message.value())
        starts[mean.device_id].append(mean.start_ms)
    row = Row("devices in order", len(wanted), len(found))
    row.wrong = sum(_told(found[device], once=once) != _told(stamps, once=once) for device, stamps in wanted.items())
    told = [_told(of_device, once=once) for of_device in starts.values()]
    row.wrong += sum(sorted(of_device) != of_device for of_device in told)
    _add(verdict, row, may_repeat=False)


def _told(results: list[_Result], *, once: bool) -> list[_Result]:
    return results if once else list(dict.fromkeys(results))


def _add(verdict: Verdict, row: Row, *, may_repeat: bool) -> None:
    verdict.rows.append(row)
    if row.missing or row.wrong or (row.repeated and not may_repeat):
        verdict.problems.append(f"{row.name}: {row.missing} missing, {row.wrong} wrong, {row.repeated} repeated")
