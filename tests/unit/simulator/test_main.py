"""Options that cannot be used are refused before anything starts."""

import pytest
import typer
from typer.testing import CliRunner

from simulator.__main__ import simulate

RATES = ("--dropout", "--late", "--out-of-order", "--duplicate", "--invalid", "--skew")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((rate, value) for rate in RATES for value in ("-0.1", "1.5", "nan", "often")),
        *(("--devices", value) for value in ("0", "1000001", "many")),
        *(("--period", value) for value in ("0", "-1", "nan", "inf")),
        *(("--duration", value) for value in ("0", "-1", "nan", "inf")),
        ("--seed", "1.5"),
    ],
)
def test_a_wrong_value_is_refused_by_name(option: str, value: str) -> None:
    """The exit code is 2 and the message names the option."""
    command = typer.Typer()
    command.command()(simulate)
    result = CliRunner().invoke(command, [option, value], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert result.exit_code == 2
    assert f"'{option}'" in result.output
