"""The jobs as processes on a broker.

Everything that may come in, and what has to come out.
A run of the three jobs and one of job `all` on each broker serve most tests: `bus` starts them, sends the good, the bad
and the foreign-keyed at once, and each test looks at one side of what came out.
"""

import json
import zlib
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Message

from sensorbus.contract.messages import Alert, encode_alert, encode_reading, iso_timestamp
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, Topic
from sensorbus.runtime import kafka
from tests.support.bad_input import Case, alert_cases, sensor_cases
from tests.support.command import run
from tests.support.jobs import INPUTS, THREE_JOBS, Jobs
from tests.support.prometheus import Samples
from tests.support.raw_records import RAW_DEVICES, RawDevice
from tests.support.real_kafka import free_ports
from tests.support.topics import Record, has_own_key, produce, read_all, values
from tests.support.verifier import Shape, differences, expected_from_readings, late
from tests.support.waiting import wait_until

HEADERS = [("trace", b"\x00\xff"), ("trace", b"2"), ("empty", b""), ("none", None)]
FOREIGN_KEYS = (None, b"", b"other", b"\xff")
_COUNTED = tuple(f"sensorbus_job_{what}_total" for what in ("records", "results", "dead_letters", "late", "rekeyed"))
_TOPICS = (SENSOR, ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER)
START_MS = int((datetime.now(UTC) - timedelta(minutes=10)).timestamp()) * 1_000


@dataclass
class Bus:
    """What was sent to a bus with jobs on it, and what stood in its topics afterwards."""

    sensor_cases: list[Case]
    alert_cases: list[Case]
    sensor: list[Message]
    alerts: list[Message]
    counts: list[Message]
    means: list[Message]
    dead_letters: list[Message]
    tailed: str  # what `sensorbus tail dead-letter` shows of it
    metrics: dict[str, Samples]  # of each job
    names: dict[Topic, str]  # of the topics, as they are on this broker
    held: dict[Topic, int]  # how many records, those of `raw` too
    sent_alerts: int  # without those of raw devices
    raw: list[Message]  # those of `RAW_DEVICES`, in their topic and in `dead-letter`; they stand in no other list
    log: str

    @property
    def raised(self) -> int:
        """Return how many alerts job `alert` wrote; each raw device sent four."""
        raw = sum(len(device.good()) + len(device.bad()) for device in RAW_DEVICES if device.topic is ALERT)
        return self.held[ALERT] - self.sent_alerts - raw - self.copies(ALERT)

    def copies(self, topic: Topic) -> int:
        """Return how many records were sent again under their device's key; each raw device has one."""
        copied = [m for m in self._on(topic) if any(name == "rekeyed.from" for name, _ in m.headers() or [])]
        return len(copied) + sum(device.topic is topic for device in RAW_DEVICES)

    def kinds(self, topic: Topic) -> Counter[str]:
        """Return how many records of a topic are unreadable, by what is wrong with them."""
        headers = [dict(message.headers()) for message in self.dead_letters]
        theirs = [each for each in headers if each["source.topic"].decode() == self.names[topic]]
        kinds = Counter(each["error.kind"].decode() for each in theirs)
        return kinds + Counter(kind for device in RAW_DEVICES if device.topic is topic for kind in device.bad())

    def late(self, topic: Topic) -> int:
        """Return how many good records came when a window of theirs was closed: 1 s after they began, or later."""
        bad = {(message.key(), message.value()) for message in self.dead_letters}
        good = [message for message in self._on(topic) if (message.key(), message.value()) not in bad]
        return late(message.value() for message in good if has_own_key(message))

    def _on(self, topic: Topic) -> list[Message]:
        return self.sensor if topic is SENSOR else self.alerts

    def of(self, messages: list[Message], device_id: str) -> list[dict[str, Any]]:
        """Return the values under a device's key."""
        return [json.loads(message.value()) for message in messages if message.key() == device_id.encode()]


