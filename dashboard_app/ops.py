"""/healthz, /readyz and /metrics of a worker.

At the root, whatever the page's prefix is.
Ready means: connected, all partitions assigned, history read, consumer thread alive. Devices that are silent do not
make a worker unready: the page says so itself, and another worker could show no more. Who takes workers that are not
ready off the net names what shall not count, `/readyz?despite=kafka`: that meets all of them, and nobody would see it.
"""

import os
from typing import Final

import orjson
from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from dashboard_app.feed import Feed
from sensorbus.runtime.metrics import DASHBOARD_FAMILIES, registry_of

READY: Final = "/readyz"
#: Set by gunicorn_conf.py when there are several workers; prometheus_client reads it too.
MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def register(server: Flask, feed: Feed) -> None:
    """Add the three paths."""

    @server.get("/healthz")
    def healthz() -> Response:
        return _json(200, {"status": "alive"})

    @server.get(READY)
    def readyz() -> Response:
        feed.start()
        reasons = feed.readiness()
        told = {} if g.get("is_stranger") else {"reasons": reasons}
        is_ready = reasons.keys() <= {*request.args.get("despite", "").split(",")}
        return _json(200 if is_ready else 503, {"status": "ready" if is_ready else "not ready", **told})

    @server.get("/metrics")
    def metrics() -> Response:
        # With several workers, any of them answers for all.
        source = MultiProcessCollector(None) if MULTIPROCESS_VARIABLE in os.environ else REGISTRY
        own = registry_of(DASHBOARD_FAMILIES, source)
        return Response(generate_latest(own), content_type=CONTENT_TYPE_LATEST)


def _json(status: int, value: object) -> Response:
    return Response(orjson.dumps(value), status, content_type="application/json")
