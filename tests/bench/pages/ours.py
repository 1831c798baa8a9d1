"""Our page, fed as its consumer thread does it but without Kafka."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from dashboard_app import sign_in
from dashboard_app.app import create_app
from dashboard_app.encoded import encode
from dashboard_app.feed import Feed
from dashboard_app.held import CURSOR_TOPICS
from dashboard_app.reader import Health
from dashboard_app.ring import Records
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR
from sensorbus.contract.units import kelvin_from_celsius
from sensorbus.runtime.clock import ClockMs, wall_clock_ms
from tests.bench.pages import fleet
from tests.bench.pages.fleet import Readings

_AVERAGED: Final = 10
_COUNTED: Final = 5


class FedFeed(Feed):
    """A feed that asks no Kafka: it is given readings, and makes what the jobs would make of them."""

    def __init__(self, settings: Settings, now_ms: ClockMs = wall_clock_ms) -> None:
        """Hold nothing yet."""
        super().__init__(settings, now_ms)
        self._settings = settings
        self._reader.health = Health(kafka_ok=True, is_assigned=True, is_caught_up=True)
        self._offsets = dict.fromkeys(CURSOR_TOPICS, 0)
        self._last: dict[str, deque[float]] = {}
        self._tidied_ms = 0
        self.store.clear("bench")
        for topic in CURSOR_TOPICS:
            self.store.begin(topic, 0, 0)

    def start(self) -> None:
        """Ask no Kafka."""

    def take(self, readings: Readings) -> None:
        """Put records into the store and do, once a second, what is to be done."""
        if not readings:
            return
        now_ms = max(time_ms for _, time_ms, _ in readings)
        for name, _, celsius in readings:
            self._last.setdefault(name, deque(maxlen=_AVERAGED)).append(celsius)
        self._put(SENSOR.name, readings, now_ms)
        self._put(ALERT.name, [one for one in readings if self._is_high(one[2])], now_ms)
        second_ms = now_ms // 1_000 * 1_000
        told = {name: self._last[name] for name, _, _ in readings}
        counts = [(name, second_ms - 4_000, self._alerts(values)) for name, values in told.items()]
        self._put(ALERT_COUNT.name, [one for one in counts if one[2]], now_ms)
        averages = [(name, second_ms, round(sum(held) / len(held), 2)) for name, held in told.items()]
        self._put(AVG_TEMP.name, averages, now_ms)
        if second_ms == self._tidied_ms:
            return
        self._tidied_ms = second_ms
        self.store.drop_old(now_ms)
        self.store.settle()
        self.overview.update(now_ms)

    def _is_high(self, celsius: float) -> bool:
        return kelvin_from_celsius(celsius) > self._settings.alert_threshold_kelvin

    def _alerts(self, values: deque[float]) -> float:
        return float(sum(map(self._is_high, list(values)[-_COUNTED:])))

    def _put(self, topic: str, rows: Sequence[tuple[str, int, float]], append_ms: int) -> None:
        if not rows:
            return
        ids, times_ms, values = (list(column) for column in zip(*rows, strict=True))
        offsets = list(range(self._offsets[topic], self._offsets[topic] + len(rows)))
        self._offsets[topic] += len(rows)
        fragments = [encode(row) for row in rows] if topic == SENSOR.name else []
        partitions, appends_ms = [0] * len(rows), [append_ms] * len(rows)
        self.store.append(topic, Records(partitions, offsets, appends_ms, ids, times_ms, values, fragments))


def _now_ms() -> int:
    return int(fleet.now_s() * 1_000)


def build(settings: Settings | None = None) -> Callable[..., object]:
    """Return the server, fed with BENCH_DEVICES devices from when its worker starts."""
    settings = settings or Settings()

    class Started(FedFeed):
        is_started = False

        def start(self) -> None:
            if not self.is_started:  # gunicorn's hook calls it first, alone
                self.is_started = True
                fleet.run(int(os.environ["BENCH_DEVICES"]), self.take)

    app = create_app(settings, Started(settings, _now_ms), _now_ms)
    sign_in.install(app.server, settings)
    server: Callable[..., object] = app.server
    return server
