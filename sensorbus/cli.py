"""The command `sensorbus`: up, topics, doctor, tail, verify, dead-letter.

What is read here from the command line wins over the environment. Exit codes: 0, 1 (something is wrong),
2 (a setting or an option cannot be used).
"""

import contextlib
import importlib.metadata
import itertools
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from confluent_kafka import Consumer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

from sensorbus import dead_letters, records
from sensorbus import doctor as examination
from sensorbus import up as system
from sensorbus import verify as verification
from sensorbus.comparison import Comparison
from sensorbus.contract.errors import SensorbusError, SettingsError, TopicError
from sensorbus.contract.settings import MOST_SIMULATED_DEVICES, Settings
from sensorbus.contract.topics import DEAD_LETTER, TOPICS, Topic
from sensorbus.runtime import kafka, process
from sensorbus.runtime.clock import wall_clock_ms

_MOST_UNREADABLE: Final = 10  # of each topic; the table has their number
_NOT_A_TERMINAL_COLUMNS: Final = 10_000

app = typer.Typer(
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


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sensorbus {importlib.metadata.version('sensorbus')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and end.")
    ] = False,
) -> None:
    """Real-time IoT temperature monitoring on Apache Kafka, Quix Streams and Dash."""


@app.command()
def up(
    devices: Annotated[
        int,
        typer.Option(min=0, max=MOST_SIMULATED_DEVICES, help="Simulated devices; 0: real devices write to `sensor`."),
    ] = 20,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the page; 0: any free one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the simulated temperatures.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C."""
    stop = process.stop_on_signals()
    settings = process.start("up", dashboard_port=port)
    system.run(settings, devices, seed, stop, open_page=open_)


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
    """List the topics: partitions, offsets held, who writes them and what; exit code 1 when some are missing."""
    settings = process.start("topics")
    settings, missing = _look(settings, "topics", TOPICS)
    table = Table("topic", "partitions", "offsets", "written by", "value", box=None)
    errors = [records.not_seen_error(settings, missing)] if missing else []
    with contextlib.closing(_consumer_to_end(settings, "topics")) as consumer:
        for topic in TOPICS:
            if topic not in missing:
                try:
                    state = records.topic_state(settings, consumer, topic)
                except TopicError as error:  # such as a missing right; the others are shown
                    errors.append(error)
                else:
                    table.add_row(state.name, str(state.partitions), str(state.offsets), topic.written_by, topic.value)
    if table.row_count:
        _show(table)
    if errors:
        raise TopicError("; ".join(map(str, errors)))


@app.command()
def doctor() -> None:
    """Check versions, the broker and each topic; exit code 1 when one of them fails, 0 with warnings."""
    settings = process.start("doctor")
    table = Table("", "subject", "finding", box=None)
    marks = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "failed": "[red]FAILED[/]"}
    failed = False
    for finding in examination.examine(settings, wall_clock_ms):
        table.add_row(marks[finding.state], finding.subject, Text(finding.detail))
        failed |= finding.state == "failed"
    _show(table)
    sys.exit(1 if failed else 0)


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="sensor, alert, alert-count, avg-temp or dead-letter.")],
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Show this many records that are there.")] = 10,
    all_: Annotated[bool, typer.Option("--all", help="Show all records that are there.")] = False,
    follow: Annotated[bool, typer.Option(help="Go on with new records until Ctrl-C.")] = True,
    whole: Annotated[bool, typer.Option("--whole", help="Cut nothing, however long it is.")] = False,
) -> None:
    """Show a topic's records, one line each: time, place, key, value, headers; long ones are cut."""
    stop = process.stop_on_signals()
    settings = process.start("tail")
    wanted = records.topic_by_name(settings, topic)
    settings = _with_topics(settings, "tail", (wanted,))
    with contextlib.closing(_consumer_to_end(settings, "tail")) as consumer:
        for message in records.tail(settings, consumer, wanted, last=None if all_ else last, follow=follow, stop=stop):
            typer.echo(records.line(message, None if whole else records.MOST_CHARACTERS))


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
    settings = _with_topics(settings, "verify", TOPICS)
    progress = _progress()
    with contextlib.closing(_consumer_to_end(settings, "verify")) as consumer, progress:
        task = progress.add_task("", total=None)

        def tell(doing: str, done: int, total: int | None) -> None:
            progress.update(task, description=doing, completed=done, total=total)

        comparisons, remarks = verification.verify(settings, consumer, since_ms, tell)
        is_complete = not any(row.missing for row in comparisons)
        unseen = [] if is_complete else records.behind_transactions(settings, consumer, TOPICS)
    _show(_table_of(comparisons))
    for line in itertools.chain.from_iterable(row.unreadable[:_MOST_UNREADABLE] for row in comparisons):
        typer.echo(f"sensorbus: {line}", err=True)
    for remark in remarks:
        typer.echo(f"sensorbus: {remark}", err=True)
    for place in unseen:
        behind = "a transaction there is open, and what is missing may stand behind it: ask again when it has ended"
        typer.echo(f"sensorbus: {place.topic}[{place.partition}] is not read to its end; {behind}", err=True)
    if not any(row.expected > row.pending or row.found or row.different for row in comparisons):
        typer.echo("sensorbus: nothing was compared: no result is due in that time", err=True)
        sys.exit(1)
    sys.exit(0 if all(row.is_true for row in comparisons) else 1)


@dead_letter_app.command("export")
def dead_letter_export(
    file: Annotated[Path, typer.Argument(help="Where to write; one JSON line per letter.")],
) -> None:
    """Write the letters that were not sent back yet to a file, to repair their values there."""
    settings = _with_topics(process.start("dead-letter"), "dead-letter", (DEAD_LETTER,))
    with contextlib.closing(_consumer_to_end(settings, "dead-letter")) as consumer:
        letters = dead_letters.open_letters(settings, consumer)
    _write(file, b"".join(line + b"\n" for line in dead_letters.export(letters)))
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
    settings = _with_topics(settings, "dead-letter", (DEAD_LETTER,))
    with contextlib.closing(_consumer_to_end(settings, "dead-letter")) as consumer:
        done = dead_letters.replay(settings, consumer, wall_clock_ms, values, dry_run=dry_run)
    unknown = f"; lines of the file without an open letter: {done.unknown}" if done.unknown else ""
    said = f"{'would send' if dry_run else 'sent'} {done.sent}; {done.still_refused} cannot be read and stay"
    typer.echo(f"{said}{unknown}")


def _look(settings: Settings, part: str, topics: Sequence[Topic]) -> tuple[Settings, list[Topic]]:
    """Return the settings as they fit the broker, and which topics are missing.

    Asked by a client that keeps librdkafka's own lines to itself: what it says stands in our one line.
    """
    metadata = kafka.cluster_metadata(settings, kafka.admin(settings, part))
    return kafka.recognised(settings, metadata), records.missing(settings, metadata, topics)


def _with_topics(settings: Settings, part: str, topics: Sequence[Topic]) -> Settings:
    """Return the settings as they fit the broker; `TopicError` names all topics that are missing or hidden."""
    settings, missing = _look(settings, part, topics)
    if missing:
        raise records.not_seen_error(settings, missing)
    return settings


def _consumer_to_end(settings: Settings, part: str) -> Consumer:
    """Return a consumer for what stands in topics now, from the beginning when asked for what is gone."""
    options = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    # Of each partition the client would hold up to 64 MB that nobody has looked at yet.
    options["queued.max.messages.kbytes"] = 4_096
    # Of the client's 500 ms at the end of a partition, each next read on the same connection would wait for the rest.
    return kafka.consumer(settings, part, **options, **{"fetch.wait.max.ms": 50})


def _write(file: Path, content: bytes) -> None:
    """Write a file that was named on the command line; raises `SettingsError` with its path."""
    try:
        file.write_bytes(content)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from None


def _progress() -> Progress:
    """Return a line that counts while it is used; nothing where no terminal is, where Rich leaves an empty line."""
    console = Console()
    columns = (*Progress.get_default_columns(), TextColumn("{task.completed:,} records"))
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _table_of(comparisons: Sequence[Comparison]) -> Table:
    """Return what `verify` found; with eight digits it is still read whole at 80 columns."""
    heads = ("expected", "found", "missing", "pending", "different", "duplicated", "late")
    topic = Column("topic", no_wrap=True, min_width=11)
    table = Table("", topic, *heads, box=None, pad_edge=False, collapse_padding=True)
    for row in comparisons:
        numbers = (row.expected, row.found, row.missing, row.pending, row.different, row.duplicated, row.late)
        table.add_row("[green]ok[/]" if row.is_true else "[red]FALSE[/]", row.kind, *(f"{n:,}" for n in numbers))
    return table


def _show(table: Table) -> None:
    """Print a table; where no terminal is, each row is one line, for grep."""
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    console.width = _NOT_A_TERMINAL_COLUMNS
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        typer.echo(line.rstrip())


def _duration_ms(text: str) -> int:
    match = re.fullmatch(r"(\d+)(s|m|h|d)", text)
    if match is None:
        raise SettingsError(f"--since {text!r} cannot be used: say a number with s, m, h or d, e.g. 10m")
    return int(match[1]) * {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[match[2]]
