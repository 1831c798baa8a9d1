"""The command `sensorbus`: up, topics, doctor, tail, verify, dead-letter.

What is read here from the command line wins over the environment. Exit codes: 0, 1 (something is wrong),
2 (a setting or an option cannot be used).
"""

import contextlib
import functools
import itertools
import logging
import os
import re
import shutil
import socket
import sys
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Annotated, Final

import typer
from confluent_kafka import Consumer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from sensorbus import dead_letters, records
from sensorbus import doctor as examination
from sensorbus import verify as verification
from sensorbus.broker import WELL_KNOWN_PORT, EmbeddedBroker, seconds_held
from sensorbus.contract.errors import PortInUseError, SensorbusError, SettingsError
from sensorbus.contract.settings import Settings, variable_name
from sensorbus.contract.topics import TOPICS
from sensorbus.runtime import kafka, process
from sensorbus.runtime.clock import wall_clock_ms
from sensorbus.services import SERVICES, SIMULATOR, Supervisor

_PAGE_TIMEOUT_S: Final = 60.0
_MOST_UNREADABLE: Final = 10  # of each topic; the table has their number
_log = logging.getLogger(__name__)

app = typer.Typer(
    help="Real-time IoT temperature monitoring on Apache Kafka, Quix Streams and Dash.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
topics_app = typer.Typer(help="The topics of the bus.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")
dead_letter_app = typer.Typer(help="Records that could not be read.", no_args_is_help=True)
app.add_typer(dead_letter_app, name="dead-letter")


def main() -> None:
    """Run the command; an error of ours is one line."""
    try:
        app()
    except SensorbusError as error:
        typer.echo(f"sensorbus: {error}", err=True)
        sys.exit(error.exit_code)


@app.command()
def up(
    devices: Annotated[int, typer.Option(min=0, help="Simulated devices; 0: real devices write to `sensor`.")] = 20,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the page.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the simulated temperatures.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    stop = process.stop_on_signals()
    settings = process.start("up", dashboard_port=port)
    _check_port_free(settings)
    with contextlib.ExitStack() as stack:
        children = settings
        if settings.kafka_bootstrap_servers is None:
            children = stack.enter_context(_embedded(settings))
            _log.info("embedded Kafka at %s%s", children.bootstrap_servers, _history_held(devices, settings))
        else:
            _log.info("Kafka at %s", settings.bootstrap_servers)
        if not kafka.retry(lambda: kafka.ensure_topics(children, "up"), stop):
            return
        address = (
            f"http://{_reachable(settings.dashboard_host)}:{settings.dashboard_port}{settings.dashboard_url_prefix}"
        )
        threading.Thread(target=_announce, args=(address, stop, open_), name="announce", daemon=True).start()
        services = [service for service in SERVICES if devices or service is not SIMULATOR]
        arguments = {"simulator": ["--devices", str(devices), *(["--seed", str(seed)] if seed is not None else [])]}
        Supervisor(services, _environment(children), arguments).run(stop)
        _log.info("stopped")


@topics_app.command("create")
def topics_create() -> None:
    """Create the topics that are missing; what exists is left as it is. Waits for the broker."""
    stop = process.stop_on_signals()
    settings = process.start("topics")
    created: list[str] = []
    if not kafka.retry(lambda: created.extend(kafka.ensure_topics(settings, "topics")), stop):
        sys.exit(1)
    for topic in TOPICS:
        name = settings.topic_name(topic)
        typer.echo(f"{name}: {'created' if name in created else 'exists'}")


@topics_app.command("list")
def topics_list() -> None:
    """List the topics: partitions, offsets held, who writes them and what."""
    settings = process.start("topics")
    consumer = _consumer_to_end(settings, "topics")
    table = Table("topic", "partitions", "offsets", "written by", "value", box=None)
    with contextlib.closing(consumer):
        for topic in TOPICS:
            state = records.topic_state(settings, consumer, topic)
            table.add_row(state.name, str(state.partitions), str(state.offsets), topic.written_by, topic.value)
    Console().print(table)


@app.command()
def doctor() -> None:
    """Check versions, the broker and each topic; exit code 1 when something is wrong."""
    settings = process.start("doctor")
    table = Table("", "subject", "finding", box=None)
    marks = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failed": "[red]FAILED[/]"}
    failed = False
    for finding in examination.examine(settings, wall_clock_ms):
        table.add_row(marks[finding.state], finding.subject, finding.detail)
        failed |= finding.state == "failed"
    Console().print(table)
    sys.exit(1 if failed else 0)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="sensor, alert, alert-count, avg-temp or dead-letter.")],
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Show this many records that are there.")] = 10,
    all_: Annotated[bool, typer.Option("--all", help="Show all records that are there.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on with new records until Ctrl-C.")] = True,
) -> None:
    """Show a topic's records, one line each: time, place, key, value, headers."""
    stop = process.stop_on_signals()
    settings = process.start("tail")
    wanted = records.topic_by_name(settings, topic)
    with contextlib.closing(_consumer_to_end(settings, "tail")) as consumer:
        for message in records.tail(settings, consumer, wanted, last=None if all_ else last, follow=follow, stop=stop):
            typer.echo(records.line(message))


