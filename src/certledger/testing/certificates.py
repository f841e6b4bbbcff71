"""Real certificates for tests: a small CA, and shared keys so that making one is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


@cache
def shared_key(name: str = "leaf") -> ec.EllipticCurvePrivateKey:
    """A P-256 key, the same for the same name within a test run."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


def name_of(common_name: str | None, organization: str | None = None) -> x509.Name:
    attributes = []
    if common_name is not None:
        # The upper bound of RFC 5280 for CN (64) is not checked, as CAs do not keep to it.
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name, _validate=False))
    if organization is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


@dataclass(frozen=True)
class CA:
    """A certification authority with a self-signed certificate."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(
        self,
        common_name: str | None = "device.example.org",
        *,
        serial: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        days: int = 90,
        with_aki: bool = True,
        subject: x509.Name | None = None,
    ) -> x509.Certificate:
        """Issue a certificate, by default valid from an hour ago for `days` days."""
        not_before = start or datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name_of(common_name) if subject is None else subject)
            .issuer_name(self.certificate.subject)
            .public_key(shared_key().public_key())
            .serial_number(x509.random_serial_number() if serial is None else serial)
            .not_valid_before(not_before)
            .not_valid_after(end or not_before + timedelta(days=days))
        )
        if with_aki:
            builder = builder.add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        return builder.sign(self.key, hashes.SHA256())


@cache
def make_ca(common_name: str = "Test CA") -> CA:
    """A CA, the same for the same name within a test run."""
    key = shared_key(f"CA {common_name}")
    name = name_of(common_name, "Example")
    start = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(datetime(2049, 12, 31, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return CA(certificate, key)


def make_certificate(
    common_name: str | None = "device.example.org", **options: object
) -> x509.Certificate:
    """A certificate of the test CA; see `CA.issue` for the options."""
    return make_ca().issue(common_name, **options)  # type: ignore[arg-type] # passed through


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
