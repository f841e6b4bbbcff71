"""What people and programs give to a registry as a certificate, good and bad."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from certledger.testing.certificates import der, make_ca, make_certificate, name_of, pem, shared_key

SERIAL = 4711
"""Of all certificates that do not say otherwise."""


def plain(common_name: str | None = "device.example.org", **options: object) -> bytes:
    """PEM of a certificate with the serial number `SERIAL`."""
    with warnings.catch_warnings():
        # `cryptography` warns of names outside of RFC 5280's bounds.
        warnings.simplefilter("ignore", UserWarning)
        return pem(make_certificate(common_name, **{"serial": SERIAL} | options))


def truncated_pem() -> bytes:
    return plain()[:300]


def garbled_pem() -> bytes:
    return plain().replace(b"M", b"*")


def truncated_der() -> bytes:
    return der(make_certificate())[:-40]


def garbled_der() -> bytes:
    data = bytearray(der(make_certificate()))
    data[8] ^= 0xFF
    return bytes(data)


def public_key_pem() -> bytes:
    key = shared_key().public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_key_pem() -> bytes:
    return shared_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_pem() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(name_of("device.example.org"))
    return builder.sign(shared_key(), hashes.SHA256()).public_bytes(Encoding.PEM)


def too_large() -> bytes:
    """PEM of a certificate whose entry would pass 65,535 bytes, by an extension of 50,000."""
    ca, now = make_ca(), datetime.now(UTC)
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of("device.example.org"))
        .issuer_name(ca.certificate.subject)
        .public_key(shared_key().public_key())
        .serial_number(SERIAL)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(oid, bytes(50_000)), critical=False)
    )
    return pem(builder.sign(ca.key, hashes.SHA256()))


def ended_yesterday() -> bytes:
    now = datetime.now(UTC)
    return plain(start=now - timedelta(days=9), end=now - timedelta(days=1))
