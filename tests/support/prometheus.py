"""The real Prometheus with deploy/prometheus.

Only the targets and the interval are ours.
"""

import json
import shutil
import subprocess
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.support.manifests import DEPLOY, documents
from tests.support.real_kafka import free_ports
from tests.support.ticks import get
from tests.support.waiting import wait_until

_WITHIN_S: Final = 30.0

#: By a sample's name and its labels but `job`, joined by slashes.
Samples = dict[tuple[str, str], float]


def samples(url: str, prefix: str) -> Samples:
    """Return what a process of one job tells of the families that begin so."""
    return {
        (sample.name, "/".join(value for label, value in sample.labels.items() if label != "job")): sample.value
        for family in text_string_to_metric_families(get(url)[1])
        for sample in family.samples
        if sample.name.startswith(prefix)
    }


class Prometheus:
    """One Prometheus that scrapes these targets; a context manager."""

    def __init__(self, folder: Path, targets: Mapping[str, str], **of_the_page: Any) -> None:
        """`targets` gives each target of the file the address where it listens here.

        With `of_the_page`, which is put into that of the page, it is the only one.
        """
        (config,) = documents("prometheus/prometheus.yml")
        config["global"]["scrape_interval"] = "1s"
        for each in config["scrape_configs"]:
            (static,) = each["static_configs"]
            wanted = static["targets"] if not of_the_page else targets.keys() & static["targets"]
            static["targets"] = [targets[target] for target in wanted]
            if each["job_name"] == "sensorbus-dashboard":
                each.update(of_the_page)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        shutil.copy(DEPLOY / "prometheus" / "alerts.yml", folder)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._address = f"127.0.0.1:{free_ports()[0]}"
        self.log = folder / "prometheus.log"

    def __enter__(self) -> Self:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(shutil.which("prometheus")),
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._address}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(_WITHIN_S)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return what the API answers, or None when it does not."""
        status, text = get(f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(text) if status in {200, 400, 422} else {}
        assert answer.get("status") != "error", answer
        return answer.get("data")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def wait_for_targets(self, number: int) -> None:
        """Wait until so many targets are up."""

        def are_up() -> bool:
            targets = self.ask("targets")
            states = [each["health"] for each in targets["activeTargets"]] if targets else []
            return states == ["up"] * number

        wait_until(are_up, _WITHIN_S, f"{number} targets to be up", self.log)


def why_not() -> str | None:
    """Return why Prometheus cannot be started here, or None."""
    missing = [tool for tool in ("prometheus", "promtool") if shutil.which(tool) is None]
    return f"{' and '.join(missing)} not there (Debian: prometheus)" if missing else None
