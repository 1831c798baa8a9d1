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
                "0": {"fetch_state": "active", "hi_offset": 20, "app_offset": 8, "next_offset": 15, "fetchq_cnt": 7},
                "1": {"fetch_state": "active", "hi_offset": -1001, "app_offset": 8, "next_offset": 8},
                "2": {"fetch_state": "none", "hi_offset": 99, "app_offset": 0, "next_offset": 0},
            },
        }
    },
}


def sample(name: str, **labels: str) -> float | None:
    """Return a metric's value."""
    return REGISTRY.get_sample_value(f"sensorbus_job_{name}", labels)


def test_what_is_counted_is_published_once() -> None:
    """A second publishing adds only what is new."""
    meter = Meter("published-once", partition_now=lambda: 0)
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


def test_what_has_not_come_yet_is_told_as_none() -> None:
    """A rate begins with the first value that is seen: without a zero before it, the first alert would not show."""
    meter = Meter("waits", ["p-alert"])
    meter.publish()
    assert sample("records_total", job="waits", topic="p-alert") == 0


def test_statistics_give_lag_and_commits() -> None:
    """Known lags of fetched partitions, and requests to commit over all brokers."""
    meter = Meter("stats")
    meter.on_consumer_stats(json.dumps(STATS))
    assert sample("lag_records", job="stats", topic="sensor", partition="0") == 12
    assert sample("lag_records", job="stats", topic="sensor", partition="1") is None
    assert sample("lag_records", job="stats", topic="sensor", partition="2") is None
    assert sample("commits_total", job="stats") == 7


def partitions(**states: tuple[str, int]) -> str:
    """Return statistics with these partitions (p0, p1, ...) of `sensor`: fetch state, and records before the end."""
    held = {
        name[1:]: {"fetch_state": state, "hi_offset": 100, "app_offset": 100 - lag, "fetchq_cnt": lag}
        for name, (state, lag) in states.items()
    }
    return json.dumps({"topics": {"sensor": {"topic": "sensor", "partitions": held}}})


@pytest.mark.parametrize(
    ("partition", "lag"),
    [
        ({"hi_offset": 9, "app_offset": 4, "next_offset": 9, "fetchq_cnt": 5, "committed_offset": 2}, 5),
        ({"hi_offset": 9, "app_offset": 8, "next_offset": 9, "fetchq_cnt": 0}, 0),
        ({"hi_offset": 9, "ls_offset": 4, "app_offset": 4, "next_offset": 4, "fetchq_cnt": 0}, 5),
        ({"hi_offset": 9, "app_offset": -1001, "next_offset": 9, "fetchq_cnt": 3, "committed_offset": 6}, 3),
        ({"hi_offset": 9, "app_offset": -1001, "next_offset": 9, "fetchq_cnt": 3, "committed_offset": -1001}, None),
        ({"hi_offset": -1001, "app_offset": 4, "next_offset": 4, "fetchq_cnt": 0}, None),
    ],
    ids=[
        "fetched and not given",
        "a marker at the end",
        "behind an open transaction",
        "nothing given yet",
        "at a loss",
        "no end",
    ],
)
def test_lag_is_what_the_job_was_not_given(partition: dict[str, int], lag: int | None) -> None:
    """Whoever commits, and without the markers of transactions; a changelog's is not shown."""
    meter = Meter(f"lag-{partition}")
    held = {"0": {"fetch_state": "active", **partition}}
    topics = {name: {"topic": name, "partitions": held} for name in ("sensor", "changelog__avg-temp")}
    meter.on_consumer_stats(json.dumps({"topics": topics}))
    assert sample("lag_records", job=meter.job, topic="sensor", partition="0") == lag
    assert sample("lag_records", job=meter.job, topic="changelog__avg-temp", partition="0") is None


@pytest.mark.parametrize(("state", "lag", "age_s"), [("active", 7, 2), ("offset-query", 5, 2), ("none", None, 0)])
def test_what_another_client_has_still_to_give_is_lag(state: str, lag: int | None, age_s: float) -> None:
    """The consumer stands behind it after a kill, and may be at the end."""
    meter = Meter(f"careful-{state}", clock_ms=lambda: 10_000, partition_now=lambda: 0)
    meter.record("sensor", 8_000)
    meter.left = lambda: {("sensor", "0"): 5}
    meter.on_consumer_stats(partitions(p0=(state, 2)))
    assert sample("lag_records", job=meter.job, topic="sensor", partition="0") == lag
    assert sample("lag_seconds", job=meter.job) == age_s


