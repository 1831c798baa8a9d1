"""What retention and clocks that stepped back mean for `verify`.

The topics are lists; what the jobs have written is what all readings ever lead to.
"""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final, cast

import orjson
import pytest

from sensorbus import history, progress, records, verify
from sensorbus.contract import messages
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR, TOPICS, Topic
from sensorbus.expectation import Loss, expect
from sensorbus.runtime import kafka
from tests.support.listed_bus import NOW_MS, SETTINGS, Bus
from tests.support.results import Record

HOUR_S: Final = 3_600
NOBODY: Final[Any] = None


GOOD: Final = dict.fromkeys(("alert", "alert-count", "avg-temp", "dead-letter"), (0, 0, 0, True))


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    """Give a bus without records."""
    return Bus(monkeypatch)


def fill(bus: Bus, seconds: int, device_id: str = "a") -> None:
    """Write a reading a second until now, each tenth of them an alert, with a mean of its own for each window."""
    for age_s in range(seconds, 0, -1):
        bus.read_reading(device_id, age_s, 40.0 if age_s % 10 == 0 else 20.0 + age_s % 7)


@pytest.mark.parametrize(("seconds", "short"), [(1_200, False), (300, True)], ids=["whole", "little"])
def test_results_outlive_the_readings_that_retention_took(bus: Bus, seconds: int, *, short: bool) -> None:
    """All results are true, though `sensor` begins at its 100th reading; one line says from when on they count."""
    fill(bus, seconds)
    bus.run_jobs()
    assert bus.verify(None) == (GOOD, [])
    bus.low[SENSOR.name] = 100
    numbers, remarks = bus.verify(None)
    begin = messages.iso_timestamp(NOW_MS - (seconds - 100) * 1_000 + (30_000 if short else 310_000))
    assert numbers == GOOD
    assert [begin in line and "sensor has lost its oldest readings in partition 0" in line for line in remarks] == [
        True
    ]
    assert ["little is held" in line for line in remarks] == [short]


