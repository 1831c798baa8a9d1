"""Certificates of the tests, as PEM files.

An authority, and what it signs; expired ones on request.
"""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY: Final = timedelta(days=1)
_HOSTS: Final = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, PEM, in files of their own and, key first, in one (`both`)."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates for `localhost` and 127.0.0.1 that servers and clients may use."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        """Write its own certificate to `folder`/`name`.crt."""
        self._folder, self._name = folder, _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), -1, 1)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / f"{name}.crt"
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, expired: bool = False, password: str = "", host: str = "") -> Issued:
        """Return a certificate for the common name, until tomorrow or yesterday, its key open or under a password.

        With `host` it is for that name, and not for this machine.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        days = (-2, -1) if expired else (-1, 1)
        certificate = (
            _builder(_name(name), self._name, key.public_key(), *days)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)] if host else _HOSTS), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        encryption = (
            serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        return self._write(name, private, certificate)

    def _write(self, name: str, private: bytes, certificate: x509.Certificate) -> Issued:
        public = certificate.public_bytes(serialization.Encoding.PEM)
        issued = Issued(*(self._folder / f"{name}.{suffix}" for suffix in ("crt", "key", "pem")))
        issued.certificate.write_bytes(public)
        issued.key.write_bytes(private)
        issued.both.write_bytes(private + public)
        return issued


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, from_day: int, to_day: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + from_day * _DAY)
        .not_valid_after(now + to_day * _DAY)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
