"""Runs the whole system on this machine.

Call `run` in the main thread (services.py says why).
"""

import contextlib
import errno
import logging
import os
import shutil
import socket
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from threading import Event
from typing import Final

from sensorbus.broker import WELL_KNOWN_PORT, EmbeddedBroker, seconds_held
from sensorbus.contract.errors import PortInUseError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.runtime import kafka, process, watch
from sensorbus.services import DASHBOARD, SERVICES, SIMULATOR, Supervisor

#: Settings that a Kafka has and the embedded broker has not.
_OF_KAFKA: Final = (
    "topic_partitions",
    "topic_replication_factor",
    "topic_retention_ms",
    "dead_letter_retention_ms",
    "instance_id",
)

_log = logging.getLogger(__name__)


def run(settings: Settings, devices: int, seed: int | None, stop: Event, *, open_page: bool) -> None:
    """Run every part until `stop` is set; without devices, no simulator.

    Raises `PortInUseError` before anything is started.
    """
    settings = with_free_port(settings)
    ports = ops_ports(settings)
    refuse_taken_ports(settings, ports)
    with contextlib.ExitStack() as stack:
        children = settings
        if settings.kafka_bootstrap_servers is None:
            children = stack.enter_context(_embedded(settings, devices))
        else:
            _log.info("Kafka at %s", settings.bootstrap_servers)
        if not kafka.retry(lambda: kafka.ensure_topics(children, "up"), stop):
            return
        _announce(settings, stop, open_page=open_page)
        services = [service for service in SERVICES if devices or service is not SIMULATOR]
        if ports:
            told = ", ".join(f"{name} {port}" for name, port in ports.items())
            _log.info("health and metrics at %s: %s", settings.ops_host, told)
        arguments = {SIMULATOR.name: simulator_arguments(settings, devices, seed)}
        variables = {name: {variable_name("ops_port"): str(port)} for name, port in ports.items()}
        Supervisor(services, environment(children), arguments, variables).run(stop)
        _log.info("stopped")


def simulator_arguments(settings: Settings, devices: int, seed: int | None) -> list[str]:
    """Return the simulator's command line."""
    period = ["--period", str(settings.reading_period_ms / 1000)]
    return ["--devices", str(devices), *period, *(["--seed", str(seed)] if seed is not None else [])]


def with_free_port(settings: Settings) -> Settings:
    """Return the settings with the page's port, a free one for 0; `PortInUseError` names what is taken."""
    try:
        port = process.listenable_port(settings.dashboard_host, settings.dashboard_port)
    except OSError as error:
        raise PortInUseError(
            f"the page cannot listen on {settings.dashboard_host}:{settings.dashboard_port}: {error.strerror}; "
            f"choose another port with --port or {variable_name('dashboard_port')}"
        ) from None
    return settings.model_copy(update={"dashboard_port": port})


@contextlib.contextmanager
def _embedded(settings: Settings, devices: int) -> Iterator[Settings]:
    """Start the embedded broker with a state folder of its own: the broker is empty, so old state would be wrong."""
    home = settings.state_dir.parent
    for left in home.glob("embedded-*"):  # of a run that was killed
        pid = left.name.removeprefix("embedded-")
        if pid.isdecimal() and not _is_running(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    state_dir = home / f"embedded-{os.getpid()}"
    try:
        jobs = [settings.consumer_group(job) for service in SERVICES for job in service.jobs]
        with EmbeddedBroker(WELL_KNOWN_PORT, jobs) as broker:
            _log.info("embedded Kafka at %s%s", broker.public_address, history_held(devices, settings))
            if unused := without_effect(settings):
                _log.warning("without effect on the embedded broker: %s (docs/embedded-broker.md)", ", ".join(unused))
            yield settings.model_copy(
                update={
                    "kafka_bootstrap_servers": broker.address,
                    "embedded_broker": True,
                    "topic_partitions": kafka.EMBEDDED_PARTITIONS,
                    "state_dir": state_dir,
                }
            )
    finally:
        shutil.rmtree(state_dir, ignore_errors=True)


def without_effect(settings: Settings) -> list[str]:
    """Return the variables that are set to what the embedded broker cannot do."""
    changed = (name for name in _OF_KAFKA if getattr(settings, name) != Settings.model_fields[name].default)
    return [variable_name(name) for name in changed]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # asks only
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    return True


def environment(settings: Settings) -> dict[str, str]:
    """Return the children's environment: ours, and what was decided here."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:50]
    return {
        **os.environ,
        variable_name("kafka_bootstrap_servers"): settings.bootstrap_servers,
        variable_name("embedded_broker"): str(settings.embedded_broker),
        variable_name("topic_partitions"): str(settings.topic_partitions),
        variable_name("state_dir"): str(settings.state_dir),
        variable_name("instance_id"): settings.instance_id or f"up-{host}",
        variable_name("dashboard_port"): str(settings.dashboard_port),
    }


def ops_ports(settings: Settings) -> dict[str, int]:
    """Return the ops port of each service that has one: from the setting upwards, in data-flow order."""
    if not settings.ops_port:
        return {}
    names = [service.name for service in SERVICES if service is not DASHBOARD]  # the page has its own port
    return {name: settings.ops_port + index for index, name in enumerate(names)}


def refuse_taken_ports(settings: Settings, ports: Mapping[str, int]) -> None:
    """Raise `PortInUseError` for the first of the parts' ops ports that somebody, or the page, listens on."""
    for name, port in ports.items():
        try:
            if port == settings.dashboard_port:
                raise OSError(errno.EADDRINUSE, "the page listens there")
            process.listenable_port(settings.ops_host, port)
        except (OSError, OverflowError) as error:  # there is no port above 65535
            reason = getattr(error, "strerror", None) or error
            raise PortInUseError(
                f"{name} cannot listen on {settings.ops_host}:{port}: {reason}; {variable_name('ops_port')} is the "
                f"first of {len(ports)} ports in a row"
            ) from None


def history_held(devices: int, settings: Settings) -> str:
    """Return the end of a line that says how far back the embedded broker remembers; "" without devices."""
    if not devices:
        return ""
    held_s = seconds_held(devices, settings.reading_period_ms / 1000)
    shown = f"{held_s / 60:.0f} min" if held_s >= 120 else f"{held_s:.0f} s"  # noqa: PLR2004  # two minutes
    return f"; it holds about the last {shown} of {devices} devices and forgets all when it stops"


def page_address(settings: Settings) -> str:
    """Return the address of the page as a browser on this machine takes it."""
    return f"{_root(settings)}{settings.dashboard_url_prefix}"


def probe_address(settings: Settings) -> str:
    """Return the address that tells whether the page answers; no prefix stands before it."""
    return f"{_root(settings)}/healthz"


def _root(settings: Settings) -> str:
    host = settings.dashboard_host
    shown = f"[{host}]" if ":" in host else host
    shown = "localhost" if host in {"0.0.0.0", "::", "127.0.0.1"} else shown  # noqa: S104  # compared, not bound
    return f"http://{shown}:{settings.dashboard_port}"


def _announce(settings: Settings, stop: Event, *, open_page: bool) -> None:
    """Say when the page answers, however long that takes, and open it if wanted."""
    address, probe = page_address(settings), probe_address(settings)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know this machine's page

    def answers() -> bool:
        with contextlib.suppress(OSError):
            direct.open(probe, timeout=2).close()
            return not stop.is_set()
        return False

    def say() -> None:
        _log.info("the page is at %s (Ctrl-C stops everything)", address)
        if open_page:
            webbrowser.open(address)

    watch.do_once(answers, say)