def _good_readings() -> list[Record]:
    """Return a minute of five devices with disorder, a gap, and readings without or under another key."""
    records = []
    for second in range(60):
        for number in range(5):
            late_ms = 2_500 if (second + number) % 9 == 0 else 0
            if number == 3 and 20 <= second < 35:
                continue
            moment_ms = START_MS + second * 1_000 + number * 100 - late_ms
            celsius = 29.85 + ((second * 7 + number) % 11 - 5) / 100
            device_id = f"device-{number}"
            records.append(Record(device_id.encode(), encode_reading(device_id, iso_timestamp(moment_ms), celsius)))
    return records


def _foreign_keys() -> list[Record]:
    times = [iso_timestamp(START_MS + second * 1_000) for second in range(4)]
    values_ = [encode_reading("foreign", time, 31.0) for time in times]
    return [Record(key, value, HEADERS) for key, value in zip(FOREIGN_KEYS, values_, strict=True)]


def _alerts_under_foreign_keys() -> list[Record]:
    times_ms = [START_MS + second * 1_000 for second in range(4)]
    alerts = [Alert("stray", iso_timestamp(time_ms), time_ms, 31.0, 87.8, 304.15) for time_ms in times_ms]
    return [Record(key, encode_alert(alert), HEADERS) for key, alert in zip(FOREIGN_KEYS, alerts, strict=True)]


def _records_of(cases: list[Case]) -> list[Record]:
    return [Record(_key_of(case), case.value, HEADERS) for case in cases]


def _closing(cases: list[Case]) -> list[Record]:
    """Return a later reading of each device of a good case, which closes the windows of that one."""
    ids = [case.device_id for case in cases if case.kind is None]
    return [Record(each.encode(), encode_reading(each, "2026-01-31T15:00:00Z", 20.0)) for each in ids]


def _key_of(case: Case) -> bytes | None:
    """Return its device's key; of a case that is of no device one after the other of those that are nobody's."""
    return case.device_id.encode() or FOREIGN_KEYS[zlib.crc32(case.name.encode()) % len(FOREIGN_KEYS)]


def _edges() -> list[Record]:
    """Return readings at the threshold, and one by a device whose clock names no zone."""
    return [
        Record(b"at", encode_reading("at", iso_timestamp(START_MS), 29.85)),
        Record(b"above", encode_reading("above", iso_timestamp(START_MS), 29.86)),
        Record(b"no-zone", encode_reading("no-zone", "2026-01-31T12:00:01.500000", 40.0)),
        Record(b"\xe6\xb8\xa9", encode_reading("温", iso_timestamp(START_MS), 40.0)),
    ]


