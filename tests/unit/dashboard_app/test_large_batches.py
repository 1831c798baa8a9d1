"""Where the page begins after a kill, without a Kafka."""

from collections.abc import Callable, Iterator
from functools import partial

import cramjam
import pytest

from dashboard_app import large_batches, running
from dashboard_app.assignment import Place
from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import Settings
from sensorbus.runtime.raw_consumer import RawConsumer
from sensorbus.runtime.stored_batches import Fetched
from tests.support.raw_records import batch, record, zeros_in_gzip

SENSOR, ALERT = Place("sensor", 0), Place("alert", 1)
SMALL = record(b"1", b"k")
#: Two of them are more than the bound; each is less.
HALF = bytes(cramjam.zstd.compress(record(bytes(60_000_000), None)))
LARGE = zeros_in_gzip(101_000_000)


@pytest.fixture(autouse=True)
def _after_kill() -> Iterator[None]:
    """Let a worker before this one be killed."""
    running.note_lost(1)
    yield
    running._lost.clear()


def answers(*answers_: bytes | Exception) -> Callable[[RawConsumer, str, int, int], Fetched]:
    """Return a fetch that gives these for partition 0 of p-sensor, and says nothing is in others."""
    left = list(answers_)

    def fetch(_raw: RawConsumer, topic: str, _partition: int, _offset: int) -> Fetched:
        answer = left.pop(0) if left and topic == "p-sensor" else b""
        if isinstance(answer, Exception):
            raise answer
        return Fetched(answer, [])

    return fetch


small, half = partial(batch, SMALL), partial(batch, HALF, attributes=4)


@pytest.mark.parametrize(
    ("stored", "begin", "said"),
    [
        ([small(first=7) + small(first=8), small(first=9)], 7, None),
        ([small(first=7), batch(LARGE, attributes=1, first=8), small(first=9)], 9, "@8 to 8 "),
        ([half(first=7), half(first=8)], 7, None),
        ([half(first=7) + half(first=8) + small(first=9), small(first=10)], 9, "@7 to 8 "),
        ([batch(LARGE, attributes=1, first=7), batch(LARGE, attributes=1, first=8)], 9, "@8 to 8 "),
    ],
    ids=["small", "one batch", "in two answers", "in one answer", "the last of two"],
)
def test_the_page_begins_behind_what_is_too_large(
    stored: list[bytes],
    begin: int,
    said: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In that partition alone, with one line that names it."""
    monkeypatch.setattr(RawConsumer, "fetch", answers(*stored))
    found = large_batches.behind_large(Settings(topic_prefix="p-"), {SENSOR: 7, ALERT: 3})
    assert found == {SENSOR: begin, ALERT: 3}
    assert [("p-sensor[0]" in line, said is not None and said in line) for line in caplog.messages] == (
        [] if said is None else [(True, True)]
    )


@pytest.mark.parametrize(
    "settings",
    [Settings(topic_prefix="p-"), Settings(topic_prefix="p-", embedded_broker=True)],
    ids=["no kill", "embedded"],
)
def test_nobody_looks_without_need(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at a first start, and not on the embedded broker."""
    monkeypatch.setattr(RawConsumer, "fetch", answers(AssertionError("asked")))
    if not settings.embedded_broker:
        running._lost.clear()
    assert large_batches.behind_large(settings, {SENSOR: 7}) == {SENSOR: 7}


def test_where_kafka_does_not_answer_the_page_reads_as_always(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """But behind what was found by then; other partitions are not asked."""
    gone = BrokerUnavailableError("gone")
    monkeypatch.setattr(RawConsumer, "fetch", answers(batch(LARGE, attributes=1, first=7), gone))
    assert large_batches.behind_large(Settings(topic_prefix="p-"), {SENSOR: 7, ALERT: 3}) == {SENSOR: 8, ALERT: 3}
    assert caplog.messages[1:] == ["a worker was killed, and from p-sensor[0] on the page reads as always: gone"]


def test_the_look_ends_in_time(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The thread would else be taken for one that hangs."""
    monkeypatch.setattr(large_batches, "_LOOKS_FOR_S", -1.0)
    monkeypatch.setattr(RawConsumer, "fetch", answers(small(first=7), AssertionError("asked again")))
    assert large_batches.behind_large(Settings(topic_prefix="p-"), {SENSOR: 7}) == {SENSOR: 7}
    assert "reads as always: it took more than" in caplog.text


def test_a_client_that_is_not_let_in_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """By an option that it has not."""
    settings = Settings(kafka_options={"sasl.kerberos.keytab": "file"})
    assert large_batches.behind_large(settings, {SENSOR: 7}) == {SENSOR: 7}
    assert "the page reads as always: the client that looks at batches has no option as" in caplog.text
