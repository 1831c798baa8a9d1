"""The wire contract: what is read, what is refused.

Under which word, and that both ways agree.
"""

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensorbus.contract.emoji import joiner_places
from sensorbus.contract.errors import InvalidMessageError
from sensorbus.contract.messages import (
    ERROR_KINDS,
    Alert,
    AlertCount,
    AvgTemp,
    Reading,
    TimeRules,
    alert_from_reading,
    device_id_fault,
    encode_alert,
    encode_alert_count,
    encode_avg_temp,
    encode_key,
    encode_reading,
    event_time_ms_from_iso,
    has_device_key,
    is_alert,
    iso_timestamp,
    parse_alert,
    parse_alert_count,
    parse_avg_temp,
    parse_reading,
)
from tests.support.bad_input import Case, alert_cases, sensor_cases

RULES: Final = TimeRules()
NOON: Final = "2026-01-31T12:00:00Z"
NOON_MS: Final = 1_769_860_800_000
SENSOR_CASES: Final = sensor_cases(datetime(2026, 1, 31, 12, tzinfo=UTC))
ALERT_CASES: Final = alert_cases(datetime(2026, 1, 31, 12, tzinfo=UTC))
GOOD: Final = {"timestamp": NOON, "device_id": "device-1", "temperature": 21.5}
GOOD_ALERT: Final = {"celsius": 40.0, "fahrenheit": 104.0, "kelvin": 313.15, "device_id": "device-1", "timestamp": NOON}

device_ids = st.text(
    st.characters(exclude_categories=("Cc", "Cf", "Zl", "Zp", "Cs")),
    min_size=1,
    max_size=128,
).filter(lambda text: not text.isspace())
temperatures = st.floats(min_value=-273.15, max_value=1726.85)
event_times_ms = st.integers(0, NOON_MS + 300_000)
window_times_ms = st.integers(0, 2**53)


def reading(**fields: Any) -> bytes:
    """Return a reading's bytes with some fields replaced."""
    return json.dumps(GOOD | fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def with_temperature(text: str) -> bytes:
    """Return a reading's bytes with the temperature as written, JSON or not."""
    return f'{{"timestamp":"{NOON}","device_id":"device-1","temperature":{text}}}'.encode()


def kind_of(raw: bytes | None, append_time_ms: int = NOON_MS) -> str:
    """Return the word under which a reading is refused."""
    with pytest.raises(InvalidMessageError) as caught:
        parse_reading(raw, append_time_ms, RULES)
    assert str(caught.value).isprintable()
    return caught.value.kind


#: Beside tests/support/bad_input.py, which the jobs are tested with too: edges of the same rules.
REFUSED: Final[dict[str, tuple[bytes | None, str]]] = {
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "json"),
    "two documents": (json.dumps(GOOD).encode() * 2, "json"),
    "100,000 nested arrays": (b"[" * 100_000 + b"]" * 100_000, "json"),
    "100,000 nested objects": (b'{"x":' * 100_000 + b"1" + b"}" * 100_000, "json"),
    "5 MB string": (b'"' + b"x" * 5_000_000 + b'"', "not-an-object"),
    "every byte": (bytes(range(256)), "json"),
    "no field at all": (b"{}", "missing-field"),
    "temperature a list": (with_temperature("[21.5]"), "temperature"),
    "temperature just too cold": (with_temperature("-273.16"), "temperature"),
    "temperature just too hot": (with_temperature("1726.86"), "temperature"),
    "temperature of 300 digits": (with_temperature("9" * 300), "temperature"),
    "timestamp null": (reading(timestamp=None), "timestamp"),
    "timestamp a week": (reading(timestamp="2026-W05"), "timestamp"),
    "timestamp year 10000": (reading(timestamp="10000-01-01T00:00:00Z"), "timestamp"),
    "timestamp that colours": (reading(timestamp="2026-01-31\n12:00:00Z\n\x1b[31m"), "timestamp"),
    "timestamp of 5,000 characters": (reading(timestamp="2" * 5_000), "timestamp"),
    "device blank in Unicode": (reading(device_id="\u3000"), "device-id"),
    "device of 129 characters": (reading(device_id="d" * 129), "device-id"),
    "device that colours": (reading(device_id="a\x1b[31m"), "device-id"),
    "device with a C1 control": (reading(device_id="a\x9bb"), "device-id"),
    "device with zero width": (reading(device_id="a\u200bb"), "device-id"),
    "device null": (reading(device_id=None), "device-id"),
} | {case.name: (case.value, case.kind) for case in SENSOR_CASES if case.kind is not None}

