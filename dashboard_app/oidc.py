"""Asks an OpenID Connect provider who somebody is, and checks its tokens.

Authorization code with PKCE, state and nonce, by authlib. The provider is asked when somebody signs in, never when a
worker starts. Called from the request threads; what the provider says of itself and its keys are kept.
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
from requests import RequestException

from sensorbus.contract.settings import Settings

#: Raised when the provider cannot be asked, and when it or a browser said what cannot be taken.
AWAY: Final = RequestException
REFUSED: Final = (OAuthError, JoseError, LookupError, TypeError, ValueError, RuntimeError)
_NAME: Final = "sensorbus"
#: What a token may be signed with: by the provider's private key, never by nothing or by what we know too.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_TIMEOUT_S: Final = 5.0
_CLOCK_SKEW_S: Final = 60
#: Tabs that may be on their way to the provider at once: each is 300 bytes of the cookie, of which 4 KB are kept.
_MOST_ON_THE_WAY: Final = 3
#: Keys that the provider may have changed are fetched so often at most, whatever tokens strangers send.
_KEYS_ANEW_S: Final = 10.0


class Provider:
    """The provider that the settings name; its methods raise `AWAY` or one of `REFUSED`."""

    def __init__(self, server: Flask, settings: Settings) -> None:
        """Ask nobody yet."""
        self.issuer = str(settings.dashboard_oidc_issuer)
        self._client_id, self._audience = settings.dashboard_oidc_client_id, settings.dashboard_oidc_audience
        self._keys_asked_s = -_KEYS_ANEW_S
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
        """Return the claims of who is back, whose id token is checked, and where they wanted to."""
        held = self._client.framework.get_state_data(session, request.args.get("state", "")) or {}
        self._load()
        token = self._client.authorize_access_token(
            claims_options={
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self._client_id},
            },
            leeway=_CLOCK_SKEW_S,
        )
        return token["userinfo"], held["to"]

    def who_has(self, token: str) -> Mapping[str, Any]:
        """Return the claims of a program's access token."""
        self._load()
        try:
            return self._verified(token)
        except InvalidKeyIdError:
            now_s = time.monotonic()
            if now_s - self._keys_asked_s < _KEYS_ANEW_S:
                raise
            self._keys_asked_s = now_s
            self._client.fetch_jwk_set(force=True)
            return self._verified(token)

    def way_out(self, back: str) -> str | None:
        """Return the address at which a session there ends; None: the provider has none."""
        end = self._load().get("end_session_endpoint")
        asked = urlencode({"client_id": self._client_id, "post_logout_redirect_uri": back})
        return f"{end}{'&' if '?' in end else '?'}{asked}" if end else None

    def _verified(self, token: str) -> Mapping[str, Any]:
        keys = KeySet.import_key_set(self._client.fetch_jwk_set())
        claims = jwt.decode(token, keys, registry=JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)).claims
        jwt.JWTClaimsRegistry(
            leeway=_CLOCK_SKEW_S,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": str(self._audience)},
            exp={"essential": True},
        ).validate(claims)
        return claims

    def _load(self) -> dict[str, Any]:
        """Return what the provider says of itself, asked once; raises when it is another one than the settings name."""
        metadata = cast("dict[str, Any]", self._client.load_server_metadata())
        if metadata.get("issuer") != self.issuer:
            metadata.pop("_loaded_at", None)
            raise AWAY(f"it calls itself {metadata.get('issuer')!r}")
        metadata["id_token_signing_alg_values_supported"] = _ALGORITHMS
        return metadata


def _end_of(key: str) -> float:
    return float(session[key].get("exp", 0))
