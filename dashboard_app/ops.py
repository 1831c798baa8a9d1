"""/healthz, /readyz and /metrics of the page's workers."""

import os

import orjson
from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from sensorbus.runtime.health import Check


def install(server: Flask, prefix: str, readiness: Check) -> None:
    """Add the three paths under the page's prefix."""

    def healthz() -> Response:
        return _json({"status": "alive"}, 200)

    def readyz() -> Response:
        reasons = readiness()
        return _json({"status": "not ready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    def metrics() -> Response:
        return Response(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)

    for view in (healthz, readyz, metrics):
        server.add_url_rule(f"{prefix}{view.__name__}", view.__name__, view)


def _registry() -> CollectorRegistry:
    """Return the metrics of this process, or of all workers when there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def _json(fields: dict[str, object], status: int) -> Response:
    return Response(orjson.dumps(fields), status, content_type="application/json")