@app.command()
def verify(
    since: Annotated[
        str | None,
        typer.Option(help="How far back by append time: 90s, 10m, 2h, 1d. Without it: all that Kafka holds."),
    ] = None,
) -> None:
    """Recompute the results from `sensor` and compare; exit code 1 when the output topics say something else."""
    settings = process.start("verify")
    since_ms = None if since is None else wall_clock_ms() - _duration_ms(since)
    progress = Progress(*Progress.get_default_columns(), TextColumn("{task.completed} readings"), transient=True)
    with contextlib.closing(_consumer_to_end(settings, "verify")) as consumer, progress:
        task = progress.add_task("verify", total=None)
        advance = functools.partial(progress.update, task)
        settings = kafka.recognised(settings, consumer)
        comparisons = verification.verify(settings, consumer, since_ms, lambda done: advance(completed=done))
    table = Table("", "topic", "expected", "found", "missing", "different", "duplicated", "late", box=None)
    for row in comparisons:
        numbers = (row.expected, row.found, row.missing, row.different, row.duplicated, row.late)
        table.add_row("[green]ok[/]" if row.is_true else "[red]FALSE[/]", row.kind, *(f"{n:,}" for n in numbers))
    Console().print(table)
    for line in itertools.chain.from_iterable(row.unreadable[:_MOST_UNREADABLE] for row in comparisons):
        typer.echo(f"sensorbus: {line}", err=True)
    if not any(row.expected or row.found or row.different for row in comparisons):
        typer.echo("sensorbus: nothing was compared: no result is due in that time", err=True)
        sys.exit(1)
    sys.exit(0 if all(row.is_true for row in comparisons) else 1)


@dead_letter_app.command("export")
def dead_letter_export(
    file: Annotated[Path, typer.Argument(help="Where to write; one JSON line per letter.")],
) -> None:
    """Write the letters that were not sent back yet to a file, to repair their values there."""
    settings = process.start("dead-letter")
    with contextlib.closing(_consumer_to_end(settings, "dead-letter")) as consumer:
        letters = dead_letters.open_letters(settings, consumer)
    file.write_bytes(b"".join(line + b"\n" for line in dead_letters.export(letters)))
    typer.echo(f"{len(letters)} letters in {file}")


@dead_letter_app.command("replay")
def dead_letter_replay(
    repaired: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="An edited export: send these values.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Say what would be sent, and send nothing.")] = False,
) -> None:
    """Send letters back to their topic, each once: those that can be read by now, or the repaired ones."""
    settings = process.start("dead-letter")
    values = None if repaired is None else dead_letters.repaired_values(repaired.read_bytes().splitlines())
    with contextlib.closing(_consumer_to_end(settings, "dead-letter")) as consumer:
        done = dead_letters.replay(settings, consumer, wall_clock_ms, values, dry_run=dry_run)
    typer.echo(f"{'would send' if dry_run else 'sent'} {done.sent}; {done.still_refused} cannot be read and stay")


def _consumer_to_end(settings: Settings, part: str) -> Consumer:
    """Return a consumer for what stands in topics now, from the beginning when asked for what is gone."""
    return kafka.consumer(settings, part, **{"enable.partition.eof": True, "auto.offset.reset": "earliest"})


def _duration_ms(text: str) -> int:
    match = re.fullmatch(r"(\d+)(s|m|h|d)", text)
    if match is None:
        raise SettingsError(f"--since {text!r} cannot be used: say a number with s, m, h or d, e.g. 10m")
    return int(match[1]) * {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[match[2]]


def _check_port_free(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.dashboard_host, settings.dashboard_port))
        except OSError as error:
            raise PortInUseError(
                f"the page cannot listen on {settings.dashboard_host}:{settings.dashboard_port}: {error.strerror}; "
                f"choose another port with --port or {variable_name('dashboard_port')}"
            ) from None


@contextlib.contextmanager
def _embedded(settings: Settings) -> Iterator[Settings]:
    """Start the embedded broker with a state folder of its own: the broker is empty, so old state would be wrong."""
    home = settings.state_dir.parent
    for left in home.glob("embedded-*"):  # of a run that was killed
        if not Path(f"/proc/{left.name.removeprefix('embedded-')}").exists():
            shutil.rmtree(left, ignore_errors=True)
    state_dir = home / f"embedded-{os.getpid()}"
    try:
        with EmbeddedBroker(port=WELL_KNOWN_PORT) as broker:
            yield settings.model_copy(
                update={
                    "kafka_bootstrap_servers": broker.address,
                    "embedded_broker": True,
                    "topic_partitions": 4,
                    "state_dir": state_dir,
                }
            )
    finally:
        shutil.rmtree(state_dir, ignore_errors=True)


def _environment(settings: Settings) -> dict[str, str]:
    """Return the children's environment: ours, and what `up` decided."""
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


def _history_held(devices: int, settings: Settings) -> str:
    if not devices:
        return ""
    held_s = seconds_held(devices, settings.reading_period_ms / 1000)
    shown = f"{held_s / 60:.0f} min" if held_s >= 120 else f"{held_s:.0f} s"  # noqa: PLR2004  # two minutes
    return f"; it holds about the last {shown} of {devices} devices and forgets all when it stops"


def _reachable(host: str) -> str:
    return "localhost" if host in {"0.0.0.0", "::", "127.0.0.1"} else host  # noqa: S104  # compared, not bound


def _announce(address: str, stop: Event, open_page: bool) -> None:
    """Say when the page answers, and open it if wanted."""
    deadline_s = time.monotonic() + _PAGE_TIMEOUT_S
    while not stop.wait(0.2) and time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}healthz", timeout=2).close()  # noqa: S310  # http, our own page
            _log.info("the page is at %s (Ctrl-C stops everything)", address)
            if open_page:
                webbrowser.open(address)
            return
