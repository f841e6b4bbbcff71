"""CAs of every kind that may, or may not, sign a CRL, and a short way to look into one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

from certledger import Ledger
from certledger.crl_issuer import PrivateKey
from certledger.eventstore.events import CrlPublished
from certledger.testing.certificates import CA, make_ca, name_of, shared_key


def key_usage(*, crl_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def constraints(*, ca: bool = True) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=ca, path_length=None)


def ca_certificate(
    key: PrivateKey, *extensions: x509.ExtensionType, name: x509.Name | None = None
) -> x509.Certificate:
    """A self-signed certificate with just these extensions."""
    subject = name_of("Test CA", "Example") if name is None else name
    start = datetime(2020, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(datetime(2049, 12, 31, tzinfo=UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, digest(key))


def digest(key: PrivateKey) -> hashes.SHA256 | None:
    own = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return None if own else hashes.SHA256()


def leaf(
    issuer: x509.Name,
    signer: PrivateKey,
    *,
    aki: bytes | None = None,
    serial: int | None = None,
) -> x509.Certificate:
    """A certificate that names any issuer and any authority key, signed by any key."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of("leaf"))
        .issuer_name(issuer)
        .public_key(shared_key().public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=90))
    )
    if aki is not None:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier(aki, None, None), critical=False
        )
    return builder.sign(signer, digest(signer))


def serials(crl: x509.CertificateRevocationList) -> set[int]:
    return {entry.serial_number for entry in crl}


def number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def only_entry(crl: x509.CertificateRevocationList) -> x509.RevokedCertificate:
    (entry,) = crl
    return entry


def extensions_of(entry: x509.RevokedCertificate) -> Iterator[x509.ExtensionType]:
    return (extension.value for extension in entry.extensions)


def sign(ledger: Ledger, ca: CA | None = None, **options: Any) -> x509.CertificateRevocationList:
    """The next CRL of a CA, by default of the test CA."""
    ca = ca or make_ca()
    return ledger.crl(ca.certificate, ca.key, **options).crl


def published(ledger: Ledger) -> list[CrlPublished]:
    """What the log records of CRLs."""
    data = [event.data for event in ledger.events(type="crl")]
    return [one for one in data if isinstance(one, CrlPublished)]


def revoked(
    ledger: Ledger, ca: CA | None = None, reason: str | None = None, **options: object
) -> int:
    """Issue a certificate and revoke it."""
    certificate = (ca or make_ca()).issue(**options)  # type: ignore[arg-type] # passed through
    ledger.issue(certificate)
    ledger.revoke(certificate.serial_number, reason)
    return certificate.serial_number
