"""Tests of job `alert-count`: the count of each window that an alert falls in."""

from functools import partial
from typing import Any

import pytest

from processors.alert_count import build, handler
from processors.outputs import Output
from sensorbus.contract.messages import Alert
from sensorbus.contract.settings import Settings
from tests.support.job_parts import Frame, JsonState, at, bus_of, plain, seen

START_MS = 1_769_860_800_000
AT_LEAST_ONCE = Settings(processing_guarantee="at-least-once")


def feed(job: Any, state: JsonState, *seconds: float) -> list[Output]:
    """Return the outputs of alerts at these seconds; all stand at `alert[3]@42`."""
    outputs: list[Output] = []
    for second in seconds:
        alert = Alert("oven", f"t+{second}", START_MS + round(second * 1_000), 40.0, 104.0, 313.15)
        outputs += at("alert", 3, 42, partial(job, alert, state, ()))
    return outputs


def counts(outputs: list[Output]) -> list[tuple[int, int]]:
    """Return start in seconds and count of each output."""
    return [((value["start"] - START_MS) // 1_000, value["alert_count"]) for _, _, value in plain(outputs)]


def test_an_alert_is_told_in_each_of_its_windows() -> None:
    """Windows are 5 s long and start every second: an alert is in five of them."""
    outputs = feed(handler(bus_of()), JsonState(), 0.2)
    assert counts(outputs) == [(-4, 1), (-3, 1), (-2, 1), (-1, 1), (0, 1)]
    assert plain(outputs)[-1] == (
        "alert-count",
        b"oven",
        {"device_id": "oven", "start": START_MS, "end": START_MS + 5_000, "alert_count": 1},
    )


def test_the_next_alert_counts_what_stands_beside_it() -> None:
    """Each window's new count replaces the one told before."""
    job, state = handler(bus_of()), JsonState()
    feed(job, state, 0.2, 1.2)
    assert counts(feed(job, state, 3.9)) == [(-1, 3), (0, 3), (1, 2), (2, 1), (3, 1)]


def test_a_late_alert_is_told_in_the_windows_that_are_open() -> None:
    """What is closed stays as it was told; the alert is metered."""
    bus = bus_of()
    job, state = handler(bus), JsonState()
    feed(job, state, 10.0)
    assert counts(feed(job, state, 7.5)) == [(6, 2), (7, 2)]
    assert seen(bus) == ["late"]


def test_a_late_alert_is_logged_with_its_device_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """As fields, for machines."""
    feed(handler(bus_of()), JsonState(), 10.0, 7.5)
    (record,) = caplog.records
    assert record.getMessage() == "an alert of oven, t+7.5, came after a window of it was closed"
    fields = vars(record)
    assert [fields[name] for name in ("device", "topic", "partition", "offset")] == ["oven", "alert", 3, 42]


def test_an_alert_too_late_for_any_window_tells_nothing() -> None:
    """All its windows are closed."""
    bus = bus_of()
    job, state = handler(bus), JsonState()
    feed(job, state, 10.0)
    assert feed(job, state, 4.9) == []
    assert seen(bus) == ["late"]


def test_each_alert_moves_the_time_on() -> None:
    """Not the first alone."""
    bus = bus_of()
    job, state = handler(bus), JsonState()
    feed(job, state, 0.0, 10.0)
    assert counts(feed(job, state, 7.5)) == [(6, 2), (7, 2)]
    assert seen(bus) == ["late"]


def test_windows_are_the_jobs_own_settings() -> None:
    """Length 4 s, step 2 s, grace 3 s: at 5 s, the window that ends at 2 s is closed, the one after it is not."""
    own = {"alert_count_length_ms": 4_000, "alert_count_step_ms": 2_000, "alert_count_grace_ms": 3_000}
    job, state = handler(bus_of(Settings(**own))), JsonState()
    assert counts(feed(job, state, 0.2)) == [(-2, 1), (0, 1)]
    assert counts(feed(job, state, 5.0)) == [(2, 1), (4, 1)]
    assert counts(feed(job, state, 1.5)) == [(0, 2)]


def test_it_answers_for_alert() -> None:
    """What cannot be read there goes to `dead-letter`."""
    frame: Any = Frame()
    build(frame, bus_of())
    at("alert", 0, 7, lambda: frame.run(b"{", b"a", START_MS, None))
    ((topic, value, key, *_),) = frame.produced
    assert (topic, value, key) == ("dead-letter", b"{", b"a")


def test_exactly_once_counts_equal_alerts() -> None:
    """Two records that say the same are two readings."""
    job, state = handler(bus_of()), JsonState()
    assert counts(feed(job, state, 1.0, 1.0))[-1] == (1, 2)


@pytest.mark.parametrize("settings", [AT_LEAST_ONCE, Settings(embedded_broker=True)], ids=["at-least-once", "embedded"])
def test_at_least_once_counts_a_repeated_alert_once(settings: Settings) -> None:
    """The same device and timestamp again is the same alert, after a restart too."""
    job, state = handler(bus_of(settings)), JsonState()
    feed(job, state, 1.0, 2.0)
    assert feed(handler(bus_of(settings)), state, 1.0, 2.0) == []
    assert counts(feed(job, state, 3.0))[-1] == (3, 1)
    assert counts(feed(job, state, 3.5))[2] == (1, 4)


def test_exactly_once_keeps_no_identities() -> None:
    """Only those pay who need it."""
    state = JsonState()
    feed(handler(bus_of()), state, 1.0)
    assert state.get("alert-count")[-1] == {}
