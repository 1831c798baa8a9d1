"""A real Apache Kafka as a child process.

From its Maven artifact: no Docker needed.
One node in KRaft combined mode on a free port of 127.0.0.1. `python -m tests.support.real_kafka` fetches the jars.
"""

import fcntl
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.waiting import wait_until

#: The address of a Kafka that runs already; it is used instead of one of our own.
ADDRESS_VARIABLE: Final = "SENSORBUS_TEST_KAFKA"
_REPOSITORY: Final = Path(__file__).parents[2]
_POM: Final = Path(__file__).parent / "kafka" / "pom.xml"
_JARS: Final = _REPOSITORY / ".cache" / "kafka"
_CLUSTER_ID: Final = "c2Vuc29yYnVzLXRlc3RzMQ"  # any 16 bytes in base64
_UP_WITHIN_S: Final = 60.0
_PORTS: Final = range(20_000, 32_000)  # Linux gives connections those from 32,768 on
_TRIED: Final = 50
_STOP_WITHIN_S: Final = 30.0
_FETCH_WITHIN_S: Final = 600.0
_SILENT: Final = logging.getLogger("tests.real_kafka")


class RealKafka:
    """One broker, as a context manager; `address` stays the same through `kill` and `start`."""

    def __init__(self, home: Path, **properties: str) -> None:
        """Keep its data and its log in `home`; `properties` are more of the broker's (dots as double underscores)."""
        self._home = home
        self._port, controller_port = free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = _properties(home, self._port, controller_port) | {
            name.replace("__", "."): value for name, value in properties.items()
        }
        self.address = f"127.0.0.1:{self._port}"
        self.log = home / "kafka.log"
        self._java_options: list[str] = []

    def __enter__(self) -> Self:
        """Format the storage and start it; takes about 5 s."""
        jars = fetch_jars()
        self._home.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}" for name, value in self._properties.items()]
        (self._home / "server.properties").write_text("\n".join(lines))
        self._java = [shutil.which("java") or "java", "-Xmx768m", "-XX:+UseSerialGC", *self._java_options]
        self._java += ["-cp", f"{jars}/*"]
        storage = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "--standalone", "-c"]
        with self.log.open("ab") as log:
            subprocess.run(
                [*self._java, *storage, str(self._home / "server.properties")],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=_UP_WITHIN_S,
            )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill it: nobody needs what it holds."""
        self.kill()

    def start(self) -> None:
        """Start it, again on the same port and with what it held, and wait until it answers."""
        self.launch()
        wait_until(self.is_up, _UP_WITHIN_S, "Kafka to answer", self.log)

    def launch(self) -> None:
        """Start it without waiting."""
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._home / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then ends it
            )

    def stop(self) -> None:
        """Stop it cleanly, as `kafka-server-stop.sh` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def is_up(self) -> bool:
        """Tell whether it answers; fails when its process has ended."""
        assert self._process is None or self._process.poll() is None, self.log.read_text()[-4_000:]
        client = AdminClient({"bootstrap.servers": self.address, "logger": _SILENT})
        try:
            return bool(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(_STOP_WITHIN_S)
        self._process = None


def why_not() -> str | None:
    """Return why no Kafka of our own can be started here, or None."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if "mvn" in missing and any(_JARS.glob("kafka_*.jar")):
        missing.remove("mvn")
    if missing:
        return f"a real Kafka needs {' and '.join(missing)}, or an address in {ADDRESS_VARIABLE}"
    return None


def fetch_jars() -> Path:
    """Return the folder with Kafka's jars; Maven brings them the first time, one process at a time."""
    return fetch(_POM, _JARS)


def fetch_tools() -> Path:
    """Return the folder with the jar of Kafka's command line tools, which need the others beside it."""
    return fetch(_POM.parent / "tools" / "pom.xml", _JARS.with_name("kafka-tools"))


def fetch(pom: Path, jars: Path) -> Path:
    """Return the folder with what a pom names; fetched when it is not there or the pom is another one."""
    jars.mkdir(parents=True, exist_ok=True)
    with (jars / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = jars / "complete"
        if not complete.exists() or complete.read_text() != pom.read_text():
            for jar in jars.glob("*.jar"):
                jar.unlink()
            subprocess.run(
                [
                    shutil.which("mvn") or "mvn",
                    "--quiet",
                    "--batch-mode",
                    f"--file={pom}",
                    "dependency:copy-dependencies",
                    "-DincludeScope=runtime",
                    f"-DoutputDirectory={jars}",
                ],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,  # Maven writes colours even when it is told to be quiet
                timeout=_FETCH_WITHIN_S,
            )
            complete.write_text(pom.read_text())
    return jars


def free_ports() -> tuple[int, int]:
    """Return two ports of 127.0.0.1 that nobody listens on, and that Linux gives to no connection meanwhile."""
    free = filter(_is_free, random.SystemRandom().sample(_PORTS, _TRIED))
    return next(free), next(free)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _properties(home: Path, port: int, controller_port: int) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(home / "data"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.segment.bytes": "1048576",
        "transaction.state.log.segment.bytes": "1048576",
        "log.cleaner.delete.retention.ms": "60000",
    }


if __name__ == "__main__":
    fetch_tools()
    sys.stderr.write(f"Apache Kafka's jars are in {fetch_jars().relative_to(_REPOSITORY)}{os.sep}\n")