ACCEPTED: Final = {
    "as documented": (reading(), ("device-1", 21.5)),
    "spaces around": (b" \n" + reading() + b"\t", ("device-1", 21.5)),
    "integer": (with_temperature("21"), ("device-1", 21.0)),
    "minus zero": (with_temperature("-0.0"), ("device-1", 0.0)),
    "exponent": (with_temperature("2.15e1"), ("device-1", 21.5)),
    "absolute zero": (with_temperature("-273.15"), ("device-1", -273.15)),
    "2000 K": (with_temperature("1726.85"), ("device-1", 1726.85)),
    "inner space": (reading(device_id="cold room"), ("cold room", 21.5)),
    "one character": (reading(device_id="x"), ("x", 21.5)),
    "128 characters of two bytes": (reading(device_id="ü" * 128), ("ü" * 128, 21.5)),
    "year 1": (reading(timestamp="0001-01-01T00:00:00Z"), ("device-1", 21.5)),
} | {case.name: (case.value, (case.device_id, 20.0)) for case in SENSOR_CASES if case.kind is None}


@pytest.mark.parametrize(("raw", "kind"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_reading_is_refused_by_its_word(raw: bytes | None, kind: str) -> None:
    """One of the known words says what is wrong; the message is one short printable line, however hostile the value."""
    with pytest.raises(InvalidMessageError) as caught:
        parse_reading(raw, NOON_MS, RULES)
    assert caught.value.kind == kind
    assert kind in ERROR_KINDS
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("raw", "wanted"), ACCEPTED.values(), ids=ACCEPTED)
def test_unusual_readings_are_accepted(raw: bytes, wanted: tuple[str, float]) -> None:
    """What the contract allows is read, however odd it looks."""
    found = parse_reading(raw, NOON_MS, RULES)
    assert (found.device_id, found.celsius) == wanted
    assert type(found.celsius) is float


@given(st.binary(max_size=200))
def test_no_bytes_raise_another_error(raw: bytes) -> None:
    """Random bytes are read or refused by every parser."""
    for parse in (
        lambda: parse_reading(raw, NOON_MS, RULES),
        lambda: parse_alert(raw, NOON_MS, RULES),
        lambda: parse_alert_count(raw),
        lambda: parse_avg_temp(raw),
    ):
        _refused_or_read(parse)


any_json = st.sampled_from([None, True, False, "", "x", NOON, "\u202e", [], [1], {}, {"a": None}]) | (
    st.integers(-(2**70), 2**70) | st.floats()
)


@given(st.dictionaries(st.sampled_from([*GOOD, *GOOD_ALERT, "start", "end", "alert_count", "avg_temp"]), any_json))
def test_no_value_of_a_field_raises_another_error(fields: dict[str, Any]) -> None:
    """Any JSON in any field is read or refused by every parser."""
    raw = json.dumps(fields).encode("utf-8", "surrogatepass")
    for parse in (
        lambda: parse_reading(raw, NOON_MS, RULES),
        lambda: parse_alert(raw, NOON_MS, RULES),
        lambda: parse_alert_count(raw),
        lambda: parse_avg_temp(raw),
    ):
        _refused_or_read(parse)


def _refused_or_read(parse: Any) -> None:
    try:
        parse()
    except InvalidMessageError as error:
        assert error.kind in ERROR_KINDS  # noqa: PT017  # read or refused, both are right


@given(device_ids, event_times_ms, temperatures)
def test_a_reading_comes_back_as_it_was_sent(device_id: str, event_time_ms: int, celsius: float) -> None:
    """Encoding and parsing are inverse, to the millisecond and to the last bit of the temperature."""
    timestamp = iso_timestamp(event_time_ms)
    sent = Reading(device_id, timestamp, event_time_ms, celsius)
    assert parse_reading(encode_reading(device_id, timestamp, celsius), NOON_MS, RULES) == sent


@given(device_ids, event_times_ms, temperatures)
def test_an_alert_comes_back_as_it_was_sent(device_id: str, event_time_ms: int, celsius: float) -> None:
    """The alert that a reading is survives its topic."""
    sent = alert_from_reading(Reading(device_id, iso_timestamp(event_time_ms), event_time_ms, celsius), 313.15)
    assert parse_alert(encode_alert(sent), NOON_MS, RULES) == sent


@given(device_ids, window_times_ms, window_times_ms, st.integers(0, 2**31))
def test_a_count_comes_back_as_it_was_sent(device_id: str, start_ms: int, end_ms: int, alert_count: int) -> None:
    """The count of a window survives its topic."""
    sent = AlertCount(device_id, start_ms, end_ms, alert_count)
    assert parse_alert_count(encode_alert_count(sent)) == sent


@given(device_ids, window_times_ms, window_times_ms, temperatures)
def test_a_mean_comes_back_as_it_was_sent(device_id: str, start_ms: int, end_ms: int, avg_celsius: float) -> None:
    """The mean of a window survives its topic, to the last bit."""
    sent = AvgTemp(device_id, start_ms, end_ms, avg_celsius)
    assert parse_avg_temp(encode_avg_temp(sent)) == sent


def test_the_values_have_the_fields_of_the_contract_in_their_order() -> None:
    """The JSON on the wire is what readers of the tutorial's topics expect."""
    hot = alert_from_reading(Reading("d", NOON, NOON_MS, 40.0), 313.15)
    assert encode_reading("d", NOON, 40.0) == b'{"timestamp":"%s","device_id":"d","temperature":40.0}' % NOON.encode()
    assert list(orjson.loads(encode_alert(hot))) == ["celsius", "fahrenheit", "kelvin", "device_id", "timestamp"]
    assert encode_alert_count(AlertCount("d", 0, 5_000, 2)) == (
        b'{"device_id":"d","start":0,"end":5000,"alert_count":2}'
    )
    assert (
        encode_avg_temp(AvgTemp("d", 0, 10_000, 21.25)) == b'{"device_id":"d","start":0,"end":10000,"avg_temp":21.25}'
    )


@pytest.mark.parametrize("case", ALERT_CASES, ids=lambda case: case.name)
def test_a_value_of_alert_is_an_alert_or_is_refused_by_its_word(case: Case) -> None:
    """Foreign writers of `alert` are held to its contract too."""
    if case.kind is None:
        read = parse_alert(case.value, NOON_MS, RULES)
        assert (read.device_id, read.celsius, read.fahrenheit, read.kelvin) == (case.device_id, 20.0, 68.0, 293.15)
        return
    with pytest.raises(InvalidMessageError) as caught:
        parse_alert(case.value, NOON_MS, RULES)
    assert caught.value.kind == case.kind


@pytest.mark.parametrize("name", ["start", "end", "alert_count"])
@pytest.mark.parametrize("value", ["1", 1.5, None, True, [1]])
def test_a_count_has_integers(name: str, value: object) -> None:
    """A window's bounds and its count are integers; `true` and `1.0` are none."""
    fields = {"device_id": "d", "start": 0, "end": 5_000, "alert_count": 1, name: value}
    with pytest.raises(InvalidMessageError, match=f"{name} is a JSON .*, not an integer"):
        parse_alert_count(json.dumps(fields).encode())


def test_a_mean_is_a_temperature() -> None:
    """A mean out of range is refused as a reading would be."""
    with pytest.raises(InvalidMessageError) as caught:
        parse_avg_temp(b'{"device_id":"d","start":0,"end":10000,"avg_temp":-300}')
    assert caught.value.kind == "temperature"


@pytest.mark.parametrize(
    ("timestamp", "event_time_ms"),
    [
        (NOON, NOON_MS),
        ("2026-01-31T12:00:00+00:00", NOON_MS),
        ("2026-01-31T13:00:00+01:00", NOON_MS),
        ("2026-01-31T06:30:00-05:30", NOON_MS),
        ("2026-01-31 12:00:00Z", NOON_MS),
        ("20260131T120000Z", NOON_MS),
        ("2026-01-31T12:00:00", NOON_MS),
        ("2026-01-31T12:00Z", NOON_MS),
        ("2026-01-31T12:00:00.25Z", NOON_MS + 250),
        ("2026-01-31T12:00:00,250Z", NOON_MS + 250),
        ("2026-01-31T12:00:00.250999Z", NOON_MS + 250),
        ("2026-01-31T12:00:00.250999999Z", NOON_MS + 250),
        ("2026-01-31t12:00:00.25z", NOON_MS + 250),
        ("2026-01-31T12Z", NOON_MS),
        ("2026-01-31T12:00:00+00", NOON_MS),
        ("2026-01-31T12:00:00-00:00", NOON_MS),
        ("20260131T120000,25+0000", NOON_MS + 250),
        ("2026-W05-6T12:00:00Z", NOON_MS),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_an_iso_timestamp_is_exact(timestamp: str, event_time_ms: int) -> None:
    """With an offset a time is exact, and what is below a millisecond is cut off."""
    assert event_time_ms_from_iso(timestamp, UTC) == event_time_ms


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-01-31X12:00:00Z",
        "2026-01-31\x0012:00:00Z",
        "2026-01-31\ud80012:00:00Z",
        "2026-01-31  12:00:00Z",
        "2026-01-31T12:00:00 Z",
        "2026-01-31T12:00:00XZ",
        "2026-01-31T12:00:00:250Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12.50Z",
        "2026-01-31T12:00.50Z",
        "2026-01-31T12:00:00+00:00:30",
        "2026-01-31T24:00:00Z",
        "2026-W05T12:00:00Z",
        "2026-031T12:00:00Z",
        "2026-01-31T1\uff12:00:00Z",
        "2026-01-31T12:00:00." + "0" * 1_000_000,
    ],
)
def test_what_python_would_take_for_a_time_is_refused(timestamp: str) -> None:
    """Other languages refuse it, or read another time."""
    with pytest.raises(InvalidMessageError, match="is not an ISO 8601 date and time"):
        event_time_ms_from_iso(timestamp, UTC)


#: The page of messages as a pattern that shares nothing with the parser's.
DOCUMENTED_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-W[0-9]{2}-[0-9]|[0-9]{8}|[0-9]{4}W[0-9]{3})[Tt ]"
    r"([0-9]{2}(:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?)?|[0-9]{4}([0-9]{2}([.,][0-9]{1,9})?)?)"
    r"(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
