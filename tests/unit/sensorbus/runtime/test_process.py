"""The life of a process: settings, logs, signals, exit codes."""

import ctypes
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from threading import Event
from typing import Any, Final

import pytest

from sensorbus.contract.errors import BrokerUnavailableError, SettingsError
from sensorbus.contract.settings import PREFIX, Settings
from sensorbus.runtime import logs, process


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """Put back the handlers that a test replaced."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide what the tests themselves are told by variables: a part would warn of them."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _pytest_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the log to pytest, which collects what is said."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.setattr(logs, "say_uncaught", lambda: None)


def run(main: Any, **overrides: object) -> object:
    """Return the exit code of a part."""
    with pytest.raises(SystemExit) as caught:
        process.run_part("alert", main, **overrides)
    return caught.value.code


def test_a_part_that_returns_exits_with_0() -> None:
    """It was given the settings and an event that is not set."""
    given: list[Any] = []
    assert run(lambda settings, stop: given.extend([settings, stop]), dashboard_port=9000) == 0
    assert given[0] == Settings(dashboard_port=9000)
    assert isinstance(given[1], Event)
    assert not given[1].is_set()


@pytest.mark.parametrize(("error", "code"), [(BrokerUnavailableError("no broker"), 1), (SettingsError("no such"), 2)])
def test_an_error_of_ours_is_one_line_and_its_exit_code(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """No traceback: the line says what is wrong."""

    def fail(_settings: Settings, _stop: Event) -> None:
        raise error

    assert run(fail) == code
    assert [(line.levelname, line.getMessage(), line.exc_info) for line in caplog.records] == [
        ("ERROR", str(error), None)
    ]


def test_a_wrong_setting_ends_the_part_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Exit code 2 and the variable's name."""
    monkeypatch.setenv("SENSORBUS_TOPIC_PARTITIONS", "many")
    assert run(lambda *_: pytest.fail("it began")) == 2
    assert "SENSORBUS_TOPIC_PARTITIONS='many' cannot be used" in caplog.text


