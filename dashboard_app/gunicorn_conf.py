"""gunicorn's configuration.

`gunicorn -c dashboard_app/gunicorn_conf.py dashboard_app.wsgi:server`

gunicorn runs this file in its master, which never touches Kafka: each worker starts its consumer thread after the fork.
At SIGHUP it is run again, if settings and users can be used (`_hang_up`).
"""

import contextlib
import logging
import mmap
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Final, NoReturn

from dashboard_app import running
from sensorbus.contract.errors import PortInUseError, SensorbusError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.runtime import process

_MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
#: What a master tells itself for its end: the folder that it made.
_METRICS_DIR_VARIABLE: Final = "_SENSORBUS_DASHBOARD_METRICS_DIR"
#: A worker's files there, and some of others.
_COUNTS_IN_BYTES: Final = 1_000_000
#: A new worker that takes longer, at a reload, is not waited for.
_ANSWERS_WITHIN_S: Final = 60.0
_ONE_WORKER: Final = (
    "SIGTTIN does nothing to a page that began with one worker, which counts for itself alone: "
    f"set {variable_name('dashboard_workers')}"
)
_log = logging.getLogger("dashboard_app.gunicorn")


def _load() -> Settings:
    if kept := running.kept():
        return kept.settings  # SIGHUP: it was read just now
    try:
        read = running.read()
    except SensorbusError as error:
        _log.error("%s", error)  # one line for people; a traceback is for bugs
        sys.exit(error.exit_code)
    running.keep(read)
    return read.settings


def _check_ports(addresses: Sequence[Any], of_settings: tuple[str, int]) -> None:
    """Raise `PortInUseError`, where gunicorn would try for 5 s and end with a traceback."""
    for address in addresses:
        if not isinstance(address, tuple):
            continue  # a socket's path, which gunicorn takes over, or a descriptor
        host, port = address[:2]
        try:
            process.listenable_port(host, port)
        except OSError as error:
            names = f"{variable_name('dashboard_host')}, {variable_name('dashboard_port')}"
            of = names if (host, port) == of_settings else "gunicorn's own --bind"
            raise PortInUseError(f"cannot listen on {host}:{port} ({of}): {error.strerror}") from None


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _open_addresses(addresses: Sequence[Any]) -> str:
    """Return those that others reach, of what gunicorn listens on: (host, port), a socket's path or a descriptor."""
    of_tcp = (address[:2] for address in addresses if isinstance(address, tuple))
    return ", ".join(f"{host}:{port}" for host, port in of_tcp if not _is_loopback(host))


