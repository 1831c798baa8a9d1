"""Kafka's messages as rows.

What cannot be read is counted and left out, and never ends the reading.
"""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard_app.decode import records_in
from dashboard_app.held import SHOWN
from sensorbus.contract import messages
from sensorbus.contract.messages import TimeRules
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, DEAD_LETTER, SENSOR
from sensorbus.runtime.metrics import FEED_INVALID

NOW_MS = 1_769_860_800_000
RULES = TimeRules()

ALERT_OF_A = b'{"celsius":31,"fahrenheit":87.8,"kelvin":304.15,"device_id":"a","timestamp":"2026-01-31T11:59:00Z"}'


@dataclass
class Received:
    """A message as confluent-kafka hands it over."""

    raw: bytes | None
    under: bytes | None = b"a"
    append_ms: int = NOW_MS
    at: int = 7

    def partition(self) -> int:
        """Return the partition."""
        return 3

    def offset(self) -> int:
        """Return the offset."""
        return self.at

    def key(self) -> bytes | None:
        """Return the key."""
        return self.under

    def value(self) -> bytes | None:
        """Return the value."""
        return self.raw

    def timestamp(self) -> tuple[int, int]:
        """Return kind and time."""
        return (2, self.append_ms)


def reading(device_id: str = "a", time_ms: int = NOW_MS - 250, celsius: float = 27.31) -> bytes:
    """Return a reading's value."""
    return messages.encode_reading(device_id, messages.iso_timestamp(time_ms), celsius)


def test_a_reading_is_encoded_once_as_the_answer_shows_it() -> None:
    """`[id, t_ms, celsius]` of docs/tick.md."""
    found = records_in(SENSOR.name, [Received(reading())], RULES, NOW_MS)
    assert found.fragments == [b'["a",1769860799750,27.31]']
    assert (found.partitions, found.offsets, found.appends_ms) == ([3], [7], [NOW_MS])
    assert (found.device_ids, found.times_ms, found.values) == (["a"], [NOW_MS - 250], [27.31])


@pytest.mark.parametrize("key", [None, b"", b"b", "ä".encode()])
def test_a_reading_under_another_key_is_not_one_yet(key: bytes | None) -> None:
    """Job alert sends it again under its device's key: it would be shown twice."""
    assert records_in(SENSOR.name, [Received(reading(), key)], RULES, NOW_MS).offsets == []


def test_an_alert_under_another_key_is_not_one_yet() -> None:
    """Job alert-count sends it again."""
    found = records_in(ALERT.name, [Received(ALERT_OF_A, b"b"), Received(ALERT_OF_A, b"a", at=8)], RULES, NOW_MS)
    assert found.offsets == [8]


@pytest.mark.parametrize("topic", [SENSOR.name, ALERT.name])
def test_what_the_jobs_refuse_as_too_large_is_not_shown(topic: str) -> None:
    """However readable it is."""
    value = reading() if topic == SENSOR.name else ALERT_OF_A
    found = records_in(topic, [Received(value), Received(value + b" " * 8_388_608, at=8)], RULES, NOW_MS)
    assert found.offsets == [7]


@pytest.mark.parametrize("append_ms", [-1, 0, NOW_MS + 1])
def test_a_senders_time_that_is_missing_or_ahead_is_now(append_ms: int) -> None:
    """As the jobs take it."""
    assert records_in(SENSOR.name, [Received(reading(), append_ms=append_ms)], RULES, NOW_MS).appends_ms == [NOW_MS]


def test_results_are_columns() -> None:
    """A count by its window's start, an alert as a reading, an average by its window's end."""
    count = messages.encode_alert_count(messages.AlertCount("a", 1_000, 6_000, 4))
    parsed = messages.parse_reading(reading(celsius=40.0), NOW_MS, RULES)
    alert = messages.encode_alert(messages.alert_from_reading(parsed, 313.15))
    mean = messages.encode_avg_temp(messages.AvgTemp("a", 1_000, 11_000, 21.5))
    for topic, raw, time_ms, value in (
        (ALERT_COUNT, count, 1_000, 4),
        (ALERT, alert, NOW_MS - 250, 40.0),
        (AVG_TEMP, mean, 11_000, 21.5),
    ):
        found = records_in(topic.name, [Received(raw)], RULES, NOW_MS)
        assert (found.device_ids, found.times_ms, found.values, found.fragments) == (["a"], [time_ms], [value], [])


@pytest.mark.parametrize("window", [(-1, 5), (5, 5), (6, 5), (0, 10**30), (2**63, 2**64)])
@pytest.mark.parametrize("topic", [ALERT_COUNT.name, AVG_TEMP.name])
def test_a_window_that_is_none_is_refused(topic: str, window: tuple[int, int]) -> None:
    """Anybody may write to a topic; numbers that no clock has would not fit the columns."""
    start_ms, end_ms = window
    value = b'{"device_id":"a","start":%d,"end":%d,"alert_count":1,"avg_temp":1.0}' % (start_ms, end_ms)
    assert records_in(topic, [Received(value)], RULES, NOW_MS).offsets == []


def test_a_bad_record_among_good_ones_is_counted_by_its_kind() -> None:
    """The page goes on, and a metric says what it left out."""
    counter = FEED_INVALID.labels(SENSOR.name, "json")
    before = counter._value.get()
    found = records_in(
        SENSOR.name, [Received(reading(), at=1), Received(b"{", at=2), Received(reading(), at=3)], RULES, NOW_MS
    )
    assert (found.offsets, counter._value.get() - before) == ([1, 3], 1)


@pytest.mark.parametrize("append_ms", [-1, NOW_MS + 1, 10**15])
def test_an_append_time_that_is_none_counts_as_now(append_ms: int) -> None:
    """On a topic with CreateTime it is the sender's word, and would keep rows for ever."""
    assert records_in(SENSOR.name, [Received(reading(), append_ms=append_ms)], RULES, NOW_MS).appends_ms == [NOW_MS]


def test_a_dead_letter_counts_whatever_it_holds() -> None:
    """Its value is what could not be read."""
    assert records_in(DEAD_LETTER.name, [Received(b"\xff"), Received(None, None)], RULES, NOW_MS).offsets == [7, 7]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
_FIELDS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("device_id", "timestamp", "temperature", "celsius", "start", "end"), _JSON)
)


@given(st.sampled_from(SHOWN), st.binary(max_size=60) | _FIELDS.map(lambda fields: json.dumps(fields).encode()))
def test_no_bytes_end_the_reading(topic: object, raw: bytes) -> None:
    """Whatever stands in a topic, it is a row or is left out."""
    name = getattr(topic, "name", "")
    found = records_in(name, [Received(raw)], RULES, NOW_MS)
    assert len(found.offsets) in (0, 1)