@pytest.fixture(scope="module", params=[THREE_JOBS, ("all",)], ids=["three", "all"])
def bus(request: pytest.FixtureRequest, broker_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Bus:
    """Run the jobs over everything once."""
    names: tuple[str, ...] = request.param
    own = {"topic_prefix": f"{broker_settings.topic_prefix}{names[0]}-", "state_dir": tmp_path_factory.mktemp("state")}
    settings = broker_settings.model_copy(update=own)
    kafka.ensure_topics(settings, "test")
    bad, bad_alerts = sensor_cases(datetime.now(UTC)), alert_cases(datetime.now(UTC))
    log = tmp_path_factory.mktemp("jobs") / "log"
    with Jobs(settings, log, {name: free_ports()[0] for name in names}) as jobs:
        jobs.start(*names)
        wait_until(lambda: log.read_text().count(" reads ") == len(names), 30, "the jobs to start", log)
        records = [*_good_readings(), *_foreign_keys(), *_edges()]
        produce(settings, SENSOR, records[:100])
        produce(settings, SENSOR, [*_records_of(bad), *_closing(bad)])
        alerts_sent = [*_records_of(bad_alerts), *_alerts_under_foreign_keys()]
        produce(settings, ALERT, alerts_sent)
        for device in RAW_DEVICES:
            device.produce(settings)
        produce(settings, SENSOR, records[100:])
        jobs.settle(*names)
        jobs.settle(*names)  # the alerts, and the copies with the right key, are all there
        held = {topic: read_all(settings, topic) for topic in _TOPICS}
        metrics = {name: _metrics_of(jobs, name, sum(len(held[topic]) for topic in INPUTS[name])) for name in names}
        jobs.stop(*names)
    raw: list[Message] = []
    sensor, alerts, counts, means, dead_letters = (_without_raw(held[topic], topic, raw) for topic in _TOPICS)
    tailed = run(settings, "tail", "dead-letter", "--all", "--no-follow")
    assert (tailed.returncode, tailed.stderr) == (0, "")
    ours = (sensor, alerts, counts, means, dead_letters)
    names_of = {topic: settings.topic_name(topic) for topic in _TOPICS}
    numbers = {topic: len(messages) for topic, messages in held.items()}
    return Bus(
        bad, bad_alerts, *ours, tailed.stdout, metrics, names_of, numbers, len(alerts_sent), raw, log.read_text()
    )


def _metrics_of(jobs: Jobs, name: str, records: int) -> Samples:
    """Return what a job's `/metrics` says once it has told of so many records; it is up to a second behind."""
    told: list[Samples] = []

    def tells_all() -> bool:
        told.append(jobs.metrics(name, "sensorbus_job_"))
        return _records_told(told[-1]) == records

    wait_until(tells_all, 10, f"{name} to tell of {records} records", jobs.log)
    return told[-1]


def _records_told(told: Samples) -> float:
    return sum(value for (sample, _), value in told.items() if sample == "sensorbus_job_records_total")


def _without_raw(messages: list[Message], topic: Topic, raw: list[Message]) -> list[Message]:
    """Move those of `RAW_DEVICES` to a list of their own: who asks a second time for headers like theirs dies."""
    ids = [device.device_id.encode() for device in RAW_DEVICES if topic in (device.topic, DEAD_LETTER)]
    theirs = [any(each in (message.value() or b"") for each in ids) for message in messages]
    raw += [message for message, is_theirs in zip(messages, theirs, strict=True) if is_theirs]
    return [message for message, is_theirs in zip(messages, theirs, strict=True) if not is_theirs]


def test_nothing_is_said_as_a_traceback(bus: Bus) -> None:
    """Bad input is no bug: the log has one folded line."""
    assert "Traceback" not in bus.log
    assert len(bus.log) < 20_000


def test_alerts_counts_and_means_equal_the_offline_computation(bus: Bus) -> None:
    """Every alert once, the last count of each window, each closed mean once, and nothing else."""
    ours = [
        m for m in bus.sensor if (m.key() or b"").startswith((b"device-", b"at", b"above")) or m.key() == "温".encode()
    ]
    assert len(ours) > 250
    expected = expected_from_readings(message.value() for message in ours)
    keys = {message.key() for message in ours}
    results = [[m.value() for m in topic if m.key() in keys] for topic in (bus.alerts, bus.counts, bus.means)]
    assert differences(expected, *results) == []
    assert len(expected.alerts) > 50
    assert len(expected.means) > 200


def test_the_metrics_of_each_job_are_what_came_in_and_out(bus: Bus) -> None:
    """Of everything that was sent, to the record; what is sampled, the delay, is plausible."""
    wanted = _metrics_wanted(bus)
    for name, told in bus.metrics.items():
        counted = {place: value for place, value in told.items() if place[0] in _COUNTED and value}
        assert counted == wanted[name], name
        assert told["sensorbus_job_commits_total", ""] > 0
        lags = [value for (sample, _), value in told.items() if sample.startswith("sensorbus_job_lag_")]
        assert len(lags) > len(INPUTS[name])
        assert max(lags) == 0
        looked_at, delay_s = (told[f"sensorbus_job_delay_seconds_{what}", ""] for what in ("count", "sum"))
        assert _records_told(told) / 100 < looked_at < _records_told(told) / 10  # one in 32 on average
        assert delay_s < 60 * looked_at


def _metrics_wanted(bus: Bus) -> dict[str, dict[tuple[str, str], int]]:
    """Return what each job must have counted, by what stands in the topics; nothing that is 0."""
    wanted: dict[str, Counter[tuple[str, str]]] = {name: Counter() for name in bus.metrics}
    of_alert, of_count, of_mean = (wanted[name if name in wanted else "all"] for name in THREE_JOBS)
    for each in (of_alert, of_mean):  # of job `all` one and the same
        each["sensorbus_job_records_total", bus.names[SENSOR]] = bus.held[SENSOR]
    of_count["sensorbus_job_records_total", bus.names[ALERT]] = bus.held[ALERT]
    of_alert["sensorbus_job_results_total", bus.names[ALERT]] += bus.raised
    of_count["sensorbus_job_results_total", bus.names[ALERT_COUNT]] += bus.held[ALERT_COUNT]
    of_mean["sensorbus_job_results_total", bus.names[AVG_TEMP]] += bus.held[AVG_TEMP]
    for each, topic in ((of_alert, SENSOR), (of_count, ALERT)):
        kinds = bus.kinds(topic)
        each["sensorbus_job_results_total", bus.names[DEAD_LETTER]] += kinds.total()
        each["sensorbus_job_results_total", bus.names[topic]] += bus.copies(topic)
        each["sensorbus_job_rekeyed_total", ""] += bus.copies(topic)
        for kind, number in kinds.items():
            each["sensorbus_job_dead_letters_total", kind] += number
    if of_mean is not of_alert:
        of_mean |= {("sensorbus_job_dead_letters_total", kind): number for kind, number in bus.kinds(SENSOR).items()}
    of_mean["sensorbus_job_late_total", ""] += bus.late(SENSOR)
    of_count["sensorbus_job_late_total", ""] += bus.late(ALERT)
    return {name: {place: value for place, value in each.items() if value} for name, each in wanted.items()}


def test_each_bad_record_is_in_dead_letter_once_as_it_came(bus: Bus) -> None:
    """The bytes, the key and the headers of a record are kept, and ours say why it is there."""
    wanted = [(case, "sensor") for case in bus.sensor_cases if case.kind]
    wanted += [(case, "alert") for case in bus.alert_cases if case.kind]
    found = []
    for message in bus.dead_letters:
        headers = dict(message.headers())
        source = headers["source.topic"].decode().rsplit(".", 1)[-1].rsplit("-", 1)[-1]
        kind = headers["error.kind"].decode()
        found.append((message.value(), message.key(), kind, source))
    assert Counter(found) == Counter((case.value, _key_of(case), case.kind, source) for case, source in wanted)
    assert {_key_of(case) for case, _ in wanted} == set(FOREIGN_KEYS)


def test_each_dead_letter_is_a_line_that_can_be_read(bus: Bus) -> None:
    """Whatever its bytes, of which there may be 5 MB: with what is wrong with it, and nothing that a terminal obeys."""
    lines = bus.tailed.splitlines()
    assert len(lines) == len(bus.dead_letters) + sum(m.topic().endswith(DEAD_LETTER.name) for m in bus.raw)
    assert all("error.kind=" in line for line in lines)
    assert all(character.isprintable() for line in lines for character in line)
    assert max(map(len, lines)) < 5_000


def test_a_dead_letter_names_its_source(bus: Bus) -> None:
    """Topic, partition and offset of a dead letter lead to the same bytes."""
    sources = {(m.topic(), m.partition(), m.offset()): m.value() for m in [*bus.sensor, *bus.alerts]}
    for message in bus.dead_letters:
        headers = dict(message.headers())
        place = (
            headers["source.topic"].decode(),
            int(headers["source.partition"]),
            int(headers["source.offset"]),
        )
        assert sources[place] == message.value()
        assert headers["error.message"].decode()
        assert message.headers()[: len(HEADERS)] == HEADERS
    assert len(bus.dead_letters) == sum(case.kind is not None for case in [*bus.sensor_cases, *bus.alert_cases])


def test_unusual_but_valid_readings_are_in_their_means(bus: Bus) -> None:
    """Emoji, markup, unknown fields, doubled keys and old times are no error: each is in ten windows."""
    accepted = [case for case in bus.sensor_cases if case.kind is None]
    assert len(accepted) == 11
    for case in accepted:
        assert [mean["avg_temp"] for mean in bus.of(bus.means, case.device_id)] == [20.0] * 10, case.name


def test_unusual_but_valid_alerts_are_counted(bus: Bus) -> None:
    """The same on `alert`: each is in the five windows around it, once."""
    accepted = [case for case in bus.alert_cases if case.kind is None]
    assert len(accepted) == 11
    for case in accepted:
        assert [count["alert_count"] for count in bus.of(bus.counts, case.device_id)] == [1] * 5, case.name


def test_a_reading_under_a_foreign_key_counts_once_under_its_own(bus: Bus) -> None:
    """Without key, with an empty, another or an unreadable one: one copy, one alert, one count."""
    copies = [m for m in bus.sensor if "rekeyed.from" in dict(m.headers() or [])]
    originals = {
        f"{m.topic()}[{m.partition()}]@{m.offset()}": m.value()
        for m in bus.sensor
        if m.key() in (None, b"", b"other", b"\xff") and b"foreign" in (m.value() or b"")
    }
    assert len(originals) == 4
    assert sorted((dict(m.headers())["rekeyed.from"].decode(), m.value()) for m in copies) == sorted(originals.items())
    assert {m.key() for m in copies} == {b"foreign"}
    assert len({m.partition() for m in copies}) == 1
    assert all(m.headers()[: len(HEADERS)] == HEADERS for m in copies)
    assert [m.key() for m in bus.alerts if b"foreign" in (m.value() or b"")] == [b"foreign"] * 4
    expected = expected_from_readings(m.value() for m in copies)  # in whichever order the copies came
    results = [[m.value() for m in topic if m.key() == b"foreign"] for topic in (bus.alerts, bus.counts, bus.means)]
    assert differences(expected, *results) == []
    assert len(bus.of(bus.counts, "foreign")) == sum(expected.counts.values()) > 4


def test_an_alert_under_a_foreign_key_counts_once_under_its_own(bus: Bus) -> None:
    """The same on `alert`, where anybody may write too."""
    ours = [m for m in bus.alerts if b"stray" in (m.value() or b"")]
    copies = [m for m in ours if "rekeyed.from" in dict(m.headers() or [])]
    originals = {f"{m.topic()}[{m.partition()}]@{m.offset()}": m.value() for m in ours if m not in copies}
    assert {m.key() for m in ours if m not in copies} == set(FOREIGN_KEYS)
    assert sorted((dict(m.headers())["rekeyed.from"].decode(), m.value()) for m in copies) == sorted(originals.items())
    assert {m.key() for m in copies} == {b"stray"}
    assert len({m.partition() for m in copies}) == 1
    assert all(m.headers()[: len(HEADERS)] == HEADERS for m in copies)
    expected = expected_from_readings(m.value().replace(b"celsius", b"temperature") for m in copies)
    found = bus.of(bus.counts, "stray")
    assert {("stray", count["start"]): count["alert_count"] for count in found} == expected.counts
    assert len(found) == sum(expected.counts.values()) > 4
    assert {m.key() for m in bus.counts if b"stray" in m.value()} == {b"stray"}


@pytest.mark.parametrize("device", RAW_DEVICES, ids=lambda device: device.device_id)
def test_a_header_name_that_is_no_utf8_and_a_time_of_minus_1_change_nothing(device: RawDevice, bus: Bus) -> None:
    """A good one is read, one under a foreign key sent again, a bad one a dead letter: each once, on either topic."""
    key, good = device.device_id.encode(), device.good()
    ours = [m for m in bus.raw if key in m.value()]
    letters = [m for m in ours if m.topic().endswith(DEAD_LETTER.name)]
    sent = [m for m in ours if m not in letters]
    wanted = [(good[0], key), (good[1], b"other"), *((value, key) for value in device.bad().values()), (good[1], key)]
    assert Counter((m.value(), m.key()) for m in sent) == Counter(wanted)  # the job may write while we do
    (copy,) = (m for m in sent if (m.value(), m.key()) == wanted[-1])
    assert [name for name, _ in kafka.headers(copy)] == ["rekeyed.from"]
    headers = [dict(kafka.headers(m)) for m in letters]
    found = [(m.value(), m.key(), each["error.kind"]) for m, each in zip(letters, headers, strict=True)]
    assert found == [(value, key, kind.encode()) for kind, value in device.bad().items()]
    assert [len(each) for each in headers] == [5, 5]  # ours: none can be read of its own
    readings = [value.replace(b"celsius", b"temperature") for value in good]
    expected = expected_from_readings(readings)
    results = [[m.value() for m in topic if m.key() == key] for topic in (bus.alerts, bus.counts, bus.means)]
    if device.topic is ALERT:  # what its alerts lead to, and nothing else
        results, expected.means = [readings, results[1], results[2]], {}
    assert differences(expected, *results) == []
    assert len(expected.counts) == 6


def test_the_threshold_itself_is_no_alert(bus: Bus) -> None:
    """303.00 K is none, 303.01 K is one."""
    assert bus.of(bus.alerts, "at") == []
    assert [alert["kelvin"] for alert in bus.of(bus.alerts, "above")] == [303.01]


def test_an_alert_is_in_five_windows(bus: Bus) -> None:
    """One alert gives five counts of 1, of windows 5 s long, 1 s apart, around it."""
    counts = bus.of(bus.counts, "above")
    second_ms = START_MS
    assert [(c["start"], c["end"], c["alert_count"]) for c in counts] == [
        (second_ms - back, second_ms - back + 5_000, 1) for back in (4_000, 3_000, 2_000, 1_000, 0)
    ]


def test_an_alert_keeps_the_timestamp_as_received(bus: Bus) -> None:
    """The text is the device's own; without an offset it is read as UTC."""
    assert bus.of(bus.alerts, "no-zone") == [
        {
            "celsius": 40.0,
            "fahrenheit": 104.0,
            "kelvin": 313.15,
            "device_id": "no-zone",
            "timestamp": "2026-01-31T12:00:01.500000",
        }
    ]
    starts = {count["start"] for count in bus.of(bus.counts, "no-zone")}
    assert max(starts) == int(datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC).timestamp()) * 1_000


