"""A worker's feed that asks no Kafka, and a client of its API.

The feed holds what a test puts in.
"""

from collections.abc import Sequence
from typing import Any, Final

from flask.testing import FlaskClient

from dashboard_app.app import create_app
from dashboard_app.encoded import encode
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.reader import Health
from dashboard_app.ring import Records
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import SENSOR
from tests.support.held_parts import StillFeed

NOW_MS: Final = 1_769_860_800_000
PARTITIONS: Final = 4


class HeldFeed(StillFeed):
    """A feed that has caught up with topics named `epoch`."""

    def __init__(self, settings: Settings | None = None, epoch: str = "epoch") -> None:
        """Hold nothing yet."""
        self.settings = settings or Settings()
        super().__init__(self.settings, lambda: NOW_MS)
        self.health = Health(kafka_ok=True, is_assigned=True, is_caught_up=True)
        self._offsets: dict[tuple[str, int], int] = {}
        self.store.clear(epoch)
        for topic in CURSOR_TOPICS:
            for partition in range(PARTITIONS):
                self.store.begin(topic, partition, 0)

    @property
    def health(self) -> Health:
        """How reading goes."""
        return self._reader.health

    @health.setter
    def health(self, health: Health) -> None:
        self._reader.health = health

    def put(
        self, rows: Sequence[tuple[str, int, float]], topic: str = SENSOR.name, append_ms: int | None = None
    ) -> None:
        """Put rows (device, time, value) in as the consumer thread does; a device is always on one partition."""
        partitions = [partition_of(device_id) for device_id, _, _ in rows]
        offsets = []
        for partition in partitions:
            offsets.append(self._offsets.get((topic, partition), 0))
            self._offsets[topic, partition] = offsets[-1] + 1
        appends_ms = [min(NOW_MS, row[1]) if append_ms is None else append_ms for row in rows]
        names, times_ms, values = (list(column) for column in zip(*rows, strict=True))
        fragments = [encode(row) for row in rows]
        self.store.append(topic, Records(partitions, offsets, appends_ms, names, times_ms, values, fragments))

    def client(self) -> FlaskClient:
        """Return a client of a page with this feed."""
        client: FlaskClient = create_app(self.settings, self, lambda: NOW_MS).server.test_client()
        return client


def partition_of(device_id: str) -> int:
    """Return the partition that a device's rows are on."""
    return sum(device_id.encode()) % PARTITIONS


def pages(client: FlaskClient, url: str, name: str) -> list[dict[str, Any]]:
    """Return all rows behind an address, page by page."""
    rows: list[dict[str, Any]] = []
    following: str | None = url
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        assert answer.json is not None
        rows += answer.json[name]
        following = answer.json["next"]
    return rows
