"""Thousands of hostile requests to the port of the embedded broker.

Answered or closed, nothing kept; programs that speak Kafka are served as before.
"""

import logging
import time
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from sensorbus.contract.settings import Settings
from tests.support.hostile_frames import GOOD, HostileFrames, frame
from tests.support.parts import part, resident_bytes
from tests.support.real_kafka import free_ports
from tests.support.strangers import LOG_BYTES, MEMORY_BYTES, Listener, held_open
from tests.support.waiting import wait_until

ONCE: Final = 500
HELD_OPEN: Final = 100
SOON_S: Final = 0.02
ANSWERED_WITHIN_S: Final = 1.0
#: A frame as long as Kafka takes, of which the beginning comes.
ENDLESS: Final = b"\x06\x40\x00\x00\x00\x12\x00\x00\x00\x00"
_SILENT: Final = logging.getLogger("test.hostile.clients")
_log = logging.getLogger(__name__)


def exchange(listener: Listener, data: bytes, within_s: float = SOON_S) -> str:
    """Return what becomes of what is sent on a connection: it is answered or closed, or something more is awaited."""
    with listener.connect() as connection:
        try:
            connection.sendall(data)
            connection.settimeout(within_s)
            return "answered" if connection.recv(1) else "closed"
        except TimeoutError:
            return "awaited"
        except ConnectionError:
            return "closed"


def send(listener: Listener, frames: HostileFrames, number: int) -> Counter[str]:
    """Send on so many connections and return what became of how many."""
    return Counter(exchange(listener, frames.next()) for _ in range(number))


def topics_seen(port: int) -> int:
    """Return how many topics a new client is told of; -1 when it is told nothing."""
    try:
        client = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}, logger=_SILENT)
        return len(client.list_topics(timeout=ANSWERED_WITHIN_S).topics)
    except KafkaException:
        return -1


def test_the_right_requests_are_right(tmp_path: Path) -> None:
    """Those that are bent are answered as long as they are not."""
    port = free_ports()[0]
    with part(Settings(), tmp_path / "broker.log", "tests.support.embedded", str(port)) as broker:
        wait_until(lambda: topics_seen(port) >= 0, 20, "the broker", broker.log)
        for (key, version), body in GOOD.items():
            assert exchange(Listener(port), frame(key, version, body), 10) == "answered", (key, version)
    assert "WARNING" not in broker.said()


@pytest.mark.parametrize("number", [1_000, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_hostile_frames_are_refused(tmp_path: Path, number: int) -> None:
    """No crash, no traceback, no growth of log or memory, also with clients that stop in the middle of a frame."""
    port = free_ports()[0]
    with part(Settings(), tmp_path / "broker.log", "tests.support.embedded", str(port)) as broker:
        wait_until(lambda: topics_seen(port) >= 0, 20, "the broker", broker.log)
        assert broker.process is not None
        listener = Listener(port)
        with held_open(listener, ENDLESS, HELD_OPEN):
            send(listener, HostileFrames(0), ONCE)
            before = resident_bytes(broker.process.pid)
            answers = send(listener, HostileFrames(number), number)
            grown = resident_bytes(broker.process.pid) - before
            _log.info("%d hostile connections: %s; grown by %d bytes", number, dict(answers), grown)
            assert grown < MEMORY_BYTES
            started_s = time.monotonic()
            assert topics_seen(port) >= 0
            assert time.monotonic() - started_s < ANSWERED_WITHIN_S
        assert broker.is_running()
        assert min(answers["answered"], answers["closed"]) > number / 10
    assert "Traceback" not in broker.said()
    assert len(broker.said()) < LOG_BYTES
