"""Tests of the command line of the page."""

import os
import sys

import pytest

from dashboard_app.__main__ import main


def test_arguments_are_refused_with_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, nothing started."""
    monkeypatch.setattr("sys.argv", ["dashboard_app", "--port", "9000"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert said.startswith("dashboard_app: '--port 9000' is not taken; set ")
    assert "SENSORBUS_DASHBOARD_PORT" in said


@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_is_the_usage(asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; it names the settings."""
    monkeypatch.setattr("sys.argv", ["dashboard_app", asked])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    assert said.out.startswith("usage: python -m dashboard_app\n")
    assert "SENSORBUS_DASHBOARD_PORT" in said.out


def test_gunicorns_own_arguments_are_taken_away_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would win over the settings; gunicorn starts without them."""
    seen: list[tuple[list[str], str | None]] = []

    class Server:
        def __init__(self, _usage: str) -> None:
            seen.append((sys.argv, os.environ.get("GUNICORN_CMD_ARGS")))

        def run(self) -> None:
            """End at once."""

    monkeypatch.setattr("dashboard_app.__main__.WSGIApplication", Server)
    monkeypatch.setattr("sys.argv", ["dashboard_app"])
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--forwarded-allow-ips=*")
    main()
    said = capsys.readouterr().err
    assert said.startswith("dashboard_app: GUNICORN_CMD_ARGS is ignored; set SENSORBUS_DASHBOARD_HOST, ")
    ((arguments, variable),) = seen
    assert (arguments[-1], variable) == ("dashboard_app.wsgi:server", None)
    monkeypatch.setattr("sys.argv", ["dashboard_app"])
    main()
    assert capsys.readouterr().err == ""
