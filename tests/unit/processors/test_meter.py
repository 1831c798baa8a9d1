"""Tests of a job's numbers: counted cheaply, published whole."""

import json
from typing import Any

import pytest
from prometheus_client import REGISTRY

from processors.meter import Meter

STATS: dict[str, Any] = {
    "cgrp": {"join_state": "steady"},
    "brokers": {
        "one": {"nodeid": 1, "state": "UP", "req": {"OffsetCommit": 4, "TxnOffsetCommit": 0}},
        "group": {"nodeid": -1, "state": "UP", "req": {"OffsetCommit": 3}},
    },
    "topics": {
        "sensor": {
            "topic": "sensor",
            "partitions": {
                "0": {"fetch_state": "active", "consumer_lag": 12},
                "1": {"fetch_state": "active", "consumer_lag": -1},
                "2": {"fetch_state": "none", "consumer_lag": 99},
            },
        }
    },
}


def sample(name: str, **labels: str) -> float | None:
    """Return a metric's value."""
    return REGISTRY.get_sample_value(f"sensorbus_job_{name}", labels)


def test_what_is_counted_is_published_once() -> None:
    """A second publishing adds only what is new."""
    meter = Meter("published-once")
    for _ in range(3):
        meter.record("sensor", 1)
    meter.result("alert")
    meter.dead_letter("json")
    meter.late()
    meter.rekeyed()
    meter.publish()
    meter.publish()
    meter.record("sensor", 1)
    meter.publish()
    assert sample("records_total", job="published-once", topic="sensor") == 4
    assert sample("results_total", job="published-once", topic="alert") == 1
    assert sample("dead_letters_total", job="published-once", kind="json") == 1
    assert sample("late_total", job="published-once") == 1
    assert sample("rekeyed_total", job="published-once") == 1


def test_statistics_give_lag_and_commits() -> None:
    """Known lags of fetched partitions, and requests to commit over all brokers."""
    meter = Meter("stats")
    meter.on_consumer_stats(json.dumps(STATS))
    assert sample("lag_records", job="stats", topic="sensor", partition="0") == 12
    assert sample("lag_records", job="stats", topic="sensor", partition="1") is None
    assert sample("lag_records", job="stats", topic="sensor", partition="2") is None
    assert sample("commits_total", job="stats") == 7


def test_exactly_once_commits_are_the_producers() -> None:
    """They come with the next publishing."""
    meter = Meter("txn")
    meter.on_producer_stats(json.dumps({"brokers": {"one": {"req": {"TxnOffsetCommit": 5}}}}))
    meter.publish()
    assert sample("commits_total", job="txn") == 5


def test_delay_and_age_are_by_the_append_time() -> None:
    """The first record after a while is looked at; the age is that of the last one."""
    meter = Meter("delay", clock_ms=lambda: 10_000)
    for _ in range(32):
        meter.record("sensor", 9_750)
    meter.record("sensor", 9_000)
    meter.publish()
    assert sample("delay_seconds_count", job="delay") == 2
    assert sample("delay_seconds_sum", job="delay") == 1.25
    assert sample("lag_seconds", job="delay") == 1.0


def test_a_job_is_ready_when_it_is_a_settled_member_and_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the group has settled and after half a minute of silence it is not."""
    now_s = 100.0
    monkeypatch.setattr("processors.meter.time.monotonic", lambda: now_s)
    meter = Meter("ready")
    assert list(meter.why_not_ready()) == ["group"]
    meter.on_consumer_stats(json.dumps(STATS))
    assert meter.why_not_ready() == {}
    now_s = 131.0
    assert meter.why_not_ready() == {"loop": "the job has not polled Kafka for 31 s"}
    meter.on_consumer_stats(json.dumps({"cgrp": {"join_state": "wait-join"}}))
    assert list(meter.why_not_ready()) == ["group"]


def test_silence_is_the_time_without_a_connected_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group's own entry in the statistics is no broker."""
    now_s = 100.0
    monkeypatch.setattr("processors.meter.time.monotonic", lambda: now_s)
    meter = Meter("silent")
    now_s = 110.0
    meter.start()
    now_s = 130.0
    down = STATS | {"brokers": {"one": {"nodeid": 1, "state": "CONNECT"}, "group": {"nodeid": -1, "state": "UP"}}}
    meter.on_consumer_stats(json.dumps(down))
    assert meter.silent_s() == 20.0
    meter.on_consumer_stats(json.dumps(STATS))
    assert meter.silent_s() == 0.0
