"""The command's own small parts: lengths of time, and tables.

Tables are for people and for grep.
"""

import importlib.metadata
import io
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from sensorbus import cli
from sensorbus.comparison import Comparison
from sensorbus.contract.errors import SettingsError

UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@given(st.integers(0, 10**9), st.sampled_from(sorted(UNITS_MS)))
def test_a_length_of_time_is_a_number_and_a_unit(number: int, unit: str) -> None:
    """Seconds to days, in ms."""
    assert cli._duration_ms(f"{number}{unit}") == number * UNITS_MS[unit]


@given(st.text(max_size=6).filter(lambda text: not re.fullmatch(r"\d+[smhd]", text)))
def test_any_other_length_of_time_is_refused(text: str) -> None:
    """With the option that was wrong and an example."""
    with pytest.raises(
        SettingsError, match=r"(?s)--since .* cannot be used: say a number with s, m, h or d, e\.g\. 10m"
    ):
        cli._duration_ms(text)


def test_a_row_is_one_line_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    """However long it is, without spaces at its end, so that grep finds all of it."""
    table = Table("", "subject", "finding", box=None)
    table.add_row("[green]ok[/]", "topic a", "finding " * 40)
    table.add_row("[red]FAILED[/]", "topic b", "short")
    cli._show(table)
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["ok", "topic", "a", *["finding"] * 40]
    assert second.split() == ["FAILED", "topic", "b", "short"]
    assert second.endswith("short")


@pytest.mark.parametrize("arguments", [[], ["topics"], ["dead-letter"]])
def test_a_command_alone_says_what_there_is(arguments: list[str]) -> None:
    """Its help, and the exit code of a wrong call."""
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 2
    assert "Usage:" in done.output


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (["up", "--devices", "-1"], "--devices"),
        (["up", "--devices", "1000001"], "--devices"),  # the simulator takes no more
        (["up", "--port", "65536"], "--port"),
        (["tail", "sensor", "--last", "-1"], "--last"),
        (["dead-letter", "replay", "--repaired", "nowhere.jsonl"], "--repaired"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_done(arguments: list[str], wrong: str) -> None:
    """Exit code 2, and the option's name."""
    done = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"}).invoke(cli.app, arguments)
    assert done.exit_code == 2
    assert wrong in done.output


def test_the_version_is_told() -> None:
    """The one of the package."""
    done = CliRunner().invoke(cli.app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"sensorbus {importlib.metadata.version('sensorbus')}\n")


def test_progress_is_not_seen_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A table in a pipe begins with its head."""
    with cli._progress() as progress:
        progress.update(progress.add_task("verify", total=None), completed=1000)
    assert capsys.readouterr().out == ""


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """It names the path."""
    file = tmp_path / "nowhere" / "letters.jsonl"
    with pytest.raises(SettingsError, match=re.escape(f"{file} cannot be written: No such file or directory")):
        cli._write(file, b"")


def test_what_verify_found_is_read_whole_at_80_columns() -> None:
    """Eight digits in the columns that grow, and nothing cut."""
    kinds = ("alert", "alert-count", "avg-temp", "dead-letter")
    rows = [Comparison(kind=kind, expected=12_345_678, found=12_345_678) for kind in kinds]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(cli._table_of(rows))
    lines = console.export_text().splitlines()
    assert [line.split()[1] for line in lines[1:]] == [*kinds]
    assert all(line.split()[2:] == ["12,345,678", "12,345,678", *"00000"] for line in lines[1:])
    assert lines[0].split() == ["topic", "expected", "found", "missing", "pending", "different", "duplicated", "late"]
