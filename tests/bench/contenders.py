"""The ways to do a job that the benchmark compares.

Each runs in a process of its own.
"""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from confluent_kafka import TopicPartition
from quixstreams import Application
from quixstreams.models import Topic as QuixTopic
from quixstreams.models import TopicManager

from processors.application import build_application, consumer_options, producer_options
from processors.embedded import topic_manager
from processors.meter import Meter
from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import ALERT, ALERT_COUNT, AVG_TEMP, SENSOR, Topic
from sensorbus.runtime import kafka
from tests.bench import bytewax_flow, kafka_streams_job

MEAN_LENGTH_MS: Final = 10_000
COUNT_LENGTH_MS: Final = 5_000
STEP_MS: Final = 1_000
_IDLE_S: Final = 2.0  # Quix stops when nothing came for so long; it costs hardly any CPU


class Contender(NamedTuple):
    """One way to do a job: what it reads, where its results stand, how it runs, and why it cannot, if so.

    A run that returns CPU seconds and seconds has measured them itself, in a process of its own.
    """

    name: str
    source: Topic
    result: Topic | None
    run: Callable[[Settings, int], tuple[float, float] | None]
    why_not: Callable[[], str | None] = lambda: None
    on_real_kafka_only: bool = False
    idle_s: float = 0.0  # at its end, after the last reading


def our_job(job: str, source: Topic) -> Callable[[Settings, int], None]:
    """Return a run of our own job, configured as it is deployed."""

    def run(settings: Settings, readings: int) -> None:
        meter = Meter(job)
        application = build_application(job, settings, meter)

        def stop_at_the_end() -> None:
            while meter._records[settings.topic_name(source)] < readings:
                time.sleep(0.02)
            application.stop()

        threading.Thread(target=stop_at_the_end, daemon=True).start()
        application.run()

    return run


def quix_final(settings: Settings, _readings: int) -> None:
    """Average as the tutorial does it."""
    application = _quix(settings)
    frame: Any = application.dataframe(_json_topic(application, settings, SENSOR))
    frame = frame.apply(lambda reading: reading["temperature"]).hopping_window(MEAN_LENGTH_MS, STEP_MS)
    frame.mean().final().to_topic(_json_topic(application, settings, AVG_TEMP))
    application.run(timeout=_IDLE_S, collect=False)


def quix_current(settings: Settings, _readings: int) -> None:
    """Count with a result for every window that an alert falls in."""
    application = _quix(settings)
    frame: Any = application.dataframe(_json_topic(application, settings, ALERT))
    frame = frame.hopping_window(COUNT_LENGTH_MS, STEP_MS).count().current()
    frame.to_topic(_json_topic(application, settings, ALERT_COUNT))
    application.run(timeout=_IDLE_S, collect=False)


def quix_nothing(settings: Settings, _readings: int) -> None:
    """Read and do nothing."""
    application = _quix(settings)
    application.dataframe(application.topic(settings.topic_name(SENSOR), value_deserializer="bytes"))
    application.run(timeout=_IDLE_S, collect=False)


def plain_loop(settings: Settings, readings: int) -> None:
    """Average with batches and a dict: no state that survives, no guarantee."""
    consumer = kafka.consumer(settings, "bench", **{"auto.offset.reset": "earliest"})
    producer = kafka.producer(settings, "bench")
    name, target = settings.topic_name(SENSOR), settings.topic_name(AVG_TEMP)
    partitions = consumer.list_topics(name, timeout=10).topics[name].partitions
    consumer.assign([TopicPartition(name, partition, 0) for partition in partitions])
    panes: dict[str, deque[tuple[int, float]]] = defaultdict(deque)
    seen = 0
    while seen < readings:
        for message in consumer.consume(1_000, timeout=0.1):
            seen += 1
            reading = orjson.loads(message.value())
            for start_ms, mean in _plain_means(panes[reading["device_id"]], reading):
                window = {"start": start_ms, "end": start_ms + MEAN_LENGTH_MS, "value": mean}
                producer.produce(target, orjson.dumps(window), message.key())
        producer.poll(0)
    producer.flush()
    consumer.close()


def _plain_means(panes: deque[tuple[int, float]], reading: dict[str, Any]) -> Iterator[tuple[int, float]]:
    """Yield the means that a reading closes: the stream is in order, with one reading per device and second."""
    pane_ms = _event_time_ms(reading) // STEP_MS * STEP_MS
    if panes:
        for end_ms in range(panes[-1][0] + STEP_MS, min(pane_ms, panes[-1][0] + MEAN_LENGTH_MS) + 1, STEP_MS):
            inside = [celsius for start_ms, celsius in panes if start_ms >= end_ms - MEAN_LENGTH_MS]
            yield end_ms - MEAN_LENGTH_MS, sum(inside) / len(inside)
    panes.append((pane_ms, reading["temperature"]))
    while panes[0][0] <= pane_ms - MEAN_LENGTH_MS:
        panes.popleft()


def _quix(settings: Settings) -> Application:
    """Return an application with our clients' options, so that only the windows differ."""
    group = f"{settings.topic_prefix}bench"
    options = kafka.client_options(settings, "bench")
    servers = options.pop("bootstrap.servers")
    manager: TopicManager | None = topic_manager(servers, group, options) if settings.embedded_broker else None
    return Application(
        servers,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=settings.commit_interval_ms / 1000,
        processing_guarantee="exactly-once" if settings.is_exactly_once else "at-least-once",
        consumer_extra_config={**consumer_options("bench", settings), **options},
        producer_extra_config={**producer_options("bench", settings), **options},
        state_dir=settings.state_dir / "bench",
        topic_manager=manager,
        loglevel=None,
    )


def _json_topic(application: Application, settings: Settings, topic: Topic) -> QuixTopic:
    return application.topic(
        settings.topic_name(topic), timestamp_extractor=lambda value, _headers, _time, _kind: _event_time_ms(value)
    )


def _event_time_ms(value: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(value["timestamp"]).timestamp() * 1_000)


CONTENDERS: Final = {
    contender.name: contender
    for contender in (
        Contender("avg-temp: ours", SENSOR, AVG_TEMP, our_job("avg-temp", SENSOR)),
        Contender("avg-temp: Quix .final()", SENSOR, AVG_TEMP, quix_final, idle_s=_IDLE_S),
        Contender("avg-temp: plain loop", SENSOR, AVG_TEMP, plain_loop),
        Contender("avg-temp: Bytewax", SENSOR, AVG_TEMP, bytewax_flow.run, bytewax_flow.why_not),
        Contender(
            "avg-temp: Kafka Streams",
            SENSOR,
            AVG_TEMP,
            kafka_streams_job.run,
            kafka_streams_job.why_not,
            on_real_kafka_only=True,  # the embedded broker makes no internal topics
        ),
        Contender("alert: ours", SENSOR, ALERT, our_job("alert", SENSOR)),
        Contender("alert: Quix doing nothing", SENSOR, None, quix_nothing, idle_s=_IDLE_S),
        Contender("alert-count: ours", ALERT, ALERT_COUNT, our_job("alert-count", ALERT)),
        Contender("alert-count: Quix .current()", ALERT, ALERT_COUNT, quix_current, idle_s=_IDLE_S),
    )
}
