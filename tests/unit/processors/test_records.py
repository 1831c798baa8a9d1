"""The first step of every job: it never raises, and loses nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.batches import UnreadableBatch
from processors.outputs import Headers, Output
from processors.records import DEAD_LETTER_HEADERS, Place, dead_letter_headers, note_late, original, step
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import Alert, Reading, encode_alert, encode_reading, parse_alert, parse_reading
from sensorbus.contract.topics import ALERT, SENSOR
from sensorbus.runtime.logs import FoldRepeats
from tests.support.bad_input import Case, sensor_cases
from tests.support.job_parts import at, bus_of, seen

NOW_MS = 1_800_000_000_000
TIME_MS = 1_769_860_800_000
GOOD = encode_reading("oven", "2026-01-31T12:00:00Z", 20.0)
ALERT_OF_OVEN = encode_alert(Alert("oven", "2026-01-31T12:00:00Z", TIME_MS, 40.0, 104.0, 313.15))


class Job:
    """A step that notes the readings that it is given."""

    def __init__(self, *, answers_for_topic: bool = True) -> None:
        """Put it on `sensor`."""
        self.bus = bus_of()
        self.readings: list[Reading] = []
        self._run = step(self.bus, SENSOR, parse_reading, [self._note], answers_for_topic=answers_for_topic)

    def _note(self, reading: Reading, _state: object, _headers: Headers) -> Sequence[Output]:
        self.readings.append(reading)
        return ()

    def take(self, value: bytes | None, key: bytes | None = b"oven", headers: Headers | None = None) -> list[Output]:
        """Return the outputs of one record, which stands at `sensor[3]@42`."""
        return list(at("sensor", 3, 42, lambda: self._run(value, key, NOW_MS, headers)))


def test_a_good_reading_reaches_the_job() -> None:
    """Nothing is written but what the job itself returns."""
    job = Job()
    assert job.take(GOOD) == []
    assert job.readings == [Reading("oven", "2026-01-31T12:00:00Z", 1_769_860_800_000, 20.0)]
    assert seen(job.bus) == []


def test_each_handler_gets_the_reading_in_turn() -> None:
    """Several jobs share one parse."""
    bus, order = bus_of(), []

    def note(name: str, reading: Reading) -> Sequence[Output]:
        order.append((name, reading.device_id))
        return [Output(bus.topic(SENSOR), None, name.encode())]

    run = step(
        bus,
        SENSOR,
        parse_reading,
        [lambda reading, *_: note("a", reading), lambda reading, *_: note("b", reading)],
        answers_for_topic=True,
    )
    assert [output.value for output in run(GOOD, b"oven", NOW_MS, None)] == [b"a", b"b"]
    assert order == [("a", "oven"), ("b", "oven")]


@pytest.mark.parametrize("case", sensor_cases(datetime.fromtimestamp(NOW_MS / 1_000, UTC)), ids=lambda case: case.name)
def test_every_case_is_read_or_refused(case: Case) -> None:
    """A refused value goes out whole with its kind; an accepted one reaches the job."""
    job = Job()
    outputs = job.take(case.value, case.device_id.encode() or b"any")
    if case.kind is None:
        assert outputs == []
        assert [reading.device_id for reading in job.readings] == [case.device_id]
    else:
        assert [(out.topic, out.key, out.value) for out in outputs] == [("dead-letter", b"any", case.value)]
        assert dict(outputs[0].headers)["error.kind"] == case.kind.encode()
        assert seen(job.bus) == [f"dead-letter {case.kind}"]


@given(
    value=st.one_of(
        st.binary(max_size=200), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(orjson.dumps)
    )
)
def test_no_value_raises(value: bytes) -> None:
    """Whatever the bytes, there is one dead letter or one reading."""
    job = Job()
    assert len(job.take(value)) + len(job.readings) == 1


def test_a_dead_letter_says_where_it_comes_from() -> None:
    """Its headers are the record's own, then ours."""
    (letter,) = Job().take(b"[]", None, [("trace", b"\xff"), ("none", None)])
    assert letter.key is None
    assert list(letter.headers) == [
        ("trace", b"\xff"),
        ("none", None),
        ("source.topic", b"sensor"),
        ("source.partition", b"3"),
        ("source.offset", b"42"),
        ("error.kind", b"not-an-object"),
        ("error.message", b"the value is a JSON array, not an object"),
    ]


