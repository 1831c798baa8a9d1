"""The embedded broker: start, address, stop.

It is librdkafka's own mock cluster, which every confluent-kafka wheel carries: for trying out, for tests, for one
machine. Nothing survives the process. docs/embedded-broker.md lists what it lacks beside Apache Kafka.
"""

import contextlib
import logging
from collections.abc import Collection
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer

from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.contract.settings import variable_name
from sensorbus.runtime.kafka import EMBEDDED_PARTITIONS

#: What it keeps: about 5 MB per partition, oldest dropped; a reading takes about this much of it.
_BYTES_PER_PARTITION: Final = 5_000_000
_BYTES_PER_READING: Final = 105
_START_TIMEOUT_S: Final = 5.0
#: Where Kafka clients look by default.
WELL_KNOWN_PORT: Final = 9092

_log = logging.getLogger(__name__)


class EmbeddedBroker:
    """One broker in this process, as a context manager; the addresses are valid inside.

    `address` is the broker's own. With `port`, a gateway for other programs answers there (on 127.0.0.1) if nothing
    else does, and `public_address` is the gateway's; without, it is the same as `address`. `jobs` are our jobs' groups.
    """

    def __init__(self, port: int | None = None, jobs: Collection[str] = ()) -> None:
        """Start nothing yet."""
        self._port, self._jobs = port, jobs
        self._stack = contextlib.ExitStack()
        self._cluster: Producer | None = None  # the cluster lives as long as this client
        self.address = self.public_address = ""

    def __enter__(self) -> Self:
        """Start it; takes about 10 ms."""
        self._cluster = Producer(
            {"test.mock.num.brokers": 1, "bootstrap.servers": "127.0.0.1:1", "logger": logging.getLogger("rdkafka")}
        )
        brokers = self._cluster.list_topics(timeout=_START_TIMEOUT_S).brokers
        if not brokers:
            raise BrokerUnavailableError("the embedded broker did not start")
        broker = next(iter(brokers.values()))
        self.address = self.public_address = f"{broker.host}:{broker.port}"
        if self._port is not None:
            self._open_port(self._port, (broker.host, broker.port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; what it held is gone."""
        self._stack.close()
        self._cluster = None
        self.address = self.public_address = ""

    def _open_port(self, port: int, target: tuple[str, int]) -> None:
        from sensorbus.runtime.gateway import Gateway  # noqa: PLC0415  # takes 0.1 s, which the other commands need not pay

        try:
            self._stack.enter_context(Gateway("127.0.0.1", port, target, self._jobs))
        except OSError:
            _log.warning(
                "port %d is taken, so the embedded broker answers at %s only: other commands and programs must be told "
                "that address (%s)",
                port,
                self.address,
                variable_name("kafka_bootstrap_servers"),
            )
        else:
            self.public_address = f"localhost:{port}"


def seconds_held(devices: int, period_s: float) -> float:
    """Return how much history of `devices` the embedded broker holds, in seconds (an estimate)."""
    readings_per_s = devices / period_s
    return EMBEDDED_PARTITIONS * _BYTES_PER_PARTITION / _BYTES_PER_READING / readings_per_s
