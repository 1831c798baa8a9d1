"""What the page runs with: its settings and its users, read in one go.

gunicorn's master reads them at its start and at SIGHUP, and its workers inherit them. So a worker that takes another
one's place runs with the same, and a file that was broken meanwhile ends nobody.
Loads nothing that counts: prometheus_client looks at its variable once (gunicorn_conf.py sets it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dashboard_app.users import User, read_users
from sensorbus.contract.settings import Settings
from sensorbus.runtime import process


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings, and the users by name."""

    settings: Settings
    users: Mapping[str, User]


_kept: Final[list[Configuration]] = []  # one, or none yet
_lost: Final[list[int]] = []  # the last worker that was killed, if one was


def read() -> Configuration:
    """Read settings and users, and start logging; raises `SettingsError`, one line, and keeps nothing."""
    settings = process.start("dashboard")
    return Configuration(settings, {} if settings.dashboard_sign_in == "off" else read_users(settings))


def keep(configuration: Configuration) -> None:
    """Make it what this process, and those that it forks from now on, run with."""
    _kept[:] = [configuration]


def kept() -> Configuration | None:
    """Return what was kept last."""
    return _kept[0] if _kept else None


def note_lost(pid: int) -> None:
    """Let the workers that this process forks from now on know that one did not come to its end."""
    _lost[:] = [pid]


def is_after_kill() -> bool:
    """Tell whether a worker before this one was killed."""
    return bool(_lost)


def configuration() -> Configuration:
    """Return what was kept; under a server that keeps nothing it is read now."""
    return kept() or read()