def test_a_dead_letter_that_was_sent_back_gets_new_headers() -> None:
    """What we said about it before is not kept beside what we say now."""
    error = InvalidMessageError("json", "°")
    first = dead_letter_headers([], Place("sensor", 0, 1), error)
    again = dead_letter_headers([("a", b"1"), *first], Place("sensor", 2, 9), error)
    assert [name for name, _ in again] == ["a", *DEAD_LETTER_HEADERS]
    assert dict(again)["source.offset"] == b"9"
    assert dict(again)["error.message"] == "°".encode()


def test_late_alerts_have_a_line_beside_late_readings(caplog: pytest.LogCaptureFixture) -> None:
    """In job `all` one thread tells of both; the second of each within some seconds is folded."""
    meter = bus_of().meter
    for what in ("a reading", "an alert", "a reading", "an alert"):
        at("sensor", 3, 42, partial(note_late, meter, what, "oven", "now"))
    folding = FoldRepeats(clock_s=lambda: 0.0)
    assert [folding.filter(record) for record in caplog.records] == [True, True, False, False]


def test_a_dead_letter_is_logged_with_the_place_of_the_record(caplog: pytest.LogCaptureFixture) -> None:
    """In words for people, as fields for machines."""
    Job().take(b"[]")
    (record,) = caplog.records
    assert record.getMessage().startswith("sensor[3]@42 is not what sensor holds and goes to dead-letter: ")
    fields = vars(record)
    assert [fields[name] for name in ("topic", "partition", "offset")] == ["sensor", 3, 42]


