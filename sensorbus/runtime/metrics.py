"""Every metric of every part: one table, in Prometheus terms.

docs/operations.md lists them; a test compares. In gunicorn with several workers, prometheus_client
runs in its multiprocess mode (PROMETHEUS_MULTIPROC_DIR), hence a mode for each gauge.
"""

import math
from collections.abc import Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

# simulator
SIMULATOR_PRODUCED: Final = Counter("sensorbus_simulator_produced_total", "Readings that Kafka acknowledged.")
SIMULATOR_FAILED: Final = Counter("sensorbus_simulator_failed_total", "Readings that Kafka did not take.")
SIMULATOR_BEHIND_SECONDS: Final = Gauge("sensorbus_simulator_behind_seconds", "How late the schedule is.")

# processors
JOB_RECORDS: Final = Counter("sensorbus_job_records_total", "Records read.", ["job", "topic"])
JOB_RESULTS: Final = Counter("sensorbus_job_results_total", "Records written.", ["job", "topic"])
JOB_DEAD_LETTERS: Final = Counter(
    "sensorbus_job_dead_letters_total", "Records that could not be read.", ["job", "kind"]
)
JOB_REKEYED: Final = Counter("sensorbus_job_rekeyed_total", "Readings sent again under their device's key.", ["job"])
JOB_LATE: Final = Counter(
    "sensorbus_job_late_total", "Readings that came after a window of theirs was closed.", ["job"]
)
JOB_COMMITS: Final = Counter("sensorbus_job_commits_total", "Commits.", ["job"])
JOB_LAG_RECORDS: Final = Gauge("sensorbus_job_lag_records", "Records not yet read.", ["job", "topic", "partition"])
JOB_LAG_SECONDS: Final = Gauge(
    "sensorbus_job_lag_seconds",
    "For how long records stand unread in the partition that is worst; 0 where none is unread.",
    ["job"],
)
JOB_DELAY_SECONDS: Final = Histogram(
    "sensorbus_job_delay_seconds",
    "From a record's append time to the commit that shows its results.",
    ["job"],
    buckets=_SECONDS,
)

# dashboard
FEED_RECORDS: Final = Counter("sensorbus_feed_records_total", "Records read by the page.", ["topic"])
FEED_INVALID: Final = Counter(
    "sensorbus_feed_invalid_total", "Records that the page could not read.", ["topic", "kind"]
)
FEED_RESTARTS: Final = Counter("sensorbus_feed_restarts_total", "Consumer threads that died and were started again.")
RING_READINGS: Final = Gauge("sensorbus_ring_readings", "Readings held.", multiprocess_mode="liveall")
RING_BYTES: Final = Gauge("sensorbus_ring_bytes", "Bytes that the readings held take.", multiprocess_mode="liveall")
RING_FULL: Final = Gauge(
    "sensorbus_ring_full",
    "1 for the bound that made the last readings go before their age did, else 0.",
    ["bound"],
    multiprocess_mode="liveall",
)
RING_DEVICES: Final = Gauge("sensorbus_ring_devices", "Devices known.", multiprocess_mode="liveall")
RING_AGE_SECONDS: Final = Gauge("sensorbus_ring_age_seconds", "Age of the newest reading.", multiprocess_mode="liveall")
RING_AGE_SECONDS.set(math.nan)  # 0 would say that all is well, for all workers: their least age counts
TICK_SECONDS: Final = Histogram("sensorbus_tick_seconds", "Time to answer a tick.", buckets=_SECONDS)
API_REQUESTS: Final = Counter("sensorbus_api_requests_total", "Requests to the JSON API.", ["route", "status"])
API_ROWS: Final = Counter("sensorbus_api_rows_total", "Rows in the JSON API's answers.", ["route"])
API_SECONDS: Final = Histogram(
    "sensorbus_api_seconds", "Time to answer a request to the JSON API, to its last byte.", ["route"], buckets=_SECONDS
)

#: How the names of each part's metrics begin.
SIMULATOR_FAMILIES: Final = ("sensorbus_simulator_",)
JOB_FAMILIES: Final = ("sensorbus_job_",)
DASHBOARD_FAMILIES: Final = ("sensorbus_feed_", "sensorbus_ring_", "sensorbus_tick_", "sensorbus_api_")


def registry_of(families: tuple[str, ...], source: Collector = REGISTRY) -> CollectorRegistry:
    """Return what `source` has without the metrics of other parts.

    Every process makes all of this table, and one that never sets a gauge would report 0: with every job's age of the
    newest reading at 0, no alert on the page's would ever fire.
    """
    registry = CollectorRegistry()
    registry.register(_Own(families, source))
    return registry


class _Own(Collector):
    def __init__(self, families: tuple[str, ...], source: Collector) -> None:
        self._families, self._source = families, source

    def collect(self) -> Iterator[Metric]:
        for family in self._source.collect():
            if not family.name.startswith("sensorbus_") or family.name.startswith(self._families):
                yield family
