"""Tests of the command line of the jobs."""

import pytest

from processors.__main__ import _JOBS, main
from processors.application import JOBS


@pytest.mark.parametrize("arguments", [[], ["alerts"], ["alert", "avg-temp"]])
def test_an_unknown_job_is_one_line_with_the_known_ones(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing started."""
    monkeypatch.setattr("sys.argv", ["processors", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert said.count("\n") == 1
    assert "alert, alert-count, avg-temp, all" in said


def test_no_job_at_all_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Not named as if it were one."""
    monkeypatch.setattr("sys.argv", ["processors"])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "processors: name one of the jobs: alert, alert-count, avg-temp, all\n"


@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_is_the_usage(asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, no error."""
    monkeypatch.setattr("sys.argv", ["processors", asked])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    assert said.out.startswith("usage: python -m processors JOB\n")


def test_the_jobs_of_the_command_line_are_those_of_the_table() -> None:
    """They are named twice because the table takes a second to import."""
    assert list(_JOBS) == list(JOBS)