def test_another_error_is_a_bug_and_shows_itself() -> None:
    """What is not of our family is not swallowed."""

    def fail(_settings: Settings, _stop: Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        process.run_part("alert", fail)


_UNCAUGHT: Final = """
import threading
from sensorbus.runtime import process
def fail(*_):
    raise ValueError("red \\x1b[31m\\nsecond line")
def main(settings, stop):
    thread = threading.Thread(target=fail, name="helper")
    thread.start()
    thread.join()
    fail()
process.run_part("alert", main)
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_what_nobody_catches_is_an_event_like_others(log_format: str) -> None:
    """Of the thread and of the process: no raw control character, and as JSON one object each with the traceback."""
    environment = {**os.environ, "SENSORBUS_LOG_FORMAT": log_format}
    done = subprocess.run(
        [sys.executable, "-c", _UNCAUGHT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "\x1b" not in done.stderr
    if log_format == "json":
        events = [json.loads(line) for line in done.stderr.splitlines()]
        assert [event["level"] for event in events] == ["CRITICAL", "CRITICAL"]
        assert all("ValueError" in event["traceback"] for event in events)
        assert "thread helper ended" in events[0]["message"]


def test_an_unknown_variable_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning, with the nearest known name; what is started from there does not repeat it."""
    monkeypatch.setenv("SENSORBUS_LOGLEVEL", "INFO")
    assert process.start("alert").log_level == "INFO"
    assert "SENSORBUS_LOGLEVEL" not in os.environ
    assert [line.getMessage() for line in caplog.records] == [
        "SENSORBUS_LOGLEVEL is not a setting and changes nothing; did you mean SENSORBUS_LOG_LEVEL?"
    ]


def test_a_check_that_is_switched_off_is_said_and_handed_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unlike a name that nothing reads: what is started from here is to be as it was set."""
    name = "SENSORBUS_KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION"
    monkeypatch.setenv(name, "false")
    process.start("alert")
    assert os.environ[name] == "false"
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("WARNING", f"{name} switches a check of TLS off: any certificate is taken for Kafka's")
    ]


def test_settings_in_the_environment_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the command line says wins."""
    monkeypatch.setenv("SENSORBUS_DASHBOARD_PORT", "9000")
    assert process.start("alert").dashboard_port == 9000
    assert process.start("alert", dashboard_port=9001).dashboard_port == 9001


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event(number: signal.Signals) -> None:
    """Nothing is interrupted: the loop sees it and ends in its own time."""
    stop = process.stop_on_signals()
    assert not stop.is_set()
    os.kill(os.getpid(), number)
    assert stop.wait(5)


def test_a_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default handler is put back and gets the signal."""
    stop = process.stop_on_signals()
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler)
    clock_s = [100.0]
    monkeypatch.setattr("sensorbus.runtime.process.time.monotonic", lambda: clock_s[0])
    handler(signal.SIGTERM, None)
    assert stop.is_set()
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    handler(signal.SIGTERM, None)  # a launcher passes on what the terminal has sent already
    assert sent == []
    clock_s[0] += 2
    handler(signal.SIGTERM, None)
    assert sent == [(os.getpid(), signal.SIGTERM)]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("supervisor", [None, "1234567"])
def test_a_part_without_a_supervisor_lives_on_its_own(monkeypatch: pytest.MonkeyPatch, supervisor: str | None) -> None:
    """Started by hand, or with the variable of another process, it asks Linux for nothing."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: pytest.fail("it asks"))
    if supervisor is not None:
        monkeypatch.setenv(process.SUPERVISOR_PID_VARIABLE, supervisor)
    process.die_with_supervisor()


def test_a_part_that_loses_its_supervisor_while_it_asks_stops_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor may die between the question who it is and the request to be told."""
    parents = iter([4711, 1])
    sent: list[tuple[int, int]] = []
    monkeypatch.setenv(process.SUPERVISOR_PID_VARIABLE, "4711")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: type("C", (), {"prctl": staticmethod(lambda *_: 0)}))
    process.die_with_supervisor()
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_the_log_of_this_test_file_is_pytests() -> None:
    """Guards the fixtures above: a part that configured logging would have taken pytest's handler away."""
    process.start("alert")
    assert logging.getLogger().handlers


#: Takes memory in eight threads at once and prints how many heaps there are.
_HEAPS = """
import ctypes, sys, threading
from sensorbus.runtime import process
process.bound_heaps()
c, together = ctypes.CDLL(None), threading.Barrier(8)
c.malloc.argtypes = [ctypes.c_size_t]
def take():
    together.wait()
    c.malloc(1_000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
c.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(c.fdopen(1, b"w"))
c.malloc_info(0, stream)
c.fflush(stream)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library than glibc")
@pytest.mark.parametrize(("said", "heaps"), [({}, 2), ({"MALLOC_ARENA_MAX": "5"}, 5)])
def test_a_process_keeps_two_heaps(said: dict[str, str], heaps: int) -> None:
    """However many threads take memory; who sets glibc's own variable has what that says."""
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | said
    done = subprocess.run([sys.executable, "-c", _HEAPS], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("<heap nr=") == heaps


#: Takes and gives back a large piece, after which glibc would keep such in its heaps; prints what is outside of them.
_LARGE = """
import ctypes
import json
from sensorbus.runtime import process
process.bound_heaps()
c = ctypes.CDLL(None)
c.malloc.argtypes, c.malloc.restype, c.free.argtypes = [ctypes.c_size_t], ctypes.c_void_p, [ctypes.c_void_p]
c.free(c.malloc(4_000_000))
c.malloc(1_000_000)
c.fdopen.restype = ctypes.c_void_p
stream = ctypes.c_void_p(c.fdopen(1, b"w"))
c.malloc_info(0, stream)
c.fflush(stream)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library than glibc")
@pytest.mark.parametrize(("said", "is_outside"), [({}, True), ({"MALLOC_MMAP_THRESHOLD_": "8000000"}, False)])
def test_a_large_piece_is_in_no_heap(said: dict[str, str], is_outside: bool) -> None:
    """So that it goes back to the system when it is free; who sets glibc's own variable has what that says."""
    names = {"MALLOC_MMAP_THRESHOLD_"}
    environment = {name: value for name, value in os.environ.items() if name not in names} | said
    done = subprocess.run([sys.executable, "-c", _LARGE], env=environment, capture_output=True, text=True, check=True)
    outside = sum(int(size) for size in re.findall(r'<total type="mmap" count="\d+" size="(\d+)"/>', done.stdout))
    assert (outside >= 1_000_000) == is_outside


#: Takes memory in small pieces, lets all go but the last, and prints what it holds: before, then, and a moment later.
_PILED_UP = """
import ctypes, os, time
from sensorbus.runtime import process
from tests.support.parts import resident_bytes
process._TRIM_EVERY_S = 0.1
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def pile_up():
    pieces = [c.malloc(1_000) for _ in range(50_000)]
    for piece in pieces:
        ctypes.memset(ctypes.c_void_p(piece), 1, 1_000)
    for piece in pieces[:-1]:
        c.free(piece)
before = resident_bytes(os.getpid())
pile_up()
held = resident_bytes(os.getpid())
process.give_back_memory()
until_s = time.monotonic() + 20
while resident_bytes(os.getpid()) - before > 20e6 and time.monotonic() < until_s:
    time.sleep(0.05)
print(before, held, resident_bytes(os.getpid()))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")
def test_what_had_piled_up_is_given_back() -> None:
    """Also below something that lives on, which glibc by itself keeps for good."""
    done = subprocess.run([sys.executable, "-c", _PILED_UP], capture_output=True, text=True, check=True)
    before, held, left = map(int, done.stdout.split())
    assert held - before > 45e6
    assert left - before < 20e6
