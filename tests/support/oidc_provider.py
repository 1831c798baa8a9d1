"""A small OpenID Connect provider of this machine.

Real HTTP, real signatures; tests bend what it says.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import requests
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

CLIENT: Final = "sensorbus-page"
SECRET: Final = "marker-client-secret"  # noqa: S105  # of a provider that lives as long as a test
PROGRAM: Final = "exporter"
AUDIENCE: Final = "sensorbus-api"
SESSION: Final = "marker-session-secret-that-is-long"
_POLL_S: Final = 0.02  # how long stopping takes
_LONGEST_SLOW_S: Final = 30.0


@cache
def key(name: str, number: int = 0) -> RSAKey:
    """Return a signing key; another `number` is another key of the same name."""
    del number
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"}, auto_kid=False)


def signed_in(url: str) -> str:
    """Sign in at a page and return the cookie of the session: it is Secure, and we come without TLS."""
    asked = {"Accept": "text/html"}
    sent = requests.get(url, headers=asked, allow_redirects=False, timeout=5)
    back = requests.get(sent.headers["Location"], allow_redirects=False, timeout=5).headers["Location"]
    asked["Cookie"] = sent.headers["Set-Cookie"].partition(";")[0]
    came = requests.get(back, headers=asked, allow_redirects=False, timeout=5)
    assert came.status_code == 303, came.text
    return came.headers["Set-Cookie"].partition(";")[0]


@dataclass
class Provider:
    """A context manager; everybody who comes is the user of `claims`, without being asked."""

    claims: dict[str, Any] = field(default_factory=dict)
    #: What id and access tokens say besides or instead of the truth.
    bent: dict[str, Any] = field(default_factory=dict)
    #: What the description of the provider says instead.
    described: dict[str, Any] = field(default_factory=dict)
    signs: RSAKey = field(default_factory=lambda: key("one"))
    #: Signs tokens in place of `signs`, which stays the published one.
    forges: RSAKey | None = None
    #: Who may have access tokens, each under its own name, for Kafka and for programs.
    programs: set[str] = field(default_factory=lambda: {PROGRAM})
    lasts_s: int = 300
    asked: list[str] = field(default_factory=list)
    #: These paths are answered when `goes_on` is set, or after half a minute.
    slow: set[str] = field(default_factory=set)
    goes_on: threading.Event = field(default_factory=threading.Event)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _server: BaseWSGIServer | None = None

    @property
    def issuer(self) -> str:
        """Return its address, which is its name."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def of_a_page(self) -> dict[str, str]:
        """Return the settings of a page that has people sign in here."""
        return {
            "dashboard_sign_in": "oidc",
            "dashboard_oidc_issuer": self.issuer,
            "dashboard_oidc_client_id": CLIENT,
            "dashboard_oidc_client_secret": SECRET,
            "dashboard_session_secret": SESSION,
        }

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._server = make_server("127.0.0.1", 0, Request.application(self._answer), True, 1, _Quiet)
        threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        assert self._server is not None
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()

    def token(self, **claims: Any) -> str:
        """Return a signed token with these claims; those that are None are left out."""
        now_s = int(time.time())
        told = {"iss": self.issuer, "iat": now_s, "exp": now_s + self.lasts_s} | claims | self.bent
        signs = self.forges or self.signs
        header = {"alg": "RS256", "kid": signs.kid}
        return jwt.encode(header, {name: value for name, value in told.items() if value is not None}, signs)

    def _answer(self, request: Request) -> Response:
        self.asked.append(request.path)
        if request.path in self.slow:
            self.goes_on.wait(_LONGEST_SLOW_S)
        answers = {
            "/.well-known/openid-configuration": self._describe,
            "/keys": self._keys,
            "/authorize": self._authorize,
            "/token": self._give_token,
            "/logout": self._log_out,
        }
        answer = answers.get(request.path)
        return answer(request) if answer else Response("nothing here", 404)

    def _describe(self, _request: Request) -> Response:
        return _json(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "end_session_endpoint": f"{self.issuer}/logout",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            }
            | self.described
        )

    def _keys(self, _request: Request) -> Response:
        return _json({"keys": [self.signs.as_dict(private=False)]})

    def _authorize(self, request: Request) -> Response:
        """Send the user back with a code at once."""
        asked = request.args
        assert (asked["client_id"], asked["response_type"]) == (CLIENT, "code")
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self._codes[code] = asked.to_dict()
        back = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
        return Response("", 302, {"Location": back})

    def _give_token(self, request: Request) -> Response:
        given, who = request.form, request.authorization
        if who is None or who.username not in {CLIENT, *self.programs} or who.password != SECRET:
            return _json({"error": "invalid_client"}, 401)
        if given["grant_type"] == "client_credentials":
            access = self.token(sub=who.username, aud=AUDIENCE, **self.claims)
            return _json({"access_token": access, "token_type": "Bearer", "expires_in": self.lasts_s})
        asked = self._codes.pop(given["code"], None)
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not asked or asked["code_challenge"] != challenge or asked["redirect_uri"] != given["redirect_uri"]:
            return _json({"error": "invalid_grant"}, 400)
        told = {"sub": "user-1", "aud": CLIENT, "nonce": asked["nonce"]} | self.claims
        tokens = {"access_token": self.token(sub="user-1", aud=AUDIENCE), "id_token": self.token(**told)}
        return _json({**tokens, "token_type": "Bearer", "expires_in": self.lasts_s})

    def _log_out(self, request: Request) -> Response:
        assert request.args["client_id"] == CLIENT
        return Response("", 302, {"Location": request.args["post_logout_redirect_uri"]})


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Write nothing."""


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, content_type="application/json")
