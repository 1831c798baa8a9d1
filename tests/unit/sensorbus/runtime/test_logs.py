"""Logs: one event per line, repeats folded, nothing hostile.

For people and for machines.
"""

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest
from confluent_kafka import Producer
from hypothesis import example, given
from hypothesis import strategies as st

from sensorbus.contract.emoji import joiner_places
from sensorbus.contract.settings import Settings
from sensorbus.runtime import logs
from sensorbus.runtime.logs import FoldRepeats, JsonFormatter, TextFormatter, escape

HOSTILE: Final = "a\nb\r\x1b[31m\u202e\u200b\x00\x9b\ud800 c"
ESCAPED: Final = r"a\nb\r\x1b[31m\u202e\u200b\x00\x9b\ud800 c"
NOON_S: Final = 1_769_860_800.25
_QUIETENED: Final = ("quixstreams", "rdkafka", "rdkafka.silent", "werkzeug", "authlib")


class Clock:
    """A clock that a test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def record(message: str, *arguments: object, level: int = logging.WARNING, **extra: Any) -> logging.LogRecord:
    """Return a record of the logger `test` at noon."""
    made = logging.LogRecord("test", level, __file__, 1, message, arguments, None)
    made.created, made.msecs = NOON_S, 250.0
    vars(made).update(extra)
    return made


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """Give the root logger and put back what a test changed of it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in _QUIETENED}
    root.handlers[:] = []
    yield root
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_has_time_level_part_and_message() -> None:
    """The time is UTC with milliseconds."""
    line = TextFormatter("alert").format(record("%d readings", 3))
    assert line == "12:00:00.250 WARNING alert: 3 readings"


def test_a_line_has_the_events_fields() -> None:
    """What comes in `extra` stands behind the message."""
    line = TextFormatter("alert").format(record("signed in", user="u-1", age_s=4))
    assert line == "12:00:00.250 WARNING alert: signed in | user=u-1 age_s=4"


def test_a_place_is_said_once_for_people_and_in_fields_for_machines() -> None:
    """Device, topic, partition and offset are words of the message; JSON has them by name, with their types."""
    event = record("sensor[3]@42 of d-1", device="d-1", topic="sensor", partition=3, offset=42)
    assert TextFormatter("alert").format(event) == "12:00:00.250 WARNING alert: sensor[3]@42 of d-1"
    fields = json.loads(JsonFormatter("alert").format(event))
    assert [fields[name] for name in ("device", "topic", "partition", "offset")] == ["d-1", "sensor", 3, 42]


def test_nothing_hostile_breaks_a_line() -> None:
    """Control, format and surrogate characters are escaped in the message and in the fields."""
    line = TextFormatter("alert").format(record("device %s", HOSTILE, user=HOSTILE))
    assert line == f"12:00:00.250 WARNING alert: device {ESCAPED} | user={ESCAPED}"


@given(st.text(st.characters()))
@example("👩\u200d💻 \u200d👩")
def test_any_text_is_one_printable_line(text: str) -> None:
    """Escaping leaves what is printable and loses nothing else; what joins two emoji is no break."""
    escaped = escape(text)
    joiners = joiner_places(escaped)
    assert all(c.isprintable() or place in joiners for place, c in enumerate(escaped))
    if text.isprintable():
        assert escape(text) == text


def test_a_joined_emoji_stays_one() -> None:
    """A device is shown as it calls itself; a joiner that is invisible is escaped."""
    assert escape("device 👩🏽\u200d💻-1, a\u200db\n") == "device 👩🏽\u200d💻-1, a\\u200db\\n"


def test_a_traceback_is_escaped_line_by_line() -> None:
    """An exception's text cannot forge a line of its own."""
    try:
        raise ValueError("first\x1b[31m\u202esecond")
    except ValueError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    lines = TextFormatter("alert").format(failed).split("\n")
    assert lines[0] == "12:00:00.250 WARNING alert: it failed"
    assert lines[-1] == r"ValueError: first\x1b[31m\u202esecond"
    assert all(line.isprintable() for line in lines)


def test_json_is_one_object_per_line() -> None:
    """Time, level, part, message and the fields; hostile text is data in it."""
    line = JsonFormatter("alert").format(record("device %s", HOSTILE, device=HOSTILE, number=3))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {
        "time": "2026-01-31T12:00:00.250+00:00",
        "level": "WARNING",
        "part": "alert",
        "message": f"device {HOSTILE}",
        "device": HOSTILE,
        "number": 3,
    }


def test_json_has_the_traceback_as_a_field() -> None:
    """A machine gets the event whole, in one line."""
    try:
        raise ValueError("why")
    except ValueError:
        failed = record("it failed")
        failed.exc_info = sys.exc_info()
    line = JsonFormatter("alert").format(failed)
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: why")


def test_json_shows_values_of_any_type_and_a_field_never_stands_for_ours() -> None:
    """What JSON does not know is shown as text; `part` and `time` say the truth."""
    event = json.loads(
        JsonFormatter("alert").format(record("x", part="forged", time="never", path=Settings().state_dir))
    )
    assert (event["part"], event["time"][:4], event["path"]) == ("alert", "2026", ".sensorbus/state")


