"""What the page runs with: read in one go, kept for those forked later."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard_app import running
from dashboard_app.running import Configuration
from sensorbus.contract.errors import SettingsError
from sensorbus.contract.settings import Settings
from sensorbus.runtime import logs


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end as a process that has read nothing, and leave the log to pytest."""
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    running._kept.clear()
    yield
    running._kept.clear()
    running._lost.clear()


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of users of a page with passwords."""
    file = tmp_path / "users"
    file.write_text("ann:viewer:scrypt:1024:8:1$s$a0\n")
    monkeypatch.setenv("SENSORBUS_DASHBOARD_SIGN_IN", "basic")
    monkeypatch.setenv("SENSORBUS_DASHBOARD_USERS_FILE", str(file))
    return file


def test_settings_and_users_are_read_together(users: Path) -> None:
    """The users that the settings name."""
    read = running.read()
    assert (read.settings.dashboard_users_file, list(read.users)) == (users, ["ann"])


def test_without_sign_in_the_file_of_users_is_not_read(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked, so it may be missing."""
    monkeypatch.setenv("SENSORBUS_DASHBOARD_SIGN_IN", "off")
    users.unlink()
    assert running.read().users == {}


def test_what_is_kept_stays_whatever_becomes_of_the_file(users: Path) -> None:
    """Until another one is kept; a reading that fails keeps nothing."""
    assert running.kept() is None
    running.keep(running.read())
    users.write_text("nonsense\n")
    with pytest.raises(SettingsError, match="line 1"):
        running.read()
    assert list(running.configuration().users) == ["ann"]
    other = Configuration(Settings(), {})
    running.keep(other)
    assert running.kept() is other


def test_a_worker_that_was_lost_is_told_to_those_after_it() -> None:
    """It is nobody at the start."""
    assert not running.is_after_kill()
    running.note_lost(7)
    assert running.is_after_kill()


def test_where_nothing_is_kept_it_is_read(users: Path) -> None:
    """As under another server than gunicorn, each time anew."""
    assert list(running.configuration().users) == ["ann"]
    users.write_text("bob:viewer:scrypt:1024:8:1$s$a0\n")
    assert list(running.configuration().users) == ["bob"]
    assert running.kept() is None
