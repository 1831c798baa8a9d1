"""A real Apache Kafka that lets nobody in unknown.

It wants a password, a token or a certificate, and does nothing without a right.
Four listeners beside the open one, whose clients are super-users: SASL_SSL with passwords (SCRAM, PLAIN) and tokens
(OAUTHBEARER), TLS with client certificates, and TLS with a server certificate that has expired, or is for another name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from sensorbus.contract.settings import Settings
from tests.support.certificates import Authority, Issued
from tests.support.oidc_provider import AUDIENCE, SECRET, Provider
from tests.support.real_kafka import RealKafka, free_ports
from tests.support.rights import Right

#: What the certificate of `other_address` is for.
OTHER_HOST: Final = "kafka.example.com"
_SECURITY: Final = "org.apache.kafka.common.security"
_SASL: Final = "listener.name.sasl_ssl"
_TIMEOUT_S: Final = 15.0


class SecureKafka(RealKafka):
    """One broker with an authority of its own; `address` is the open listener, for those who give rights."""

    def __init__(self, home: Path, provider: Provider, plain: Mapping[str, str]) -> None:
        """Make the certificates in `home`; `provider` makes the tokens, `plain` are the passwords for PLAIN."""
        super().__init__(home)
        self._provider = provider
        home.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(home)
        (sasl, tls), (expired, other) = free_ports(), free_ports()
        self.sasl_address, self.tls_address = f"127.0.0.1:{sasl}", f"127.0.0.1:{tls}"
        self.expired_address, self.other_address = f"127.0.0.1:{expired}", f"127.0.0.1:{other}"
        ports = {"SASL_SSL": sasl, "TLS": tls, "EXPIRED": expired, "OTHER": other}
        extra = ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
        for name in ("listeners", "advertised.listeners"):
            self._properties[name] += f",{extra}"
        self._properties |= {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,TLS:SSL,"
            "EXPIRED:SSL,OTHER:SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            **self._mechanisms(plain),
            "listener.name.tls.ssl.client.auth": "required",
            **_certificates(self.authority),
        }

    def _mechanisms(self, plain: Mapping[str, str]) -> dict[str, str]:
        """Return what the listener for passwords and tokens asks whom."""
        users = " ".join(f'user_{name}="{password}"' for name, password in plain.items())
        keys = f"{self._provider.issuer}/keys"
        self._java_options = [f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}"]
        return {
            "connections.max.reauth.ms": "15000",  # as hosted Kafkas do: who stays has to say again who it is
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN,OAUTHBEARER",
            f"{_SASL}.scram-sha-512.sasl.jaas.config": f"{_SECURITY}.scram.ScramLoginModule required;",
            f"{_SASL}.plain.sasl.jaas.config": f"{_SECURITY}.plain.PlainLoginModule required {users};",
            f"{_SASL}.oauthbearer.sasl.jaas.config": f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required;",
            f"{_SASL}.oauthbearer.sasl.server.callback.handler.class": f"{_SECURITY}.oauthbearer."
            "OAuthBearerValidatorCallbackHandler",
            f"{_SASL}.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": keys,
            f"{_SASL}.oauthbearer.sasl.oauthbearer.expected.issuer": self._provider.issuer,
            f"{_SASL}.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
        }

    def add_user(self, name: str, password: str) -> None:
        """Make a user with a SCRAM password, or give one another password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        change = UserScramCredentialUpsertion(name, info, password.encode())
        client = self._admin()
        for future in client.alter_user_scram_credentials([change]).values():
            future.result(_TIMEOUT_S)

    def allow(self, right: Right, principal: str | None = None) -> None:
        """Give a right, to the user `User:<its name>` if nobody else is named."""
        pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
        bindings = [
            AclBinding(
                ResourceType[right.kind],
                right.name,
                pattern,
                principal or f"User:{right.user}",
                "*",
                AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for operation in right.operations
        ]
        client = self._admin()
        for future in client.create_acls(bindings).values():
            future.result(_TIMEOUT_S)

    def with_password(self, settings: Settings, user: str, password: str, **options: str) -> Settings:
        """Return settings that reach this broker as a user; `options` are more of librdkafka's, `_` for a dot."""
        given = {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": user,
            "sasl_password": password,
        }
        return self._secured(settings, self.sasl_address, **given | options)

    def with_token(self, settings: Settings, user: str, **options: str) -> Settings:
        """Return settings that reach this broker with tokens that the provider gives to a user."""
        given = {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_oauthbearer_method": "oidc",
            "sasl_oauthbearer_client_id": user,
            "sasl_oauthbearer_client_secret": SECRET,
            "sasl_oauthbearer_token_endpoint_url": f"{self._provider.issuer}/token",
        }
        return self._secured(settings, self.sasl_address, **given | options)

    def with_certificate(
        self, settings: Settings, issued: Issued | None, address: str = "", **options: str
    ) -> Settings:
        """Return settings that reach this broker with a client certificate (None: without one)."""
        own = (
            {}
            if issued is None
            else {"ssl_certificate_location": str(issued.certificate), "ssl_key_location": str(issued.key)}
        )
        return self._secured(settings, address or self.tls_address, security_protocol="SSL", **own, **options)

    def _secured(self, settings: Settings, address: str, **options: str) -> Settings:
        given: dict[str, Any] = {"ssl_ca_location": str(self.authority.certificate)} | options
        return settings.model_copy(
            update={
                "kafka_bootstrap_servers": address,
                "kafka_options": {name.replace("_", "."): SecretStr(value) for name, value in given.items()},
            }
        )

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address})


def _certificates(authority: Authority) -> dict[str, str]:
    """Return what the listeners show: a good certificate, one that has expired and one of another host."""
    server, old = authority.issue("server"), authority.issue("old-server", expired=True)
    other = authority.issue("other-server", host=OTHER_HOST)
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(server.both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.certificate),
        "listener.name.expired.ssl.keystore.location": str(old.both),
        "listener.name.other.ssl.keystore.location": str(other.both),
    }
