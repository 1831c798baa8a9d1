"""/healthz, /readyz and /metrics of a worker."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import values

from dashboard_app import ops
from dashboard_app.feed import Feed
from sensorbus.contract.settings import Settings


class Told(Feed):
    """A feed that gives the reasons it was told."""

    def __init__(self, reasons: dict[str, str]) -> None:
        """Ask no Kafka."""
        super().__init__(Settings())
        self.reasons = reasons

    def start(self) -> None:
        """Start nothing."""

    def readiness(self) -> dict[str, str]:
        """Return the reasons."""
        return self.reasons


def client(reasons: dict[str, str]) -> FlaskClient:
    """Return a client of a worker that has these reasons not to be ready."""
    flask = Flask("test", static_folder=None)
    ops.register(flask, Told(reasons))
    return flask.test_client()


def test_a_worker_is_alive_even_when_it_is_not_ready() -> None:
    """A restart would not bring Kafka back."""
    answer = client({"kafka": "away"}).get("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_readiness_gives_its_reasons() -> None:
    """503 as long as there is one."""
    away, ready = client({"kafka": "away"}).get("/readyz"), client({}).get("/readyz")
    assert (away.status_code, away.json) == (503, {"status": "not ready", "reasons": {"kafka": "away"}})
    assert (ready.status_code, ready.json) == (200, {"status": "ready", "reasons": {}})


@pytest.mark.parametrize(
    ("reasons", "despite", "status"),
    [
        ({"kafka": "away"}, "kafka,topics", 200),
        ({"kafka": "away", "topics": "waiting for sensor"}, "kafka,topics", 200),
        ({"kafka": "away", "assignment": "none yet"}, "kafka,topics", 503),
        ({"history": "reading"}, "kafka,topics", 503),
        ({"kafka": "away"}, "", 503),
        ({}, "kafka", 200),
    ],
)
def test_what_meets_all_workers_may_be_left_out(reasons: dict[str, str], despite: str, status: int) -> None:
    """A page without Kafka says so itself; it is told all the same."""
    answer = client(reasons).get(f"/readyz?despite={despite}")
    assert (answer.status_code, answer.json and answer.json["reasons"]) == (status, reasons)


def test_metrics_are_prometheus_text() -> None:
    """The dashboard's own are among them, and none of other parts."""
    answer = client({}).get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    assert "sensorbus_tick_seconds_count" in answer.text
    assert "sensorbus_simulator" not in answer.text


def test_several_workers_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each worker writes its numbers to a file; any of them answers for all."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for pid in (11, 22):
        value = values.MultiProcessValue(lambda pid=pid: pid)
        value("counter", "some", "some_total", (), (), "help").inc(pid)
    assert "some_total 33.0" in client({}).get("/metrics").text
