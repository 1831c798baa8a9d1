"""The mean of every window in Kafka Streams.

Fetched with Maven, compiled with javac, run as a process of its own.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from sensorbus.contract.settings import Settings
from sensorbus.contract.topics import AVG_TEMP, SENSOR
from tests.support.parts import REPOSITORY
from tests.support.real_kafka import fetch

_SOURCE: Final = Path(__file__).parent / "kafka_streams"
_BUILT: Final = REPOSITORY / ".cache" / "kafka-streams"
_BUILD_WITHIN_S: Final = 600.0
_RUN_WITHIN_S: Final = 600.0


def why_not() -> str | None:
    """Return why it cannot run, or None."""
    missing = [tool for tool in ("java", "javac", "mvn") if shutil.which(tool) is None]
    return f"Kafka Streams needs {', '.join(missing)}" if missing else None


def run(settings: Settings, readings: int) -> tuple[float, float]:
    """Return the CPU of the whole process, warm-up included, and the seconds; on a real Kafka only."""
    classes = _build()
    command = [shutil.which("java") or "java", "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{classes}:{_BUILT}/jars/*"]
    source, target = settings.topic_name(SENSOR), settings.topic_name(AVG_TEMP)
    arguments = [settings.bootstrap_servers, source, target, str(settings.state_dir / "kafka-streams"), str(readings)]
    done = subprocess.run([*command, "Averages", *arguments], stdout=subprocess.PIPE, check=True, timeout=_RUN_WITHIN_S)
    cpu_s, wall_s = json.loads(done.stdout)
    return cpu_s, wall_s


def _build() -> Path:
    """Return the folder of the compiled class; compiles it when the source or the jars are others."""
    jars = fetch(_SOURCE / "pom.xml", _BUILT / "jars")
    source = _SOURCE / "Averages.java"
    text = source.read_text() + (_SOURCE / "pom.xml").read_text()
    complete, classes = _BUILT / "complete", _BUILT / "classes"
    if not complete.exists() or complete.read_text() != text:
        command = [shutil.which("javac") or "javac", "-cp", f"{jars}/*", "-d", str(classes), str(source)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=_BUILD_WITHIN_S)
        complete.write_text(text)
    return classes