@pytest.mark.parametrize(
    ("value", "key", "headers"),
    [
        (GOOD + b" " * SENSOR.max_message_bytes, b"oven", []),
        (GOOD + b" " * SENSOR.max_message_bytes, None, []),
        (b"x" * 3 * SENSOR.max_message_bytes, b"oven", [("trace", b"1")]),
        (GOOD, b"k" * 2 * SENSOR.max_message_bytes, [("trace", b"1")]),
        (None, None, [("trace", b"1"), ("h" * 1_000, b"v" * SENSOR.max_message_bytes), ("more", None)]),
        (GOOD, b"oven", [("", b"")] * (SENSOR.max_message_bytes // 10)),
    ],
    ids=["reading", "foreign key", "noise", "key", "header", "headers"],
)
def test_what_was_small_only_while_compressed_is_cut(value: bytes | None, key: bytes | None, headers: Headers) -> None:
    """Its letter has the first bytes, as many as Kafka takes uncompressed, and says how many there were."""
    job = Job()
    (letter,) = job.take(value, key, headers)
    assert letter.topic == "dead-letter"
    assert (value or b"").startswith(letter.value or b"")
    assert (key or b"").startswith(letter.key or b"")
    assert (letter.value is None, letter.key is None) == (value is None, key is None)
    own = list(letter.headers)[: -len(DEAD_LETTER_HEADERS)]
    assert own == list(headers)[: len(own)]
    size = sum(len(name) + len(said or b"") + 10 for name, said in own)
    size += len(letter.value or b"") + len(letter.key or b"")
    assert size <= SENSOR.max_message_bytes - 1_024
    assert size > SENSOR.max_message_bytes - 1_040 or (value, len(own)) in [(None, 1), (GOOD, len(headers))]
    assert job.readings == []
    assert seen(job.bus) == ["dead-letter too-large"]


def test_a_batch_that_cannot_be_decompressed_is_a_letter_without_a_value() -> None:
    """It says why, whatever the reason looks like."""
    job = Job()
    (letter,) = job.take(UnreadableBatch(GOOD), None)
    assert (letter.key, letter.value) == (None, None)
    assert dict(letter.headers)["error.message"] == GOOD
    assert seen(job.bus) == ["dead-letter compression"]


def test_the_largest_record_is_read() -> None:
    """It has what Kafka takes, less 1,024 bytes; one byte more is too large, and under a foreign key its copy fits."""
    job, most = Job(), SENSOR.max_message_bytes - 1_024
    value = GOOD + b" " * (most - len(GOOD) - len(b"oven"))
    assert job.take(value) == []
    assert len(job.readings) == 1
    (copy,) = job.take(value, b"kiln")
    assert (copy.topic, copy.value) == ("sensor", value)
    assert [output.topic for output in job.take(value + b" ")] == ["dead-letter"]


def test_only_the_job_that_answers_for_the_topic_writes_dead_letters() -> None:
    """The others count them."""
    job = Job(answers_for_topic=False)
    assert job.take(b"[]") == []
    assert seen(job.bus) == ["dead-letter not-an-object"]


@pytest.mark.parametrize("key", [None, b"", b"other", b"\xff\xfe", b"oven "])
def test_a_reading_under_a_foreign_key_is_sent_again_under_its_own(key: bytes | None) -> None:
    """The copy has the same bytes and says where the original stands; the job waits for it."""
    job = Job()
    (copy,) = job.take(GOOD, key, [("trace", b"1")])
    assert (copy.topic, copy.key, copy.value) == ("sensor", b"oven", GOOD)
    assert list(copy.headers) == [("trace", b"1"), ("rekeyed.from", b"sensor[3]@42")]
    assert job.readings == []
    assert seen(job.bus) == ["rekeyed"]
    assert job.take(copy.value, copy.key, copy.headers) == []
    assert len(job.readings) == 1


def test_a_copy_names_the_last_original_only() -> None:
    """One that comes under a foreign key again, as after a replay to a wrong key, has one such header."""
    (copy,) = Job().take(GOOD, None, [("rekeyed.from", b"sensor[0]@1"), ("trace", b"1")])
    assert list(copy.headers) == [("trace", b"1"), ("rekeyed.from", b"sensor[3]@42")]


def test_a_copy_tells_its_original_and_what_was_sent_back_does_not() -> None:
    """As `sensorbus verify` has it: the last of the two headers decides."""
    copied, sent_back = ("rekeyed.from", b"sensor[3]@42"), ("replayed.from", b"dead-letter[0]@1")
    name = original([("trace", b"1"), copied])
    assert name == original([sent_back, copied]) != original([("rekeyed.from", b"sensor[3]@43")])
    assert original([copied, sent_back]) is original([("trace", b"1")]) is None


@pytest.mark.parametrize("said", [b"sensor[3]@42", b"x" * 100_000, b"", None])
def test_what_tells_a_copy_takes_little_of_the_state(said: bytes | None) -> None:
    """Whatever a stranger has put there: 5,000 of them must fit into what Kafka takes."""
    assert len(original([("rekeyed.from", said)]) or "") == 24


def test_every_record_is_counted_once() -> None:
    """Whatever becomes of it."""
    job = Job()
    for value, key in ((GOOD, b"oven"), (GOOD, None), (b"{", None), (None, b"oven")):
        job.take(value, key)
    assert job.bus.meter._records == {"sensor": 4}


def test_an_alert_under_a_foreign_key_is_sent_again_to_its_own_topic() -> None:
    """As a reading is, by the job that answers for `alert`."""
    bus = bus_of()
    run = step(bus, ALERT, parse_alert, [lambda *_: ()], answers_for_topic=True)
    (copy,) = at("alert", 3, 42, lambda: run(ALERT_OF_OVEN, None, NOW_MS, None))
    assert (copy.topic, copy.key, copy.value) == ("alert", b"oven", ALERT_OF_OVEN)


@pytest.mark.parametrize(("ahead_ms", "outputs"), [(360_000, 0), (360_001, 1)])
def test_an_alert_may_be_a_minute_further_ahead_than_its_reading(ahead_ms: int, outputs: int) -> None:
    """A reading at the limit is an alert that another broker, whose clock is behind, gave its time."""
    run = step(bus_of(), ALERT, parse_alert, [lambda *_: ()], answers_for_topic=True)
    found = list(at("alert", 3, 42, lambda: run(ALERT_OF_OVEN, b"oven", TIME_MS - ahead_ms, None)))
    assert len(found) == outputs
    words = b"more than 360 s (SENSORBUS_CLOCK_AHEAD_LIMIT_MS and a minute)"
    assert all((dict(letter.headers or ())["error.message"] or b"").endswith(words) for letter in found)


def test_the_other_jobs_pass_over_a_foreign_key() -> None:
    """Only one job sends the copy."""
    job = Job(answers_for_topic=False)
    assert job.take(GOOD, None) == []
    assert job.readings == []
    assert seen(job.bus) == []


def test_a_key_is_compared_in_utf8() -> None:
    """An id beyond ASCII is its own key."""
    job = Job()
    assert job.take(encode_reading("温", "2026-01-31T12:00:00Z", 20.0), "温".encode()) == []
    assert len(job.readings) == 1