times_as_written = st.from_regex(DOCUMENTED_TIME, fullmatch=True)
spoiled_times = st.builds(
    lambda text, place, put, cut: text[: place % len(text)] + put + text[place % len(text) + cut :],
    times_as_written,
    st.integers(0, 99),
    st.text("0129TtZzW:.,+- X\x00\u0660é", max_size=2),
    st.integers(0, 2),
)


@given(times_as_written | spoiled_times)
def test_a_time_is_read_as_python_reads_it_or_refused(timestamp: str) -> None:
    """What the page of messages allows and is a time gives Python's own; all else is refused."""
    try:
        moment = datetime.fromisoformat(re.sub("z$", "Z", timestamp))
    except ValueError:
        moment = None
    if moment is None or not DOCUMENTED_TIME.fullmatch(timestamp):
        with pytest.raises(InvalidMessageError):
            event_time_ms_from_iso(timestamp, UTC)
        return
    since_epoch = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert event_time_ms_from_iso(timestamp, UTC) == since_epoch // timedelta(milliseconds=1)


@given(st.text(max_size=140))
def test_a_device_id_is_good_by_its_length_and_categories(device_id: str) -> None:
    """Unicode's categories say what hides, reorders or breaks text; nothing else is looked at but joined emoji."""
    categories = {unicodedata.category(c) for at, c in enumerate(device_id) if at not in joiner_places(device_id)}
    is_good = 1 <= len(device_id) <= 128 and not device_id.isspace() and not categories & {"Cc", "Cf", "Zl", "Zp"}
    assert (device_id_fault(device_id) is None) is is_good


