"""Tests of the command line of the jobs."""

import pytest

from processors.__main__ import main


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
