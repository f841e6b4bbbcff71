"""The files of the test CA, as `certledger crl` takes them."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from certledger.testing.certificates import make_ca

PASSPHRASE = "correct horse"


def ca_options(
    folder: Path, passphrase: str | None = None, encoding: Encoding = Encoding.PEM
) -> list[str]:
    """Write the files and return the options that name them."""
    authority = make_ca()
    protection = (
        BestAvailableEncryption(passphrase.encode()) if passphrase is not None else NoEncryption()
    )
    certificate, key = folder / "ca.pem", folder / "ca.key"
    certificate.write_bytes(authority.certificate.public_bytes(encoding))
    key.write_bytes(authority.key.private_bytes(encoding, PrivateFormat.PKCS8, protection))
    return ["--ca-cert", str(certificate), "--ca-key", str(key)]
