"""A small CA for the demonstration: real keys and certificates, as files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_NAME = "Demo Issuing CA"


@dataclass(frozen=True)
class Issued:
    """A certificate in a file of the demonstration."""

    file: str
    serial: int


class DemoCA:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        """Make the CA's key and certificate: `ca.key`, `ca.pem`."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, _NAME),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            ]
        )
        key_file = folder / "ca.key"
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        start = datetime.now(UTC) - timedelta(days=365)
        builder = (
            self._builder(self._name, self._key.public_key(), start, start + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        self.certificate = self._sign(builder, "ca.pem")

    def issue(self, file: str, common_name: str, *, start: datetime, end: datetime) -> Issued:
        """Issue a certificate with a new key into a file; the key is thrown away."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        public_key = ec.generate_private_key(ec.SECP256R1()).public_key()
        builder = self._builder(subject, public_key, start, end).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
            critical=False,
        )
        return self._sign(builder, file)

    def _builder(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        start: datetime,
        end: datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    def _sign(self, builder: x509.CertificateBuilder, file: str) -> Issued:
        certificate = builder.sign(self._key, hashes.SHA256())
        (self._folder / file).write_bytes(certificate.public_bytes(Encoding.PEM))
        return Issued(file, certificate.serial_number)