def test_a_timestamp_without_offset_is_read_in_the_zone_of_the_settings() -> None:
    """The same text is an hour earlier in Berlin's winter, two in its summer; an offset in the text wins."""
    berlin = ZoneInfo("Europe/Berlin")
    winter, summer = "2026-01-31T12:00:00", "2026-07-31T12:00:00"
    hour_ms = 3_600_000
    assert event_time_ms_from_iso(winter, berlin) == event_time_ms_from_iso(winter, UTC) - hour_ms
    assert event_time_ms_from_iso(summer, berlin) == event_time_ms_from_iso(summer, UTC) - 2 * hour_ms
    assert event_time_ms_from_iso(NOON, berlin) == NOON_MS


def test_a_timestamp_without_offset_can_be_this_machines_time() -> None:
    """Zone None is the local zone, as the tutorial's producer writes."""
    written = datetime(2026, 1, 31, 12, tzinfo=UTC).astimezone()
    assert event_time_ms_from_iso(written.replace(tzinfo=None).isoformat(), None) == NOON_MS


@given(event_times_ms)
def test_an_event_time_comes_back_from_its_text(event_time_ms: int) -> None:
    """`iso_timestamp` loses nothing."""
    assert event_time_ms_from_iso(iso_timestamp(event_time_ms), None) == event_time_ms