def test_results_carry_no_headers_of_their_input(bus: Bus) -> None:
    """What a device sends beside its reading does not travel on."""
    foreign = {record.value for record in _alerts_under_foreign_keys()} | {case.value for case in bus.alert_cases}
    results = [message for message in [*bus.alerts, *bus.counts, *bus.means] if message.value() not in foreign]
    assert len(results) > 250
    assert all(not message.headers() for message in results)


#: Windows of other lengths, steps and graces than ours.
OTHER_COUNTS: Final = Shape(length_ms=6_000, step_ms=2_000, grace_ms=700)
OTHER_MEANS: Final = Shape(length_ms=9_000, step_ms=3_000, grace_ms=2_600)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "counts", "means"),
    [(THREE_JOBS, Shape(length_ms=5_000), Shape(length_ms=10_000)), (("all",), OTHER_COUNTS, OTHER_MEANS)],
    ids=["three", "all-other-windows"],
)
def test_a_restart_keeps_the_windows(
    names: tuple[str, ...], counts: Shape, means: Shape, fresh_settings: Settings, tmp_path: Path
) -> None:
    """Stopped in the middle of every window and started again, the jobs go on where they were; nothing comes twice."""
    shapes = {"alert_count": counts, "avg_temp": means}
    own = {f"{job}_{name}": value for job, shape in shapes.items() for name, value in asdict(shape).items()}
    settings = fresh_settings.model_copy(update=own)
    records = _good_readings()
    with Jobs(settings, tmp_path / "log") as jobs:
        for part in (records[:117], records[117:]):
            produce(settings, SENSOR, part)
            jobs.start(*names)
            jobs.settle(*names)
            jobs.settle(*names)
            jobs.stop(*names)
    expected = expected_from_readings(values(settings, SENSOR), counts=counts, means=means)
    found = [values(settings, topic) for topic in (ALERT, ALERT_COUNT, AVG_TEMP)]
    assert differences(expected, *found) == []
    assert len(expected.alerts) > 50
    verified = run(settings, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
