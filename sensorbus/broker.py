"""The embedded broker: start, address, stop.

It is librdkafka's own mock cluster, which every confluent-kafka wheel carries: for trying out, for tests, for one
machine. Nothing survives the process. docs/embedded-broker.md lists what it lacks beside Apache Kafka.
"""

import contextlib
import logging
from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer

from sensorbus.contract.errors import BrokerUnavailableError
from sensorbus.runtime.forward import Forwarder

#: What it keeps: about 5 MB per partition, oldest dropped; a reading takes about this much of it.
PARTITIONS: Final = 4
_BYTES_PER_PARTITION: Final = 5_000_000
_BYTES_PER_READING: Final = 105
_START_TIMEOUT_S: Final = 5.0
#: Where Kafka clients look by default.
WELL_KNOWN_PORT: Final = 9092

_log = logging.getLogger(__name__)


class EmbeddedBroker:
    """One broker in this process, as a context manager; `address` is valid inside.

    With `port`, it also answers there (on 127.0.0.1), if nothing else does.
    """

    def __init__(self, port: int | None = None) -> None:
        """Start nothing yet."""
        self._port = port
        self._stack = contextlib.ExitStack()
        self._cluster: Producer | None = None  # the cluster lives as long as this client
        self.address = ""

    def __enter__(self) -> Self:
        """Start it; takes about 10 ms."""
        self._cluster = Producer(
            {"test.mock.num.brokers": 1, "bootstrap.servers": "127.0.0.1:1", "logger": logging.getLogger("rdkafka")}
        )
        brokers = self._cluster.list_topics(timeout=_START_TIMEOUT_S).brokers
        if not brokers:
            raise BrokerUnavailableError("the embedded broker did not start")
        broker = next(iter(brokers.values()))
        self.address = f"{broker.host}:{broker.port}"
        if self._port is not None:
            self._open_port(self._port, (broker.host, broker.port))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; what it held is gone."""
        self._stack.close()
        self._cluster = None
        self.address = ""

    def _open_port(self, port: int, target: tuple[str, int]) -> None:
        try:
            self._stack.enter_context(Forwarder("127.0.0.1", port, target))
        except OSError:
            _log.warning("port %d is taken, so the embedded broker answers at %s only", port, self.address)
        else:
            self.address = f"localhost:{port}"


def seconds_held(devices: int, period_s: float) -> float:
    """Return how much history of `devices` the embedded broker holds, in seconds (an estimate)."""
    readings_per_s = devices / period_s
    return PARTITIONS * _BYTES_PER_PARTITION / _BYTES_PER_READING / readings_per_s