@given(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))  # noqa: DTZ001  # a zone is drawn too
def test_any_offset_is_exact(moment: datetime, offset_minutes: int) -> None:
    """An ISO text with any offset gives the moment that it names, cut to the millisecond."""
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    wanted = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert event_time_ms_from_iso(zoned.isoformat(), UTC) == wanted


def test_a_clock_ahead_is_measured_against_the_append_time() -> None:
    """5 min ahead is accepted, a millisecond more is not, and the message names the setting."""
    at_the_limit = NOON_MS - 300_000
    assert parse_reading(reading(), at_the_limit, RULES).event_time_ms == NOON_MS
    with pytest.raises(InvalidMessageError, match=r"300 s ahead .* 300 s \(SENSORBUS_CLOCK_AHEAD_LIMIT_MS\)"):
        parse_reading(reading(), at_the_limit - 1, RULES)
    assert kind_of(reading(), at_the_limit - 1) == "clock-ahead"


@pytest.mark.parametrize(("zone", "name"), [(UTC, "UTC"), (ZoneInfo("Asia/Tokyo"), "Asia/Tokyo"), (None, "local time")])
def test_a_time_ahead_without_an_offset_names_the_zone_it_was_read_in(zone: tzinfo | None, name: str) -> None:
    """A device that writes its local time is the likely cause; one that writes an offset is not told of zones."""
    rules = TimeRules(zone)
    with pytest.raises(InvalidMessageError, match=rf"was read as {name} \(SENSORBUS_TIMESTAMP_ZONE\)$"):
        parse_reading(reading(timestamp="2026-02-28T12:00:00"), NOON_MS, rules)
    with pytest.raises(InvalidMessageError, match=r"\(SENSORBUS_CLOCK_AHEAD_LIMIT_MS\)$"):
        parse_reading(reading(timestamp="2026-02-28T12:00:00z"), NOON_MS, rules)


def test_the_clock_ahead_limit_is_a_setting() -> None:
    """With a limit of 0 the broker's clock is the last word."""
    strict = TimeRules(clock_ahead_limit_ms=0)
    assert parse_reading(reading(), NOON_MS, strict).event_time_ms == NOON_MS
    with pytest.raises(InvalidMessageError):
        parse_reading(reading(), NOON_MS - 1, strict)


def test_the_first_thing_that_is_wrong_gives_the_word() -> None:
    """Device, then temperature, then time: the same record is always refused under the same word."""
    assert kind_of(reading(device_id=1, temperature="x", timestamp="x")) == "device-id"
    assert kind_of(reading(temperature="x", timestamp="x")) == "temperature"
    assert kind_of(reading(timestamp="x")) == "timestamp"


def test_the_threshold_itself_is_no_alert() -> None:
    """303.00 K is none and 303.01 K is one, compared after rounding."""
    at = (29.85, 29.854, 29.856, 29.86)
    assert [is_alert(celsius, 303.0) for celsius in at] == [False, False, True, True]


def test_an_alert_has_all_three_units() -> None:
    """Fahrenheit and kelvin are rounded to 2 decimals, the timestamp is the text as received."""
    assert alert_from_reading(Reading("d", NOON, NOON_MS, 33.333), 306.48) == Alert(
        "d", NOON, NOON_MS, 33.333, 92.0, 306.48
    )


@pytest.mark.parametrize(
    ("key", "device_id", "is_own"),
    [
        (b"device-1", "device-1", True),
        ("🔥".encode(), "🔥", True),
        (None, "device-1", False),
        (b"", "device-1", False),
        (b"Device-1", "device-1", False),
        (b"device-1\x00", "device-1", False),
        (b"\xff", "\xff", False),
    ],
)
def test_a_key_is_the_devices_own_or_not(key: bytes | None, device_id: str, *, is_own: bool) -> None:
    """Only the device id in UTF-8, byte for byte, is its device's key."""
    assert has_device_key(key, device_id) is is_own


@given(device_ids)
def test_an_encoded_key_is_the_devices_own(device_id: str) -> None:
    """What we write as a key is what we accept as one."""
    assert has_device_key(encode_key(device_id), device_id)
