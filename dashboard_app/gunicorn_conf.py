"""gunicorn's configuration.

`gunicorn -c dashboard_app/gunicorn_conf.py dashboard_app.wsgi:server`

gunicorn runs this file in its master, which never touches Kafka: each worker starts its consumer thread after the fork.
"""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from dashboard_app.users import read_users
from sensorbus.contract.errors import PortInUseError, SensorbusError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.runtime import process

_MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
#: What a master tells itself for when it reads this file again, at SIGHUP: its process id, and the folder that it made.
_MASTER_VARIABLE: Final = "_SENSORBUS_DASHBOARD_MASTER"
_METRICS_DIR_VARIABLE: Final = "_SENSORBUS_DASHBOARD_METRICS_DIR"
_log = logging.getLogger("dashboard_app.gunicorn")


def _load() -> Settings:
    try:
        loaded = process.start("dashboard")
        if loaded.dashboard_sign_in != "off":
            read_users(loaded)  # here it is one line, in a worker a traceback
        if os.environ.get(_MASTER_VARIABLE) != str(os.getpid()):  # else it is we who listen there
            _check_port(loaded)
    except SensorbusError as error:
        _log.error("%s", error)  # one line for people; a traceback is for bugs
        sys.exit(error.exit_code)
    return loaded


def _check_port(loaded: Settings) -> None:
    """Raise `PortInUseError`, where gunicorn would try for 5 s and end with a traceback."""
    host, port = loaded.dashboard_host, loaded.dashboard_port
    try:
        process.listenable_port(host, port)
    except OSError as error:
        names = f"{variable_name('dashboard_host')}, {variable_name('dashboard_port')}"
        raise PortInUseError(f"cannot listen on {host}:{port} ({names}): {error.strerror}") from None


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


_settings = _load()
os.environ[_MASTER_VARIABLE] = str(os.getpid())

# What gunicorn reads:
bind = (
    f"[{_settings.dashboard_host}]:{_settings.dashboard_port}"
    if ":" in _settings.dashboard_host
    else (f"{_settings.dashboard_host}:{_settings.dashboard_port}")
)
workers = _settings.dashboard_workers
worker_class = "gthread"
threads = _settings.dashboard_threads
keepalive = 20  # longer than a hidden page's tick: it keeps its connection
graceful_timeout = 3
timeout = 30
preload_app = False  # librdkafka does not survive a fork
forwarded_allow_ips = _settings.dashboard_proxies  # whatever FORWARDED_ALLOW_IPS says
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
forwarder_headers = ""  # not even a proxy gives us SCRIPT_NAME or REMOTE_USER
control_socket_disable = True  # it would be a file in the home folder, which a container has not
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # gunicorn makes a file of its own there
logger_class = "dashboard_app.gunicorn_log.RootLogger"
proc_name = "sensorbus-dashboard"

if workers > 1 and _MULTIPROCESS_VARIABLE not in os.environ:
    # Before prometheus_client is imported, which looks at it once.
    os.environ[_MULTIPROCESS_VARIABLE] = tempfile.mkdtemp(prefix="sensorbus-metrics-")
    os.environ[_METRICS_DIR_VARIABLE] = os.environ[_MULTIPROCESS_VARIABLE]


def on_starting(_server: Any) -> None:
    """Warn of an open page."""
    if not _is_loopback(_settings.dashboard_host) and _settings.dashboard_sign_in == "off":
        _log.warning("the page has no sign-in and listens on %s: everybody who reaches it sees it", bind)


def post_worker_init(worker: Any) -> None:
    """Start the consumer thread in the process that will serve its data."""
    worker.wsgi.extensions["sensorbus_feed"].start()


def worker_exit(_server: Any, worker: Any) -> None:
    """Close the consumer; gunicorn may call this in the master for a worker that was killed."""
    if os.getpid() == worker.pid:
        worker.wsgi.extensions["sensorbus_feed"].close()


def child_exit(_server: Any, worker: Any) -> None:
    """Take a dead worker's gauges out of /metrics; called in the master."""
    if _MULTIPROCESS_VARIABLE in os.environ:
        from prometheus_client import multiprocess  # noqa: PLC0415  # only now: it looks at the variable when imported

        multiprocess.mark_process_dead(worker.pid)


def on_exit(_server: Any) -> None:
    """Remove what this file has made."""
    if made := os.environ.get(_METRICS_DIR_VARIABLE):
        shutil.rmtree(made, ignore_errors=True)