def test_records_are_let_go_of_as_they_are_read(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large fleet's results would take several times the memory that what is expected takes."""
    fill(bus, 300)
    bus.run_jobs()
    given: list[weakref.ref[Record]] = []
    alive: list[int] = []

    def read(*asked: Any) -> Iterator[Record]:
        for record in bus.read(*asked):
            alive.append(sum(one() is not None for one in given[-20:]))
            one = replace(record)
            given.append(weakref.ref(one))
            yield one

    monkeypatch.setattr(records, "read_to_end", read)
    assert bus.verify(None) == (GOOD, [])
    assert len(given) == sum(map(len, bus.topics.values()))
    assert max(alive) <= 2


def test_behind_a_cut_a_result_that_is_missing_is_missing(bus: Bus) -> None:
    """Of a device whose clock is right, whatever else was told."""
    fill(bus, 1_200)
    bus.run_jobs()
    bus.low[SENSOR.name] = 100
    lost = bus.lose(AVG_TEMP, "a", 700)
    numbers, remarks = bus.verify(None)
    assert numbers["avg-temp"] == (lost, 0, 0, False)
    assert len(remarks) == 1


@pytest.mark.parametrize(("seconds", "due"), [(1_200, 790), (300, 170)], ids=["whole", "little"])
def test_behind_a_cut_no_loss_is_whole_enough_to_be_excused(bus: Bus, seconds: int, due: int) -> None:
    """All means of a device whose clock is right are gone: those that are due are missing, none is pending."""
    fill(bus, seconds)
    bus.run_jobs()
    bus.low[SENSOR.name] = 100
    bus.lose(AVG_TEMP, "a")
    assert bus.verify(None)[0]["avg-temp"] == (due, 0, 0, False)


def test_since_counts_from_a_cut_that_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the embedded broker, which reads from its beginning whatever `--since` says."""
    bus = Bus(monkeypatch, Settings(embedded_broker=True))
    fill(bus, 300)
    bus.run_jobs()
    bus.low[SENSOR.name] = 100
    numbers, remarks = bus.verify(600)
    assert (numbers, len(remarks)) == (GOOD, 1)
    numbers, remarks = bus.verify(100)
    assert (numbers, remarks) == (GOOD, [])


def test_results_that_retention_took_first_are_not_missing(bus: Bus) -> None:
    """Means are more bytes than readings: their oldest may be gone, and a line says from when on they count."""
    fill(bus, 600)
    bus.run_jobs()
    bus.low[AVG_TEMP.name] = 200
    numbers, remarks = bus.verify(None)
    assert numbers == GOOD
    assert ["older ones are gone from their topics" in line for line in remarks] == [True]


def refuse(bus: Bus, topic: Topic, age_s: int, *, lose_letter: bool = False) -> None:
    """Append a record that cannot be read, at that age, and its letter a second later, unless that gets lost."""
    held, letters = bus.topics[topic.name], bus.topics[DEAD_LETTER.name]
    place, append_ms = (0, len(held)), NOW_MS - age_s * 1_000
    held.append(Record(b"{", append_ms=append_ms, place=place, topic_name=topic.name))
    if not lose_letter:
        said = [("source.topic", topic.name), ("source.partition", place[0]), ("source.offset", place[1])]
        headers = [(name, str(value).encode()) for name, value in said]
        letter = Record(b"{", append_ms=append_ms + 1_000, place=(0, len(letters)), record_headers=headers)
        letters.append(replace(letter, topic_name=DEAD_LETTER.name))


@pytest.mark.parametrize("topic", [SENSOR, ALERT])
@pytest.mark.parametrize("settings", [SETTINGS, Settings(embedded_broker=True)], ids=["kafka", "embedded"])
def test_letters_that_retention_took_are_not_missing(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, topic: Topic
) -> None:
    """A line says from when on they count; one of a younger record that is not there is missing."""
    bus = Bus(monkeypatch, settings)
    for age_s in (500, 400, 300, 200):
        refuse(bus, topic, age_s)
    assert bus.verify(None)[0]["dead-letter"] == (0, 0, 0, True)
    bus.low[DEAD_LETTER.name] = 2
    numbers, remarks = bus.verify(None)  # the first letter that is left is not judged, for its record is older
    assert numbers["dead-letter"] == (0, 0, 0, True)
    begin = messages.iso_timestamp(NOW_MS - 299_000)
    assert remarks == [f"dead letters count from {begin} on: older ones are gone from dead-letter"]
    refuse(bus, topic, 100, lose_letter=True)
    assert bus.verify(None)[0]["dead-letter"] == (1, 0, 0, False)


def test_letters_that_were_too_old_say_nothing_of_younger_ones(bus: Bus) -> None:
    """The partition is empty and once was not; a letter that is due there is missing."""
    refuse(bus, SENSOR, 200, lose_letter=True)
    bus.low[DEAD_LETTER.name] = 0
    assert history.letters_from_ms(SETTINGS, NOBODY, {}, NOW_MS - 1, NOW_MS) == 0
    bus.topics[DEAD_LETTER.name] = [Record(b"{")] * 3
    bus.low[DEAD_LETTER.name] = 3
    oldest_ms = NOW_MS - SETTINGS.dead_letter_retention_ms
    held = {DEAD_LETTER: {(DEAD_LETTER.name, 0): range(3, 3)}}
    assert history.letters_from_ms(SETTINGS, NOBODY, held, 0, NOW_MS) == oldest_ms
    assert bus.verify(None)[0]["dead-letter"] == (1, 0, 0, False)


def test_where_no_reading_is_left_no_result_is_judged(bus: Bus) -> None:
    """Retention took all of an idle partition, and its results stand there still."""
    begins = history.begins_ms(SETTINGS, {2: None}, 0, NOW_MS)
    fill(bus, 20)
    expected = expect(SETTINGS, cast("Any", bus.topics[SENSOR.name]), 0, None, Loss(begins, {}))
    assert (expected.begin_ms("a", 0), expected.begin_ms("gone", 0)) == (0, NOW_MS)


def step_back(bus: Bus, ago_s: int, behind_s: int, ahead_s: int = 0) -> None:
    """Write 30 min of readings of a clock that stepped back so long ago, beside those of a clock that is right."""
    for age_s in range(1_800, 0, -1):
        celsius = 40.0 if age_s % 10 == 0 else 20.0
        bus.read_reading("stepped", age_s, celsius, behind_s=behind_s if age_s <= ago_s else -ahead_s)
        bus.read_reading("right", age_s, 40.0 if age_s % 10 == 0 else 20.0)


def test_a_clock_that_stepped_back_before_makes_nothing_missing(bus: Bus) -> None:
    """Its readings are late by right, and what tells it came long before what `--since` reads."""
    step_back(bus, 1_500, HOUR_S)
    bus.run_jobs()
    assert bus.verify(600) == (GOOD, [])


def test_a_clock_that_comes_to_where_it_was_makes_nothing_different(bus: Bus) -> None:
    """Its windows there hold readings from before the step too."""
    step_back(bus, 1_400, 1_000)
    bus.run_jobs()
    assert bus.verify(600) == (GOOD, [])


def test_a_clock_that_was_ahead_closed_windows_before_their_time(bus: Bus) -> None:
    """The reading that closed them was appended before they began."""
    step_back(bus, 1_200, 450, ahead_s=250)
    bus.run_jobs()
    assert bus.verify(600) == (GOOD, [])


def test_a_clock_that_is_behind_all_the_time_excuses_nothing(bus: Bus) -> None:
    """No reading of it says that its windows were closed: its results are missing, as those of a right clock."""
    step_back(bus, 1_800, HOUR_S)
    bus.run_jobs()
    lost = bus.lose(AVG_TEMP, "stepped")
    numbers, remarks = bus.verify(600)
    assert (numbers["avg-temp"], remarks) == ((600, 0, 0, False), [])
    assert lost > 600


def test_a_right_clock_beside_one_that_stepped_excuses_nothing(bus: Bus) -> None:
    """Its results are missing."""
    step_back(bus, 1_500, HOUR_S)
    bus.run_jobs()
    lost = bus.lose(AVG_TEMP, "right", 300)
    numbers, _ = bus.verify(600)
    assert numbers["avg-temp"] == (lost, 0, 0, False)


def test_whether_a_clock_stepped_back_before_all_that_is_held_is_not_known(bus: Bus) -> None:
    """Its windows are pending, and one line says why, with the device."""
    step_back(bus, 1_500, HOUR_S)
    bus.run_jobs()
    bus.low[SENSOR.name] = 2 * 400
    numbers, remarks = bus.verify(600)
    missing, pending, different, is_true = numbers["avg-temp"]
    assert (missing, different, is_true) == (0, 0, True)
    assert pending == 600
    assert ["devices whose clocks are behind are pending" in line and "stepped)" in line for line in remarks] == [True]


def test_what_was_told_says_that_a_clock_did_not_step(bus: Bus) -> None:
    """A device that is behind has told an earlier window in that time: what is missing after it is missing."""
    step_back(bus, 1_800, HOUR_S)
    bus.run_jobs()
    bus.low[SENSOR.name] = 2 * 400
    lost = bus.lose(AVG_TEMP, "stepped", 300)
    numbers, remarks = bus.verify(600)
    assert (numbers["avg-temp"], remarks) == ((lost, 0, 0, False), [])


def fill_hot(bus: Bus, seconds: int) -> None:
    """Write an alert a second until now, so that every window has five, and let the jobs count them."""
    for age_s in range(seconds, 0, -1):
        bus.read_reading("a", age_s, 40.0)
    bus.run_jobs()


def lose_count(bus: Bus, age_s: int, number: int) -> None:
    """Delete a count of the window that began so long ago."""
    held = bus.topics[ALERT_COUNT.name]
    start = NOW_MS - age_s * 1_000
    kept = [m for m in held if (said := orjson.loads(m.raw or b""))["start"] != start or said["alert_count"] != number]
    assert len(kept) == len(held) - 1
    bus.topics[ALERT_COUNT.name] = kept


@pytest.mark.parametrize("since_s", [None, 600])
@pytest.mark.parametrize("number", [1, 3, 5])
def test_each_count_of_a_window_must_stand_there(bus: Bus, since_s: int | None, number: int) -> None:
    """A window of which one was left out is different, also where the last one that readers keep is right."""
    fill_hot(bus, 1_200)
    assert bus.verify(since_s) == (GOOD, [])
    lose_count(bus, 100, number)
    assert bus.verify(since_s)[0]["alert-count"] == (0, 0, 1, False)


@pytest.mark.parametrize("embedded", [False, True])
@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_since_may_cut_into_a_window(monkeypatch: pytest.MonkeyPatch, guarantee: str, *, embedded: bool) -> None:
    """Its first counts came before that time, at least once its repeats too; what comes behind the cut is still due."""
    settings = Settings.model_validate({"processing_guarantee": guarantee, "embedded_broker": embedded})
    bus = Bus(monkeypatch, settings)
    fill_hot(bus, 600)
    if guarantee == "at-least-once":
        # The job was killed before it committed the last ones, and tells them again.
        held = bus.topics[ALERT_COUNT.name]
        held += [replace(one, append_ms=held[-1].append_ms) for one in held[-12:]]
    assert {since_s: bus.verify(since_s) for since_s in range(1, 21)} == dict.fromkeys(range(1, 21), (GOOD, []))
    lose_count(bus, 22, 4)  # its alert came 19 s ago
    different = {since_s: bus.verify(since_s)[0]["alert-count"][2] for since_s in (18, 19, 20)}
    assert different == ({18: 1, 19: 1, 20: 1} if embedded else {18: 0, 19: 1, 20: 1})


@pytest.mark.parametrize("since_s", range(1, 12))
def test_counts_of_a_job_that_stands_still_are_pending(bus: Bus, monkeypatch: pytest.MonkeyPatch, since_s: int) -> None:
    """Also of windows that the time cuts into: of what came before it nothing was told either."""
    fill_hot(bus, 60)
    alerts = [messages.parse_alert(one.value(), one.append_ms, SETTINGS.time_rules) for one in bus.topics[ALERT.name]]
    waits = progress.Progress(alert_count={}, uncounted=frozenset(map(progress.identity, alerts)))
    monkeypatch.setattr(progress, "progress", lambda *_: waits)
    bus.topics[ALERT_COUNT.name] = []
    missing, pending, different, is_true = bus.verify(since_s)[0]["alert-count"]
    assert (missing, different, is_true, pending > 0) == (0, 0, True, True)


def test_retention_may_have_taken_the_first_counts_of_a_window(bus: Bus) -> None:
    """Of windows that are older than the first count that is left; in a later one nothing excuses a gap."""
    fill_hot(bus, 1_200)
    for low in range(500, 510):
        bus.low[ALERT_COUNT.name] = low
        missing, _, different, _ = bus.verify(None)[0]["alert-count"]
        assert (different, missing > 0) == (0, True)
    lose_count(bus, 100, 1)
    assert bus.verify(None)[0]["alert-count"][2] == 1


def test_behind_a_cut_of_the_readings_counts_rise(bus: Bus) -> None:
    """Those of windows that began before are no less right."""
    fill_hot(bus, 1_200)
    bus.low[SENSOR.name] = 100
    assert bus.verify(None)[0] == GOOD
    lose_count(bus, 100, 2)
    assert bus.verify(None)[0]["alert-count"] == (0, 0, 1, False)


@pytest.mark.parametrize("behind_ms", [3_000, -3_000])
def test_leaders_clocks_may_differ(bus: Bus, behind_ms: int) -> None:
    """By some seconds, where there are several brokers: results come before their readings, or long after them."""
    bus.results_behind_ms = behind_ms
    fill_hot(bus, 600)
    assert (bus.verify(60)[0] == GOOD) == (behind_ms < 0)
    bus.apart_ms = 5_000
    assert bus.verify(60) == (GOOD, [])
    bus.low[AVG_TEMP.name] = 200
    assert bus.verify(None)[0] == GOOD


def test_an_alert_from_before_is_no_duplicate_of_an_equal_one(bus: Bus) -> None:
    """Of several brokers, results are read from some seconds before, by which their clocks may differ."""
    bus.apart_ms = 5_000
    fill(bus, 100)
    for _ in range(2):  # each raises an alert, exactly once
        bus.read_reading("again", 0, 40.0)
    first, second = bus.topics[SENSOR.name][-2:]
    second.append_ms = first.append_ms = NOW_MS - 1_000
    first.append_ms -= 2_000
    bus.run_jobs()
    assert bus.verify(2)[0]["alert"] == (0, 0, 0, True)


@pytest.mark.parametrize("since_s", [None, 60])
def test_where_each_partition_ends_is_asked_once_before_it_is_read(bus: Bus, since_s: int | None) -> None:
    """Each question is a round trip; a fleet has many partitions."""
    fill_hot(bus, 600)
    asked: list[int] = []

    def tell(doing: str, _done: int, _total: int | None) -> None:
        if doing == "reads and compares":
            asked.append(bus.asked)

    since_ms = None if since_s is None else NOW_MS - since_s * 1_000
    verify.verify(SETTINGS, bus.consumer, since_ms, tell)
    assert asked[0] == len(TOPICS)


@pytest.mark.parametrize(("brokers", "apart_ms"), [(1, 0), (3, 5_000)])
def test_one_broker_has_one_clock(monkeypatch: pytest.MonkeyPatch, brokers: int, apart_ms: int) -> None:
    """What is allowed for several clocks would excuse a wrong result where there is one."""
    told = SimpleNamespace(brokers=dict.fromkeys(range(brokers)))
    monkeypatch.setattr(kafka, "cluster_metadata", lambda _settings, _client: told)
    assert history.clocks_apart_ms(SETTINGS, NOBODY) == apart_ms


def slow(bus: Bus, speed: float, celsius: float | None = None) -> None:
    """Write 15 min of hot readings of a clock that is two hours behind and goes on so much slower, or stands still."""
    for number in range(900):
        age_s = 900 - number
        behind_s = 2 * HOUR_S + int(number * (1 - speed))
        bus.read_reading("slow", age_s, 40.0 + number % 7 if celsius is None else celsius, behind_s=behind_s)


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
@pytest.mark.parametrize("since_s", [None, 300])
@pytest.mark.parametrize("speed", [0, 0.01])
def test_a_window_that_holds_readings_that_are_gone_is_not_judged(
    monkeypatch: pytest.MonkeyPatch, guarantee: str, since_s: int | None, speed: float
) -> None:
    """Of a clock that stands still, or nearly: one line names the device. The same with all its readings is judged.

    At least once, equal alerts count once: of a clock that stands still nothing is left to judge.
    """
    bus = Bus(monkeypatch, Settings.model_validate({"processing_guarantee": guarantee}))
    slow(bus, speed)
    bus.run_jobs()
    assert bus.verify(since_s) == (GOOD, [])
    bus.low[SENSOR.name] = 300
    numbers, remarks = bus.verify(since_s)
    assert numbers == GOOD
    said = [line for line in remarks if "are not judged" in line]
    assert ["(1 device: slow)" in line for line in said] == [True] * (guarantee == "exactly-once" or speed > 0)


def test_a_device_that_came_after_a_cut_may_have_been_there_before(bus: Bus) -> None:
    """Its clock is right, but may have been ahead: its first windows are not judged, and the line says why."""
    fill(bus, 300)
    for age_s in range(140, 0, -1):  # `sensor` begins 200 s ago
        bus.read_reading("new", age_s, 20.0)
    held = bus.topics[SENSOR.name]
    held.sort(key=lambda record: record.append_ms)
    bus.topics[SENSOR.name] = [replace(record, place=(0, offset)) for offset, record in enumerate(held)]
    bus.run_jobs()
    bus.low[SENSOR.name] = 100
    numbers, remarks = bus.verify(None)
    assert numbers == GOOD
    assert ["devices that came or came back since then (1 device: new)" in line for line in remarks] == [False, True]


def test_a_window_of_a_slow_clock_that_began_later_is_judged(bus: Bus) -> None:
    """It holds no reading that is gone."""
    slow(bus, 0.1)
    bus.run_jobs()
    bus.low[SENSOR.name] = 300
    assert bus.verify(None)[0] == GOOD
    lost = bus.lose(AVG_TEMP, "slow", 200)
    assert lost > 10
    assert bus.verify(None)[0]["avg-temp"] == (lost, 0, 0, False)


@pytest.mark.parametrize(("since_s", "low"), [(60, 0), (None, 300)], ids=["since", "cut"])
def test_equal_alerts_on_both_sides_of_the_time_that_counts_are_no_duplicates(
    bus: Bus, since_s: int | None, low: int
) -> None:
    """A device that sends one reading over and over raises as many equal alerts, each a little later than it."""
    bus.results_behind_ms = -1_500
    slow(bus, 0, 40.0)
    bus.run_jobs()
    bus.low[SENSOR.name] = low
    assert bus.verify(since_s)[0]["alert"] == (0, 0, 0, True)
    bus.lose(ALERT, "slow", 100)
    assert not bus.verify(since_s)[0]["alert"][3]
