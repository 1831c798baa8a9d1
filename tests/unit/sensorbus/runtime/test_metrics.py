"""The table of metrics: names, help and units as Prometheus wants them."""

import re

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from sensorbus.runtime import metrics

TABLE = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)}


def full_name(metric: MetricWrapperBase) -> str:
    """Return the name as it is shown."""
    return f"{metric._name}_total" if isinstance(metric, Counter) else str(metric._name)


@pytest.mark.parametrize("name", TABLE)
def test_a_metric_is_named_as_its_constant(name: str) -> None:
    """`JOB_LATE` is `sensorbus_job_late_total`: who finds one finds the other."""
    shown = full_name(TABLE[name])
    assert shown.removesuffix("_total") == f"sensorbus_{name.lower()}"
    assert re.fullmatch(r"sensorbus_(simulator|job|feed|ring|tick|api)_[a-z_]+", shown)


@pytest.mark.parametrize("name", TABLE)
def test_a_metric_has_a_sentence_of_help(name: str) -> None:
    """docs/operations.md and Prometheus show it."""
    assert TABLE[name]._documentation.endswith(".")


def test_a_histogram_measures_seconds_in_rising_buckets() -> None:
    """Base units only; the buckets reach from 5 ms to a minute."""
    histograms = [metric for metric in TABLE.values() if isinstance(metric, Histogram)]
    assert histograms
    for metric in histograms:
        assert metric._name.endswith("_seconds")
    assert list(metrics._SECONDS) == sorted(metrics._SECONDS)
    assert (metrics._SECONDS[0], metrics._SECONDS[-1]) == (0.005, 60.0)


def test_a_gauge_of_the_page_says_how_workers_add_up() -> None:
    """With several gunicorn workers each has a ring of its own, and only those that live count."""
    gauges = {name: metric for name, metric in TABLE.items() if isinstance(metric, Gauge) and name.startswith("RING")}
    assert len(gauges) == 5
    assert {metric._multiprocess_mode for metric in gauges.values()} == {"liveall"}


def test_every_metric_is_of_one_part() -> None:
    """A process shows its own: a gauge that it never sets would be 0, and hide what the right one says."""
    parts = (metrics.SIMULATOR_FAMILIES, metrics.JOB_FAMILIES, metrics.DASHBOARD_FAMILIES)
    for metric in TABLE.values():
        assert sum(metric._name.startswith(families) for families in parts) == 1
    shown = [{family.name for family in metrics.registry_of(families).collect()} for families in parts]
    assert all("process_resident_memory_bytes" in names for names in shown)
    ours = [{name for name in names if name.startswith("sensorbus_")} for names in shown]
    assert set.union(*ours) == {metric._name for metric in TABLE.values()}
    assert sum(map(len, ours)) == len(TABLE)
