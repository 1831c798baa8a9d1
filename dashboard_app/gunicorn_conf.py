"""gunicorn's configuration, from our settings; gunicorn reads this file by its names.

Each worker starts its consumer thread after the fork (librdkafka does not survive one), so there is no preloading.
"""

import os
import tempfile
from typing import TYPE_CHECKING, Any

from sensorbus.contract.errors import SettingsError
from sensorbus.contract.settings import load
from sensorbus.runtime.process import die_with_supervisor

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

try:
    _settings, _ = load(os.environ)  # the workers say the warnings
except SettingsError as error:
    raise SystemExit(f"dashboard: {error}") from None

bind = f"{_settings.dashboard_host}:{_settings.dashboard_port}"
workers = _settings.dashboard_workers
worker_class = "gthread"
threads = _settings.dashboard_threads
preload_app = False
timeout = 60
graceful_timeout = 5
keepalive = 75
max_requests = 0
control_socket_disable = True
accesslog = None  # a line per tick and browser says nothing
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112  # gunicorn's heartbeat, off the disk
proc_name = "sensorbus-dashboard"
_formatter = "JsonFormatter" if _settings.log_format == "json" else "TextFormatter"
logconfig_dict: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"ours": {"()": f"sensorbus.runtime.logs.{_formatter}", "part": "dashboard"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "ours"}},
    "loggers": {"gunicorn.error": {"level": "WARNING", "handlers": ["stderr"], "propagate": False}},
    "root": {"level": _settings.log_level, "handlers": ["stderr"]},
}
if workers > 1:  # before prometheus_client is imported, in this process and so in the workers
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="sensorbus-metrics-"))


def on_starting(_server: "Arbiter") -> None:
    """Stop with `sensorbus up`, even when it is killed."""
    die_with_supervisor()


def post_worker_init(worker: "Worker") -> None:
    """Start the worker's consumer thread."""
    from dashboard_app import wsgi  # noqa: PLC0415  # the worker's own copy, imported after the fork

    worker.sensorbus_feed = wsgi.page.feed
    wsgi.page.feed.start()


def worker_exit(_server: "Arbiter", worker: "Worker") -> None:
    """Close the worker's consumer; gunicorn also calls this in the master for a worker that died."""
    if worker.pid == os.getpid() and hasattr(worker, "sensorbus_feed"):
        worker.sensorbus_feed.close()


def child_exit(_server: "Arbiter", worker: "Worker") -> None:
    """Forget the metrics of a worker that is gone."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess  # noqa: PLC0415  # only with several workers

        multiprocess.mark_process_dead(worker.pid)
