"""Who may see the page.

Nobody is asked, a proxy says it, a name and a password are checked, or a provider is asked.
Off by default. On, everything but /healthz and a bare /readyz answers 401 to who is not known. Each worker counts wrong
passwords by itself, and hashes one password at a time: many tried at once take turns, and the memory of one.
"""

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from flask import Flask, Response, g, request
from werkzeug.security import check_password_hash

from dashboard_app import ops, plain_pages
from dashboard_app.client_address import Networks, client_address, is_within, warn_of
from dashboard_app.guard import authorization, refusal
from dashboard_app.users import Role, User, composed, name_in, read_users
from sensorbus.contract.settings import Settings, variable_name

if TYPE_CHECKING:
    from dashboard_app.oidc_sign_in import SignIn

#: The header in which a named proxy gives the user's name.
USER_HEADER: Final = "X-Forwarded-User"
_OPEN: Final = "/healthz"
#: What is answered to who is not known, or cannot be: its provider is away.
_UNKNOWN: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE})
_HOW_TO_SIGN_IN: Final = {
    "basic": "Load this page again, and give your name and your password.",
    "proxy": "This page is reached by way of a proxy that knows who you are.",
    "oidc": "Load this page again to sign in.",
}
_NO_PROXY: Final = "%s names a user and is not believed: it is none of the proxies (%s)"
_NO_NAME: Final = "the proxy's name for who asks from %s is not 1 to 128 printable characters in UTF-8 (%s)"
_UNREADABLE: Final = "name and password from %s cannot be read: they are no UTF-8 in base64"
_WRONG: Final = "wrong password or name from %s"
#: A checked password is not hashed again until nobody came with it for so long: scrypt costs more than all of a tick.
_REMEMBERED_S: Final = 300.0
_MOST_REMEMBERED: Final = 1_000
_FREE_TRIES: Final = 3
_FREE_TRIES_OF_ADDRESS: Final = 20
_LONGEST_WAIT_S: Final = 60.0
#: A request waits for so long while others' passwords are hashed.
_QUEUES_S: Final = 5.0

_log = logging.getLogger(__name__)


def install(
    server: Flask,
    settings: Settings,
    clock_s: Callable[[], float] = time.monotonic,
    *,
    users: Mapping[str, User] | None = None,
) -> None:
    """Ask who is there before anything else of the page is asked.

    Without `users` their file is read; raises `SettingsError` for one of no use.
    """
    if settings.dashboard_sign_in == "off":
        return
    check = _check_of(server, settings, read_users(settings) if users is None else users, clock_s)
    home = settings.dashboard_url_prefix
    sign_out = f"{home}{plain_pages.SIGN_OUT}" if settings.dashboard_sign_in == "oidc" else None

    def ask() -> Response | None:
        if request.path == _OPEN:
            return None
        refused = check()
        if refused is not None and refused.status_code in _UNKNOWN and request.path == ops.READY:
            g.is_stranger = True  # an orchestrator's probe knows no password: it is told yes or no, and nothing more
            return None
        if refused is None and request.method == "GET" and request.path == f"{home}{plain_pages.ACCOUNT}":
            return plain_pages.account(g.user, g.role, home, sign_out)
        if refused is None or not plain_pages.is_for_a_person():
            return refused
        return _as_page(refused, home, settings.dashboard_sign_in)

    server.before_request_funcs.setdefault(None, []).insert(0, ask)


def _check_of(
    server: Flask, settings: Settings, users: Mapping[str, User], clock_s: Callable[[], float]
) -> Callable[[], Response | None]:
    if settings.dashboard_sign_in == "oidc":
        from dashboard_app.oidc_sign_in import SignIn  # noqa: PLC0415  # 15 MB of libraries that the others do without

        return _by_provider(SignIn(server, settings))
    proxies = settings.dashboard_proxy_networks
    return _by_proxy(proxies, users) if settings.dashboard_sign_in == "proxy" else _by_password(proxies, users, clock_s)


def _by_provider(provider: "SignIn") -> Callable[[], Response | None]:
    def check() -> Response | None:
        if (answer := provider.answer()) is not None:
            return answer
        user = provider.user()
        if user is None:
            return provider.send_there()
        _let_in(user.name, user.role)
        return None

    return check


def _by_proxy(proxies: Networks, users: Mapping[str, User]) -> Callable[[], Response | None]:
    def check() -> Response | None:
        given, is_believed = request.headers.get(USER_HEADER), is_within(request.remote_addr, proxies)
        name = name_in(given) if given and is_believed else None
        if name is None:
            if given and is_believed:
                warn_of(_log, _NO_NAME, client_address(proxies), USER_HEADER)
            elif given:
                warn_of(_log, _NO_PROXY, client_address(proxies), variable_name("dashboard_proxies"))
            return refusal(401, "sign in at the proxy")
        _let_in(name, users[name].role if name in users else "viewer")
        return None

    return check


def _by_password(
    proxies: Networks, users: Mapping[str, User], clock_s: Callable[[], float]
) -> Callable[[], Response | None]:
    gate = Gate(users, clock_s)

    def check() -> Response | None:
        given = authorization()
        if given is None and request.headers.get("Authorization", "")[:6].lower() == "basic ":
            warn_of(_log, _UNREADABLE, client_address(proxies))
        if given is None or given.type != "basic" or not given.username or given.password is None:
            return _challenge()
        found = gate.look(client_address(proxies), composed(given.username), given.password)
        if isinstance(found, float):
            answer = _challenge(429, "too many wrong passwords; wait")
            answer.headers["Retry-After"] = str(int(found) + 1)
            return answer
        if found is None:
            return _challenge()
        _let_in(found.name, found.role)
        return None

    return check


