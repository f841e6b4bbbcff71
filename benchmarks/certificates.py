"""Certificates to register: PEM files made once, and copies in any number."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VERSION: Final = 1
"""Raised when other certificates are made, so that kept ones are made anew."""

PER_FOLDER: Final = 1_000
KINDS: Final = ("P-256", "RSA-2048")

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
_VALID: Final = (_START, datetime(2049, 1, 1, tzinfo=UTC))
_PAST: Final = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def _key(kind: str, owner: str) -> Key:
    """A few keys sign and are certified again and again: making them is what takes long."""
    del owner
    if kind == "P-256":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "AQ"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def make(
    kind: str, common_name: str, serial: int, validity: tuple[datetime, datetime] = _VALID
) -> x509.Certificate:
    """Sign a certificate with the extensions that those of public CAs have."""
    signer = _key(kind, "CA")
    public = _key(kind, "leaf").public_key()
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (
            x509.KeyUsage(
                digital_signature=True,
                key_encipherment=kind != "P-256",
                content_commitment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            True,
        ),
        (x509.ExtendedKeyUsage(usage), False),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
        (x509.SubjectAlternativeName([x509.DNSName(common_name)]), False),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(f"{kind} CA"))
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())


def pem_files(folder: Path, count: int, *, past: bool = False) -> list[Path]:
    """Return so many PEM files, by turns of each kind; they are made where they are not there.

    The certificates of `past` ended years ago.
    """
    target = folder / f"certificates-{VERSION}-{'past-' if past else ''}{count}"
    paths = [
        target / f"{at // PER_FOLDER:04d}" / f"{at % PER_FOLDER:04d}.pem" for at in range(count)
    ]
    if target.exists():
        return paths
    making = target.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    for at, path in enumerate(paths):
        place = making / path.relative_to(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        certificate = make(
            KINDS[at % len(KINDS)],
            f"device-{at:06d}.example.org",
            x509.random_serial_number(),
            _PAST if past else _VALID,
        )
        place.write_bytes(certificate.public_bytes(Encoding.PEM))
    making.rename(target)
    return paths


def load(paths: list[Path]) -> list[x509.Certificate]:
    """Read certificates anew, so that none has anything parsed and kept from an earlier round."""
    return [x509.load_pem_x509_certificate(path.read_bytes()) for path in paths]


def copies(start: int, stop: int) -> Iterator[bytes]:
    """Yield certificates in DER that differ in serial number and name, without signing each.

    Their signatures fit the first one only; a registry does not look at signatures. The serial
    numbers come in no order, as real ones do, for that decides what an index costs.
    """
    digits, serial = "0" * 10, sha256(b"certificate to be copied").digest()[:15]
    number = int.from_bytes(b"\x5a" + serial)
    templates = [
        make(kind, f"device-{digits}.example.org", number).public_bytes(Encoding.DER)
        for kind in KINDS
    ]
    for at in range(start, stop):
        template = templates[at % len(templates)]
        own = sha256(at.to_bytes(8)).digest()[:15]
        yield template.replace(serial, own).replace(digits.encode(), f"{at:010d}".encode())
