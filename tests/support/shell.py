"""Runs the `sh` blocks of the docs as an operator would.

With Kafka's own tools on the path.
A line that begins with `python -m` is a part and goes on in the background; every other line runs to its end and must
succeed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.parts import Part
from tests.support.real_kafka import fetch_jars, fetch_tools
from tests.support.sources import REPOSITORY

_TOOLS: Final = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-acls.sh": "org.apache.kafka.tools.AclCommand",
    "kafka-configs.sh": "kafka.admin.ConfigCommand",
    "kafka-transactions.sh": "org.apache.kafka.tools.TransactionsCommand",
}
_LINE_WITHIN_S: Final = 90.0


def blocks(page: str, kind: str = "sh") -> dict[str, list[list[str]]]:
    """Return the blocks of a kind on a page in docs/, as lists of lines, by the heading that they stand below."""
    found: dict[str, list[list[str]]] = {}
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    for part in re.split(r"^#+ ", text, flags=re.MULTILINE)[1:]:
        heading = part.splitlines()[0]
        if held := re.findall(rf"^```{kind}\n(.*?)^```$", part, re.DOTALL | re.MULTILINE):
            found[heading] = [block.splitlines() for block in held]
    return found


class Shell:
    """A shell in a folder of its own; a context manager that ends what it has in the background."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Put `sensorbus`, `python` and Kafka's tools on the path."""
        bin_folder = folder / "bin"
        bin_folder.mkdir(exist_ok=True)
        for name, main_class in _TOOLS.items():
            # It runs for a second: the second compiler and a second collector would cost more than they bring.
            quick = "-Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
            java = f"exec {shutil.which('java')} {quick} -cp '{fetch_jars()}/*:{fetch_tools()}/*' {main_class}"
            (bin_folder / name).write_text(f'#!/bin/sh\n{java} "$@"\n')
            (bin_folder / name).chmod(0o755)
        path = f"{bin_folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._folder, self._environment = folder, {**environment, "PATH": path, "PYTHONPATH": str(REPOSITORY)}
        self.parts: list[Part] = []

    def __enter__(self) -> Self:
        """Run nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the parts that still run."""
        for part in self.parts:
            part.__exit__(kind, error, trace)

    def run(self, lines: Sequence[str]) -> str:
        """Run the lines; return what they wrote to stdout."""
        said = []
        for line in lines:
            if exported := re.fullmatch(r"export (\w+)=(.*)", line):
                self._environment[exported[1]] = exported[2]
            elif line.startswith("python -m "):
                log = self._folder / f"part-{len(self.parts)}.log"
                there = shlex.quote(str(self._folder))
                part = Part(["sh", "-c", f"cd {there} && exec {line}"], self._environment, log)
                part.start()
                self.parts.append(part)
            else:
                said.append(self._to_its_end(line))
        return "".join(said)

    def stop(self) -> None:
        """Send SIGTERM to the parts, all at once, and expect exit code 0 of each."""
        for part in self.parts:
            assert part.process is not None
            part.process.terminate()
        for part in self.parts:
            part.wait(0, within_s=20)
        self.parts.clear()

    def _to_its_end(self, line: str) -> str:
        done = subprocess.run(
            [str(shutil.which("bash")), "-euc", line],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_LINE_WITHIN_S,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout
