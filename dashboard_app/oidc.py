"""Asks an OpenID Connect provider who somebody is, and checks its tokens.

Authorization code with PKCE, state and nonce, by authlib. The provider is asked when somebody signs in, never when a
worker starts. Called from the request threads, of which few wait for it at a time; what the provider says of itself
and its keys are kept.
"""

import time
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlencode

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, request, session
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from requests import ConnectionError as NoConnectionError
from requests import RequestException, Timeout

from dashboard_app.oidc_turns import Once, Turns
from sensorbus.contract.settings import Settings, variable_name

#: Raised when the provider cannot be asked, and when it or a browser said what cannot be taken.
AWAY: Final = RequestException
REFUSED: Final = (OAuthError, JoseError, LookupError, TypeError, ValueError, RuntimeError)
_NAME: Final = "sensorbus"
_NO_COOKIE: Final = (
    "; nobody says that the browser came by https, without which it keeps no cookie "
    f"({variable_name('dashboard_proxies')})"
)
#: What a token may be signed with: by the provider's private key, never by nothing or by what we know too.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TIMEOUT_S: Final = 5.0
_CLOCK_SKEW_S: Final = 60
#: Tabs that may be on their way to the provider at once: each is 300 bytes of the cookie, of which 4 KB are kept.
_MOST_ON_THE_WAY: Final = 3
#: Keys that the provider may have changed are fetched so often at most, whatever tokens strangers send.
_KEYS_ANEW_S: Final = 10.0
#: Threads that may wait at once until the provider takes a code.
_CODES_AT_ONCE: Final = 2


class Provider:
    """The provider that the settings name; its methods raise `AWAY` or one of `REFUSED`."""

    def __init__(self, server: Flask, settings: Settings) -> None:
        """Ask nobody yet."""
        self.issuer = str(settings.dashboard_oidc_issuer)
        self._client_id, self._audience = settings.dashboard_oidc_client_id, settings.dashboard_oidc_audience
        self._keys_asked_s = -_KEYS_ANEW_S
        self._metadata: dict[str, Any] | None = None
        self._asks_metadata, self._asks_keys = Turns(1, Exception), Turns(1, Exception)
        self._hands_codes_in = Turns(_CODES_AT_ONCE, (NoConnectionError, Timeout))  # a 500 may be for a made-up code
        self._states = Once()
        secret = settings.dashboard_oidc_client_secret
        self._client = OAuth(server).register(
            _NAME,
            client_id=self._client_id,
            client_secret=secret.get_secret_value() if secret else None,
            server_metadata_url=f"{self.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.dashboard_oidc_scope,
                "code_challenge_method": "S256",
                "default_timeout": _TIMEOUT_S,
                **({} if secret else {"token_endpoint_auth_method": "none"}),
            },
        )

    def way_there(self, back: str, to: str) -> str:
        """Return the address to which a browser is sent; the session keeps how it comes `back`, and where `to` then."""
        self._load()
        way = self._client.create_authorization_url(back)
        ways = sorted((key for key in session if key.startswith(f"_state_{_NAME}_")), key=_end_of)
        for key in ways[: 1 - _MOST_ON_THE_WAY]:
            session.pop(key)
        self._client.save_authorize_data(redirect_uri=back, to=to, **{k: v for k, v in way.items() if k != "url"})
        return str(way["url"])

    def who_comes_back(self) -> tuple[Mapping[str, Any], str]:
        """Return the claims of who is back, whose id token is checked, and where they wanted to.

        Nobody is asked for who was not sent there. Until a code is handed in, the same way back may be tried again.
        """
        state = request.args.get("state", "")
        held = self._client.framework.get_state_data(session, state)
        until_s = _end_of(f"_state_{_NAME}_{state}") if held else 0.0
        if not held or until_s <= time.time():
            raise LookupError(f"a way back that is not known, or too old{'' if request.is_secure else _NO_COOKIE}")
        self._load()
        self._keys()
        with self._hands_codes_in.one():
            if not request.args.get("error") and not self._states.take(state, until_s):
                raise LookupError("a way back that was used")
            token = self._client.authorize_access_token(
                claims_options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                },
                leeway=_CLOCK_SKEW_S,
            )
        return token["userinfo"], held["to"]

    def who_has(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a program's access token, if programs may come at all."""
        if self._audience is None:
            raise LookupError(f"{variable_name('dashboard_oidc_audience')} is not set")
        self._load()
        try:
            return self._verified(token)
        except InvalidKeyIdError:
            now_s = time.monotonic()
            if now_s - self._keys_asked_s < _KEYS_ANEW_S:
                raise
            with self._asks_keys.one():
                self._keys_asked_s = now_s
                self._client.fetch_jwk_set(force=True)
            return self._verified(token)

    def way_out(self, back: str) -> str | None:
        """Return the address at which a session there ends; None: the provider has none."""
        end = self._load().get("end_session_endpoint")
        asked = urlencode({"client_id": self._client_id, "post_logout_redirect_uri": back})
        return f"{end}{'&' if '?' in end else '?'}{asked}" if end else None

    def _verified(self, token: str) -> Mapping[str, Any]:
        keys = KeySet.import_key_set(self._keys())
        claims = jwt.decode(token, keys, registry=JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)).claims
        jwt.JWTClaimsRegistry(
            leeway=_CLOCK_SKEW_S,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": str(self._audience)},
            exp={"essential": True},
        ).validate(claims)
        return claims

    def _keys(self) -> Any:
        """Return the provider's keys, asked once."""
        known = self._client.server_metadata.get("jwks")
        if known:
            return known
        with self._asks_keys.one():
            return self._client.fetch_jwk_set()

    def _load(self) -> dict[str, Any]:
        """Return what the provider says of itself, asked once; raises when it is another one than the settings name."""
        if self._metadata is None:
            with self._asks_metadata.one():
                metadata = cast("dict[str, Any]", self._client.load_server_metadata())
                if metadata.get("issuer") != self.issuer:
                    metadata.pop("_loaded_at", None)
                    raise AWAY(f"it calls itself {metadata.get('issuer')!r}")
                metadata["id_token_signing_alg_values_supported"] = _ALGORITHMS
                self._metadata = metadata
        return self._metadata


def _end_of(key: str) -> float:
    return float(session[key].get("exp", 0))