def test_repeats_are_folded_to_one_line_per_interval() -> None:
    """The first passes, the next ones are held back, and the one after the interval says how many there were."""
    clock = Clock()
    fold = FoldRepeats(interval_s=10, clock_s=clock)
    passed = []
    for clock.now_s in (0, 1, 9.9, 10, 12, 20):
        again = record("broker away, try %d", int(clock.now_s))
        if fold.filter(again):
            passed.append(TextFormatter("alert").format(again)[21:])
    assert passed == [
        "WARNING alert: broker away, try 0"[8:],
        "WARNING alert: broker away, try 10 (and 2 more like it)"[8:],
        "WARNING alert: broker away, try 20 (and 1 more like it)"[8:],
    ]


def test_only_the_same_event_of_the_same_logger_is_folded() -> None:
    """Another message, or the same one of another logger, is news."""
    fold = FoldRepeats(clock_s=Clock())
    other = record("a")
    other.name = "other"
    assert [fold.filter(each) for each in (record("a"), record("b"), other, record("a"))] == [True, True, True, False]


def test_an_event_may_be_folded_by_what_it_tells_of() -> None:
    """Such as the address that tries passwords: each is news, and the field is in no line."""
    fold = FoldRepeats(clock_s=Clock())
    told = [record("from %s", address, fold_by=address) for address in ("a", "b", "a")]
    assert [fold.filter(each) for each in told] == [True, True, False]
    assert TextFormatter("up").format(told[0]).endswith("up: from a")


def test_a_line_of_librdkafka_hides_none_of_another_kind() -> None:
    """They all come with the same pattern; a warning that heals must not hold an error back."""
    fold = FoldRepeats(clock_s=Clock())
    lines = [record("%s [%s] %s", kind, "client", f"try {number}") for number, kind in enumerate(("A", "FAIL", "A"))]
    assert [fold.filter(each) for each in lines] == [True, True, False]


def test_no_line_of_librdkafka_shows_a_secret(root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Its option `debug` has it list what is set, which is for who looks for a fault and sends the log to others."""
    logs.configure(Settings(log_level="DEBUG"), "alert")
    secrets = ("sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret")
    given = {"debug": "conf", "client.id": "shown"}
    Producer(given | dict.fromkeys(secrets, "marker-hunter2"), logger=logging.getLogger("rdkafka")).poll(0)
    said = capsys.readouterr().err
    assert root_logger.handlers
    assert "client.id = shown" in said
    assert [secret for secret in secrets if f"{secret} = [redacted]" in said] == [*secrets]
    assert "marker" not in said


def test_information_and_marked_events_are_never_folded() -> None:
    """INFO is rare by design, and `fold=False` says that every single one counts."""
    fold = FoldRepeats(clock_s=Clock())
    assert all(fold.filter(record("started", level=logging.INFO)) for _ in range(3))
    assert all(fold.filter(record("ended", fold=False)) for _ in range(3))
    assert "fold" not in TextFormatter("up").format(record("ended", fold=False))


def test_messages_that_embed_a_value_do_not_grow_the_memory() -> None:
    """Thousands of different messages are forgotten again."""
    fold = FoldRepeats(clock_s=Clock())
    assert all(fold.filter(record(f"device {number}")) for number in range(5_000))
    assert len(fold._seen) <= 1_001


@pytest.mark.parametrize(("log_format", "formatter"), [("text", TextFormatter), ("json", JsonFormatter)])
def test_a_process_logs_to_stderr_in_its_format(
    root_logger: logging.Logger, log_format: Any, formatter: type[logging.Formatter]
) -> None:
    """One handler, with folding, whatever was there before; Python's warnings come the same way."""
    logging.basicConfig()
    logs.configure(Settings(log_format=log_format, log_level="DEBUG"), "alert")
    (handler,) = root_logger.handlers
    assert isinstance(handler.formatter, formatter)
    assert isinstance(handler.filters[0], FoldRepeats)
    assert root_logger.level == logging.DEBUG


def test_chatty_libraries_say_warnings_only(root_logger: logging.Logger) -> None:
    """Quix shows its connection at INFO, authlib a PKCE verifier at DEBUG: neither is let through, whatever ours is."""
    for level in ("DEBUG", "INFO", "ERROR"):
        logs.configure(Settings(log_level=level), "alert")
        assert root_logger.handlers
        assert min(logging.getLogger(name).level for name in ("quixstreams", "authlib")) >= logging.WARNING
    assert logging.getLogger("rdkafka").level == logging.ERROR


def test_clients_whose_failures_we_say_ourselves_are_heard_at_debug_only(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """They also say what heals by itself, such as a Kafka that has no producer's id to give while it starts."""
    for level, shown in (("INFO", False), ("DEBUG", True)):
        logs.configure(Settings(log_level=level), "simulator")
        logging.getLogger("rdkafka.silent").error("retrying at %s", level)
        logging.getLogger("rdkafka.silent").debug("what `debug` asks for, retrying")
        assert capsys.readouterr().err.count("retrying") == 2 * shown
    assert root_logger.handlers
