"""The file of users: a line `name:role:hash` for each.

The hash is werkzeug's, and may be empty behind a proxy.
gunicorn's master reads it too, before it may load anything that counts (prometheus_client looks at its variable once).
"""

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, cast

from sensorbus.contract.errors import SettingsError
from sensorbus.contract.settings import Settings, variable_name

Role = Literal["viewer", "operator"]
_ROLES: Final = ("viewer", "operator")
_LONGEST_NAME: Final = 128
#: What werkzeug makes: it raises for others, such as those of htpasswd.
_HASH: Final = re.compile(r"(scrypt(?::\d{1,9}){3}|pbkdf2:\w+:\d{1,9})\$[^$]+\$[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class User:
    """One user."""

    name: str
    role: Role
    password_hash: str


def is_name(name: str) -> bool:
    """Tell whether a name that somebody else gives can be one."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def name_in(header: str) -> str | None:
    """Return the name in a header's value, of which WSGI makes Latin-1; None: it is no UTF-8, or can be no name."""
    try:
        name = composed(header.encode("latin-1").decode())
    except UnicodeError:
        return None
    return name if is_name(name) else None


def composed(name: str) -> str:
    """Return a name as it is compared: whether an `ü` comes as one character or as two is not seen (RFC 7617)."""
    return unicodedata.normalize("NFC", name)


def read_users(settings: Settings) -> dict[str, User]:
    """Return the users by name; a proxy may do without a file, then all are viewers.

    Raises `SettingsError`, which names the variable and the line and shows nothing of it.
    """
    variable = variable_name("dashboard_users_file")
    if settings.dashboard_users_file is None:
        if settings.dashboard_sign_in != "basic":
            return {}
        raise SettingsError(f"{variable} is not set: sign-in by password needs a file of users (docs/security.md)")
    try:
        lines = settings.dashboard_users_file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: cannot read the file that it names: {error}") from None
    users: dict[str, User] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, rest = composed(line.strip()).partition(":")
        role, _, password_hash = rest.partition(":")
        if not name or role not in _ROLES or (not password_hash and settings.dashboard_sign_in == "basic"):
            raise SettingsError(f"{variable}: line {number} is not name:viewer:hash or name:operator:hash")
        if settings.dashboard_sign_in == "basic" and not _can_be_checked(password_hash):
            raise SettingsError(f"{variable}: line {number} has no hash of the kind that docs/security.md makes")
        if name in users:  # the last one would win, and who has left, or has lost a role, might be let in by it
            raise SettingsError(f"{variable}: line {number} has the name of an earlier line")
        users[name] = User(name, cast("Role", role), password_hash)
    if not users and settings.dashboard_sign_in == "basic":
        raise SettingsError(f"{variable}: the file has no user, so nobody could sign in")
    return users


def _can_be_checked(password_hash: str) -> bool:
    found = _HASH.fullmatch(password_hash)
    return found is not None and _is_method(found[1])


@functools.cache
def _is_method(method: str) -> bool:
    """Tell whether werkzeug can hash so: it raises for parameters that the algorithm refuses, with each password."""
    from werkzeug.security import check_password_hash  # noqa: PLC0415  # 2.5 MB that a page without passwords spares

    try:
        check_password_hash(f"{method}$salt$00", "")
    except (ValueError, OverflowError):
        return False
    return True