def _every_name(known: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return networks and, of those of IPv4, what their addresses are called by a socket that listens on `::`."""
    mapped = [f"::ffff:{of.network_address}/{96 + of.prefixlen}" for of in known if isinstance(of, IPv4Network)]
    return ",".join([*map(str, known), *mapped])


_settings = _load()

# What gunicorn reads:
bind = (
    f"[{_settings.dashboard_host}]:{_settings.dashboard_port}"
    if ":" in _settings.dashboard_host
    else (f"{_settings.dashboard_host}:{_settings.dashboard_port}")
)
workers = _settings.dashboard_workers
worker_class = "dashboard_app.gunicorn_worker.Worker"
threads = _settings.dashboard_threads
keepalive = 20  # longer than a hidden page's tick: it keeps its connection
graceful_timeout = 3
timeout = 30
limit_request_line = 8190  # as long as a header, and as nginx lets through
preload_app = False  # librdkafka does not survive a fork
forwarded_allow_ips = _every_name(_settings.dashboard_proxy_networks)  # whatever FORWARDED_ALLOW_IPS says
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}
forwarder_headers = ""  # not even a proxy gives us SCRIPT_NAME or REMOTE_USER
control_socket_disable = True  # it would be a file in the home folder, which a container has not
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # gunicorn makes a file of its own there
logger_class = "dashboard_app.gunicorn_log.RootLogger"
proc_name = "sensorbus-dashboard"


def on_starting(server: Any) -> None:
    """Refuse what cannot work, warn of an open page, set up what only gunicorn's own arguments tell, and signals."""
    if server.cfg.workers < 1:  # gunicorn takes -w 0: it would listen, and nobody would ever answer
        _refuse(server, f"{server.cfg.workers} workers cannot answer anybody: set 1 or more", 2)
    try:
        # Only here: gunicorn's own --bind stands before the settings, whose port may be taken then.
        _check_ports(server.cfg.address, (_settings.dashboard_host.lower(), _settings.dashboard_port))
    except PortInUseError as error:
        _refuse(server, str(error), error.exit_code)
    if _settings.dashboard_sign_in == "off" and (open_to := _open_addresses(server.cfg.address)):
        _log.warning("the page has no sign-in and listens on %s: everybody who reaches it sees it", open_to)
    if server.cfg.workers > 1 and _MULTIPROCESS_VARIABLE not in os.environ:  # also with gunicorn's own --workers
        # Before prometheus_client is imported, which looks at it once.
        # In memory: these files are mapped, and on a full disk each worker would end by SIGBUS as soon as it counts.
        folder = None if os.environ.get("TMPDIR") else server.cfg.worker_tmp_dir
        os.environ[_MULTIPROCESS_VARIABLE] = tempfile.mkdtemp(prefix="sensorbus-metrics-", dir=folder)
        os.environ[_METRICS_DIR_VARIABLE] = os.environ[_MULTIPROCESS_VARIABLE]
    server.handle_hup = partial(_hang_up, server, server.handle_hup)
    server.handle_usr2 = partial(_log.warning, "SIGUSR2 does nothing: start a new version beside this one")
    if _MULTIPROCESS_VARIABLE not in os.environ:
        server.handle_ttin = partial(_log.warning, _ONE_WORKER)


def _refuse(server: Any, why: str, exit_code: int) -> NoReturn:
    """End with one line, and without gunicorn's --pid file, which it has made by now."""
    _log.error("%s", why)
    if server.pidfile is not None:
        server.pidfile.unlink()
    sys.exit(exit_code)


def _hang_up(server: Any, reload: Callable[[], None]) -> None:
    """Reload, unless settings or users are of no use: gunicorn's master would end, and the page with it.

    gunicorn ends the old workers as soon as it has forked the new ones: nobody answered while these were loading, 10 s
    on a busy machine.
    """
    try:
        running.keep(running.read())
    except SensorbusError as error:
        _log.error("not reloaded, the page goes on as it was: %s", error)
        return
    old_age, gives_up_s = server.worker_age, time.monotonic() + _ANSWERS_WITHIN_S
    server.manage_workers = _leave_reload
    with contextlib.suppress(_ForkedError):
        reload()
    server.manage_workers = partial(_relieve, server, old_age, gives_up_s)


class _ForkedError(Exception):
    """The new workers of a reload are forked."""


def _leave_reload() -> None:
    """Stand in for gunicorn's `manage_workers`, which a reload calls last, before it waits for the old ones to end."""
    raise _ForkedError


def _relieve(server: Any, old_age: int, gives_up_s: float) -> None:
    """Keep the workers up to this age until as many younger ones answer; then gunicorn ends them.

    It stands in for gunicorn's `manage_workers`, which its loop calls at each signal and once a second. A younger
    worker that dies meanwhile is replaced.
    """
    new = [worker for worker in server.WORKERS.values() if worker.age > old_age]
    for _ in range(len(new), server.num_workers):
        server.spawn_worker()
    answering = sum(os.fstat(worker.tmp.fileno()).st_size > 0 for worker in new)
    if answering >= server.num_workers or time.monotonic() > gives_up_s:
        del server.manage_workers
        server.manage_workers()


def pre_fork(_server: Any, worker: Any) -> None:
    """Give it a byte that the master sees too: a worker that comes to its end sets it."""
    worker.has_ended = mmap.mmap(-1, 1)


def post_worker_init(worker: Any) -> None:
    """Start the consumer thread in the process that will serve its data, and tell the master that it answers."""
    worker.wsgi.extensions["sensorbus_feed"].start()
    # A file that gunicorn's master has open too, and looks at the times of only; a full disk has room for a length.
    os.ftruncate(worker.tmp.fileno(), 1)


def worker_exit(_server: Any, worker: Any) -> None:
    """Close the consumer; gunicorn may call this in the master for a worker that was killed."""
    if os.getpid() == worker.pid:
        worker.has_ended[0] = 1
        worker.wsgi.extensions["sensorbus_feed"].close()


def child_exit(_server: Any, worker: Any) -> None:
    """Take a dead worker's gauges out of /metrics, and say if it had no room to count; called in the master.

    The workers after one that was killed know of it (`large_batches`).
    """
    if not worker.has_ended[0]:
        running.note_lost(worker.pid)
    worker.has_ended.close()
    if _MULTIPROCESS_VARIABLE in os.environ:
        from prometheus_client import multiprocess  # noqa: PLC0415  # only now: it looks at the variable when imported

        multiprocess.mark_process_dead(worker.pid)
        folder = os.environ[_MULTIPROCESS_VARIABLE]
        with contextlib.suppress(OSError):  # one that is gone; the master would end by it
            room = shutil.disk_usage(folder)
            if room.total > 0 and room.free < _COUNTS_IN_BYTES:  # without a limit all is 0
                _log.error("no room in %s, where workers keep what /metrics shows: without it they end", folder)


def on_exit(_server: Any) -> None:
    """Remove what this file has made."""
    if made := os.environ.get(_METRICS_DIR_VARIABLE):
        shutil.rmtree(made, ignore_errors=True)
