"""Sign-in at an OpenID Connect provider: the way there, back and out.

The session is Flask's signed cookie, which any worker on any host can read; it holds name, role and end, and no token.
Called from the request threads.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import quote

from flask import Flask, Response, g, redirect, request, session

from dashboard_app import plain_pages
from dashboard_app.client_address import client_address, warn_of
from dashboard_app.guard import authorization, refusal
from dashboard_app.oidc import AWAY, REFUSED, Provider
from dashboard_app.oidc_claims import user_of, why_nobody
from dashboard_app.oidc_turns import Busy
from dashboard_app.users import User
from sensorbus.contract.settings import Settings, variable_name

_BACK: Final = "sign-in/back"
_SIGNED_OUT: Final = "signed-out"
_SHOWN_CHARACTERS: Final = 300
#: Which setting says what such a claim of a program's token must be.
_EXPECTED_BY: Final = {"aud": "dashboard_oidc_audience", "iss": "dashboard_oidc_issuer"}
#: Who finds others before the provider comes again by himself after so many seconds.
_RETRY_S: Final = "1"

_log = logging.getLogger(__name__)


class SignIn:
    """What stands before the page."""

    def __init__(self, server: Flask, settings: Settings, clock_s: Callable[[], float] = time.time) -> None:
        """Give the server's sessions their key and their cookie its bounds."""
        self._settings, self._clock_s = settings, clock_s
        self._home = settings.dashboard_url_prefix
        self._provider = Provider(server, settings)
        key = settings.dashboard_session_secret
        server.secret_key = key.get_secret_value() if key else None
        server.permanent_session_lifetime = timedelta(milliseconds=settings.dashboard_session_ms)
        server.config.update(
            SESSION_COOKIE_NAME="sensorbus_session",
            SESSION_COOKIE_PATH=self._home,
            SESSION_COOKIE_SECURE=True,
            SESSION_COOKIE_HTTPONLY=True,
            SESSION_COOKIE_SAMESITE="Lax",  # Strict would not come along on the way back from the provider
            SESSION_REFRESH_EACH_REQUEST=False,
        )

    def answer(self) -> Response | None:
        """Return what the addresses of the sign-in itself answer, known or not; None: another address."""
        name = request.path.removeprefix(self._home) if request.path.startswith(self._home) else ""
        if (request.method, name) == ("GET", _BACK):
            return self._come_back()
        if (request.method, name) == ("POST", plain_pages.SIGN_OUT):
            return self._sign_out()
        if (request.method, name) == ("GET", _SIGNED_OUT):
            return plain_pages.page(200, "Signed out", (), self._home)
        return None

    def user(self) -> User | None:
        """Return who asks: who has signed in, or a program with an access token."""
        given = authorization()
        if given is not None and given.type == "bearer":
            return self._program(given.token or "")
        name, role = session.get("name"), session.get("role")
        if not name or role not in {"viewer", "operator"} or session.get("until_s", 0) <= self._clock_s():
            return None
        return User(name, role, "")

    def send_there(self) -> Response:
        """Return the way to the provider for a page that a person opens, 401 for everything else."""
        if not plain_pages.is_for_a_person():
            return _to_a_program(is_provider_away=g.get("is_provider_away", False))
        to = self._home
        if request.path.startswith(self._home) and not request.path.startswith("//"):  # that would be another host
            to = quote(request.path) + (f"?{request.query_string.decode('latin-1')}" if request.query_string else "")
        try:
            return _unstored(redirect(self._provider.way_there(self._address(_BACK), to), 302))
        except (AWAY, *REFUSED) as error:
            return _away(error, self._provider.issuer, self._home)

    def _come_back(self) -> Response:
        try:
            claims, to = self._provider.who_comes_back()
        except AWAY as error:
            return _away(error, self._provider.issuer, self._home)
        except REFUSED as error:
            if self.user() is not None:  # in another tab, meanwhile
                return _unstored(redirect(self._home, 303))
            self._warn("a sign-in from %s failed: %s", _why(error))
            said = "The sign-in did not come to its end. Try again."
            return plain_pages.page(400, "Not signed in", (said,), self._home)
        user = self._user_of(claims)
        session.clear()
        if user is None:
            said = "You have no role here. Ask whoever runs this page to give you one."
            out = f"{self._home}{plain_pages.SIGN_OUT}"
            return plain_pages.page(403, "No access", (said,), self._home, sign_out=out)
        self._keep(user)
        return _unstored(redirect(to, 303))

    def _keep(self, user: User) -> None:
        _log.info("signed in", extra={"user": user.name, "role": user.role})
        until_s = self._clock_s() + self._settings.dashboard_session_ms / 1000
        session.update(name=user.name, role=user.role, until_s=until_s)
        session.permanent = True

    def _sign_out(self) -> Response:
        """End the session here, and at the provider if it has an address for that."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return refusal(403, "a request of another site")
        session.clear()
        answer = plain_pages.page(200, "Signed out", (), self._home)
        try:
            way = self._provider.way_out(self._address(_SIGNED_OUT))
        except (AWAY, *REFUSED):
            return answer
        if way:
            answer.headers["Refresh"] = f"0; url={way}"  # no redirect: browsers hold that to the policy's form-action
        return answer

    def _program(self, token: str) -> User | None:
        """Return whose access token that is, if programs may come at all."""
        try:
            claims = self._provider.who_has(token)
        except (AWAY, *REFUSED) as error:
            g.is_provider_away = isinstance(error, AWAY)
            self._warn("an access token from %s is refused: %s", f"{_why(error)}{_setting_of(error)}")
            return None
        return self._user_of(claims)

    def _user_of(self, claims: Mapping[str, Any]) -> User | None:
        """Return whose claims these are; log why nobody's: mostly roles are set up otherwise there."""
        user = user_of(claims, self._settings)
        if user is None:
            self._warn("somebody from %s was turned away: %s", why_nobody(claims, self._settings))
        return user

    def _warn(self, said: str, why: str) -> None:
        """Log what became of a try, with the address that it came from."""
        warn_of(_log, said, client_address(self._settings.dashboard_proxy_networks), why)

    def _address(self, name: str) -> str:
        """Return an address of ours as the browser sees it: host and scheme are the request's, or the proxy's word."""
        return f"{request.scheme}://{request.host}{self._home}{name}"


def _to_a_program(*, is_provider_away: bool) -> Response:
    if is_provider_away:
        answer = refusal(503, "the sign-in provider does not answer")
        answer.headers["Retry-After"] = _RETRY_S
        return answer
    answer = refusal(401, "sign in")
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def _away(error: Exception, issuer: str, home: str) -> Response:
    level = logging.WARNING if isinstance(error, Busy) else logging.ERROR
    variable = variable_name("dashboard_oidc_issuer")
    _log.log(level, "cannot ask the sign-in provider %s (%s): %s", issuer, variable, _why(error))
    said = "The sign-in provider does not answer. Try again in a minute."
    answer = plain_pages.page(503, "Nobody can sign in now", (said,), home)
    if isinstance(error, Busy):
        answer.headers["Refresh"] = _RETRY_S
    return answer


def _why(error: Exception) -> str:
    """Return an error in a line: addresses at most, never a token."""
    return f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]


def _setting_of(error: Exception) -> str:
    """Return, of a claim that is missing or another one, the setting that it is compared with."""
    expected_by = _EXPECTED_BY.get(getattr(error, "claim", ""))
    return f" ({variable_name(expected_by)})" if expected_by else ""


def _unstored(answer: Any) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return cast("Response", answer)