@pytest.mark.parametrize(("partition", "age_s"), [(("active", 0), 0), (("active", 7), 2), (("offset-query", 0), 2)])
def test_who_has_read_all_lags_by_no_time(partition: tuple[str, int], age_s: float) -> None:
    """However old the last record is; where the lag is not known, its age is told."""
    meter = Meter(f"age-{partition}", clock_ms=lambda: 10_000, partition_now=lambda: 0)
    meter.record("sensor", 8_000)
    meter.on_consumer_stats(partitions(p0=partition))
    assert sample("lag_seconds", job=meter.job) == age_s


def test_the_lag_of_a_partition_that_is_lost_goes_away() -> None:
    """A rebalance gives it to another member, and it comes back with what is true then."""
    meter = Meter("rebalanced")

    def lags() -> list[float | None]:
        return [sample("lag_records", job="rebalanced", topic="sensor", partition=number) for number in "012"]

    meter.on_consumer_stats(partitions(p0=("active", 7), p1=("active", 8), p2=("active", 9)))
    assert lags() == [7, 8, 9]
    meter.on_consumer_stats(partitions(p0=("active", 7), p1=("stopped", 8)))
    assert lags() == [7, None, None]
    meter.on_consumer_stats(partitions(p0=("none", 7), p1=("active", 3)))
    assert lags() == [None, 3, None]


def test_the_lag_of_a_partition_that_is_kept_stays_while_it_is_not_known() -> None:
    """As while a broker is away or its offset is asked for."""
    meter = Meter("unknown")
    meter.on_consumer_stats(partitions(p0=("active", 7)))
    meter.on_consumer_stats(partitions(p0=("offset-query", 0)))
    assert sample("lag_records", job="unknown", topic="sensor", partition="0") == 7


def test_exactly_once_commits_are_the_producers() -> None:
    """They come with the next publishing."""
    meter = Meter("txn")
    meter.on_producer_stats(json.dumps({"brokers": {"one": {"req": {"TxnOffsetCommit": 5}}}}))
    meter.publish()
    assert sample("commits_total", job="txn") == 5


def test_delay_is_by_the_append_time() -> None:
    """The first record after a while is looked at, once its results are committed."""
    meter = Meter("delay", clock_ms=lambda: 10_000, partition_now=lambda: 0)
    meter.record("sensor", 9_750)
    assert sample("delay_seconds_count", job="delay") is None
    for _ in range(2):
        meter.committed()
    assert sample("delay_seconds_count", job="delay") == 1
    assert sample("delay_seconds_sum", job="delay") == 0.25


def test_every_partition_is_looked_at() -> None:
    """Also where 32 devices send in turn, one of them to a partition of its own that is an hour behind."""
    sent = [(0, 3_600_000)] * 31 + [(1, 10_000)]
    places: list[int] = []
    meter = Meter("turns", clock_ms=lambda: 3_600_000, partition_now=lambda: places[-1])
    for partition, append_time_ms in sent * 500:
        places.append(partition)
        meter.record("sensor", append_time_ms)
    assert abs(len(meter._uncommitted_ms) - 500) < 50
    meter.on_consumer_stats(partitions(p0=("active", 1), p1=("active", 9)))
    assert sample("lag_seconds", job="turns") == 3_590


def test_a_job_is_ready_when_it_is_a_settled_member_and_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the group has settled and after half a minute of silence, its own or Kafka's, it is not."""
    now_s = 100.0
    monkeypatch.setattr("processors.meter.time.monotonic", lambda: now_s)
    meter = Meter("ready")
    assert list(meter.why_not_ready()) == ["group"]
    meter.on_consumer_stats(json.dumps(STATS))
    assert meter.why_not_ready() == {}
    now_s = 131.0
    away = {"kafka": "no broker was connected for 31 s"}
    assert meter.why_not_ready() == {"loop": "the job has not polled Kafka for 31 s", **away}
    meter.on_consumer_stats(json.dumps(STATS | {"brokers": {}}))
    assert meter.why_not_ready() == away
    meter.on_consumer_stats(json.dumps(STATS))
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