class Gate:
    """Checks names and passwords, and makes who is wrong too often wait: 1, 2, 4, ... 60 s."""

    def __init__(self, users: Mapping[str, User], clock_s: Callable[[], float]) -> None:
        """Remember nobody yet."""
        self._users, self._clock_s = users, clock_s
        self._key = secrets.token_bytes(32)
        self._some_hash = next((user.password_hash for user in users.values()), "")  # for names that are not there
        # Digests of what came from an address, and until when they count: what was right, what was wrong, and what was
        # not looked at while the address waited.
        self._remembered: dict[bytes, float] = {}
        self._refused: dict[bytes, float] = {}
        self._unseen: dict[bytes, float] = {}
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}  # how many, and when the last one was
        self._lock = threading.Lock()  # held from the look at the failures to the note of the next one

    def look(self, address: str, name: str, password: str) -> User | float | None:
        """Return the user whose password that is, None for a wrong one, or for how many seconds none is looked at.

        Who was right from there a moment ago waits for nobody else at the address, and what was wrong from there a
        moment ago does not count again: an open page of who was taken out would shut out all behind its router. What
        is not looked at counts for its name: else a right one, which is let in at once, could be told from others
        without limit. A name that is not there takes as long.
        """
        user = self._users.get(name)
        known_hash = user.password_hash if user else self._some_hash
        digest = hmac.digest(self._key, f"{name}\0{known_hash}\0{password}".encode(), hashlib.sha256)
        here = digest + address.encode()
        if self._wait_s((address, name), _FREE_TRIES) <= 0:
            if user is not None and self._is_known(self._remembered, here):
                return user
            if self._is_known(self._refused, here):
                warn_of(_log, _WRONG, address)
                return None
        if not self._lock.acquire(timeout=_QUEUES_S):
            return 1.0
        try:
            of_name_s = self._wait_s((address, name), _FREE_TRIES)
            of_address_s = self._wait_s((address, ""), _FREE_TRIES_OF_ADDRESS)
            if of_name_s > 0 or of_address_s > 0:
                if of_name_s <= 0 and not self._is_known(self._unseen, here):
                    self._remember(self._unseen, here)
                    self._note_failure((address, name), self._clock_s())
                return max(of_name_s, of_address_s)
            if self._is_known(self._refused, here):  # of several at once, one is enough
                warn_of(_log, _WRONG, address)
                return None
            return self._checked(address, user, (name, known_hash, password), here)
        finally:
            self._lock.release()

    def _checked(self, address: str, user: User | None, tried: tuple[str, str, str], here: bytes) -> User | None:
        name, known_hash, password = tried
        now_s = self._clock_s()
        if not check_password_hash(known_hash, password) or user is None:
            for key in ((address, name), (address, "")):
                self._note_failure(key, now_s)
            self._remember(self._refused, here)
            warn_of(_log, _WRONG, address)
            return None
        self._remember(self._remembered, here)
        self._failures.pop((address, name), None)
        return user

    def _is_known(self, known: dict[bytes, float], one: bytes) -> bool:
        """Tell whether this still counts; then it does for another while, as long as somebody asks."""
        if known.get(one, 0.0) <= self._clock_s():
            return False
        known[one] = self._clock_s() + _REMEMBERED_S
        return True

    def _remember(self, known: dict[bytes, float], one: bytes) -> None:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[one] = self._clock_s() + _REMEMBERED_S

    def _note_failure(self, key: tuple[str, str], now_s: float) -> None:
        count, last_s = self._failures.pop(key, (0, now_s))  # the newest stands last
        if len(self._failures) >= _MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]
        self._failures[key] = (count + 1 if now_s - last_s < _REMEMBERED_S else 1, now_s)

    def _wait_s(self, key: tuple[str, str], free: int) -> float:
        count, last_s = self._failures.get(key, (0, 0.0))
        if count < free:
            return 0.0
        return last_s + min(2.0 ** min(count - free, 10), _LONGEST_WAIT_S) - self._clock_s()


def _challenge(status: int = 401, said: str = "sign in") -> Response:
    answer = refusal(status, said)
    answer.headers["WWW-Authenticate"] = 'Basic realm="sensorbus", charset="UTF-8"'
    return answer


def _as_page(refused: Response, home: str, way: str) -> Response:
    """Return a refusal as a page, with its status and headers; what is a page already stays as it is."""
    if refused.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        title, said = "Too many wrong passwords", f"Wait {refused.headers['Retry-After']} s, then load this page again."
    elif refused.status_code == HTTPStatus.UNAUTHORIZED:
        title, said = "Not signed in", _HOW_TO_SIGN_IN[way]
    else:
        return refused
    answer = plain_pages.page(refused.status_code, title, (said,), home)
    for name in ("WWW-Authenticate", "Retry-After"):
        if name in refused.headers:
            answer.headers[name] = refused.headers[name]
    return answer


def _let_in(name: str, role: Role) -> None:
    g.user, g.role = name, role
